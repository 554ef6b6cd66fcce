/* Computes convolutions at stride 1 by Winograd's algorithm (formulas: winograd.h), for
 * kernels with odd sides: 3x3, 5x5, 1x7 and so on.
 *
 * 1. The output is divided into T tiles of m x m' pixels (winograd_tiles.c), and the
 *    input of each tile is transformed: n x n' values ("positions") per channel.
 * 2. The product of transformed input and weights, element by element, is a sum over
 *    the input channels, so for each position it is a matrix product, T x C by C x K:
 *    n n' products of this size do the work of one of P Q x C R S by C R S x K.
 * 3. The products of each tile are transformed back into m x m' pixels, and bias,
 *    residual and clamp are applied.
 *
 * A tile of 6 points per side (m = 4 for a 3x3 kernel) needs a quarter of the
 * multiplications, one of 8 points (m = 6) about a fifth. Larger tiles would save
 * little more and round much worse; on the tests' golden inputs the logits of every
 * network stay within 1e-6 of the largest.
 *
 * A large map is divided into blocks of tiles, and each task takes one block through
 * all three steps while its transforms are in the L2 cache. For a small map, most of the
 * time goes into reading the weights. The tasks of `prepare` then transform all tiles
 * first, and each task of `run` takes a slice of the output channels (of one block, if there
 * are too few slices to be tasks for several threads), so that each weight is read once.
 *
 * Weights are transformed once, when they are packed, or ("compact") each time they
 * are used (winograd_weights.c). Transformed weights are several times larger; with few
 * tiles, reading them from memory takes about as long as transforming them again. */

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/conv_cost.h"
#include "kernels/winograd_parts.h"
#include "kernels/zeros.h"

/* Tiles of a task of `prepare`. */
#define PREPARE_TILES 2

#define MAX_SIDE ADL_WINOGRAD_MAX_SIDE

/* Costs in the unit of conv_cost.h. A compact weight is transformed each time it is
 * used; this is for each of its positions. */
#define TRANSFORM_WEIGHT 7.7
/* Widening a weight of bfloat16; for each of its taps. */
#define WIDEN_WEIGHT 2
/* Compact weights are used panel by panel, so the transformed input is read again for
 * each panel of output channels; this is for each of its values. */
#define PANEL_INPUT 1.65
/* Tiles of 8 points per side have larger rounding errors and are chosen only if they are
 * estimated to be faster by this factor. */
#define HANDICAP8 1.1

static bool winograd_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                              const struct adl_kernels *kernels)
{
    return adl_winograd_supports(self->winograd.points, conv, kernels);
}

static double winograd_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels)
{
    struct adl_winograd_work work = adl_winograd_work(conv, kernels, self->winograd.points);
    double positions = (double)work.positions, tiles = (double)work.tiles;
    double loads =
        self->winograd.compact ? conv->r * conv->s : positions; /* for each pair of channels */
    struct adl_winograd_pass pass = {
        .c = conv->c,
        .k = adl_cost_padded(conv->k, kernels->winograd->nr),
        .tiles = tiles,
        .positions = positions,
        /* The weights are loaded while the products are computed. */
        .products =
            fmax((double)work.products / ADL_COST_PRODUCT_FRACTION, ADL_COST_WEIGHT_LOAD * loads),
    };
    if (self->winograd.compact)
        pass.weights = (double)work.blocks * positions * TRANSFORM_WEIGHT +
                       tiles * positions / kernels->winograd->nr * PANEL_INPUT;
    if (self->winograd.bf16)
        pass.weights += (double)work.blocks * conv->r * conv->s * WIDEN_WEIGHT;
    return (self->winograd.points == 8 ? HANDICAP8 : 1) * adl_winograd_cost(&pass);
}

static size_t winograd_packed_floats(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    return adl_winograd_packed_floats(&b);
}

static void winograd_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                          const struct adl_kernels *kernels, const float *weights,
                          const float *scale, const float *bias, float *packed)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    adl_winograd_pack(&b, conv, kernels, weights, scale, bias, packed);
}

static size_t winograd_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    return b.blocks * b.slices;
}

