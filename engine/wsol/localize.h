#ifndef ADL_WSOL_LOCALIZE_H
#define ADL_WSOL_LOCALIZE_H

/* Makes from a class activation map what a user sees: a heat map, and boxes in pixels of the image,
 * each with a score. */

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

struct adl_localization {
    float *map; /* 0..1, map_height x map_width: the network's input size; owned */
    int map_width, map_height;
    struct adl_localized_box *boxes; /* owned */
    size_t box_count;                /* 0 for a constant map */
    bool judged;                     /* the boxes have confidences */
    struct adl_map_range range;      /* the values of the class map that are 0 and 1 in `map` */
};

/* Enlarges the class map to the input size, normalises it and cuts it at the threshold of the
 * rule, and scales the boxes to an image of image_w x image_h. With ADL_BOXES_ALL there is a box
 * for each outer border, that of the greatest contour first, and at most ADL_LIMIT_BOXES. A
 * constant map and one with a NaN become zeros and have no box. `out` is overwritten and need not
 * be initialised; on failure it is zeroed. Fails with ADL_ERR_ARG for a size or threshold out of
 * range, with ADL_ERR_LIMIT for a map of more than ADL_LIMIT_INPUT_SIDE pixels on a side, and with
 * ADL_ERR_NOMEM. */
int adl_localize_map(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                     enum adl_box_mode mode, int image_w, int image_h, struct adl_localization *out,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Returns the map alone, as adl_localize_map() makes it: input_h x input_w floats in 0..1, which
 * the caller frees with adl_free(); NULL on failure, as for adl_map_make(). */
float *adl_localize_enlarge(const struct adl_map_rule *rule, const struct adl_class_map *cam,
                            struct adl_error *err) ADL_MUST_CHECK;

void adl_localization_release(struct adl_localization *localization);

/* Computes out = (cam - min) / (max - min), 0..1; zeros for a constant map and for one with a NaN
 * or an infinity. `out` may be `cam`. */
void adl_heatmap_normalise(const float *cam, size_t count, float *out);

#endif
