#ifndef ADL_OPS_CONV_CONV_GRAD_WINOGRAD_H
#define ADL_OPS_CONV_CONV_GRAD_WINOGRAD_H

#include "ops/conv/conv_geometry.h"

/* The gradient of the weights of a 3x3 convolution at stride 1 by Winograd's
 * algorithm: what conv_grad_weights.h computes, in the same layout. */

/* Points of a tile's side: F(4x4, 3x3). */
#define ADL_GRAD_WINOGRAD_POINTS 6

/* Returns whether this is possible for this shape with this instruction set. */
bool adl_conv_grad_winograd_supports(const struct adl_conv *conv,
                                     const struct adl_kernels *kernels);

/* Returns the floats of scratch for a batch. */
size_t adl_conv_grad_winograd_scratch(const struct adl_conv *conv, int batch, bool frugal);

/* Writes the sum over the batch to `grad`, K x (R, S, C). x: N x H x W x C, grad_out: N x P x
 * Q x K. */
void adl_conv_grad_winograd(const struct adl_conv_pass *pass, const float *x, const float *grad_out,
                            float *grad);

#endif
