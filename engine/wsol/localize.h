#ifndef ADL_WSOL_LOCALIZE_H
#define ADL_WSOL_LOCALIZE_H

/* From a class activation map to what a user sees: a heat map and boxes in
 * pixels of the photograph. */

#include <stddef.h>

#include "base/error.h"
#include "wsol/boxes.h"

struct adl_localized_box {
    struct adl_box box; /* inclusive pixels of the image as displayed */
    double score;       /* mean of the normalised map inside the box, 0..1 */
};

struct adl_localization {
    float *map; /* 0..1 at the network's input size; owned */
    int map_width, map_height;
    struct adl_localized_box *boxes; /* owned */
    size_t box_count;                /* 0 for a map that points nowhere */
};

/* The map `cam`, cam_h x cam_w, enlarged to input_h x input_w and normalised,
 * and its boxes at `threshold` in 0..1, scaled to an image of image_w x
 * image_h. Of more than ADL_LIMIT_BOXES boxes those of the largest contours
 * remain. A constant map, or one with a NaN, is a map of zeros and no box.
 * `out` is written as a whole; on failure it is zeroed. */
int adl_localize_map(const float *cam, int cam_h, int cam_w, int input_h, int input_w,
                     double threshold, enum adl_box_mode mode, int image_w, int image_h,
                     struct adl_localization *out, struct adl_error *err) ADL_MUST_CHECK;

/* The map alone, as adl_localize_map() makes it of a `cam` of the same sizes:
 * input_h x input_w numbers in 0..1, which the caller frees with adl_free. NULL
 * when there is no memory. The raw and the normalised `cam` give the same, but
 * for rounding. */
float *adl_localize_enlarge(const float *cam, int cam_h, int cam_w, int input_h, int input_w,
                            struct adl_error *err) ADL_MUST_CHECK;

void adl_localization_release(struct adl_localization *localization);

/* The raw map between 0 and 1: minus its minimum, divided by its range; zeros
 * for a constant map and one with a NaN or an infinity. May be in place. */
void adl_heatmap_normalise(const float *cam, size_t count, float *out);

#endif
