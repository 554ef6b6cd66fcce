#ifndef ADL_OPS_CONV_CONV_GRAD_INPUT_H
#define ADL_OPS_CONV_CONV_GRAD_INPUT_H

#include "ops/conv/conv_geometry.h"

/* The gradient of the input of any convolution; meant for a stride above 1, since at stride 1
 * the gradient is itself a convolution (conv_train.c). */

/* Returns the floats of scratch for this number of threads. */
size_t adl_conv_grad_input_scratch(const struct adl_conv *conv, int threads);

/* Writes the gradient to grad_in (N x H x W x C), or adds it with `add`. weights: K x C/G x R
 * x S, grad_out: N x P x Q x K. */
void adl_conv_grad_input(const struct adl_conv_pass *pass, const float *weights,
                         const float *grad_out, float *grad_in, bool add);

#endif
