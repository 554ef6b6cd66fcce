#ifndef ADL_OPS_CONV_CONV_GEOMETRY_H
#define ADL_OPS_CONV_CONV_GEOMETRY_H

/* The shapes of training convolutions, and the arguments of one pass over a batch. The files
 * of this directory, from the lowest to the highest:
 *
 *     conv_geometry, conv_tiles                            shapes
 *     conv_batch_winograd, conv_grad_*                     one algorithm each
 *     conv_choice                                          which of them to take
 *     conv_train                                           the op's training side
 *
 * Letters: N images of H x W x C are convolved with K kernels of R x S into maps of P x Q x
 * K; with G groups, a kernel sees C/G input channels. */

#include "base/pool.h"
#include "kernels/conv.h"
#include "ops/ops.h"

/* Returns the convolution of an op with these attributes, for an input of shape `in` and an
 * output of shape `out`: dense maps (ldx = C, ldo = K), no clamp. */
struct adl_conv adl_conv_describe(const struct adl_conv_attr *attr, struct adl_shape in,
                                  struct adl_shape out);

/* Returns the number of weights, K R S C/G. */
size_t adl_conv_weight_count(const struct adl_conv *conv);
/* Returns whether G = C = K, so that each channel is convolved by itself, without gaps. */
bool adl_conv_is_depthwise(const struct adl_conv *conv);

/* The outputs q .. q+count-1 of a row for which tap s of the kernel lies inside the
 * map and not in its padding; for the first of them it lies in column `column` of the
 * input, for each further one `stride` columns to the right. count may be 0 or less. */
struct adl_conv_span {
    int q, column, count;
};
struct adl_conv_span adl_conv_span(const struct adl_conv *conv, int s);

/* One pass over a batch: forward, or one of the two gradients. */
struct adl_conv_pass {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    int batch;             /* images, one after the other in memory */
    struct adl_pool *pool; /* may be NULL: the calling thread does all */
    float *scratch; /* as many floats as the algorithm's ..._scratch() returns, 64-byte aligned */
    bool frugal;    /* as in struct adl_train_call */
};

/* With a frugal pass, an array of a value for each position of a tile and each pair of channels is
 * made for as many output channels at a time as fill about so many floats: 8 MiB. */
#define ADL_FRUGAL_FLOATS ((size_t)2 << 20)

#endif