static size_t winograd_transform_floats(const struct adl_winograd_blocking *b)
{
    return b->positions * b->transformed_tiles * b->ldv;
}

/* Returns the floats of the transformed input and of the data that follow it: for each tile, the
 * outputs that see only zeros. */
static size_t winograd_transformed_floats(const struct adl_winograd_blocking *b)
{
    size_t floats = b->transformed_tiles * (sizeof(uint64_t) / sizeof(float));
    return winograd_transform_floats(b) + adl_ceil_div(floats, ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
}

static size_t winograd_product_floats(const struct adl_winograd_blocking *b)
{
    return b->positions * b->block_tiles * b->ldm;
}

/* Returns the floats of a task's memory, which holds, in this order: a row of zeros, to which
 * the pixels in the padding point; the transformed input of the block, unless all tasks share
 * it; the products of the block; a chunk of transformed weights if the weights are compact. */
static size_t winograd_scratch_floats(const struct adl_conv_algorithm *self,
                                      const struct adl_conv *conv,
                                      const struct adl_kernels *kernels)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    return b.ldv + (b.shared ? 0 : winograd_transformed_floats(&b)) + winograd_product_floats(&b) +
           (b.compact ? adl_winograd_chunk_floats(&b) : 0);
}

static size_t winograd_shared_floats(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    return b.shared ? winograd_transformed_floats(&b) : 0;
}

static size_t winograd_prepare_tasks(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    return b.shared ? adl_ceil_div(b.tiles, PREPARE_TILES) : 0;
}

/* Transforms `tiles` tiles from tile0 on. Each position has a matrix, transformed_tiles x ldv;
 * `to` is the row of tile0 in the first of these matrices. */
static void winograd_transform_input(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                     const struct adl_winograd_blocking *b, const float *x,
                                     size_t tile0, size_t tiles, float *zeros, float *to,
                                     uint64_t *zero_outputs)
{
    const float *pixels[MAX_SIDE * MAX_SIDE];
    struct adl_winograd_input job = {
        .row_points = b->rows.whole.points,
        .column_points = b->columns.whole.points,
        .pixels = pixels,
        .channels = (size_t)conv->c,
        .step = b->transformed_tiles * b->ldv,
    };

    memset(zeros, 0, b->ldv * sizeof *zeros);
    for (size_t t = 0; t < tiles; t++) {
        struct adl_winograd_tile tile = adl_winograd_tile(b, tile0 + t);
        job.rows = tile.rows->points;
        job.columns = tile.columns->points;
        job.row_positions = tile.rows->positions;
        job.column_positions = tile.columns->positions;
        for (int i = 0; i < job.rows; i++)
            for (int j = 0; j < job.columns; j++) {
                int y = tile.row - conv->pad_top + i, z = tile.column - conv->pad_left + j;
                bool inside = y >= 0 && y < conv->h && z >= 0 && z < conv->w;
                pixels[i * job.columns + j] =
                    inside ? x + ((size_t)y * (size_t)conv->w + (size_t)z) * conv->ldx : zeros;
            }
        job.v = to + t * b->ldv;
        kernels->winograd->input(&job);
        zero_outputs[t] = adl_zeros_outputs(&job, conv->r, conv->s);
    }
}

/* The work of one task: a block of tiles is multiplied by a slice of the panels. */
struct winograd_block {
    const struct adl_winograd_blocking *b;
    size_t tile0, tiles;
    size_t panel0, panels;
    const float *transformed; /* of the first tile, at position 0 */
    const uint64_t *zeros;    /* for each tile, the outputs that see only zeros */
    float *products;          /* for each position block_tiles x ldm */
};

/* Multiplies at one position the block's tiles, as far as they need that position, by
 * one panel, for the chunk of the depth that begins at input channel l. */
