#ifndef ADL_DATA_AUGMENT_H
#define ADL_DATA_AUGMENT_H

/* From a picture to what the network is trained or tested on. */

#include <stdbool.h>

#include "base/rng.h"
#include "image/image.h"

struct adl_augment_options {
    bool train;      /* false: resized to crop_size x crop_size, nothing drawn */
    int resize_size; /* squashed to this square, then cropped; at least crop_size */
    int crop_size;
    bool random_resized_crop; /* a part of any size instead of the two above */
    double flip;              /* how often it is mirrored; the reference: 0.5 */
    /* Each factor is drawn from max(0, 1 - x)..1 + x; 0: left alone. */
    double brightness, contrast, saturation;
};

/* Fails with ARG on sizes and shares out of range. */
int adl_augment_check(const struct adl_augment_options *options,
                      struct adl_error *err) ADL_MUST_CHECK;

/* `out` is crop_size x crop_size; `rng` is only drawn from to train. As the
 * reference trains (resize, random crop, mirror), or with
 * random_resized_crop as torchvision's RandomResizedCrop (0.08..1 of the area,
 * 3/4..4/3 of the aspect ratio). Colour factors apply in the order brightness,
 * contrast, saturation. */
int adl_augment(const struct adl_image *image, const struct adl_augment_options *options,
                struct adl_rng *rng, struct adl_image *out, struct adl_error *err) ADL_MUST_CHECK;

#endif
