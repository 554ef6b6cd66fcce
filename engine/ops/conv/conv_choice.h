#ifndef ADL_OPS_CONV_CONV_CHOICE_H
#define ADL_OPS_CONV_CONV_CHOICE_H

#include "ops/conv/conv_geometry.h"

/* Chooses the algorithm of each pass of a training step from the shape, the batch and the
 * instruction set alone. The layout of the scratch and the passes themselves call the same
 * functions, so both see the same choice. */

/* For a forward convolution, or one that computes an input's gradient: returns the points of
 * a tile's side (6 or 8) if the tiles of the whole batch are multiplied together
 * (conv_batch_winograd.h), and 0 if the images are convolved one by one. */
int adl_conv_choose_batch_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                   int batch);

/* Returns the algorithm that then takes one image at a time. */
const struct adl_conv_algorithm *adl_conv_choose_algorithm(const struct adl_conv *conv,
                                                           const struct adl_kernels *kernels,
                                                           int batch);

/* Returns whether the gradient of the weights is computed by Winograd's algorithm
 * (conv_grad_winograd.h) rather than by products (conv_grad_weights.h). */
bool adl_conv_choose_grad_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                   int batch);

#endif
