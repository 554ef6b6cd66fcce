/* Depthwise convolution: each channel its own kernel. A task is two rows
 * of the output. Packed: taps x channels, then the biases. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* The kernel takes its input rows as an array of pointers on the stack. */
#define MAX_ROWS 16
#define TASK_LINES 2

static bool supports(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                     const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return v->groups == v->c && v->groups == v->k &&
           v->r + (TASK_LINES - 1) * v->stride <= MAX_ROWS;
}

/* Always the least: no other algorithm is made for depthwise convolutions. */
static double cost(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                   const struct adl_kernels *kernels)
{
    (void)self;
    (void)v;
    (void)kernels;
    return 0;
}

static size_t packed_floats(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)v->k * ((size_t)v->r * (size_t)v->s + 1);
}

static void pack(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                 const struct adl_kernels *kernels, const float *weights, const float *scale,
                 const float *bias, float *packed)
{
    (void)self;
    (void)kernels;
    size_t taps = (size_t)v->r * (size_t)v->s, channels = (size_t)v->k;
    for (size_t k = 0; k < channels; k++)
        for (size_t tap = 0; tap < taps; tap++)
            packed[tap * channels + k] = weights[k * taps + tap] * scale[k];
    memcpy(packed + taps * channels, bias, channels * sizeof *packed);
}

static size_t tasks(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                    const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)((v->p + TASK_LINES - 1) / TASK_LINES);
}

/* The task's rows, when they are to be added to what is there. */
static size_t scratch_floats(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                             const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return v->accumulate ? TASK_LINES * (size_t)v->q * v->ldo : 0;
}

void adl_depthwise_lines(const struct adl_conv *v, const struct adl_kernels *kernels,
                         const float *packed, const float *x, int line0, int lines, float *out,
                         size_t ldo, float lo, float hi)
{
    const float *rows[MAX_ROWS];

    for (int line = 0; line < lines; line += TASK_LINES) {
        int count = ADL_MIN(lines - line, TASK_LINES);
        int top = (line0 + line) * v->stride - v->pad_top;
        for (int r = 0; r < v->r + (count - 1) * v->stride; r++)
            rows[r] = top + r < 0 || top + r >= v->h
                          ? NULL
                          : x + (size_t)(top + r) * (size_t)v->w * v->ldx;
        kernels->depthwise(&(struct adl_depthwise_rows){
            .rows = rows,
            .lines = count,
            .r = v->r,
            .s = v->s,
            .stride = v->stride,
            .pad_left = v->pad_left,
            .w = v->w,
            .ldx = v->ldx,
            .channels = (size_t)v->c,
            .weight = packed,
            .bias = packed + (size_t)v->r * (size_t)v->s * (size_t)v->k,
            .out = out + (size_t)line * (size_t)v->q * ldo,
            .q = v->q,
            .ldo = ldo,
            .line = (size_t)v->q * ldo,
            .lo = lo,
            .hi = hi,
        });
    }
}

static void run(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                const struct adl_kernels *kernels, const float *packed, const float *x,
                const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    int line0 = (int)task * TASK_LINES, lines = ADL_MIN(TASK_LINES, v->p - line0);
    size_t first = (size_t)line0 * (size_t)v->q;
    float *to = out + first * v->ldo;
    size_t ldr = v->ldr;

    if (!residual && !v->accumulate) {
        adl_depthwise_lines(v, kernels, packed, x, line0, lines, to, v->ldo, v->lo, v->hi);
        return;
    }
    float *from = v->accumulate ? scratch : to;
    if (v->accumulate) {
        residual = to;
        ldr = v->ldo;
    } else {
        residual += first * v->ldr;
    }
    adl_depthwise_lines(v, kernels, packed, x, line0, lines, from, v->ldo, -INFINITY, INFINITY);
    kernels->pointwise(&(struct adl_pointwise){
        .x = from,
        .ldx = v->ldo,
        .residual = residual,
        .ldr = ldr,
        .out = to,
        .ldo = v->ldo,
        .pixels = (size_t)lines * (size_t)v->q,
        .channels = (size_t)v->k,
        .lo = v->lo,
        .hi = v->hi,
    });
}

const struct adl_conv_algorithm adl_conv_depthwise = {
    .name = "depthwise",
    .supports = supports,
    .cost = cost,
    .packed_floats = packed_floats,
    .pack = pack,
    .tasks = tasks,
    .scratch_floats = scratch_floats,
    .run = run,
};
