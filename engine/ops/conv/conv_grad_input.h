#ifndef ADL_OPS_CONV_CONV_GRAD_INPUT_H
#define ADL_OPS_CONV_CONV_GRAD_INPUT_H

#include "ops/conv/conv_geometry.h"

/* The gradient of the input of any convolution; meant for those with a stride above
 * 1, for at stride 1 it is a convolution itself (conv_train.c). */

/* Floats of scratch on so many threads. */
size_t adl_conv_grad_input_scratch(const struct adl_conv *conv, int threads);

/* grad_in (N x H x W x C) = the gradient, or += with `add`. weights: K x C/G x R x S,
 * grad_out: N x P x Q x K. */
void adl_conv_grad_input(const struct adl_conv_pass *pass, const float *weights,
                         const float *grad_out, float *grad_in, bool add);

#endif
