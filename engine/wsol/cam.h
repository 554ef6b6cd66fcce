#ifndef ADL_WSOL_CAM_H
#define ADL_WSOL_CAM_H

/* Class activation maps (Zhou et al., CVPR 2016): the last feature map
 * weighted by one class's classifier weights and summed over channels. */

#include <stddef.h>

#include "wsol/map_rule.h"

/* cam[y, x] = sum over k of weight[k] * features[y, x, k]: equation (2) of the paper, without
 * the bias. `features` is pixels x channels (NHWC), `weight` the class's row of fc.weight.
 * Summed in double in channel order and rounded to float once. With
 * ADL_MAP_WEIGHTS_POSITIVE, weights below 0 count as 0. */
void adl_cam_weighted(const float *features, size_t pixels, size_t channels, const float *weight,
                      enum adl_map_weights which, float *cam);

/* For a network that ends in a class map (1x1 convolution, then average pooling): the class's
 * channel of that map, pixels x classes (NHWC). */
void adl_cam_channel(const float *class_map, size_t pixels, size_t classes, size_t class_id,
                     float *cam);

/* probabilities = softmax(logits). The largest logit is subtracted first, so that exp cannot
 * overflow. May be in place. */
void adl_softmax(const float *logits, size_t count, float *probabilities);

/* Indices of the k largest values, largest first; ties go to the lower index, and NaN is below
 * every number. Returns how many there are: min(k, count). */
size_t adl_top_k(const float *values, size_t count, size_t k, size_t *indices);

#endif
