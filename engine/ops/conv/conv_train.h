#ifndef ADL_OPS_CONV_CONV_TRAIN_H
#define ADL_OPS_CONV_CONV_TRAIN_H

#include "kernels/conv.h"
#include "ops/train.h"

/* The training side of a convolution (conv_train.c). */
extern const struct adl_op_train adl_conv_training;

/* The output columns q .. q+count-1 of a row whose tap s lies inside the map;
 * the tap of the first lies at `column`. count may be 0 or less. */
struct adl_conv_span {
    int q, column, count;
};
struct adl_conv_span adl_conv_span(const struct adl_conv *conv, int s);

/* --- the three products of a training step; kernels of conv_train.c alone ----- */

/* Gradient of the weights in the products' layout, K x (R, S, C/groups), added
 * up over the batch in an order fixed by the shape (conv_grad_weights.c). */
size_t adl_conv_grad_weights_scratch(const struct adl_conv *conv, int batch, int threads);
void adl_conv_grad_weights(const struct adl_conv *conv, const struct adl_kernels *kernels,
                           int batch, const float *x, const float *grad_out, float *grad,
                           float *scratch, struct adl_pool *pool);

/* The same by Winograd's algorithm (conv_grad_winograd.c). */
bool adl_conv_grad_winograd_supports(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                     int batch);
size_t adl_conv_grad_winograd_scratch(const struct adl_conv *conv, int batch);
void adl_conv_grad_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                            int batch, const float *x, const float *grad_out, float *grad,
                            float *scratch, struct adl_pool *pool);

/* Whether Winograd's algorithm is worth it for a batch (conv_train.c). */
bool adl_conv_winograd_pays(const struct adl_conv *conv, const struct adl_kernels *kernels,
                            int batch);

/* out (+)= conv(x) + bias for a batch by Winograd's algorithm with tiles of 6 or 8
 * points a side (conv_batch_winograd.c); bias may be NULL. Turned: the weights are
 * those of the convolution that `conv` is the input's gradient of. */
bool adl_conv_batch_winograd_supports(const struct adl_conv *conv,
                                      const struct adl_kernels *kernels, int points);
size_t adl_conv_batch_winograd_scratch(const struct adl_conv *conv,
                                       const struct adl_kernels *kernels, int batch, int points);
void adl_conv_batch_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                             int batch, int points, const float *weights, bool turned,
                             const float *bias, const float *x, float *out, float *scratch,
                             struct adl_pool *pool);

/* Gradient of the input of a convolution with a stride (conv_grad_input.c):
 * (+)= by `add`. weights are K x C/groups x R x S. */
size_t adl_conv_grad_input_scratch(const struct adl_conv *conv, int batch, int threads);
void adl_conv_grad_input(const struct adl_conv *conv, const struct adl_kernels *kernels, int batch,
                         const float *weights, const float *grad_out, float *grad_in, bool add,
                         float *scratch, struct adl_pool *pool);

#endif
