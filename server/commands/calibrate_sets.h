#ifndef ADL_SERVER_COMMANDS_CALIBRATE_SETS_H
#define ADL_SERVER_COMMANDS_CALIBRATE_SETS_H

/* Lists the sets of samples (eval/calibrate.h) that `calibrate` chooses from. */

#include "eval/calibrate.h"
#include "wsol/map_views.h"
#include "wsol/views.h"

/* What the options of `calibrate` ask for. */
struct adl_calibrate_wishes {
    struct adl_map_view_changes changes; /* of the model's views */
    bool try_views;                      /* --try-views */
    bool foreground;                     /* --foreground: the few-box head is fitted */
};

/* Lists the views to choose from: those that the options ask for; or, by default, the image alone,
 * the model's own, and, if the network has a last halving, the image without it; with --try-views
 * also the mirror image, larger scale, and both, each with and without the layer that --map-layer
 * names. Each of them is a set of class maps and, if a head is fitted, one of the head's maps. The
 * first set is that of class maps of the image alone in any case, because the head is fitted to it;
 * the maps of the model's own rule, `current`, are there to compare with. Writes at most
 * ADL_CALIBRATE_SETS sets, zeroed but for what says which they are, and their number to *count.
 * Fails with ADL_ERR_ARG if --try-views is combined with options of views. */
int adl_calibrate_list_sets(const struct adl_calibrate_wishes *wishes,
                            const struct adl_map_rule *current, const struct adl_views *views,
                            struct adl_calibrate_samples *sets, size_t *count,
                            struct adl_error *err) ADL_MUST_CHECK;

#endif
