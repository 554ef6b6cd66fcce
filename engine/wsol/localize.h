#ifndef ADL_WSOL_LOCALIZE_H
#define ADL_WSOL_LOCALIZE_H

/* From a class activation map to what a user sees: a heat map, and boxes in pixels of the
 * photograph with a score each. */

#include <stddef.h>

#include "base/error.h"
#include "wsol/boxes.h"

struct adl_localized_box {
    struct adl_box box; /* inclusive pixels of the image as displayed */
    double score;       /* mean of the normalised map inside the box, 0..1 */
};

struct adl_localization {
    float *map; /* 0..1, map_height x map_width: the network's input size; owned */
    int map_width, map_height;
    struct adl_localized_box *boxes; /* owned */
    size_t box_count;                /* 0 for a constant map */
};

/* Enlarges the map `cam`, cam_h x cam_w, to input_h x input_w, normalises it, cuts it at
 * `threshold` in 0..1, and scales the boxes to an image of image_w x image_h. If there are more
 * than ADL_LIMIT_BOXES boxes, those of the largest contours remain. A constant map and one with
 * a NaN become zeros and have no box. `out` is written as a whole; on failure it is zeroed.
 * Fails with ARG for a size or threshold out of range, with LIMIT for a map of more than
 * ADL_LIMIT_INPUT_SIDE on a side, and with NOMEM. */
int adl_localize_map(const float *cam, int cam_h, int cam_w, int input_h, int input_w,
                     double threshold, enum adl_box_mode mode, int image_w, int image_h,
                     struct adl_localization *out, struct adl_error *err) ADL_MUST_CHECK;

/* The map alone, as adl_localize_map() makes it: input_h x input_w floats in 0..1, to be freed
 * with adl_free(); NULL when out of memory. A raw `cam` and a normalised one give the same
 * result but for rounding, since enlarging is linear. */
float *adl_localize_enlarge(const float *cam, int cam_h, int cam_w, int input_h, int input_w,
                            struct adl_error *err) ADL_MUST_CHECK;

void adl_localization_release(struct adl_localization *localization);

/* out = (cam - min) / (max - min), 0..1; zeros for a constant map and for one with a NaN or an
 * infinity. May be in place. */
void adl_heatmap_normalise(const float *cam, size_t count, float *out);

#endif
