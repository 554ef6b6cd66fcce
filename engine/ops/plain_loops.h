#ifndef ADL_OPS_PLAIN_LOOPS_H
#define ADL_OPS_PLAIN_LOOPS_H

/* Loops in plain C that training steps and plans share. These ops do so little for each value that
 * memory limits them, and not arithmetic, so they have no kernels of their own. Each loop is in the
 * file of its op. ld*: floats from pixel to pixel. */

#include "graph/graph.h"

/* pool_avgmax.c: y[c] = the maximum over the pixels of x[pixel ldx + c], NaN if one is NaN. If
 * `where` is not NULL, where[c] becomes the first pixel that has it. */
void adl_max_over_pixels(const float *x, size_t ldx, size_t pixels, size_t channels, float *y,
                         float *where);

/* pool_sum.c: y[c] = the sum over the pixels of x[pixel ldx + c], ADL_SUM_PIXELS at a time. */
void adl_sum_over_pixels(const float *x, size_t ldx, size_t pixels, size_t channels, float *y);

/* pool_channels.c: for each pixel, y[0] = the maximum over its channels, NaN if one is NaN, and
 * y[1] = their mean. If `where` is not NULL, where[pixel] becomes the first channel that has the
 * maximum. */
void adl_pool_channels_of(const float *x, size_t ldx, size_t pixels, size_t channels, float *y,
                          size_t ldy, float *where);

/* gate.c: y = clamp(x g + residual, lo, hi), or x (1 + g) for g. */
struct adl_gate_loop {
    const float *x;
    size_t ldx; /* 0: a vector, the same at every pixel */
    const float *g;
    size_t ldg;
    bool per_pixel;        /* g has one value for each pixel instead of one for each element */
    bool plus_one;         /* multiply by 1 + g */
    const float *residual; /* NULL: none */
    size_t ldr;
    float *out;
    size_t ldo;
    size_t pixels, channels;
    float lo, hi; /* -INFINITY, INFINITY: no clamp */
};
void adl_gate_pixels(const struct adl_gate_loop *loop);

/* upsample.c: computes row p of the output of a bilinear enlargement. x: one image of shape `in`;
 * row: the first pixel of the row. */
void adl_upsample_row(const float *x, size_t ldx, struct adl_shape in, struct adl_shape out, int p,
                      float *row, size_t ldo);

#endif
