#ifndef ADL_WSOL_OBJECTS_H
#define ADL_WSOL_OBJECTS_H

/* Parts the foreground of a map at its saddles, so that objects that touch each other get a box
 * each. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "wsol/boxes.h"

/* When two neighbouring peaks of a map are two objects. All zero stands for the values that suit
 * most models, see adl_object_rule_used(). */
struct adl_object_rule {
    double prominence; /* the saddle between them is lower than the lower peak by at least this
                        * fraction of that peak, 0..1 */
    double area; /* and above the saddle each covers at least this fraction of the map, 0..1 */
};

/* Returns the rule, or prominence 0.1 and area 0.1 if it is all zero. */
struct adl_object_rule adl_object_rule_used(const struct adl_object_rule *rule);

struct adl_object_basin;

/* Holds one map at a time. A zeroed struct is ready for use; its memory is reused from map to map.
 * For one thread at a time. */
struct adl_object_finder {
    uint16_t *levels; /* the map, scaled so that its greatest value is UINT16_MAX; height x width */
    uint32_t *order;  /* foreground pixels by level */
    uint32_t *labels; /* 1 + basin of a pixel, 0: none; with a margin of one pixel */
    uint32_t *counts; /* pixels by level */
    struct adl_object_basin *basins;
    size_t capacity; /* of the planes, in pixels with the margin */
    int height, width;
};

void adl_object_finder_release(struct adl_object_finder *finder);

/* Takes a map as adl_map_make_unclipped() makes it: values above 1 still tell peaks apart. Values
 * below 0 count as 0. Fails with ADL_ERR_ARG for a side below 1, with ADL_ERR_LIMIT for a map of
 * 2^31 pixels or more, and with ADL_ERR_NOMEM. */
int adl_object_finder_load(struct adl_object_finder *finder, const double *map, int height,
                           int width, struct adl_error *err) ADL_MUST_CHECK;

/* Parts the pixels of the same map, loaded in `cut`, whose bytes exceed `byte`. Writes a box for
 * each object, the largest object first, at most ADL_LIMIT_BOXES, in the form of
 * adl_boxes_from_map(); none without foreground. Parts that cover less than half of rule->area are
 * left out unless they are the largest. `boxes` is emptied first. Time and memory are proportional
 * to the pixels. Fails with ADL_ERR_NOMEM. */
int adl_object_finder_part(struct adl_object_finder *finder, const struct adl_box_finder *cut,
                           int byte, const struct adl_object_rule *rule, struct adl_boxes *boxes,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
