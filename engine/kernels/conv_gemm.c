/* Computes convolutions as matrix products with the tile kernel `gemm` of kernel.h:
 *
 *     out[m][k] = sum over l of a[m][l] b[l][k]
 *
 * with a row m for each of the P Q output pixels, a column k for each output channel,
 * and the depth l = (r, s, c) of R S C/groups. This is the algorithm for every shape
 * for which no special algorithm is faster; the others are measured against it.
 *
 * The obvious implementation ("im2col") writes the matrix a, which is R S times as
 * large as the map, to memory and multiplies it. Here the product is implicit: at any
 * time only a small block of a exists, a few tiles of mr rows times one chunk of the
 * depth, copied into scratch memory that stays in the L1 cache. A dense 1x1
 * convolution mostly copies nothing, since its map is the matrix.
 *
 * Packed weights: for each group and each panel of nr output channels, all rows of b,
 * nr floats each, zero beyond the last channel; then the biases, also padded to whole
 * panels. The kernel reads a panel from front to back. With weights in bfloat16 (bf16.h) these take
 * half of the space, and the factors of a folded batch norm follow the biases instead of being in
 * the weights: so the weights are those of the model, rounded once. The chunk of a panel is widened
 * to float32 in the L1 cache before a block is multiplied by it.
 *
 * The loops follow Goto and van de Geijn, "Anatomy of high-performance matrix
 * multiplication" (2008): a task is a block of rows times a block of panels. For each
 * chunk of the depth it goes through the panels, and for each panel through the row
 * tiles, so that the panel's chunk is loaded into the L1 cache once and used for all
 * tiles of the block. Later chunks add to what the earlier ones left in the output;
 * the last one applies residual and clamp. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/bf16.h"
#include "kernels/conv.h"
#include "kernels/conv_cost.h"

/* Row tiles of a block: how often the chunk of a panel is used from the L1 cache, and that of one
 * that is widened first. */
#define BLOCK_TILES 4
#define BLOCK_TILES_BF16 8
/* Tasks that keep a few threads evenly busy; if dividing the rows gives fewer, the panels are
 * divided as well. */
#define WANTED_TASKS 8
/* Rows whose distance is a multiple of this fall into a few sets of the L1 cache and
 * would evict each other, so they are copied even if the map is the matrix. */
#define SET_FLOATS 512
/* Packed weights of at most so many floats stay in a core's private caches anyway. Then the
 * output is prefetched instead, because a cache line that is going to be written has to be
 * fetched from memory first. A task then has several blocks of rows, and each block prefetches
 * the output of the next. */
#define FEW_WEIGHTS ((size_t)64 * 1024)
#define FEW_WEIGHTS_BLOCKS 4
/* Rows during which a weight of bfloat16 is loaded and widened. */
#define BF16_LOAD (ADL_COST_WEIGHT_LOAD * 0.5 + 1)
/* Cost of widening one weight, in the unit of conv_cost.h. */
#define WIDEN_WEIGHT 2
/* Columns of a panel with the widest vectors. */
#define MAX_COLUMNS 32

struct gemm_blocking {
    size_t block_rows;
    bool bf16;                         /* the type of the weights */
    size_t row_floats;                 /* memory of a row of a panel */
    size_t depth, chunk;               /* the whole depth; the part done at a time */
    size_t panels;                     /* panels of a group, nr channels each */
    size_t rows;                       /* output pixels, P Q */
    size_t task_rows, m_blocks;        /* rows of a task; tasks along the rows */
    size_t n_blocks, panels_per_block; /* tasks along the panels; panels of a task */
};

static struct gemm_blocking gemm_blocking(const struct adl_conv_algorithm *self,
                                          const struct adl_conv *conv,
                                          const struct adl_kernels *kernels)
{
    struct gemm_blocking b = {.bf16 = self->precision == ADL_PRECISION_BF16};
    size_t channels = (size_t)(conv->k / conv->groups), nr = (size_t)kernels->nr;

    b.block_rows = (b.bf16 ? BLOCK_TILES_BF16 : BLOCK_TILES) * (size_t)kernels->mr;
    b.row_floats = b.bf16 ? nr / 2 : nr;
    b.depth = adl_conv_depth(conv);
    size_t chunks = adl_ceil_div(b.depth, ADL_GEMM_KC);
    b.chunk = adl_ceil_div(b.depth, chunks);
    b.panels = adl_ceil_div(channels, nr);
    b.rows = (size_t)conv->p * (size_t)conv->q;
    b.task_rows = b.block_rows;
    if (b.depth * b.panels * b.row_floats <= FEW_WEIGHTS &&
        b.rows >= WANTED_TASKS * FEW_WEIGHTS_BLOCKS * b.task_rows)
        b.task_rows *= FEW_WEIGHTS_BLOCKS;
    b.m_blocks = adl_ceil_div(b.rows, b.task_rows);
    size_t wanted = adl_ceil_div(WANTED_TASKS, b.m_blocks);
    b.panels_per_block = adl_ceil_div(b.panels, wanted);
    b.n_blocks = adl_ceil_div(b.panels, b.panels_per_block);
    return b;
}

