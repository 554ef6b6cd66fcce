#ifndef ADL_WSOL_CAM_H
#define ADL_WSOL_CAM_H

/* Class activation maps (Zhou et al., CVPR 2016): the last feature map
 * weighted by one class's classifier weights and summed over channels. */

#include <stddef.h>

#include "wsol/map_rule.h"

/* Class maps that are best computed together. */
#define ADL_CAM_GROUP 4

/* Computes, for each of `count` classes, 1 to ADL_CAM_GROUP, cams[c][y, x] = sum over k of
 * weights[c][k] * features[y, x, k]: equation (2) of the paper, without the bias. `features` is
 * pixels x channels (NHWC), weights[c] the class's row of the classifier's weight matrix. Sums in
 * double in channel order and rounds to float once, so that a map does not depend on the others.
 * With ADL_MAP_WEIGHTS_POSITIVE, weights below 0 count as 0. */
void adl_cam_weighted(const float *features, size_t pixels, size_t channels,
                      const float *const weights[], enum adl_map_weights which, size_t count,
                      float *const cams[]);

/* Copies the channel of a class from a class map, pixels x classes (NHWC). For networks that end in
 * one (a 1x1 convolution, then average pooling). */
void adl_cam_channel(const float *class_map, size_t pixels, size_t classes, size_t class_id,
                     float *cam);

/* Computes the mean over `count` channels of a class map, pixels x classes (NHWC), summed in the
 * given order in double. */
void adl_cam_mean(const float *class_map, size_t pixels, size_t classes, const size_t *channels,
                  size_t count, float *cam);

/* Computes probabilities = softmax(logits). The largest logit is subtracted first, so that exp
 * cannot overflow. The two arrays may be one. */
void adl_softmax(const float *logits, size_t count, float *probabilities);

/* Writes the indices of the k largest values, largest first; ties go to the lower index, and NaN is
 * below every number. Returns their number, min(k, count). */
size_t adl_top_k(const float *values, size_t count, size_t k, size_t *indices);

#endif
