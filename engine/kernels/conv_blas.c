/* Convolution through OpenBLAS: the portable path. A task is a fixed number of
 * output pixels of one group; their rows are copied together (or, for a dense
 * 1x1 convolution, used where they are), multiplied, and finished by the
 * pointwise kernel. Weights are packed as a depth x channels matrix per group,
 * the biases behind. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/blas.h"
#include "kernels/conv.h"
#include "kernels/conv_cost.h"

#define TASK_ROWS 64
/* Share of the full speed that remains: rows are copied, and the epilogue is a pass
 * of its own. */
#define PRODUCT_SHARE 0.85

static size_t depth_of(const struct adl_conv *v)
{
    return (size_t)(v->c / v->groups) * (size_t)v->r * (size_t)v->s;
}

static size_t row_count(const struct adl_conv *v)
{
    return (size_t)v->p * (size_t)v->q;
}

static bool in_place(const struct adl_conv *v)
{
    return v->r == 1 && v->s == 1 && v->stride == 1 && v->pad_top == 0 && v->pad_left == 0 &&
           v->p == v->h && v->q == v->w;
}

static bool supports(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                     const struct adl_kernels *kernels)
{
    (void)self;
    (void)v;
    (void)kernels;
    return true;
}

static double cost(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                   const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    double rows = (double)v->p * v->q, depth = (double)depth_of(v);
    return fmax(rows, ADL_COST_WEIGHT_LOAD) * depth * v->k / PRODUCT_SHARE;
}

static size_t packed_floats(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)v->k * (depth_of(v) + 1);
}

static void pack(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                 const struct adl_kernels *kernels, const float *weights, const float *scale,
                 const float *bias, float *packed)
{
    (void)self;
    (void)kernels;
    size_t channels = (size_t)(v->k / v->groups), depth = depth_of(v);
    size_t taps = (size_t)v->r * (size_t)v->s, group_c = (size_t)(v->c / v->groups);
    for (size_t k = 0; k < (size_t)v->k; k++) {
        float *to = packed + k / channels * depth * channels + k % channels;
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t c = 0; c < group_c; c++, to += channels)
                *to = weights[(k * group_c + c) * taps + tap] * scale[k];
    }
    memcpy(packed + (size_t)v->k * depth, bias, (size_t)v->k * sizeof *packed);
}

static size_t tasks(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                    const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)v->groups * (adl_ceil_div(row_count(v), TASK_ROWS));
}

static size_t scratch_floats(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                             const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return in_place(v) ? 0 : TASK_ROWS * depth_of(v);
}

static void run(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                const struct adl_kernels *kernels, const float *packed, const float *x,
                const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    size_t channels = (size_t)(v->k / v->groups), depth = depth_of(v);
    size_t blocks = adl_ceil_div(row_count(v), TASK_ROWS);
    size_t group = task / blocks, row0 = task % blocks * TASK_ROWS;
    size_t rows = ADL_MIN((size_t)TASK_ROWS, row_count(v) - row0);
    const float *a = scratch;
    size_t lda = depth;

    if (in_place(v)) {
        a = x + row0 * v->ldx + group * depth;
        lda = v->ldx;
    } else {
        adl_conv_copy_rows(v, x, (int)group, row0, rows, 0, depth, scratch, depth);
    }
    float *c = out + row0 * v->ldo + group * channels;
    adl_sgemm(false, false, rows, channels, depth, a, lda, packed + group * depth * channels,
              channels, v->accumulate ? 1 : 0, c, v->ldo);
    if (v->accumulate)
        return;
    kernels->pointwise(&(struct adl_pointwise){
        .x = c,
        .ldx = v->ldo,
        .shift = packed + (size_t)v->k * depth + group * channels,
        .residual = residual ? residual + row0 * v->ldr + group * channels : NULL,
        .ldr = v->ldr,
        .out = c,
        .ldo = v->ldo,
        .pixels = rows,
        .channels = channels,
        .lo = v->lo,
        .hi = v->hi,
    });
}

const struct adl_conv_algorithm adl_conv_blas = {
    .name = "blas",
    .supports = supports,
    .cost = cost,
    .packed_floats = packed_floats,
    .pack = pack,
    .tasks = tasks,
    .scratch_floats = scratch_floats,
    .run = run,
};
