/* Computes depthwise convolutions (groups = C = K), in which every channel has its own kernel:
 *
 *     out[p][q][c] = sum over r, s of x[p stride + r - pad_top][q stride + s - pad_left][c]
 *                                     w[r][s][c] + bias[c].
 *
 * Written as a matrix product it would be C products with a single column each, so
 * instead the kernel `depthwise` of kernel.h works on vectors of channels: in NHWC
 * these are contiguous. With only R S multiply-adds per output value, the time goes
 * into reading and writing the maps. A task is therefore two rows of the output, which
 * share most of the input rows that they need.
 *
 * Packed weights: R S x C, then the biases. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* Input rows that two output rows may need; their pointers are an array on the stack. */
#define MAX_ROWS 16
/* Output rows of a task, as many as the kernel computes at a time. */
#define TASK_LINES 2

static bool depthwise_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                               const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return conv->groups == conv->c && conv->groups == conv->k && conv->gap == 0 &&
           conv->r + (TASK_LINES - 1) * conv->stride <= MAX_ROWS;
}

/* Returns the least possible cost: no other algorithm is designed for depthwise convolutions. */
static double depthwise_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels)
{
    (void)self;
    (void)conv;
    (void)kernels;
    return 0;
}

static size_t depthwise_packed_floats(const struct adl_conv_algorithm *self,
                                      const struct adl_conv *conv,
                                      const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)conv->k * ((size_t)conv->r * (size_t)conv->s + 1);
}

static void depthwise_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                           const struct adl_kernels *kernels, const float *weights,
                           const float *scale, const float *bias, float *packed)
{
    (void)self;
    (void)kernels;
    size_t taps = (size_t)conv->r * (size_t)conv->s, channels = (size_t)conv->k;
    for (size_t k = 0; k < channels; k++)
        for (size_t tap = 0; tap < taps; tap++)
            packed[tap * channels + k] = weights[k * taps + tap] * scale[k];
    memcpy(packed + taps * channels, bias, channels * sizeof *packed);
}

static size_t depthwise_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                              const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)((conv->p + TASK_LINES - 1) / TASK_LINES);
}

/* Returns the floats of the task's rows if the convolution accumulates: they are then computed
 * in scratch memory and added to the output. */
static size_t depthwise_scratch_floats(const struct adl_conv_algorithm *self,
                                       const struct adl_conv *conv,
                                       const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return conv->accumulate ? TASK_LINES * (size_t)conv->q * conv->ldo : 0;
}

void adl_depthwise_lines(const struct adl_conv *conv, const struct adl_kernels *kernels,
                         const float *packed, const float *x, int line0, int lines, float *out,
                         size_t ldo, float lo, float hi)
{
    const float *rows[MAX_ROWS];

    for (int line = 0; line < lines; line += TASK_LINES) {
        int count = ADL_MIN(lines - line, TASK_LINES);
        int top = (line0 + line) * conv->stride - conv->pad_top;
        for (int r = 0; r < conv->r + (count - 1) * conv->stride; r++)
            rows[r] = top + r < 0 || top + r >= conv->h
                          ? NULL
                          : x + (size_t)(top + r) * (size_t)conv->w * conv->ldx;
        kernels->depthwise(&(struct adl_depthwise_rows){
            .rows = rows,
            .lines = count,
            .r = conv->r,
            .s = conv->s,
            .stride = conv->stride,
            .pad_left = conv->pad_left,
            .w = conv->w,
            .ldx = conv->ldx,
            .channels = (size_t)conv->c,
            .weight = packed,
            .bias = packed + (size_t)conv->r * (size_t)conv->s * (size_t)conv->k,
            .out = out + (size_t)line * (size_t)conv->q * ldo,
            .q = conv->q,
            .ldo = ldo,
            .line = (size_t)conv->q * ldo,
            .lo = lo,
            .hi = hi,
        });
    }
}

static void depthwise_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                          const struct adl_kernels *kernels, const float *packed, const float *x,
                          const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    int line0 = (int)task * TASK_LINES, lines = ADL_MIN(TASK_LINES, conv->p - line0);
    size_t first = (size_t)line0 * (size_t)conv->q;
    float *to = out + first * conv->ldo;
    size_t ldr = conv->ldr;

    if (!residual && !conv->accumulate) {
        adl_depthwise_lines(conv, kernels, packed, x, line0, lines, to, conv->ldo, conv->lo,
                            conv->hi);
        adl_conv_activate(conv, kernels, to, conv->ldo, (size_t)lines * (size_t)conv->q,
                          (size_t)conv->k);
        return;
    }
    float *from = conv->accumulate ? scratch : to;
    if (conv->accumulate) {
        residual = to;
        ldr = conv->ldo;
    } else {
        residual += first * conv->ldr;
    }
    adl_depthwise_lines(conv, kernels, packed, x, line0, lines, from, conv->ldo, -INFINITY,
                        INFINITY);
    kernels->pointwise(&(struct adl_pointwise){
        .x = from,
        .ldx = conv->ldo,
        .residual = residual,
        .ldr = ldr,
        .out = to,
        .ldo = conv->ldo,
        .pixels = (size_t)lines * (size_t)conv->q,
        .channels = (size_t)conv->k,
        .lo = conv->lo,
        .hi = conv->hi,
    });
    adl_conv_activate(conv, kernels, to, conv->ldo, (size_t)lines * (size_t)conv->q,
                      (size_t)conv->k);
}

const struct adl_conv_algorithm adl_conv_depthwise = {
    .name = "depthwise",
    .activates = true,
    .supports = depthwise_supports,
    .cost = depthwise_cost,
    .packed_floats = depthwise_packed_floats,
    .pack = depthwise_pack,
    .tasks = depthwise_tasks,
    .scratch_floats = depthwise_scratch_floats,
    .run = depthwise_run,
};
