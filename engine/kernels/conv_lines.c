/* Convolves maps with few channels, as in a network's first layer on an RGB image. It is the
 * matrix product of conv_gemm.c with the packed weights of that file, but copying every window
 * of R S C values, as conv_gemm.c does, would take as long as multiplying it when K is small.
 *
 * A task is a few rows of the output. It copies each row of the input that these need
 * only once, with the zero padding at both ends. In a dense map one row of a window is
 * S C contiguous floats, and windows of neighbouring output pixels overlap, stride C
 * floats apart; so the tile kernel can read row m of the left factor in place, as R
 * segments of S C floats that lie one copied row apart (`segments` in kernel.h). The
 * copy is thus R S / stride^2 times smaller than the left factor. */

#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* Output pixels of a task, approximately. */
#define TASK_PIXELS 224
/* Input channels for which the algorithm is offered. */
#define MAX_CHANNELS 8
/* Time relative to conv_gemm.c, which for these shapes copies for as long as it multiplies. */
#define RELATIVE_COST 0.6

static bool lines_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                           const struct adl_kernels *kernels)
{
    (void)self;
    return kernels->gemm && conv->groups == 1 && conv->gap == 0 && conv->c <= MAX_CHANNELS &&
           conv->ldx == (size_t)conv->c;
}

static double lines_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels)
{
    (void)self;
    return RELATIVE_COST * adl_conv_gemm.cost(&adl_conv_gemm, conv, kernels);
}

static int lines_task_lines(const struct adl_conv *conv)
{
    return ADL_MAX(TASK_PIXELS / conv->q, 1);
}

static size_t lines_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                          const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    int lines = lines_task_lines(conv);
    return (size_t)((conv->p + lines - 1) / lines);
}

/* Returns the floats of a copied input row, from the left end of the first window to the right
 * end of the last one. */
static size_t lines_row_floats(const struct adl_conv *conv)
{
    return (size_t)(((conv->q - 1) * conv->stride + conv->s) * conv->c);
}

static size_t lines_scratch_floats(const struct adl_conv_algorithm *self,
                                   const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    (void)self;
    (void)kernels;
    return (size_t)((lines_task_lines(conv) - 1) * conv->stride + conv->r) * lines_row_floats(conv);
}

/* Copies row `row` of the input from pixel -pad_left on; zero outside the map. */
static void lines_copy_row(const struct adl_conv *conv, const float *x, int row, float *to)
{
    size_t all = lines_row_floats(conv), left = ADL_MIN((size_t)(conv->pad_left * conv->c), all);
    size_t inside = ADL_MIN((size_t)(conv->w * conv->c), all - left);

    if (row < 0 || row >= conv->h) {
        memset(to, 0, all * sizeof *to);
        return;
    }
    memset(to, 0, left * sizeof *to);
    memcpy(to + left, x + (size_t)row * (size_t)conv->w * conv->ldx, inside * sizeof *to);
    memset(to + left + inside, 0, (all - left - inside) * sizeof *to);
}

/* Computes one row of the output from the R copied rows that begin at `lines`. */
static void lines_multiply(const struct adl_conv *conv, const struct adl_kernels *kernels,
                           const float *packed, const float *lines, const float *residual,
                           float *out)
{
    size_t nr = (size_t)kernels->nr, k = (size_t)conv->k,
           depth = (size_t)(conv->r * conv->s * conv->c);
    size_t panels = adl_ceil_div(k, nr);
    int tiles = (conv->q + kernels->mr - 1) / kernels->mr;

    for (size_t panel = 0; panel < panels; panel++) {
        size_t column = panel * nr;
        struct adl_gemm_tile tile = {
            .lda = (size_t)(conv->stride * conv->c),
            .b = packed + panel * depth * nr,
            .depth = (size_t)(conv->s * conv->c),
            .segments = (size_t)conv->r,
            .segment_skip = lines_row_floats(conv) - (size_t)(conv->s * conv->c),
            .ldc = conv->ldo,
            .n = (int)ADL_MIN(nr, k - column),
            .bias = packed + panels * depth * nr + column,
            .accumulate = conv->accumulate,
            .ldr = conv->ldr,
            .lo = conv->lo,
            .hi = conv->hi,
        };
        for (int i = 0, q = 0; i < tiles; i++, q += tile.m) {
            tile.m = (conv->q - q) / (tiles - i);
            tile.a = lines + (size_t)(q * conv->stride * conv->c);
            tile.c = out + (size_t)q * conv->ldo + column;
            tile.residual = residual ? residual + (size_t)q * conv->ldr + column : NULL;
            kernels->gemm(&tile);
        }
    }
}

static void lines_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                      const struct adl_kernels *kernels, const float *packed, const float *x,
                      const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    int line0 = (int)task * lines_task_lines(conv),
        lines = ADL_MIN(lines_task_lines(conv), conv->p - line0);
    size_t floats = lines_row_floats(conv), q = (size_t)conv->q;

    for (int row = 0; row < (lines - 1) * conv->stride + conv->r; row++)
        lines_copy_row(conv, x, line0 * conv->stride - conv->pad_top + row,
                       scratch + (size_t)row * floats);
    for (int line = 0; line < lines; line++) {
        size_t pixel = (size_t)(line0 + line) * q;
        lines_multiply(conv, kernels, packed, scratch + (size_t)(line * conv->stride) * floats,
                       residual ? residual + pixel * conv->ldr : NULL, out + pixel * conv->ldo);
        adl_conv_activate(conv, kernels, out + pixel * conv->ldo, conv->ldo, q, (size_t)conv->k);
    }
}

static size_t lines_packed_floats(const struct adl_conv_algorithm *self,
                                  const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    (void)self;
    return adl_conv_gemm.packed_floats(&adl_conv_gemm, conv, kernels);
}

static void lines_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                       const struct adl_kernels *kernels, const float *weights, const float *scale,
                       const float *bias, float *packed)
{
    (void)self;
    adl_conv_gemm.pack(&adl_conv_gemm, conv, kernels, weights, scale, bias, packed);
}

const struct adl_conv_algorithm adl_conv_lines = {
    .name = "lines",
    .activates = true,
    .supports = lines_supports,
    .cost = lines_cost,
    .packed_floats = lines_packed_floats,
    .pack = lines_pack,
    .tasks = lines_tasks,
    .scratch_floats = lines_scratch_floats,
    .run = lines_run,
};
