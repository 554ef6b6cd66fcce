/* A dense 1x1 convolution as a product by Strassen's algorithm (V. Strassen,
 * Gaussian elimination is not optimal, 1969): cut into halves along rows, depth
 * and columns, seven products of sums of the parts do for eight. What it costs
 * is error (a few times that of the plain sum) and additions, and most of these
 * are hidden:
 *
 * - sums of the weights are made when they are packed,
 * - sums of the input are made while a block of it is copied,
 * - each product is added to the parts of the output that want it straight from
 *   the registers of the tile that made it.
 *
 * A task is a block of rows times some panels of a half's columns. What the
 * second half lacks where a number is odd counts as zero. Cutting the halves
 * again was slower: the products become too small for the additions. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernels/conv.h"

/* Row tiles of a task at most, and panels that make the copying worth while. */
#define BLOCK_TILES 4
#define BLOCK_PANELS 8
#define WANTED_TASKS 8
#define PRODUCTS 7

/* A part of a factor or of the result; sign 0: none. */
struct term {
    signed char row, column, sign;
};

/* What each product takes of the left and the right factor, and what of the
 * result it is added to. */
static const struct {
    struct term left[2], right[2], result[2];
} products[PRODUCTS] = {
    {{{0, 0, 1}, {1, 1, 1}}, {{0, 0, 1}, {1, 1, 1}}, {{0, 0, 1}, {1, 1, 1}}},
    {{{1, 0, 1}, {1, 1, 1}}, {{0, 0, 1}}, {{1, 0, 1}, {1, 1, -1}}},
    {{{0, 0, 1}}, {{0, 1, 1}, {1, 1, -1}}, {{0, 1, 1}, {1, 1, 1}}},
    {{{1, 1, 1}}, {{1, 0, 1}, {0, 0, -1}}, {{0, 0, 1}, {1, 0, 1}}},
    {{{0, 0, 1}, {0, 1, 1}}, {{1, 1, 1}}, {{0, 0, -1}, {0, 1, 1}}},
    {{{1, 0, 1}, {0, 0, -1}}, {{0, 0, 1}, {0, 1, 1}}, {{1, 1, 1}}},
    {{{0, 1, 1}, {1, 1, -1}}, {{1, 0, 1}, {1, 1, 1}}, {{0, 0, 1}}},
};

/* The products that come first and last to each part of the result. */
static const int first[2][2] = {{0, 2}, {1, 0}}, last[2][2] = {{6, 4}, {3, 5}};

struct blocking {
    size_t rows;        /* output pixels */
    size_t depth;       /* of a half */
    size_t half_rows;   /* of a task's block */
    size_t half_panels; /* of a half's columns */
    size_t m_blocks, n_blocks, panels_per_block;
};

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static struct blocking blocking(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = {.rows = (size_t)v->p * (size_t)v->q, .depth = ceil_div((size_t)v->c, 2)};
    b.m_blocks = ceil_div(b.rows, BLOCK_TILES * (size_t)kernels->mr);
    b.half_rows = ceil_div(ceil_div(b.rows, b.m_blocks), 2);
    b.m_blocks = ceil_div(b.rows, 2 * b.half_rows);
    b.half_panels = ceil_div(ceil_div((size_t)v->k, (size_t)kernels->nr), 2);
    size_t wanted = ceil_div(WANTED_TASKS, b.m_blocks);
    b.n_blocks = ADL_MIN(wanted, ADL_MAX(b.half_panels / BLOCK_PANELS, 1));
    b.panels_per_block = ceil_div(b.half_panels, b.n_blocks);
    b.n_blocks = ceil_div(b.half_panels, b.panels_per_block);
    return b;
}

static bool supports(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    return kernels->gemm_spread && v->r == 1 && v->s == 1 && v->stride == 1 && v->groups == 1 &&
           v->pad_top == 0 && v->pad_left == 0 && v->p == v->h && v->q == v->w && !v->accumulate &&
           v->c > 1;
}

/* --- weights -------------------------------------------------------------------- */

/* Panels of all products, each depth rows of nr floats; then biases by half of
 * the columns, padded to whole panels. */
static size_t product_floats(const struct blocking *b, const struct adl_kernels *kernels)
{
    return b->half_panels * b->depth * (size_t)kernels->nr;
}

static size_t packed_floats(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(v, kernels);
    return PRODUCTS * product_floats(&b, kernels) + 2 * b.half_panels * (size_t)kernels->nr;
}

/* Adds a part of the weights to a product's panels. */
static void pack_term(const struct adl_conv *v, const struct blocking *b, size_t nr,
                      struct term term, const float *weights, const float *scale, float *panels)
{
    size_t l0 = term.row ? b->depth : 0, k0 = term.column ? b->half_panels * nr : 0;
    size_t c = (size_t)v->c, k1 = ADL_MIN((size_t)v->k, k0 + b->half_panels * nr);
    size_t depth = ADL_MIN(b->depth, c - l0);

    for (size_t k = k0; k < k1; k++) {
        const float *from = weights + k * c + l0;
        float factor = scale[k] * (float)term.sign;
        float *to = panels + (k - k0) / nr * b->depth * nr + (k - k0) % nr;
        for (size_t l = 0; l < depth; l++)
            to[l * nr] += from[l] * factor;
    }
}

static void pack(const struct adl_conv *v, const struct adl_kernels *kernels, const float *weights,
                 const float *scale, const float *bias, float *packed)
{
    struct blocking b = blocking(v, kernels);
    size_t floats = product_floats(&b, kernels);

    memset(packed, 0, packed_floats(v, kernels) * sizeof *packed);
    for (int i = 0; i < PRODUCTS; i++)
        for (int t = 0; t < 2; t++)
            if (products[i].right[t].sign)
                pack_term(v, &b, (size_t)kernels->nr, products[i].right[t], weights, scale,
                          packed + (size_t)i * floats);
    memcpy(packed + PRODUCTS * floats, bias, (size_t)v->k * sizeof *packed);
}

