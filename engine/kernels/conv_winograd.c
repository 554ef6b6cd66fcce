/* Winograd convolution of 3x3 kernels at stride 1 (formulas: winograd.h).
 *
 * The output falls into tiles of m x m pixels, in row-major order. Transformed,
 * a block of tiles is multiplied position by position (tiles as rows, that
 * position's weights: tiles x C by C x K) and transformed back. Position by
 * position, so that each weight is read once for a block and the product's
 * operands stay in the nearer caches even where all the transformed tiles do
 * not.
 *
 * A large map is many blocks, each a task that does all three. A small one is
 * a single block, whose weights are what takes time: `prepare` transforms it
 * once, and the tasks are slices of the output channels.
 *
 * Weights are transformed once, and lie in the order of their use: for each
 * slice, position, chunk of the depth and panel of nr output channels, the
 * chunk's rows of nr floats, zero beyond the last channel. The biases, padded
 * alike, follow. */

#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"
#include "kernels/winograd.h"

#define LINE_FLOATS 16
/* The product's depth is cut into chunks whose rows stay in the L1 cache. */
#define CHUNK 256
/* Bytes of a block's transformed input and output: they stay in the L2 cache
 * with room for the weights that pass through. */
#define BLOCK_BYTES 600000
/* Tiles that a block has at least, so that loading a weight is worth it. */
#define BLOCK_TILES 28
/* A map of at most so many tiles is one block. */
#define SINGLE_BLOCK_TILES 64
/* Tasks of a single block, where the output channels suffice; blocks of a
 * larger map are a multiple of it until there are this many times as many. */
#define WANTED_TASKS 8
#define MANY_TASKS 4
/* Tiles in a task of `prepare`. */
#define PREPARE_TILES 4

/* What is different between F(4x4) and F(6x6). */
struct variant {
    int m, n; /* sides of a tile of the output, of the input */
    double points[7];
    void (*input)(const struct adl_winograd_kernels *kernels, const struct adl_winograd_input *t);
    void (*output)(const struct adl_winograd_kernels *kernels, const struct adl_winograd_output *t);
};

struct blocking {
    size_t positions;
    size_t tiles, tiles_across;
    size_t blocks, block_tiles;
    size_t panels, slices, slice_panels;
    size_t chunk;    /* of the depth */
    size_t ldv, ldm; /* floats from tile to tile: transformed input, product */
};

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static size_t round_up(size_t a, size_t b)
{
    return divide_up(a, b) * b;
}

static struct blocking blocking(const struct variant *f, const struct adl_conv *v,
                                const struct adl_kernels *kernels)
{
    struct blocking b;
    size_t m = (size_t)f->m, nr = (size_t)kernels->winograd->nr;
    size_t c = (size_t)v->c, k = (size_t)v->k;

    b.positions = (size_t)f->n * (size_t)f->n;
    b.tiles_across = divide_up((size_t)v->q, m);
    b.tiles = b.tiles_across * divide_up((size_t)v->p, m);
    b.panels = divide_up(k, nr);
    if (b.tiles <= SINGLE_BLOCK_TILES) {
        b.blocks = 1;
        b.slice_panels = divide_up(b.panels, WANTED_TASKS);
    } else {
        size_t most = BLOCK_BYTES / sizeof(float) / (b.positions * (c + k));
        b.blocks = divide_up(b.tiles, ADL_MAX(most, BLOCK_TILES));
        if (b.blocks < MANY_TASKS * WANTED_TASKS)
            b.blocks = round_up(b.blocks, WANTED_TASKS);
        b.slice_panels = b.panels;
    }
    b.block_tiles = divide_up(b.tiles, b.blocks);
    b.blocks = divide_up(b.tiles, b.block_tiles);
    b.slices = divide_up(b.panels, b.slice_panels);
    b.chunk = divide_up(c, divide_up(c, CHUNK));
    /* A line more than needed: rows fall into different cache sets. */
    b.ldv = round_up(c, LINE_FLOATS) + LINE_FLOATS;
    b.ldm = b.slice_panels * nr + LINE_FLOATS;
    return b;
}

static bool supports(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    return kernels->winograd && v->r == 3 && v->s == 3 && v->stride == 1 && v->groups == 1 &&
           !v->accumulate;
}

