#ifndef ADL_WSOL_CAM_H
#define ADL_WSOL_CAM_H

/* Class activation maps (Zhou et al., CVPR 2016): the last feature map
 * weighted by one class's classifier weights and summed over channels. */

#include <stddef.h>

/* cam[y, x] = sum over k of weight[k] * features[y, x, k]; features is
 * pixels x channels (NHWC), weight the class's row of fc.weight. Summed in
 * double in channel order, rounded once. */
void adl_cam_weighted(const float *features, size_t pixels, size_t channels, const float *weight,
                      float *cam);

/* The class's channel of a class map, pixels x classes (NHWC). */
void adl_cam_channel(const float *class_map, size_t pixels, size_t classes, size_t class_id,
                     float *cam);

/* probabilities = softmax(logits), stable; may be the same array. */
void adl_softmax(const float *logits, size_t count, float *probabilities);

/* Indices of the k largest, largest first, the lower index first among equals.
 * Returns min(k, count). */
size_t adl_top_k(const float *values, size_t count, size_t k, size_t *indices);

#endif