static void winograd_multiply_chunk(const struct winograd_block *block,
                                    const struct adl_kernels *kernels, size_t position,
                                    size_t panel, size_t l, const float *weights, const float *next,
                                    size_t next_floats)
{
    const struct adl_winograd_blocking *b = block->b;
    struct adl_winograd_run run = adl_winograd_tiles_of(b, position);
    size_t first = ADL_MAX(run.from, block->tile0);
    size_t last = ADL_MIN(run.to, block->tile0 + block->tiles);
    if (first >= last)
        return;
    size_t row = first - block->tile0;
    struct adl_winograd_product product = {
        .a = block->transformed + (position * b->transformed_tiles + row) * b->ldv + l,
        .lda = b->ldv,
        .rows = last - first,
        .b = weights,
        .depth = ADL_MIN(b->chunk, b->channels - l),
        .next = next,
        .next_floats = next_floats,
        .c = block->products + (position * b->block_tiles + row) * b->ldm + panel * b->nr,
        .ldc = b->ldm,
        .accumulate = l > 0,
    };
    kernels->winograd->product(&product);
}

/* Multiplies by transformed weights, position by position, in the order in which the weights
 * are packed, so that each weight is read once for a block, and the operands of one position
 * stay in the nearer caches even if those of all positions do not fit there. */
static void winograd_multiply(const struct winograd_block *block, const struct adl_kernels *kernels,
                              const float *packed)
{
    const struct adl_winograd_blocking *b = block->b;
    const float *weights = packed + adl_winograd_weight_offset(b, 0, block->panel0, 0);

    for (size_t i = 0; i < b->positions; i++)
        for (size_t l = 0; l < b->channels; l += b->chunk)
            for (size_t panel = 0; panel < block->panels; panel++) {
                winograd_multiply_chunk(block, kernels, i, panel, l, weights, NULL, 0);
                weights += ADL_MIN(b->chunk, b->channels - l) * b->nr;
            }
}

/* Multiplies by compact weights: each chunk of a panel is transformed into `chunk` and then
 * used at all positions. Meanwhile the weights of the next chunk are prefetched, a part of them
 * at each position. */
static void winograd_multiply_compact(const struct winograd_block *block,
                                      const struct adl_kernels *kernels, const float *packed,
                                      float *chunk)
{
    const struct adl_winograd_blocking *b = block->b;
    const float *next = packed + adl_winograd_compact_offset(b, block->panel0, 0);
    const float *biases = packed + adl_winograd_weight_floats(b);

    for (size_t panel = 0; panel < block->panels; panel++) {
        const float *factors =
            b->bf16 ? biases + (b->panels + block->panel0 + panel) * b->nr : NULL;
        for (size_t l = 0; l < b->channels; l += b->chunk) {
            size_t depth = ADL_MIN(b->chunk, b->channels - l);
            size_t floats = adl_winograd_compact_offset(b, 0, depth);
            adl_winograd_transform_chunk(b, kernels, next, factors, depth, chunk);
            next += floats;
            for (size_t i = 0; i < b->positions; i++)
                winograd_multiply_chunk(block, kernels, i, panel, l,
                                        chunk + i * adl_winograd_chunk_step(b),
                                        next + floats * i / b->positions, floats / b->positions);
        }
    }
}

static void winograd_transform_output(const struct adl_conv *conv,
                                      const struct adl_kernels *kernels, const float *biases,
                                      const struct winograd_block *block, const float *residual,
                                      float *out)
{
    const struct adl_winograd_blocking *b = block->b;
    size_t q = (size_t)conv->q, k0 = block->panel0 * b->nr;
    struct adl_winograd_output job = {
        .row_points = b->rows.whole.points,
        .column_points = b->columns.whole.points,
        .step = b->block_tiles * b->ldm,
        .bias = biases + k0,
        .ldo = conv->ldo,
        .out_row = q * conv->ldo,
        .ldr = conv->ldr,
        .residual_row = q * conv->ldr,
        .channels = ADL_MIN(b->slice_panels * b->nr, (size_t)conv->k - k0),
        .lo = conv->lo,
        .hi = conv->hi,
    };
    for (size_t t = 0; t < block->tiles; t++) {
        struct adl_winograd_tile tile = adl_winograd_tile(b, block->tile0 + t);
        size_t pixel = (size_t)tile.row * q + (size_t)tile.column;
        job.rows = tile.rows->points;
        job.columns = tile.columns->points;
        job.row_positions = tile.rows->positions;
        job.column_positions = tile.columns->positions;
        job.row_outputs = tile.rows->outputs;
        job.column_outputs = tile.columns->outputs;
        job.height = ADL_MIN(job.row_outputs, conv->p - tile.row);
        job.width = ADL_MIN(job.column_outputs, conv->q - tile.column);
        job.zeros = block->zeros[t];
        job.m = block->products + t * b->ldm;
        job.out = out + pixel * conv->ldo + k0;
        job.residual = residual ? residual + pixel * conv->ldr + k0 : NULL;
        kernels->winograd->output(&job);
    }
}