static size_t weight_floats(const struct blocking *b, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    return b->positions * b->panels * (size_t)v->c * (size_t)kernels->winograd->nr;
}

static size_t packed_floats(const struct variant *f, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    struct blocking b = blocking(f, v, kernels);
    return weight_floats(&b, v, kernels) + b.panels * (size_t)kernels->winograd->nr;
}

/* G: for each point 3 numbers. */
static void kernel_matrix(const struct variant *f, double g[8][3])
{
    int last = f->n - 1;
    for (int i = 0; i < last; i++) {
        double x = f->points[i], product = 1;
        for (int j = 0; j < last; j++)
            if (j != i)
                product *= x - f->points[j];
        g[i][0] = 1 / product;
        g[i][1] = x / product;
        g[i][2] = x * x / product;
    }
    g[last][0] = g[last][1] = 0;
    g[last][2] = 1;
}

/* Where the weights of one position, panel and input channel are: a vector of
 * nr output channels. */
static size_t weight_offset(const struct blocking *b, size_t channels, size_t nr, size_t position,
                            size_t panel, size_t c)
{
    size_t first = panel / b->slice_panels * b->slice_panels;
    size_t slice_panels = ADL_MIN(b->slice_panels, b->panels - first);
    size_t chunk = c / b->chunk * b->chunk, depth = ADL_MIN(b->chunk, channels - chunk);
    size_t rows = first * b->positions * channels; /* of the slices before */
    rows += position * slice_panels * channels;
    rows += chunk * slice_panels + (panel - first) * depth + (c - chunk);
    return rows * nr;
}

static void pack(const struct variant *f, const struct adl_conv *v,
                 const struct adl_kernels *kernels, const float *weights, const float *scale,
                 const float *bias, float *packed)
{
    struct blocking b = blocking(f, v, kernels);
    size_t nr = (size_t)kernels->winograd->nr, c_count = (size_t)v->c, k_count = (size_t)v->k;
    float *biases = packed + weight_floats(&b, v, kernels);
    double g[8][3];

    kernel_matrix(f, g);
    memset(packed, 0, packed_floats(f, v, kernels) * sizeof *packed);
    memcpy(biases, bias, k_count * sizeof *biases);
    for (size_t k = 0; k < k_count; k++)
        for (size_t c = 0; c < c_count; c++) {
            const float *w = weights + (k * c_count + c) * 9;
            float *to = packed + weight_offset(&b, c_count, nr, 0, k / nr, c) + k % nr;
            size_t step = weight_offset(&b, c_count, nr, 1, k / nr, c) -
                          weight_offset(&b, c_count, nr, 0, k / nr, c);
            for (int i = 0; i < f->n; i++) {
                double row[3];
                for (int s = 0; s < 3; s++)
                    row[s] =
                        (double)scale[k] * (g[i][0] * (double)w[s] + g[i][1] * (double)w[3 + s] +
                                            g[i][2] * (double)w[6 + s]);
                for (int j = 0; j < f->n; j++, to += step)
                    *to = (float)(row[0] * g[j][0] + row[1] * g[j][1] + row[2] * g[j][2]);
            }
        }
}

static size_t tasks(const struct variant *f, const struct adl_conv *v,
                    const struct adl_kernels *kernels)
{
    struct blocking b = blocking(f, v, kernels);
    return b.blocks * b.slices;
}

static size_t transformed_floats(const struct blocking *b)
{
    return b->positions * b->block_tiles * b->ldv;
}

/* A row of zeros for the padding, and one block: transformed (unless that is
 * shared), multiplied. */
static size_t scratch_floats(const struct variant *f, const struct adl_conv *v,
                             const struct adl_kernels *kernels)
{
    struct blocking b = blocking(f, v, kernels);
    return b.ldv + (b.blocks > 1 ? transformed_floats(&b) : 0) +
           b.positions * b.block_tiles * b.ldm;
}

static size_t shared_floats(const struct variant *f, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    struct blocking b = blocking(f, v, kernels);
    return b.blocks > 1 ? 0 : transformed_floats(&b);
}

static size_t prepare_tasks(const struct variant *f, const struct adl_conv *v,
                            const struct adl_kernels *kernels)
{
    struct blocking b = blocking(f, v, kernels);
    return b.blocks > 1 ? 0 : divide_up(b.tiles, PREPARE_TILES);
}

