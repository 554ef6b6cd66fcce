/* Computes convolutions as products of bfloat16 numbers, on processors that multiply those
 * (bf16.h): with x and w rounded to nearest even,
 *
 *     out[m][k] = scale[k] (sum over l of x[m][l] w[l][k]) + bias[k]
 *
 * where the factor of a folded batch norm is applied to the sum, so that the weights are those of
 * the model, rounded once. The left factor is implicit, as in conv_gemm.c: a task copies a block of
 * its rows to scratch memory and rounds them there. The depth is not divided, so that sums are in
 * registers from the first product to the last.
 *
 * Packed: for each panel of dot_nr output channels and each step of the depth, a pair of weights
 * for each channel; then scale and bias, padded to whole panels. */

#include <string.h>

#include "base/bf16.h"
#include "base/size.h"
#include "kernels/bf16.h"
#include "kernels/conv.h"
#include "kernels/conv_cost.h"

/* Row tiles of a block, and tasks that keep a few threads busy, as in conv_gemm.c. */
#define BLOCK_TILES 4
#define WANTED_TASKS 8
/* Multiply-adds of float32 in the time of one of bfloat16, and in that of copying and rounding one
 * value. Fitted to the networks on an AMD Zen 4. */
#define DOT_SPEED 1.85
#define ROUND_VALUE 10

struct dot_blocking {
    size_t depth, steps; /* values, and pairs of values, of a row */
    size_t row_values;   /* of a row in scratch memory */
    size_t nr, mr, panels, rows;
    size_t task_rows, m_blocks;
    size_t panels_per_block, n_blocks;
};

static struct dot_blocking dot_blocking(const struct adl_conv *conv,
                                        const struct adl_bf16_kernels *kernels)
{
    struct dot_blocking b = {.nr = (size_t)kernels->dot_nr, .mr = (size_t)kernels->dot_mr};

    b.depth = adl_conv_depth(conv);
    b.steps = adl_ceil_div(b.depth, 2);
    /* A cache line more than a power of two, so that the rows of a tile do not fall into the same
     * sets. */
    b.row_values = adl_ceil_div(b.steps * 2, 32) * 32 + 32;
    b.panels = adl_ceil_div((size_t)conv->k, b.nr);
    b.rows = (size_t)conv->p * (size_t)conv->q;
    b.task_rows = adl_conv_block_tiles(adl_ceil_div(b.rows, b.mr), BLOCK_TILES) * b.mr;
    b.m_blocks = adl_ceil_div(b.rows, b.task_rows);
    b.panels_per_block = adl_ceil_div(b.panels, adl_ceil_div(WANTED_TASKS, b.m_blocks));
    b.n_blocks = adl_ceil_div(b.panels, b.panels_per_block);
    return b;
}

static bool dot_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels)
{
    (void)self;
    return kernels->bf16->dot && conv->groups == 1;
}

static double dot_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                       const struct adl_kernels *kernels)
{
    (void)self;
    struct dot_blocking b = dot_blocking(conv, kernels->bf16);
    double rows = (double)conv->p * conv->q, depth = (double)adl_conv_depth(conv);
    double columns = adl_cost_padded(conv->k, kernels->bf16->dot_nr / 2);
    double products = ADL_MAX(rows, ADL_COST_WEIGHT_LOAD) * depth * columns;
    return products / (ADL_COST_PRODUCT_FRACTION * DOT_SPEED) +
           rows * depth * (double)b.n_blocks * ROUND_VALUE;
}

static size_t dot_packed_floats(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                                const struct adl_kernels *kernels)
{
    (void)self;
    struct dot_blocking b = dot_blocking(conv, kernels->bf16);
    return b.panels * b.nr * (b.steps + 2);
}