static bool gemm_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                          const struct adl_kernels *kernels)
{
    return kernels->gemm && (self->precision == ADL_PRECISION_F32 || !conv->accumulate);
}

static double gemm_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                        const struct adl_kernels *kernels)
{
    bool bf16 = self->precision == ADL_PRECISION_BF16;
    double rows = (double)conv->p * conv->q, depth = (double)adl_conv_depth(conv);
    /* The last panel may need only one of the two vectors of a panel. */
    double columns = adl_cost_padded(conv->k / conv->groups, kernels->nr / 2) * conv->groups;
    double cost = fmax(rows, bf16 ? BF16_LOAD : ADL_COST_WEIGHT_LOAD) * depth * columns;
    if (bf16) { /* each weight is widened once for a block of rows */
        double block = BLOCK_TILES_BF16 * kernels->mr;
        cost += fmax(rows / block, 1) * depth * columns * WIDEN_WEIGHT;
    }
    return cost * adl_cost_narrow(conv) / ADL_COST_PRODUCT_FRACTION;
}

static size_t gemm_packed_floats(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                                 const struct adl_kernels *kernels)
{
    struct gemm_blocking b = gemm_blocking(self, conv, kernels);
    size_t epilogue = (b.bf16 ? 2 : 1) * (size_t)kernels->nr;
    return (size_t)conv->groups * b.panels * (b.depth * b.row_floats + epilogue);
}

/* Packs weights in bfloat16, row by row of the panels. */
static void gemm_pack_bf16(const struct adl_conv *conv, const struct adl_kernels *kernels,
                           const struct gemm_blocking *b, const float *weights, const float *scale,
                           const float *bias, float *packed)
{
    size_t nr = (size_t)kernels->nr, group_k = (size_t)(conv->k / conv->groups);
    size_t taps = (size_t)(conv->r * conv->s), channels = b->depth / taps;
    size_t panels = (size_t)conv->groups * b->panels;
    float *biases = packed + panels * b->depth * b->row_floats, *scales = biases + panels * nr;

    memset(biases, 0, 2 * panels * nr * sizeof *biases);
    for (size_t panel = 0; panel < panels; panel++) {
        size_t first = panel % b->panels * nr, k = panel / b->panels * group_k + first;
        size_t columns = ADL_MIN(nr, group_k - first);
        uint32_t *to = (uint32_t *)(void *)(packed + panel * b->depth * b->row_floats);
        for (size_t l = 0; l < b->depth; l++, to += nr / 2) {
            const float *from = weights + k * b->depth + l % channels * taps + l / channels;
            float row[MAX_COLUMNS] = {0};
            for (size_t j = 0; j < columns; j++)
                row[j] = from[j * b->depth];
            kernels->bf16->round(row, 1, nr, to);
        }
        memcpy(biases + panel * nr, bias + k, columns * sizeof *biases);
        memcpy(scales + panel * nr, scale + k, columns * sizeof *scales);
    }
}

static void gemm_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                      const struct adl_kernels *kernels, const float *weights, const float *scale,
                      const float *bias, float *packed)
{
    struct gemm_blocking b = gemm_blocking(self, conv, kernels);
    int nr = kernels->nr, group_c = conv->c / conv->groups, group_k = conv->k / conv->groups;
    float *biases = packed + (size_t)conv->groups * b.panels * b.depth * (size_t)nr;

    if (b.bf16) {
        gemm_pack_bf16(conv, kernels, &b, weights, scale, bias, packed);
        return;
    }
    memset(packed, 0, gemm_packed_floats(self, conv, kernels) * sizeof *packed);
    for (int k = 0; k < conv->k; k++) {
        int group = k / group_k, channel = k % group_k;
        size_t panel = (size_t)group * b.panels + (size_t)(channel / nr);
        int column = channel % nr;
        float *to = packed + panel * b.depth * (size_t)nr + column;
        const float *from = weights + (size_t)k * b.depth;
        for (int tap = 0; tap < conv->r * conv->s; tap++)
            for (int c = 0; c < group_c; c++, to += nr)
                *to = from[(ptrdiff_t)c * conv->r * conv->s + tap] * scale[k];
        biases[panel * (size_t)nr + (size_t)column] = bias[k];
    }
}