static void winograd_prepare(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels, const float *x, float *shared,
                             size_t task, float *scratch)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    size_t tile0 = task * PREPARE_TILES;
    winograd_transform_input(conv, kernels, &b, x, tile0, ADL_MIN(PREPARE_TILES, b.tiles - tile0),
                             scratch, shared + tile0 * b.ldv,
                             (uint64_t *)(void *)(shared + winograd_transform_floats(&b)) + tile0);
}

static void winograd_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels, const float *packed, const float *x,
                         const float *residual, float *out, size_t task, float *scratch)
{
    struct adl_winograd_blocking b = adl_winograd_blocking(self->winograd, conv, kernels);
    float *zeros = scratch, *products = zeros + b.ldv;
    size_t index = task / b.slices;
    struct winograd_block block = {
        .b = &b,
        .tile0 = b.tiles * index / b.blocks,
        .panel0 = task % b.slices * b.slice_panels,
    };

    block.tiles = b.tiles * (index + 1) / b.blocks - block.tile0;
    block.panels = ADL_MIN(b.slice_panels, b.panels - block.panel0);
    if (b.shared) {
        block.transformed = x + block.tile0 * b.ldv;
        block.zeros =
            (const uint64_t *)(const void *)(x + winograd_transform_floats(&b)) + block.tile0;
    } else {
        uint64_t *zero_outputs = (uint64_t *)(void *)(products + winograd_transform_floats(&b));
        winograd_transform_input(conv, kernels, &b, x, block.tile0, block.tiles, zeros, products,
                                 zero_outputs);
        block.transformed = products;
        block.zeros = zero_outputs;
        products += winograd_transformed_floats(&b);
    }
    block.products = products;
    if (b.compact)
        winograd_multiply_compact(&block, kernels, packed, products + winograd_product_floats(&b));
    else
        winograd_multiply(&block, kernels, packed);
    winograd_transform_output(conv, kernels, packed + adl_winograd_weight_floats(&b), &block,
                              residual, out);
}

/* --- the algorithms ---------------------------------------------------------------- */

/* The algorithms share these functions and differ in `winograd`. */
#define WINOGRAD_FUNCTIONS                                                                         \
    .supports = winograd_supports, .cost = winograd_cost, .packed_floats = winograd_packed_floats, \
    .pack = winograd_pack, .tasks = winograd_tasks, .scratch_floats = winograd_scratch_floats,     \
    .shared_floats = winograd_shared_floats, .prepare_tasks = winograd_prepare_tasks,              \
    .prepare = winograd_prepare, .run = winograd_run

const struct adl_conv_algorithm adl_conv_winograd6 = {
    .name = "winograd6", .winograd = {.points = 6}, WINOGRAD_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_winograd8 = {
    .name = "winograd8", .winograd = {.points = 8}, WINOGRAD_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_winograd6c = {
    .name = "winograd6c", .winograd = {.points = 6, .compact = true}, WINOGRAD_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_winograd8c = {
    .name = "winograd8c", .winograd = {.points = 8, .compact = true}, WINOGRAD_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_winograd6_bf16 = {
    .name = "wino6-bf16",
    .precision = ADL_PRECISION_BF16,
    .winograd = {.points = 6, .compact = true, .bf16 = true},
    WINOGRAD_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_winograd8_bf16 = {
    .name = "wino8-bf16",
    .precision = ADL_PRECISION_BF16,
    .winograd = {.points = 8, .compact = true, .bf16 = true},
    WINOGRAD_FUNCTIONS};
