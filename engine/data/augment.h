#ifndef ADL_DATA_AUGMENT_H
#define ADL_DATA_AUGMENT_H

/* Data augmentation: turns a decoded image into the pixels that the network is trained or tested
 * on. */

#include <stdbool.h>

#include "base/rng.h"
#include "image/image.h"

struct adl_augment_options {
    bool train;               /* false: resized to crop_size x crop_size, without randomness */
    int resize_size;          /* side of the square before cropping, pixels; at least crop_size */
    int crop_size;            /* side of the result, pixels */
    bool random_resized_crop; /* crop a part of random size instead; resize_size is unused */
    double min_area;          /* its smallest fraction of the area, above 0 and up to 1 */
    double max_area;          /* its largest; 0: 1 */
    double min_ratio;         /* its smallest width / height; 0: 3/4 */
    double max_ratio;         /* its largest; 0: 4/3 */
    double flip;              /* probability of mirroring, 0..1; the reference: 0.5 */
    /* Strengths, 0..1: a factor is drawn from 1 - x..1 + x. 0: unchanged. */
    double brightness, contrast, saturation;
    bool any_order; /* the changes follow each other in an order that is drawn, with the hue */
    double hue;     /* 0..0.5: a part of a turn from -x..x; only with any_order */
};

/* Fails with ADL_ERR_ARG for sizes, probabilities and strengths out of range. */
int adl_augment_check(const struct adl_augment_options *options,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Returns the side of the frame: the square to which adl_augment() resizes an image in its first
 * step, which is not random. Returns 0 if the first step is a random crop. */
int adl_augment_frame_side(const struct adl_augment_options *options);

/* Does the rest of adl_augment() on the frame of an image. Takes over `frame`, also on failure;
 * the caller releases `out`. */
int adl_augment_frame(struct adl_image *frame, const struct adl_augment_options *options,
                      struct adl_rng *rng, struct adl_image *out,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Makes `out`, crop_size x crop_size, which the caller releases. For training: the image is
 * squashed to resize_size x resize_size and cropped at random, as in the reference, or
 * cropped as by torchvision's RandomResizedCrop (by default min_area..1 of the area, aspect ratio
 * 3/4..4/3); then mirrored with the given probability; then brightness, contrast and saturation are
 * changed, in this order, or these and the hue in any order, as by torchvision's ColorJitter. `rng`
 * is used for training only. */
int adl_augment(const struct adl_image *image, const struct adl_augment_options *options,
                struct adl_rng *rng, struct adl_image *out, struct adl_error *err) ADL_MUST_CHECK;

#endif
