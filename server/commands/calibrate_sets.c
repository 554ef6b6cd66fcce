/* Lists the sets of samples of a calibration; see calibrate_sets.h. */

#include "server/commands/calibrate_sets.h"

/* The scale that --try-views tries beside 1: 320 pixels for a network made for 224. */
#define LARGER_SCALE 1.43

struct list {
    struct adl_calibrate_samples *sets;
    size_t count;
};

/* Adds class maps of some views, unless they are there already; in that case they are compared only
 * if both say so. */
static void add(struct list *list, const struct adl_map_views *views, bool compared)
{
    for (size_t i = 0; i < list->count; i++)
        if (adl_map_views_equal(&list->sets[i].views, views)) {
            list->sets[i].compared &= compared;
            return;
        }
    list->sets[list->count++] =
        (struct adl_calibrate_samples){.views = *views, .compared = compared};
}

/* Adds all views that are tried by default, or by --try-views. */
static void add_tried(struct list *list, const struct adl_calibrate_wishes *wishes,
                      bool can_stride1)
{
    const struct adl_map_view_changes *changes = &wishes->changes;
    bool layer = changes->has_layer && changes->layer.method != ADL_LAYER_NONE;

    for (int stride1 = 0; stride1 <= can_stride1; stride1++)
        for (int more = 0; more <= (wishes->try_views ? 3 : 0); more++) {
            struct adl_map_views views = {.flip = more % 2,
                                          .stride1 = stride1,
                                          .scale_count = more / 2 * 2,
                                          .scales = {more / 2, more / 2 * LARGER_SCALE}};
            add(list, &views, false);
            views.layer = changes->layer;
            if (layer && !stride1)
                add(list, &views, false);
        }
}

/* Adds the maps of the head for all views that are not there only to compare with. */
static void add_head(struct list *list)
{
    for (size_t i = 0, count = list->count; i < count; i++)
        if (!list->sets[i].compared)
            list->sets[list->count++] = (struct adl_calibrate_samples){
                .views = list->sets[i].views, .maps = ADL_CALIBRATE_HEAD_MAPS};
}

int adl_calibrate_list_sets(const struct adl_calibrate_wishes *wishes,
                            const struct adl_map_rule *current, const struct adl_views *views,
                            struct adl_calibrate_samples *sets, size_t *count,
                            struct adl_error *err)
{
    const struct adl_map_view_changes *changes = &wishes->changes;
    struct list list = {.sets = sets};
    bool fixed = changes->flip >= 0 || changes->stride >= 0 || changes->scale_count >= 0;

    if (fixed && wishes->try_views)
        return adl_fail(err, ADL_ERR_ARG,
                        "--try-views and the options of views exclude each other");
    fixed |= changes->has_layer && !wishes->try_views;
    add(&list, &(struct adl_map_views){0}, fixed);
    if (fixed) {
        struct adl_map_views asked = current->views;
        adl_map_views_change(&asked, changes);
        add(&list, &asked, false);
    } else {
        add_tried(&list, wishes, adl_views_can_stride1(views));
    }
    /* Only one layer can be kept, and the one asked for goes before that of the model. */
    bool measured = adl_views_check_layer(views, &current->views, &(struct adl_error){0}) == 0;
    bool apart = adl_calibrate_apart(current);
    if (measured && (!fixed || !apart))
        add(&list, &current->views, fixed);
    if (wishes->foreground)
        add_head(&list);
    if (measured && apart)
        sets[list.count++] = (struct adl_calibrate_samples){
            .views = current->views, .maps = ADL_CALIBRATE_OWN_MAPS, .compared = true};
    *count = list.count;
    return 0;
}
