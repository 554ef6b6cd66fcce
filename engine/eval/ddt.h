#ifndef ADL_EVAL_DDT_H
#define ADL_EVAL_DDT_H

/* Finds what the images of a class have in common, without boxes: deep descriptor transforming (Wei
 * et al., "Unsupervised object discovery and co-localization by deep descriptor transforming",
 * Pattern Recognition 2019). */

#include <stddef.h>

#include "base/error.h"

/* The last features of the images of one class. */
struct adl_ddt_images {
    size_t count, cells, channels;
    const float *const *features; /* by image: cells x channels */
    const float *const *cams;     /* by image: the class map of `cells` floats */
};

/* Computes the map of each image, maps[i] of `cells` floats: with the mean m and the first
 * principal component v (of length 1) of the features at all positions of all images,
 *
 *     map = v (feature - m)
 *
 * The sign of v is the one for which maps and class maps correlate, so positive values are the
 * object. All maps are zeros if the features do not vary. Fails with ADL_ERR_ARG without images,
 * with ADL_ERR_FORMAT for features that are not finite, and with ADL_ERR_NOMEM. */
int adl_ddt_maps(const struct adl_ddt_images *images, float *const *maps,
                 struct adl_error *err) ADL_MUST_CHECK;

#endif
