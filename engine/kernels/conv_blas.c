/* Computes convolutions through OpenBLAS: the fallback for machines without kernels of our
 * own, which takes every shape.
 *
 * A convolution is the matrix product that conv_gemm.c computes: rows are output pixels, the
 * depth is (r, s, c), columns are the output channels of a group. A task is a fixed number of
 * output pixels of one group. Their rows of the left factor are copied into scratch
 * memory (a dense 1x1 convolution uses them in place) and multiplied by cblas_sgemm. The
 * pointwise kernel then applies bias, residual and clamp in a second pass over the output,
 * since a BLAS product has no epilogue.
 *
 * Packed weights: for each group a depth x K/groups matrix, followed by the biases. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/blas.h"
#include "kernels/conv.h"
#include "kernels/conv_cost.h"

/* Output pixels of a task. */
#define TASK_ROWS 64
/* Fraction of the full speed that remains with the copies and the second pass. */
#define PRODUCT_FRACTION 0.85
/* Cost of the second pass for each value of the output, in the unit of conv_cost.h. */
#define SECOND_PASS 16

static size_t blas_rows(const struct adl_conv *conv)
{
    return (size_t)conv->p * (size_t)conv->q;
}

static bool blas_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                          const struct adl_kernels *kernels)
{
    (void)self;
    (void)conv;
    (void)kernels;
    return true;
}

static double blas_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                        const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    double rows = (double)conv->p * conv->q, depth = (double)adl_conv_depth(conv);
    return fmax(rows, ADL_COST_WEIGHT_LOAD) * depth * conv->k * adl_cost_narrow(conv) /
               PRODUCT_FRACTION +
           rows * conv->k * SECOND_PASS;
}

static size_t blas_packed_floats(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                                 const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)conv->k * (adl_conv_depth(conv) + 1);
}

static void blas_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                      const struct adl_kernels *kernels, const float *weights, const float *scale,
                      const float *bias, float *packed)
{
    (void)self;
    (void)kernels;
    size_t channels = (size_t)(conv->k / conv->groups), depth = adl_conv_depth(conv);
    size_t taps = (size_t)conv->r * (size_t)conv->s, group_c = (size_t)(conv->c / conv->groups);
    for (size_t k = 0; k < (size_t)conv->k; k++) {
        float *to = packed + k / channels * depth * channels + k % channels;
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t c = 0; c < group_c; c++, to += channels)
                *to = weights[(k * group_c + c) * taps + tap] * scale[k];
    }
    memcpy(packed + (size_t)conv->k * depth, bias, (size_t)conv->k * sizeof *packed);
}

static size_t blas_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)conv->groups * (adl_ceil_div(blas_rows(conv), TASK_ROWS));
}

static size_t blas_scratch_floats(const struct adl_conv_algorithm *self,
                                  const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return adl_conv_is_product(conv) ? 0 : TASK_ROWS * adl_conv_depth(conv);
}

static void blas_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                     const struct adl_kernels *kernels, const float *packed, const float *x,
                     const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    size_t channels = (size_t)(conv->k / conv->groups), depth = adl_conv_depth(conv);
    size_t blocks = adl_ceil_div(blas_rows(conv), TASK_ROWS);
    size_t group = task / blocks, row0 = task % blocks * TASK_ROWS;
    size_t rows = ADL_MIN((size_t)TASK_ROWS, blas_rows(conv) - row0);
    const float *a = scratch;
    size_t lda = depth;

    if (adl_conv_is_product(conv)) {
        a = x + row0 * conv->ldx + group * depth;
        lda = conv->ldx;
    } else {
        adl_conv_copy_rows(conv, x, (int)group, row0, rows, 0, depth, scratch, depth);
    }
    float *c = out + row0 * conv->ldo + group * channels;
    adl_sgemm(false, false, rows, channels, depth, a, lda, packed + group * depth * channels,
              channels, conv->accumulate ? 1 : 0, c, conv->ldo);
    if (conv->accumulate)
        return;
    kernels->pointwise(&(struct adl_pointwise){
        .x = c,
        .ldx = conv->ldo,
        .shift = packed + (size_t)conv->k * depth + group * channels,
        .residual = residual ? residual + row0 * conv->ldr + group * channels : NULL,
        .ldr = conv->ldr,
        .out = c,
        .ldo = conv->ldo,
        .pixels = rows,
        .channels = channels,
        .lo = conv->lo,
        .hi = conv->hi,
    });
}

const struct adl_conv_algorithm adl_conv_blas = {
    .name = "blas",
    .supports = blas_supports,
    .cost = blas_cost,
    .packed_floats = blas_packed_floats,
    .pack = blas_pack,
    .tasks = blas_tasks,
    .scratch_floats = blas_scratch_floats,
    .run = blas_run,
};
