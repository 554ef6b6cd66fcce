/* From the options of maps to a rule; see map_options.h. */

#include "server/options/map_options.h"

#include <string.h>

#include "base/name.h"

int adl_map_view_options_changes(const struct adl_map_settings *settings,
                                 const struct adl_options *options,
                                 struct adl_map_view_changes *changes, struct adl_error *err)
{
    *changes = (struct adl_map_view_changes)ADL_MAP_VIEWS_UNCHANGED;
    if (adl_options_given(options, "map-flip"))
        changes->flip = settings->flip;
    if (adl_options_given(options, "map-stride"))
        changes->stride = settings->stride;
    if (settings->scales &&
        adl_map_scales_parse(settings->scales, changes->scales, &changes->scale_count, err) < 0)
        return adl_error_context(err, "--map-scales");
    changes->has_layer = settings->layer != NULL;
    if (settings->layer && adl_map_layer_parse(settings->layer, &changes->layer, err) < 0)
        return adl_error_context(err, "--map-layer");
    return 0;
}

int adl_map_options_changes(const struct adl_map_settings *settings,
                            const struct adl_options *options, struct adl_map_changes *changes,
                            struct adl_error *err)
{
    *changes = (struct adl_map_changes)ADL_MAP_NO_CHANGES;
    changes->weights = settings->weights;
    changes->normalise = settings->normalise;
    if (adl_options_given(options, "map-percentile"))
        changes->percentile = settings->percentile;
    if (adl_options_given(options, "threshold"))
        changes->threshold = settings->threshold;
    if (adl_options_given(options, "map-classes"))
        changes->classes = settings->classes;
    if (adl_options_given(options, "foreground"))
        changes->foreground = settings->foreground;
    if (adl_map_view_options_changes(settings, options, &changes->views, err) < 0)
        return -1;
    return adl_map_base_parse(settings->map, changes, err) < 0 ? adl_error_context(err, "--map")
                                                               : 0;
}

int adl_map_options_apply(const struct adl_map_settings *settings,
                          const struct adl_options *options, const struct adl_foreground_head *head,
                          struct adl_map_rule *rule, struct adl_error *err)
{
    struct adl_map_changes changes;

    if (adl_map_options_changes(settings, options, &changes, err) < 0)
        return -1;
    return adl_map_rule_change(rule, &changes, head, err);
}