static size_t gemm_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels)
{
    struct gemm_blocking b = gemm_blocking(self, conv, kernels);
    return (size_t)conv->groups * b.m_blocks * b.n_blocks;
}

static size_t gemm_scratch_floats(const struct adl_conv_algorithm *self,
                                  const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    return gemm_blocking(self, conv, kernels).block_rows * ADL_GEMM_LDA;
}

/* Returns whether the rows of the left factor are read from the map without a copy. */
static bool gemm_in_place(const struct adl_conv *conv)
{
    return adl_conv_is_product(conv) && conv->ldx % SET_FLOATS != 0;
}

/* A part of the product: a block of rows times some panels of a group, for one chunk of
 * the depth. */
struct gemm_part {
    size_t group, row0, rows, panel0, panel1;
    size_t rows_after; /* rows of the same task that follow this block */
    size_t l, depth;   /* the chunk's first row of b, and its length */
    const float *a;    /* the block's rows of the left factor, from column l on */
    size_t lda;
};

/* `widened`: room for the chunk of a panel with bfloat16, else NULL. */
static void gemm_multiply(const struct adl_conv *conv, const struct adl_kernels *kernels,
                          const struct gemm_blocking *b, const float *packed,
                          const struct gemm_part *part, const float *residual, float *out,
                          float *widened)
{
    size_t nr = (size_t)kernels->nr, mr = (size_t)kernels->mr, all = b->depth;
    size_t channels = (size_t)(conv->k / conv->groups), panels = b->panels;
    const float *biases = packed + (size_t)conv->groups * panels * all * b->row_floats;
    const float *scales = biases + (size_t)conv->groups * panels * nr;
    bool last = part->l + part->depth == all;
    bool fetch_output = part->rows_after > 0 && all * panels * b->row_floats <= FEW_WEIGHTS;

    for (size_t panel = part->panel0; panel < part->panel1; panel++) {
        size_t column = part->group * channels + panel * nr;
        size_t index = part->group * panels + panel;
        const float *weights = packed + (index * all + part->l) * b->row_floats;
        struct adl_gemm_tile tile = {
            .lda = part->lda,
            .b = widened ? widened : weights,
            .depth = part->depth,
            .ldc = conv->ldo,
            .n = (int)ADL_MIN(nr, channels - panel * nr),
            .bias = biases + index * nr,
            .accumulate = conv->accumulate || part->l > 0,
            .ldr = conv->ldr,
            .lo = last ? conv->lo : -INFINITY,
            .hi = last ? conv->hi : INFINITY,
        };
        if (widened)
            kernels->bf16->widen((const uint32_t *)(const void *)weights, scales + index * nr,
                                 part->depth, nr, widened);
        for (size_t i = 0; i < part->rows; i += mr) {
            size_t row = part->row0 + i;
            tile.a = part->a + i * part->lda;
            tile.m = (int)ADL_MIN(mr, part->rows - i);
            /* While this tile is computed, a part of the next block's output or of the next
             * panel's weights is prefetched. */
            if (fetch_output) {
                size_t floats = mr * conv->ldo / panels;
                tile.next = out + (row + part->rows) * conv->ldo + panel * floats;
                tile.next_step = adl_ceil_div(floats, part->depth);
            } else if (panel + 1 < part->panel1) {
                tile.next_step = b->row_floats * mr / part->rows;
                tile.next = weights + all * b->row_floats + i / mr * part->depth * tile.next_step;
            }
            tile.c = out + row * conv->ldo + column;
            tile.residual = last && residual ? residual + row * conv->ldr + column : NULL;
            kernels->gemm(&tile);
        }
    }
}

/* A function of its own, so that only products with bfloat16 have the buffer on the stack. */
__attribute__((noinline)) static void gemm_multiply_bf16(
    const struct adl_conv *conv, const struct adl_kernels *kernels, const struct gemm_blocking *b,
    const float *packed, const struct gemm_part *part, const float *residual, float *out)
{
    _Alignas(64) float widened[ADL_GEMM_KC * MAX_COLUMNS];
    gemm_multiply(conv, kernels, b, packed, part, residual, out, widened);
}