static void dot_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                     const struct adl_kernels *kernels, const float *weights, const float *scale,
                     const float *bias, float *packed)
{
    struct dot_blocking b = dot_blocking(conv, kernels->bf16);
    size_t taps = (size_t)(conv->r * conv->s), channels = (size_t)conv->c;
    float *scales = packed + b.panels * b.nr * b.steps, *biases = scales + b.panels * b.nr;

    memset(packed, 0, dot_packed_floats(self, conv, kernels) * sizeof *packed);
    for (size_t k = 0; k < (size_t)conv->k; k++) {
        uint16_t *to = (uint16_t *)(void *)packed + 2 * (k / b.nr * b.steps * b.nr + k % b.nr);
        const float *from = weights + k * b.depth;
        for (size_t tap = 0, l = 0; tap < taps; tap++)
            for (size_t c = 0; c < channels; c++, l++)
                to[l / 2 * 2 * b.nr + l % 2] = adl_bf16_from_float(from[c * taps + tap]);
        scales[k] = scale[k];
        biases[k] = bias[k];
    }
}

static size_t dot_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                        const struct adl_kernels *kernels)
{
    (void)self;
    struct dot_blocking b = dot_blocking(conv, kernels->bf16);
    return b.m_blocks * b.n_blocks;
}

/* The rounded rows of a block, and one row that is not rounded yet. */
static size_t dot_scratch_floats(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                                 const struct adl_kernels *kernels)
{
    (void)self;
    struct dot_blocking b = dot_blocking(conv, kernels->bf16);
    return b.task_rows * b.row_values / 2 + b.depth;
}

/* Copies and rounds `rows` rows of the left factor. */
static void dot_round_rows(const struct adl_conv *conv, const struct adl_bf16_kernels *kernels,
                           const struct dot_blocking *b, const float *x, size_t row0, size_t rows,
                           uint16_t *to, float *row)
{
    for (size_t i = 0; i < rows; i++, to += b->row_values) {
        const float *from = x + (row0 + i) * conv->ldx;
        if (!adl_conv_is_product(conv)) {
            adl_conv_copy_rows(conv, x, 0, row0 + i, 1, 0, b->depth, row, b->depth);
            from = row;
        }
        kernels->round_map(from, b->depth, to);
        if (b->depth % 2)
            to[b->depth] = 0;
    }
}

static void dot_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                    const struct adl_kernels *kernels, const float *packed, const float *x,
                    const float *residual, float *out, size_t task, float *scratch)
{
    (void)self;
    struct dot_blocking b = dot_blocking(conv, kernels->bf16);
    size_t row0 = task / b.n_blocks * b.task_rows, rows = ADL_MIN(b.task_rows, b.rows - row0);
    size_t panel = task % b.n_blocks * b.panels_per_block;
    size_t last = ADL_MIN(panel + b.panels_per_block, b.panels);
    const float *scales = packed + b.panels * b.nr * b.steps, *biases = scales + b.panels * b.nr;
    uint16_t *a = (uint16_t *)(void *)scratch;

    dot_round_rows(conv, kernels->bf16, &b, x, row0, rows, a,
                   scratch + b.task_rows * b.row_values / 2);
    for (; panel < last; panel++)
        for (size_t i = 0; i < rows; i += b.mr) {
            size_t k = panel * b.nr, row = row0 + i;
            const struct adl_bf16_tile tile = {
                .a = a + i * b.row_values,
                .lda = b.row_values,
                .a_step = 2,
                .b = (const uint32_t *)(const void *)(packed + panel * b.steps * b.nr),
                .steps = b.steps,
                .m = (int)ADL_MIN(b.mr, rows - i),
                .n = (int)ADL_MIN(b.nr, (size_t)conv->k - k),
                .scale = scales + k,
                .bias = biases + k,
                .residual = residual ? residual + row * conv->ldr + k : NULL,
                .ldr = conv->ldr,
                .c = out + row * conv->ldo + k,
                .ldc = conv->ldo,
                .accumulate = conv->accumulate,
                .lo = conv->lo,
                .hi = conv->hi,
            };
            kernels->bf16->dot(&tile);
        }
}

const struct adl_conv_algorithm adl_conv_dot_bf16 = {
    .name = "dot-bf16",
    .precision = ADL_PRECISION_BF16,
    .rounds_map = true,
    .supports = dot_supports,
    .cost = dot_cost,
    .packed_floats = dot_packed_floats,
    .pack = dot_pack,
    .tasks = dot_tasks,
    .scratch_floats = dot_scratch_floats,
    .run = dot_run,
};
