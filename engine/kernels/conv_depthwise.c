/* Depthwise convolution: each channel its own kernel. A task is one row of
 * the output. Packed: taps x channels, then the biases. */

#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* The kernel takes its input rows as an array of pointers on the stack. */
#define MAX_ROWS 16

static bool supports(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    (void)kernels;
    return v->groups == v->c && v->groups == v->k && v->r <= MAX_ROWS;
}

static size_t packed_floats(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    (void)kernels;
    return (size_t)v->k * ((size_t)v->r * (size_t)v->s + 1);
}

static void pack(const struct adl_conv *v, const struct adl_kernels *kernels, const float *weights,
                 const float *scale, const float *bias, float *packed)
{
    (void)kernels;
    size_t taps = (size_t)v->r * (size_t)v->s, channels = (size_t)v->k;
    for (size_t k = 0; k < channels; k++)
        for (size_t tap = 0; tap < taps; tap++)
            packed[tap * channels + k] = weights[k * taps + tap] * scale[k];
    memcpy(packed + taps * channels, bias, channels * sizeof *packed);
}

static size_t tasks(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    (void)kernels;
    return (size_t)v->p;
}

/* A row of the output, when it is to be added to what is there. */
static size_t scratch_floats(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    (void)kernels;
    return v->accumulate ? (size_t)v->q * v->ldo : 0;
}

static void run(const struct adl_conv *v, const struct adl_kernels *kernels, const float *packed,
                const float *x, const float *residual, float *out, size_t task, float *scratch)
{
    const float *rows[MAX_ROWS];
    int top = (int)task * v->stride - v->pad_top;
    float *row = out + task * (size_t)v->q * v->ldo;
    float *to = v->accumulate ? scratch : row;
    size_t ldr = v->ldr;

    if (v->accumulate) {
        residual = row;
        ldr = v->ldo;
    } else if (residual) {
        residual += task * (size_t)v->q * v->ldr;
    }

    for (int r = 0; r < v->r; r++)
        rows[r] =
            top + r < 0 || top + r >= v->h ? NULL : x + (size_t)(top + r) * (size_t)v->w * v->ldx;
    kernels->depthwise(&(struct adl_depthwise_row){
        .rows = rows,
        .r = v->r,
        .s = v->s,
        .stride = v->stride,
        .pad_left = v->pad_left,
        .w = v->w,
        .ldx = v->ldx,
        .channels = (size_t)v->c,
        .weight = packed,
        .bias = packed + (size_t)v->r * (size_t)v->s * (size_t)v->k,
        .out = to,
        .q = v->q,
        .ldo = v->ldo,
        .lo = residual ? -__builtin_inff() : v->lo,
        .hi = residual ? __builtin_inff() : v->hi,
    });
    if (residual)
        kernels->pointwise(&(struct adl_pointwise){
            .x = to,
            .ldx = v->ldo,
            .residual = residual,
            .ldr = ldr,
            .out = row,
            .ldo = v->ldo,
            .pixels = (size_t)v->q,
            .channels = (size_t)v->k,
            .lo = v->lo,
            .hi = v->hi,
        });
}

const struct adl_conv_algorithm adl_conv_depthwise = {
    .name = "depthwise",
    .supports = supports,
    .packed_floats = packed_floats,
    .pack = pack,
    .tasks = tasks,
    .scratch_floats = scratch_floats,
    .run = run,
};
