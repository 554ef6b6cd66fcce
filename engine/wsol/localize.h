#ifndef ADL_WSOL_LOCALIZE_H
#define ADL_WSOL_LOCALIZE_H

/* Makes from a class activation map what a user sees: a heat map, and boxes in pixels of the image,
 * each with a score. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "wsol/boxes.h"
#include "wsol/certainty.h"
#include "wsol/map_rule.h"

/* A class map and the size of the input that the network made it from. */
struct adl_class_map {
    const float *values; /* h x w, not normalised; borrowed */
    int h, w;
    int input_h, input_w;
    /* Judges the boxes, borrowed; NULL: they have no confidence. Then `probability` is that of the
     * map's class. */
    const struct adl_confidence *confidence;
    double probability;
};

struct adl_localized_box {
    struct adl_box box; /* inclusive pixels of the image as displayed */
    double score;       /* mean of the normalised map inside the box, 0..1 */
    double confidence;  /* if the boxes are judged: the chance that it is right, 0..1 */
};

/* Cuts maps into boxes. A zeroed struct is ready for use; its memory is reused from map to map. For
 * one thread at a time. */
struct adl_localizer {
    struct adl_box_finder finder;
    struct adl_object_finder objects;
    struct adl_boxes boxes;
};

void adl_localizer_release(struct adl_localizer *localizer);

struct adl_localization {
    float *map; /* 0..1, map_height x map_width: the network's input size; owned */
    int map_width, map_height;
    struct adl_localized_box *boxes; /* owned */
    size_t box_count;                /* 0 for a constant map */
    bool judged;                     /* the boxes have confidences */
    struct adl_map_range range;      /* the values of the class map that are 0 and 1 in `map` */
};

/* Takes a map of adl_map_make_unclipped(), height x width, and clips it. With `objects`, boxes of
 * ADL_BOXES_OBJECTS can be cut; without, the map may be clipped already. Fails as
 * adl_box_finder_load() and adl_object_finder_load() do. */
int adl_localizer_load(struct adl_localizer *localizer, double *map, int height, int width,
                       bool objects, struct adl_error *err) ADL_MUST_CHECK;

/* Cuts `map`, which has been loaded and has input_h x input_w pixels of `cam`, at the threshold of
 * the rule, and sets the boxes of `out` in pixels of an image of image_w x image_h:
 *
 *   ADL_BOXES_LARGEST  that of the greatest contour
 *   ADL_BOXES_ALL      one for each connected region, whether it lies in the hole of another or
 *                      not; none for the rim of a hole, which only the evaluation counts
 *                      (wsol/boxes.h). The greatest contour first; of equal ones (single pixels and
 *                      lines have area 0) the one whose first pixel, by rows and then by columns,
 *                      comes last. The first box is that of ADL_BOXES_LARGEST
 *   ADL_BOXES_OBJECTS  one for each object (wsol/objects.h), the largest first
 *
 * at most ADL_LIMIT_BOXES. Fails with ADL_ERR_NOMEM. */
int adl_localizer_cut(struct adl_localizer *localizer, const struct adl_map_rule *rule,
                      const struct adl_class_map *cam, const double *map, enum adl_box_mode mode,
                      int image_w, int image_h, struct adl_localization *out,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Enlarges the class map to the input size, normalises it and cuts it as adl_localizer_cut() does.
 * `keep_map`: with out->map, which is NULL otherwise. A constant map and one with a NaN become
 * zeros and have no box. `out` is overwritten and need not be initialised; on failure it is zeroed.
 * Fails with ADL_ERR_ARG for a size or threshold out of range, with ADL_ERR_LIMIT for a map of more
 * than ADL_LIMIT_INPUT_SIDE pixels on a side, and with ADL_ERR_NOMEM. */
int adl_localize_map(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                     enum adl_box_mode mode, bool keep_map, int image_w, int image_h,
                     struct adl_localization *out, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the map alone, as adl_localize_map() makes it: input_h x input_w floats in 0..1, which
 * the caller frees with adl_free(); NULL on failure, as for adl_map_make(). */
float *adl_localize_enlarge(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                            struct adl_error *err) ADL_MUST_CHECK;

void adl_localization_release(struct adl_localization *localization);

/* Computes out = (cam - min) / (max - min), 0..1; zeros for a constant map and for one with a NaN
 * or an infinity. `out` may be `cam`. */
void adl_heatmap_normalise(const float *cam, size_t count, float *out);

#endif
