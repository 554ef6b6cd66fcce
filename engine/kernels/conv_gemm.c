/* Convolution as an implicit matrix product on our own tile kernel:
 * rows are output pixels, columns output channels, the depth (r, s, c).
 *
 * Weights are packed once: for each group and each panel of nr channels, depth
 * rows of nr floats, zero beyond the last channel; the biases, padded alike,
 * follow. A task is a block of rows times a block of panels. For each chunk of
 * the depth it copies its rows of the input next to each other (so that they
 * stay in the nearest cache whatever the map's stride) and runs the tiles,
 * adding to what the chunk before left in the output; the last chunk ends with
 * residual and clamp. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* Row tiles of a task: a packed panel chunk is used this often from the
 * nearest cache. */
#define BLOCK_TILES 4
/* Enough tasks to keep a few threads evenly busy. */
#define WANTED_TASKS 8

struct blocking {
    size_t depth, chunk;   /* all of the depth; the part done at a time */
    size_t panels;         /* of nr channels, per group */
    size_t rows, m_blocks; /* output pixels; blocks of BLOCK_TILES tiles */
    size_t n_blocks, panels_per_block;
};

static struct blocking blocking(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b;
    size_t channels = (size_t)(v->k / v->groups), nr = (size_t)kernels->nr;
    size_t block_rows = BLOCK_TILES * (size_t)kernels->mr;

    b.depth = (size_t)(v->c / v->groups) * (size_t)v->r * (size_t)v->s;
    size_t chunks = (b.depth + ADL_GEMM_KC - 1) / ADL_GEMM_KC;
    b.chunk = (b.depth + chunks - 1) / chunks;
    b.panels = (channels + nr - 1) / nr;
    b.rows = (size_t)v->p * (size_t)v->q;
    b.m_blocks = (b.rows + block_rows - 1) / block_rows;
    size_t wanted = (WANTED_TASKS + b.m_blocks - 1) / b.m_blocks;
    b.panels_per_block = (b.panels + wanted - 1) / wanted;
    b.n_blocks = (b.panels + b.panels_per_block - 1) / b.panels_per_block;
    return b;
}

static bool supports(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    (void)v;
    return kernels->gemm != NULL;
}

static size_t packed_floats(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(v, kernels);
    return (size_t)v->groups * b.panels * (size_t)kernels->nr * (b.depth + 1);
}

static void pack(const struct adl_conv *v, const struct adl_kernels *kernels, const float *weights,
                 const float *scale, const float *bias, float *packed)
{
    struct blocking b = blocking(v, kernels);
    int nr = kernels->nr, group_c = v->c / v->groups, group_k = v->k / v->groups;
    float *biases = packed + (size_t)v->groups * b.panels * b.depth * (size_t)nr;

    memset(packed, 0, packed_floats(v, kernels) * sizeof *packed);
    for (int k = 0; k < v->k; k++) {
        int group = k / group_k, channel = k % group_k;
        size_t panel = (size_t)group * b.panels + (size_t)(channel / nr);
        int column = channel % nr;
        float *to = packed + panel * b.depth * (size_t)nr + column;
        const float *from = weights + (size_t)k * b.depth;
        for (int tap = 0; tap < v->r * v->s; tap++)
            for (int c = 0; c < group_c; c++, to += nr)
                *to = from[(ptrdiff_t)c * v->r * v->s + tap] * scale[k];
        biases[panel * (size_t)nr + (size_t)column] = bias[k];
    }
}

static size_t tasks(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(v, kernels);
    return (size_t)v->groups * b.m_blocks * b.n_blocks;
}

static size_t scratch_floats(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    (void)v;
    return BLOCK_TILES * (size_t)kernels->mr * ADL_GEMM_LDA;
}

static void run(const struct adl_conv *v, const struct adl_kernels *kernels, const float *packed,
                const float *x, const float *residual, float *out, size_t task, float *scratch)
{
    struct blocking b = blocking(v, kernels);
    size_t nr = (size_t)kernels->nr, mr = (size_t)kernels->mr;
    size_t group = task / (b.m_blocks * b.n_blocks);
    size_t block = task % (b.m_blocks * b.n_blocks);
    size_t row0 = block / b.n_blocks * BLOCK_TILES * mr;
    size_t rows = ADL_MIN(BLOCK_TILES * mr, b.rows - row0);
    size_t panel0 = block % b.n_blocks * b.panels_per_block;
    size_t panel1 = ADL_MIN(panel0 + b.panels_per_block, b.panels);
    size_t channels = (size_t)(v->k / v->groups);
    const float *biases = packed + (size_t)v->groups * b.panels * b.depth * nr;

    for (size_t l = 0; l < b.depth; l += b.chunk) {
        size_t depth = ADL_MIN(b.chunk, b.depth - l);
        bool last = l + depth == b.depth;
        adl_conv_copy_rows(v, x, (int)group, row0, rows, l, depth, scratch, ADL_GEMM_LDA);
        for (size_t panel = panel0; panel < panel1; panel++) {
            size_t column = group * channels + panel * nr;
            size_t index = group * b.panels + panel;
            struct adl_gemm_tile tile = {
                .b = packed + (index * b.depth + l) * nr,
                .depth = depth,
                .ldc = v->ldo,
                .n = (int)ADL_MIN(nr, channels - panel * nr),
                .bias = biases + index * nr,
                .accumulate = v->accumulate || l > 0,
                .ldr = v->ldr,
                .lo = last ? v->lo : -INFINITY,
                .hi = last ? v->hi : INFINITY,
            };
            for (size_t i = 0; i < rows; i += mr) {
                tile.a = scratch + i * ADL_GEMM_LDA;
                tile.m = (int)ADL_MIN(mr, rows - i);
                tile.c = out + (row0 + i) * v->ldo + column;
                tile.residual = last && residual ? residual + (row0 + i) * v->ldr + column : NULL;
                kernels->gemm(&tile);
            }
        }
    }
}

const struct adl_conv_algorithm adl_conv_gemm = {
    .name = "gemm",
    .supports = supports,
    .packed_floats = packed_floats,
    .pack = pack,
    .tasks = tasks,
    .scratch_floats = scratch_floats,
    .run = run,
};