static void transform_input(const struct variant *f, const struct adl_conv *v,
                            const struct adl_kernels *kernels, const struct blocking *b,
                            const float *x, size_t tile0, size_t tiles, float *zeros, float *to)
{
    const float *pixels[ADL_WINOGRAD_MAX_POSITIONS];
    struct adl_winograd_input job = {
        .pixels = pixels,
        .channels = (size_t)v->c,
        .step = b->block_tiles * b->ldv,
    };

    memset(zeros, 0, b->ldv * sizeof *zeros);
    for (size_t t = 0; t < tiles; t++) {
        int top = (int)((tile0 + t) / b->tiles_across) * f->m - v->pad_top;
        int left = (int)((tile0 + t) % b->tiles_across) * f->m - v->pad_left;
        for (int i = 0; i < f->n; i++)
            for (int j = 0; j < f->n; j++) {
                int y = top + i, z = left + j;
                bool inside = y >= 0 && y < v->h && z >= 0 && z < v->w;
                pixels[i * f->n + j] =
                    inside ? x + ((size_t)y * (size_t)v->w + (size_t)z) * v->ldx : zeros;
            }
        job.v = to + t * b->ldv;
        f->input(kernels->winograd, &job);
    }
}

static void multiply(const struct adl_conv *v, const struct adl_kernels *kernels,
                     const struct blocking *b, const float *weights, size_t panels, size_t tiles,
                     const float *from, float *to)
{
    size_t c = (size_t)v->c, nr = (size_t)kernels->winograd->nr;

    for (size_t i = 0; i < b->positions; i++)
        for (size_t l = 0; l < c; l += b->chunk)
            for (size_t panel = 0; panel < panels; panel++) {
                struct adl_winograd_product product = {
                    .a = from + i * b->block_tiles * b->ldv + l,
                    .lda = b->ldv,
                    .rows = tiles,
                    .b = weights,
                    .depth = ADL_MIN(b->chunk, c - l),
                    .c = to + i * b->block_tiles * b->ldm + panel * nr,
                    .ldc = b->ldm,
                    .accumulate = l > 0,
                };
                kernels->winograd->product(&product);
                weights += product.depth * nr;
            }
}

static void transform_output(const struct variant *f, const struct adl_conv *v,
                             const struct adl_kernels *kernels, const struct blocking *b,
                             const float *biases, size_t tile0, size_t tiles, size_t k0,
                             const float *from, const float *residual, float *out)
{
    size_t nr = (size_t)kernels->winograd->nr, q = (size_t)v->q;
    struct adl_winograd_output job = {
        .step = b->block_tiles * b->ldm,
        .bias = biases + k0,
        .ldo = v->ldo,
        .out_row = q * v->ldo,
        .ldr = v->ldr,
        .residual_row = q * v->ldr,
        .channels = ADL_MIN(b->slice_panels * nr, (size_t)v->k - k0),
        .lo = v->lo,
        .hi = v->hi,
    };
    for (size_t t = 0; t < tiles; t++) {
        int p0 = (int)((tile0 + t) / b->tiles_across) * f->m;
        int q0 = (int)((tile0 + t) % b->tiles_across) * f->m;
        size_t pixel = (size_t)p0 * q + (size_t)q0;
        job.m = from + t * b->ldm;
        job.out = out + pixel * v->ldo + k0;
        job.residual = residual ? residual + pixel * v->ldr + k0 : NULL;
        job.rows = ADL_MIN(f->m, v->p - p0);
        job.columns = ADL_MIN(f->m, v->q - q0);
        f->output(kernels->winograd, &job);
    }
}

static void prepare(const struct variant *f, const struct adl_conv *v,
                    const struct adl_kernels *kernels, const float *x, float *shared, size_t task,
                    float *scratch)
{
    struct blocking b = blocking(f, v, kernels);
    size_t tile0 = task * PREPARE_TILES;
    transform_input(f, v, kernels, &b, x, tile0, ADL_MIN(PREPARE_TILES, b.tiles - tile0), scratch,
                    shared + tile0 * b.ldv);
}

