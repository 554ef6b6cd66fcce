#ifndef ADL_OPS_CONV_CONV_CHOICE_H
#define ADL_OPS_CONV_CONV_CHOICE_H

#include "ops/conv/conv_geometry.h"

/* Which algorithm each pass of a training step takes, from the shape, the batch and
 * the instruction set alone. Scratch is laid out by the same calls as the passes are
 * run by, so both see the same choice. */

/* A convolution forward, or the one that is an input's gradient: points of a tile's
 * side (6 or 8) where the tiles of the whole batch are multiplied together
 * (conv_batch_winograd.h); 0 where images are done one by one. */
int adl_conv_choose_batch_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                   int batch);

/* The algorithm that then takes one image at a time. */
const struct adl_conv_algorithm *adl_conv_choose_algorithm(const struct adl_conv *conv,
                                                           const struct adl_kernels *kernels,
                                                           int batch);

/* Whether the gradient of the weights is taken by Winograd's algorithm
 * (conv_grad_winograd.h) rather than by products (conv_grad_weights.h). */
bool adl_conv_choose_grad_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                   int batch);

#endif
