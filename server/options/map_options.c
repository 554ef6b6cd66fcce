/* From the options of maps to a rule; see map_options.h. */

#include "server/options/map_options.h"

const char *const adl_map_bases[] = {"model", "reference", NULL};

struct adl_map_changes adl_map_options_changes(const struct adl_map_settings *settings,
                                               const struct adl_options *options)
{
    struct adl_map_changes changes = ADL_MAP_NO_CHANGES;

    changes.reference = settings->map == 1;
    changes.weights = settings->weights;
    changes.normalise = settings->normalise;
    if (adl_options_given(options, "map-percentile"))
        changes.percentile = settings->percentile;
    if (adl_options_given(options, "threshold"))
        changes.threshold = settings->threshold;
    if (adl_options_given(options, "map-classes"))
        changes.classes = settings->classes;
    if (adl_options_given(options, "foreground"))
        changes.foreground = settings->foreground;
    return changes;
}

int adl_map_options_apply(const struct adl_map_settings *settings,
                          const struct adl_options *options, const float *head,
                          struct adl_map_rule *rule, struct adl_error *err)
{
    const struct adl_map_changes changes = adl_map_options_changes(settings, options);
    return adl_map_rule_change(rule, &changes, head, err);
}