static void run(const struct variant *f, const struct adl_conv *v,
                const struct adl_kernels *kernels, const float *packed, const float *x,
                const float *residual, float *out, size_t task, float *scratch)
{
    struct blocking b = blocking(f, v, kernels);
    size_t nr = (size_t)kernels->winograd->nr;
    size_t tile0 = task / b.slices * b.block_tiles;
    size_t tiles = ADL_MIN(b.block_tiles, b.tiles - tile0);
    size_t panel0 = task % b.slices * b.slice_panels;
    size_t panels = ADL_MIN(b.slice_panels, b.panels - panel0);
    float *zeros = scratch, *products = zeros + b.ldv;

    if (b.blocks > 1) {
        float *transformed = products;
        products += transformed_floats(&b);
        transform_input(f, v, kernels, &b, x, tile0, tiles, zeros, transformed);
        x = transformed;
    }
    multiply(v, kernels, &b, packed + weight_offset(&b, (size_t)v->c, nr, 0, panel0, 0), panels,
             tiles, x, products);
    transform_output(f, v, kernels, &b, packed + weight_floats(&b, v, kernels), tile0, tiles,
                     panel0 * nr, products, residual, out);
}

/* --- the two algorithms ----------------------------------------------------------- */

#define ALGORITHM(M)                                                                               \
    static void input##M(const struct adl_winograd_kernels *k, const struct adl_winograd_input *t) \
    {                                                                                              \
        k->input##M(t);                                                                            \
    }                                                                                              \
    static void output##M(const struct adl_winograd_kernels *k,                                    \
                          const struct adl_winograd_output *t)                                     \
    {                                                                                              \
        k->output##M(t);                                                                           \
    }                                                                                              \
    static const struct variant f##M = {M, M + 2, ADL_WINOGRAD_F##M##_POINTS, input##M,            \
                                        output##M};                                                \
    static size_t packed_floats##M(const struct adl_conv *v, const struct adl_kernels *kernels)    \
    {                                                                                              \
        return packed_floats(&f##M, v, kernels);                                                   \
    }                                                                                              \
    static void pack##M(const struct adl_conv *v, const struct adl_kernels *kernels,               \
                        const float *weights, const float *scale, const float *bias,               \
                        float *packed)                                                             \
    {                                                                                              \
        pack(&f##M, v, kernels, weights, scale, bias, packed);                                     \
    }                                                                                              \
    static size_t tasks##M(const struct adl_conv *v, const struct adl_kernels *kernels)            \
    {                                                                                              \
        return tasks(&f##M, v, kernels);                                                           \
    }                                                                                              \
    static size_t scratch_floats##M(const struct adl_conv *v, const struct adl_kernels *kernels)   \
    {                                                                                              \
        return scratch_floats(&f##M, v, kernels);                                                  \
    }                                                                                              \
    static size_t shared_floats##M(const struct adl_conv *v, const struct adl_kernels *kernels)    \
    {                                                                                              \
        return shared_floats(&f##M, v, kernels);                                                   \
    }                                                                                              \
    static size_t prepare_tasks##M(const struct adl_conv *v, const struct adl_kernels *kernels)    \
    {                                                                                              \
        return prepare_tasks(&f##M, v, kernels);                                                   \
    }                                                                                              \
    static void prepare##M(const struct adl_conv *v, const struct adl_kernels *kernels,            \
                           const float *x, float *shared, size_t task, float *scratch)             \
    {                                                                                              \
        prepare(&f##M, v, kernels, x, shared, task, scratch);                                      \
    }                                                                                              \
    static void run##M(const struct adl_conv *v, const struct adl_kernels *kernels,                \
                       const float *packed, const float *x, const float *residual, float *out,     \
                       size_t task, float *scratch)                                                \
    {                                                                                              \
        run(&f##M, v, kernels, packed, x, residual, out, task, scratch);                           \
    }                                                                                              \
    const struct adl_conv_algorithm adl_conv_winograd##M = {                                       \
        .name = "winograd" #M,                                                                     \
        .supports = supports,                                                                      \
        .packed_floats = packed_floats##M,                                                         \
        .pack = pack##M,                                                                           \
        .tasks = tasks##M,                                                                         \
        .scratch_floats = scratch_floats##M,                                                       \
        .shared_floats = shared_floats##M,                                                         \
        .prepare_tasks = prepare_tasks##M,                                                         \
        .prepare = prepare##M,                                                                     \
        .run = run##M,                                                                             \
    };

ALGORITHM(4)
ALGORITHM(6)