static void gemm_multiply_part(const struct adl_conv *conv, const struct adl_kernels *kernels,
                               const struct gemm_blocking *b, const float *packed,
                               const struct gemm_part *part, const float *residual, float *out)
{
    if (b->bf16)
        gemm_multiply_bf16(conv, kernels, b, packed, part, residual, out);
    else
        gemm_multiply(conv, kernels, b, packed, part, residual, out, NULL);
}

/* Applies the activation to a block, whose depth is done. */
static void gemm_activate(const struct adl_conv *conv, const struct adl_kernels *kernels,
                          const struct gemm_part *part, float *out)
{
    size_t nr = (size_t)kernels->nr, channels = (size_t)(conv->k / conv->groups);
    size_t first = part->panel0 * nr, end = ADL_MIN(part->panel1 * nr, channels);
    adl_conv_activate(conv, kernels, out + part->row0 * conv->ldo + part->group * channels + first,
                      conv->ldo, part->rows, end - first);
}

/* Computes one block of a task over the whole depth. */
static void gemm_run_block(const struct adl_conv *conv, const struct adl_kernels *kernels,
                           const struct gemm_blocking *b, const float *packed,
                           struct gemm_part part, const float *x, const float *residual, float *out,
                           float *scratch)
{
    for (part.l = 0; part.l < b->depth; part.l += b->chunk) {
        part.depth = ADL_MIN(b->chunk, b->depth - part.l);
        if (gemm_in_place(conv)) {
            part.a = x + part.row0 * conv->ldx + part.group * b->depth + part.l;
            part.lda = conv->ldx;
        } else {
            adl_conv_copy_rows(conv, x, (int)part.group, part.row0, part.rows, part.l, part.depth,
                               scratch, ADL_GEMM_LDA);
        }
        gemm_multiply_part(conv, kernels, b, packed, &part, residual, out);
    }
    gemm_activate(conv, kernels, &part, out);
}

static void gemm_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                     const struct adl_kernels *kernels, const float *packed, const float *x,
                     const float *residual, float *out, size_t task, float *scratch)
{
    struct gemm_blocking b = gemm_blocking(self, conv, kernels);
    size_t in_group = task % (b.m_blocks * b.n_blocks);
    size_t row0 = in_group / b.n_blocks * b.task_rows;
    size_t row1 = ADL_MIN(row0 + b.task_rows, b.rows);
    struct gemm_part part = {
        .group = task / (b.m_blocks * b.n_blocks),
        .panel0 = in_group % b.n_blocks * b.panels_per_block,
        .a = scratch,
        .lda = ADL_GEMM_LDA,
    };
    part.panel1 = ADL_MIN(part.panel0 + b.panels_per_block, b.panels);

    for (part.row0 = row0; part.row0 < row1; part.row0 += part.rows) {
        part.rows = ADL_MIN(b.block_rows, row1 - part.row0);
        part.rows_after = row1 - part.row0 - part.rows;
        gemm_run_block(conv, kernels, &b, packed, part, x, residual, out, scratch);
    }
}

void adl_gemm_rows(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                   const struct adl_kernels *kernels, const float *packed, const float *a,
                   size_t lda, size_t row0, size_t rows, const float *residual, float *out)
{
    struct gemm_blocking b = gemm_blocking(self, conv, kernels);
    size_t block = b.block_rows;

    for (size_t i = 0; i < rows; i += block) {
        struct gemm_part part = {
            .row0 = row0 + i,
            .rows = ADL_MIN(block, rows - i),
            .rows_after = rows - ADL_MIN(i + block, rows),
            .panel1 = b.panels,
            .lda = lda,
        };
        for (; part.l < b.depth; part.l += b.chunk) {
            part.depth = ADL_MIN(b.chunk, b.depth - part.l);
            part.a = a + i * lda + part.l;
            gemm_multiply_part(conv, kernels, &b, packed, &part, residual, out);
        }
        gemm_activate(conv, kernels, &part, out);
    }
}

#define GEMM_FUNCTIONS                                                                             \
    .activates = true, .supports = gemm_supports, .cost = gemm_cost,                               \
    .packed_floats = gemm_packed_floats, .pack = gemm_pack, .tasks = gemm_tasks,                   \
    .scratch_floats = gemm_scratch_floats, .run = gemm_run

const struct adl_conv_algorithm adl_conv_gemm = {.name = "gemm", GEMM_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_gemm_bf16 = {
    .name = "gemm-bf16", .precision = ADL_PRECISION_BF16, GEMM_FUNCTIONS};
