/* Convolution of a map with few channels, such as a network's first layer: to
 * copy each window next to the other, as conv_gemm.c does, would take as long
 * as the product. A task is a few rows of the output; it copies the rows of the
 * input that they need once, with the padding at their sides, and the tile
 * kernel reads the windows there, which overlap. Packed as by conv_gemm.c. */

#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* Pixels of a task, about, and channels that are few. */
#define TASK_PIXELS 224
#define MOST_CHANNELS 8
/* Of the time of conv_gemm.c, which spends as long on copying the rows as on the
 * product. */
#define PRODUCT_SHARE 0.6

static bool supports(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                     const struct adl_kernels *kernels)
{
    (void)self;
    return kernels->gemm && v->groups == 1 && v->c <= MOST_CHANNELS && v->ldx == (size_t)v->c;
}

static double cost(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                   const struct adl_kernels *kernels)
{
    (void)self;
    return PRODUCT_SHARE * adl_conv_gemm.cost(&adl_conv_gemm, v, kernels);
}

static int task_lines(const struct adl_conv *v)
{
    return ADL_MAX(TASK_PIXELS / v->q, 1);
}

static size_t tasks(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                    const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    int lines = task_lines(v);
    return (size_t)((v->p + lines - 1) / lines);
}

/* Floats of a copied row. */
static size_t line_floats(const struct adl_conv *v)
{
    return (size_t)(((v->q - 1) * v->stride + v->s) * v->c);
}

static size_t scratch_floats(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                             const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)((task_lines(v) - 1) * v->stride + v->r) * line_floats(v);
}

/* Row `row` of the input from pixel -pad_left on, zero outside the map. */
static void copy_line(const struct adl_conv *v, const float *x, int row, float *to)
{
    size_t all = line_floats(v), left = ADL_MIN((size_t)(v->pad_left * v->c), all);
    size_t inside = ADL_MIN((size_t)(v->w * v->c), all - left);

    if (row < 0 || row >= v->h) {
        memset(to, 0, all * sizeof *to);
        return;
    }
    memset(to, 0, left * sizeof *to);
    memcpy(to + left, x + (size_t)row * (size_t)v->w * v->ldx, inside * sizeof *to);
    memset(to + left + inside, 0, (all - left - inside) * sizeof *to);
}

/* One row of the output, from the copied rows that begin at `lines`. */
static void multiply(const struct adl_conv *v, const struct adl_kernels *kernels,
                     const float *packed, const float *lines, const float *residual, float *out)
{
    size_t nr = (size_t)kernels->nr, k = (size_t)v->k, depth = (size_t)(v->r * v->s * v->c);
    size_t panels = adl_ceil_div(k, nr);
    int tiles = (v->q + kernels->mr - 1) / kernels->mr;

    for (size_t panel = 0; panel < panels; panel++) {
        size_t column = panel * nr;
        struct adl_gemm_tile tile = {
            .lda = (size_t)(v->stride * v->c),
            .b = packed + panel * depth * nr,
            .depth = (size_t)(v->s * v->c),
            .segments = (size_t)v->r,
            .segment_skip = line_floats(v) - (size_t)(v->s * v->c),
            .ldc = v->ldo,
            .n = (int)ADL_MIN(nr, k - column),
            .bias = packed + panels * depth * nr + column,
            .accumulate = v->accumulate,
            .ldr = v->ldr,
            .lo = v->lo,
            .hi = v->hi,
        };
        for (int i = 0, q = 0; i < tiles; i++, q += tile.m) {
            tile.m = (v->q - q) / (tiles - i);
            tile.a = lines + (size_t)(q * v->stride * v->c);
            tile.c = out + (size_t)q * v->ldo + column;
            tile.residual = residual ? residual + (size_t)q * v->ldr + column : NULL;
            kernels->gemm(&tile);
        }
    }
}

static void run(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                const struct adl_kernels *kernels, const float *packed, const float *x,
                const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    int line0 = (int)task * task_lines(v), lines = ADL_MIN(task_lines(v), v->p - line0);
    size_t floats = line_floats(v), q = (size_t)v->q;

    for (int row = 0; row < (lines - 1) * v->stride + v->r; row++)
        copy_line(v, x, line0 * v->stride - v->pad_top + row, scratch + (size_t)row * floats);
    for (int line = 0; line < lines; line++) {
        size_t pixel = (size_t)(line0 + line) * q;
        multiply(v, kernels, packed, scratch + (size_t)(line * v->stride) * floats,
                 residual ? residual + pixel * v->ldr : NULL, out + pixel * v->ldo);
    }
}

static size_t packed_floats(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    (void)self;
    return adl_conv_gemm.packed_floats(&adl_conv_gemm, v, kernels);
}

static void pack(const struct adl_conv_algorithm *self, const struct adl_conv *v,
                 const struct adl_kernels *kernels, const float *weights, const float *scale,
                 const float *bias, float *packed)
{
    (void)self;
    adl_conv_gemm.pack(&adl_conv_gemm, v, kernels, weights, scale, bias, packed);
}

const struct adl_conv_algorithm adl_conv_lines = {
    .name = "lines",
    .supports = supports,
    .cost = cost,
    .packed_floats = packed_floats,
    .pack = pack,
    .tasks = tasks,
    .scratch_floats = scratch_floats,
    .run = run,
};