/* --- running ---------------------------------------------------------------------- */

static size_t tasks(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(v, kernels);
    return b.m_blocks * b.n_blocks;
}

/* Between the rows of a copied half, so that they fall into different sets. */
static size_t copy_ld(const struct blocking *b)
{
    return ceil_div(b->depth, 16) * 16 + 16;
}

static size_t scratch_floats(const struct adl_conv *v, const struct adl_kernels *kernels)
{
    struct blocking b = blocking(v, kernels);
    return b.half_rows * copy_ld(&b);
}

struct run {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    struct blocking b;
    const float *packed, *x, *residual;
    float *out, *scratch;
    size_t row0; /* of the block */
};

/* Rows of a half of the block that exist. */
static size_t rows_of(const struct run *run, int half)
{
    size_t from = ADL_MIN(run->row0 + (half ? run->b.half_rows : 0), run->b.rows);
    return ADL_MIN(run->b.half_rows, run->b.rows - from);
}

/* The left factor of a product, into scratch. */
static void mix(const struct run *run, const struct term terms[2])
{
    size_t c = (size_t)run->conv->c;
    struct adl_mix job = {
        .terms = terms[1].sign ? 2 : 1,
        .ldx = run->conv->ldx,
        .out = run->scratch,
        .ldo = copy_ld(&run->b),
        .rows = run->b.half_rows,
        .count = run->b.depth,
    };
    for (int t = 0; t < job.terms; t++) {
        size_t l0 = terms[t].column ? run->b.depth : 0;
        size_t row = run->row0 + (terms[t].row ? run->b.half_rows : 0);
        job.x_rows[t] = rows_of(run, terms[t].row);
        job.x_count[t] = ADL_MIN(run->b.depth, c - l0);
        job.x[t] = job.x_rows[t] ? run->x + row * run->conv->ldx + l0 : run->x;
        job.sign[t] = terms[t].sign;
    }
    run->kernels->mix(&job);
}

/* Where a tile of a product goes; how many places there are. */
static int targets_of(const struct run *run, int product, size_t row, size_t panel,
                      struct adl_gemm_target targets[2])
{
    const struct adl_conv *v = run->conv;
    size_t nr = (size_t)run->kernels->nr, k = (size_t)v->k;
    const float *biases = run->packed + PRODUCTS * product_floats(&run->b, run->kernels);
    int count = 0;

    for (int t = 0; t < 2; t++) {
        struct term to = products[product].result[t];
        size_t rows = rows_of(run, to.row), pixel = run->row0 + row;
        size_t column = (panel + (to.column ? run->b.half_panels : 0)) * nr;
        if (!to.sign || row >= rows || column >= k)
            continue;
        if (to.row)
            pixel += run->b.half_rows;
        bool ends = last[to.row][to.column] == product;
        targets[count++] = (struct adl_gemm_target){
            .c = run->out + pixel * v->ldo + column,
            .m = (int)ADL_MIN(rows - row, (size_t)run->kernels->mr),
            .n = (int)ADL_MIN(nr, k - column),
            .sign = to.sign,
            .bias = first[to.row][to.column] == product ? biases + column : NULL,
            .residual = ends && run->residual ? run->residual + pixel * v->ldr + column : NULL,
            .lo = ends ? v->lo : -INFINITY,
            .hi = ends ? v->hi : INFINITY,
        };
    }
    return count;
}

static void multiply(const struct run *run, int product, size_t panel0, size_t panel1)
{
    size_t nr = (size_t)run->kernels->nr, mr = (size_t)run->kernels->mr;
    size_t rows = run->b.half_rows, depth = run->b.depth;
    const float *panels = run->packed + (size_t)product * product_floats(&run->b, run->kernels);

    mix(run, products[product].left);
    for (size_t panel = panel0; panel < panel1; panel++) {
        struct adl_gemm_tile tile = {
            .lda = copy_ld(&run->b),
            .b = panels + panel * depth * nr,
            .depth = depth,
            .ldc = run->conv->ldo,
            .ldr = run->conv->ldr,
        };
        for (size_t row = 0; row < rows; row += mr) {
            struct adl_gemm_target targets[2];
            int count = targets_of(run, product, row, panel, targets);
            tile.a = run->scratch + row * tile.lda;
            tile.m = (int)ADL_MIN(mr, rows - row);
            if (panel + 1 < panel1) {
                tile.next_step = nr * mr / rows;
                tile.next = tile.b + depth * nr + row / mr * depth * tile.next_step;
            }
            if (count)
                run->kernels->gemm_spread(&tile, targets, count);
        }
    }
}

static void run(const struct adl_conv *v, const struct adl_kernels *kernels, const float *packed,
                const float *x, const float *residual, float *out, size_t task, float *scratch)
{
    struct run run = {v, kernels, blocking(v, kernels), packed, x, residual, out, scratch, 0};
    size_t panel0 = task % run.b.n_blocks * run.b.panels_per_block;
    size_t panel1 = ADL_MIN(panel0 + run.b.panels_per_block, run.b.half_panels);

    run.row0 = task / run.b.n_blocks * run.b.half_rows * 2;
    for (int product = 0; product < PRODUCTS; product++)
        multiply(&run, product, panel0, panel1);
}

const struct adl_conv_algorithm adl_conv_strassen = {
    .name = "strassen",
    .supports = supports,
    .packed_floats = packed_floats,
    .pack = pack,
    .tasks = tasks,
    .scratch_floats = scratch_floats,
    .run = run,
};
