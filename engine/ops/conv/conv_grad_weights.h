#ifndef ADL_OPS_CONV_CONV_GRAD_WEIGHTS_H
#define ADL_OPS_CONV_CONV_GRAD_WEIGHTS_H

#include "ops/conv/conv_geometry.h"

/* The gradient of the weights of any convolution, by matrix products. */

/* Returns the floats of scratch for a batch on this number of threads. */
size_t adl_conv_grad_weights_scratch(const struct adl_conv *conv, int batch, int threads);

/* Writes the sum over the batch to `grad`: K x (R, S, C/G), the layout of the products and
 * not PyTorch's. x: N x H x W x C, grad_out: N x P x Q x K. */
void adl_conv_grad_weights(const struct adl_conv_pass *pass, const float *x, const float *grad_out,
                           float *grad);

#endif
