#ifndef ADL_OPS_CONV_CONV_BATCH_WINOGRAD_H
#define ADL_OPS_CONV_CONV_BATCH_WINOGRAD_H

#include "ops/conv/conv_geometry.h"

/* A convolution at stride 1 of a whole batch by Winograd's algorithm, with tiles of
 * `points` = 6 or 8 points a side. */

/* Returns whether the kernel's shape, the groups and the instruction set allow it. */
bool adl_conv_batch_winograd_supports(const struct adl_conv *conv,
                                      const struct adl_kernels *kernels, int points);

/* Returns the floats of scratch for a batch. */
size_t adl_conv_batch_winograd_scratch(const struct adl_conv *conv,
                                       const struct adl_kernels *kernels, int batch, int points,
                                       bool frugal);

/* Computes out = conv(x) + bias, or adds that to `out` if conv->accumulate is set; bias (K
 * floats) may be NULL. x: N x H x W x C, out: N x P x Q x K.
 *
 * weights: K x C x R x S. With `turned` they are C x K x R x S, the weights of the forward
 * convolution whose input gradient this one computes, and are read with both axes of the
 * kernel reversed. */
void adl_conv_batch_winograd(const struct adl_conv_pass *pass, int points, const float *weights,
                             bool turned, const float *bias, const float *x, float *out);

#endif
