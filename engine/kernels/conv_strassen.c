/* Computes dense 1x1 convolutions between many channels by Strassen's algorithm (formulas:
 * strassen.h).
 *
 * The convolution is the product of a map of P Q rows x C (the left factor) and the weights,
 * C x K (the right factor). Rows, depth and columns are each cut into halves; seven products
 * of sums of quarters then do the work of eight, and with a second level, in which each of
 * the seven is cut again, 49 products do the work of 64. The price is rounding error (a few
 * times that of the plain sum), larger weights (7/4 or 49/16 of their size) and additions,
 * which are kept out of memory as far as possible:
 *
 * - sums of the weights are computed when they are packed;
 * - sums of the input are computed row by row, those of both levels while the row is in
 *   the L1 cache;
 * - the products of a group of a few columns stay in the cache until the group's part of
 *   the output has been summed up from them.
 *
 * If a size is odd, the second half is padded with zeros.
 *
 * A map of few rows is a single block. Its weights fill the caches, so a task is a group of
 * columns, which reads each of its weights once (if there are few columns, a task has only
 * half of the rows), and the left factors are computed beforehand by the tasks of `prepare`.
 * A large map is divided into blocks of rows, and each task computes the left factors of its
 * own block.
 *
 * Vocabulary: "halves" belong to the first level; "parts" are the pieces that are multiplied
 * in the end, halves with one level and quarters with two. */

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/conv.h"
#include "kernels/conv_cost.h"
#include "kernels/strassen.h"
#include "kernels/zeros.h"

/* Rows of a part in a map of several blocks. */
#define PART_ROWS 28
/* A map of at most this many rows is one block. */
#define FEW_ROWS 256
/* Columns of each part in a group; the group's products have to stay in the cache. */
#define GROUP_COLUMNS 32
/* With fewer groups of columns than this, the tasks of a single block are divided along
 * the rows as well. */
#define MANY_GROUPS 6
/* Rows of each left factor that a task of `prepare` computes. */
#define PREPARE_ROWS 2

/* The share of loading the weights that is not hidden by multiplying: those of a map of few rows,
 * which are larger than in the file, come from a far cache. */
#define LOAD_SHARE 0.2

#define SEVEN ADL_STRASSEN_PRODUCTS

/* The right factor of each product: one quarter of the weights, or the sum or difference
 * of two (sign 0: there is no second one). */
static const struct strassen_term {
    signed char row, column, sign;
} strassen_right[SEVEN][2] = {
    {{0, 0, 1}, {1, 1, 1}},  {{0, 0, 1}}, {{0, 1, 1}, {1, 1, -1}},
    {{1, 0, 1}, {0, 0, -1}}, {{1, 1, 1}}, {{0, 0, 1}, {0, 1, 1}},
    {{1, 0, 1}, {1, 1, 1}},
};

struct strassen_blocking {
    int levels;
    size_t products;
    size_t rows;                             /* output pixels, P Q */
    size_t block_rows, half_rows, part_rows; /* half_rows and part_rows: of a block */
    size_t half_depth, part_depth;
    size_t half_panels, part_panels;
    size_t groups, group_panels;   /* tasks along a part's columns; panels of each */
    size_t row_groups, group_rows; /* tasks along a part's rows; rows of each */
    size_t m_blocks;               /* blocks of rows */
};

static struct strassen_blocking strassen_blocking(int levels, const struct adl_conv *conv,
                                                  const struct adl_kernels *kernels)
{
    size_t parts = (size_t)1 << levels, nr = (size_t)kernels->nr;
    struct strassen_blocking b = {
        .levels = levels,
        .products = levels == 1 ? SEVEN : SEVEN * SEVEN,
        .rows = (size_t)conv->p * (size_t)conv->q,
        .half_depth = adl_ceil_div((size_t)conv->c, 2),
        .part_panels = adl_ceil_div(adl_ceil_div((size_t)conv->k, nr), parts),
    };
    b.m_blocks = b.rows <= FEW_ROWS ? 1 : adl_ceil_div(b.rows, parts * PART_ROWS);
    b.block_rows = adl_ceil_div(b.rows, b.m_blocks);
    b.m_blocks = adl_ceil_div(b.rows, b.block_rows);
    b.half_rows = adl_ceil_div(b.block_rows, 2);
    b.part_rows = levels == 1 ? b.half_rows : adl_ceil_div(b.half_rows, 2);
    b.part_depth = levels == 1 ? b.half_depth : adl_ceil_div(b.half_depth, 2);
    b.half_panels = b.part_panels * parts / 2;
    b.groups = adl_ceil_div(b.part_panels * nr, GROUP_COLUMNS);
    b.group_panels = adl_ceil_div(b.part_panels, b.groups);
    b.groups = adl_ceil_div(b.part_panels, b.group_panels);
    b.row_groups = b.m_blocks == 1 && b.groups < MANY_GROUPS ? 2 : 1;
    b.group_rows = adl_ceil_div(b.part_rows, b.row_groups);
    b.row_groups = adl_ceil_div(b.part_rows, b.group_rows);
    return b;
}

static bool strassen_supports(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                              const struct adl_kernels *kernels)
{
    return kernels->strassen && adl_conv_is_product(conv) && conv->groups == 1 &&
           !conv->accumulate && conv->c >= 1 << self->strassen_levels;
}

/* By level: the fraction of the multiplications that remains; the additions for each value of
 * the output and of the input, in the unit of conv_cost.h; a handicap for larger weights and
 * errors. */
static const struct {
    double products, output, input, handicap;
} strassen_costs[] = {{7.0 / 8, 12, 6, 1.03}, {49.0 / 64, 28, 18, 1.07}};

static double strassen_cost(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                            const struct adl_kernels *kernels)
{
    int levels = self->strassen_levels, parts = 1 << levels;
    struct strassen_blocking b = strassen_blocking(levels, conv, kernels);
    double rows = (double)conv->p * conv->q,
           columns = adl_cost_padded(conv->k, parts * kernels->nr);
    /* The tasks along the rows load the same weights. */
    double loads = ADL_COST_WEIGHT_LOAD * parts * (double)b.row_groups;
    double products =
        (fmax(rows, loads) + LOAD_SHARE * loads) * conv->c * columns / ADL_COST_PRODUCT_FRACTION;
    return strassen_costs[levels - 1].handicap *
           (products * strassen_costs[levels - 1].products +
            rows * columns * strassen_costs[levels - 1].output +
            rows * conv->c * strassen_costs[levels - 1].input);
}

/* --- weights -------------------------------------------------------------------- */

/* The packed weights are, for each product, the panels of its right factor, part_depth rows
 * of nr floats each; then the biases, padded to whole panels of all parts; then nr zeros, the
 * bias of the products themselves. Returns the floats of one panel. */
static size_t strassen_panel_floats(const struct strassen_blocking *b,
                                    const struct adl_kernels *kernels)
{
    return b->part_depth * (size_t)kernels->nr;
}

static size_t strassen_all_panels_floats(const struct strassen_blocking *b,
                                         const struct adl_kernels *kernels)
{
    return b->products * b->part_panels * strassen_panel_floats(b, kernels);
}

static size_t strassen_packed_floats(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    return strassen_all_panels_floats(&b, kernels) + (2 * b.half_panels + 1) * (size_t)kernels->nr;
}

/* Adds one term of a right factor to its panels: the quarter `outer` of the first level
 * and within it the quarter `inner` of the second. */
static void strassen_pack_term(const struct adl_conv *conv, const struct strassen_blocking *b,
                               size_t nr, struct strassen_term outer, struct strassen_term inner,
                               const float *weights, const float *scale, float *panels)
{
    size_t c = (size_t)conv->c, columns = b->part_panels * nr;
    size_t k0 = (outer.column ? b->half_panels * nr : 0) + (inner.column ? columns : 0);
    size_t k1 = ADL_MIN((size_t)conv->k, k0 + columns);
    size_t l0 = (outer.row ? b->half_depth : 0) + (inner.row ? b->part_depth : 0);
    size_t end = ADL_MIN(c, outer.row ? 2 * b->half_depth : b->half_depth);
    size_t depth = l0 < end ? ADL_MIN(b->part_depth, end - l0) : 0;

    for (size_t k = k0; k < k1; k++) {
        const float *from = weights + k * c + l0;
        float factor = scale[k] * (float)(outer.sign * inner.sign);
        float *to = panels + (k - k0) / nr * b->part_depth * nr + (k - k0) % nr;
        for (size_t l = 0; l < depth; l++)
            to[l * nr] += from[l] * factor;
    }
}

static void strassen_pack(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                          const struct adl_kernels *kernels, const float *weights,
                          const float *scale, const float *bias, float *packed)
{
    static const struct strassen_term whole[2] = {{0, 0, 1}};
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    size_t product_floats = b.part_panels * strassen_panel_floats(&b, kernels);

    memset(packed, 0, strassen_packed_floats(self, conv, kernels) * sizeof *packed);
    memcpy(packed + strassen_all_panels_floats(&b, kernels), bias,
           (size_t)conv->k * sizeof *packed);
    for (size_t i = 0; i < b.products; i++, packed += product_floats) {
        const struct strassen_term *outer = strassen_right[b.levels == 1 ? i : i / SEVEN];
        const struct strassen_term *inner = b.levels == 1 ? whole : strassen_right[i % SEVEN];
        for (int t = 0; t < 4; t++)
            if (outer[t / 2].sign && inner[t % 2].sign)
                strassen_pack_term(conv, &b, (size_t)kernels->nr, outer[t / 2], inner[t % 2],
                                   weights, scale, packed);
    }
}

/* --- left factors ------------------------------------------------------------------ */

/* Returns the floats of the left factor of one product: part_rows rows. */
static size_t strassen_factor_floats(const struct strassen_blocking *b)
{
    return b->part_rows * adl_conv_padded_row(b->part_depth);
}

/* Returns the floats of all left factors. A byte for each row of the block follows them, which
 * says whether the input of the row is all zero. */
static size_t strassen_factors_floats(const struct strassen_blocking *b)
{
    return b->products * strassen_factor_floats(b);
}

static size_t strassen_split_floats(const struct strassen_blocking *b)
{
    size_t lines = adl_ceil_div(b->block_rows, ADL_LINE_FLOATS * sizeof(float));
    return strassen_factors_floats(b) + lines * ADL_LINE_FLOATS;
}

/* With two levels, returns the floats of two rows of each of the first level's seven left
 * factors, one from the upper and one from the lower half of the factor. */
static size_t strassen_strip_floats(const struct strassen_blocking *b)
{
    return b->levels == 1 ? 0 : SEVEN * 2 * adl_conv_padded_row(b->half_depth);
}

/* Computes row `row` of the first level's seven left factors, and sets in `zero` whether the two
 * rows of the block that it is made of are zero. */
static void strassen_split_outer(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                 const struct strassen_blocking *b, const float *x, size_t rows,
                                 size_t row, float *out, size_t step, unsigned char *zero)
{
    size_t lower = row + b->half_rows, c = (size_t)conv->c;
    if (row < rows)
        zero[row] = adl_zeros_only(x + row * conv->ldx, c);
    if (lower < rows)
        zero[lower] = adl_zeros_only(x + lower * conv->ldx, c);
    kernels->strassen->split(&(struct adl_strassen_split){
        .x = {row < rows ? x + row * conv->ldx : NULL, lower < rows ? x + lower * conv->ldx : NULL},
        .half = b->half_depth,
        .count = c,
        .out = out,
        .step = step,
    });
}

/* Computes the rows row0 .. row1-1 of the left factors of all products, from a block of
 * `rows` rows at x. */
static void strassen_split(const struct adl_conv *conv, const struct adl_kernels *kernels,
                           const struct strassen_blocking *b, const float *x, size_t rows,
                           size_t row0, size_t row1, float *factors, float *strip)
{
    size_t ld = adl_conv_padded_row(b->half_depth), step = strassen_factor_floats(b);
    unsigned char *zero = (unsigned char *)(factors + strassen_factors_floats(b));

    for (size_t row = row0; row < row1; row++) {
        float *out = factors + row * adl_conv_padded_row(b->part_depth);
        if (b->levels == 1) {
            strassen_split_outer(conv, kernels, b, x, rows, row, out, step, zero);
            continue;
        }
        bool both = row + b->part_rows < b->half_rows;
        strassen_split_outer(conv, kernels, b, x, rows, row, strip, 2 * ld, zero);
        if (both)
            strassen_split_outer(conv, kernels, b, x, rows, row + b->part_rows, strip + ld, 2 * ld,
                                 zero);
        for (size_t i = 0; i < SEVEN; i++)
            kernels->strassen->split(&(struct adl_strassen_split){
                .x = {strip + i * 2 * ld, both ? strip + i * 2 * ld + ld : NULL},
                .half = b->part_depth,
                .count = b->half_depth,
                .out = out + i * SEVEN * step,
                .step = step,
            });
    }
}

/* Returns whether `prepare` computes the left factors. */
static bool strassen_prepares(const struct strassen_blocking *b)
{
    return b->m_blocks == 1;
}

static size_t strassen_shared_floats(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    return strassen_prepares(&b) ? strassen_split_floats(&b) : 0;
}

static size_t strassen_prepare_tasks(const struct adl_conv_algorithm *self,
                                     const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    return strassen_prepares(&b) ? adl_ceil_div(b.part_rows, PREPARE_ROWS) : 0;
}

static void strassen_prepare(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels, const float *x, float *shared,
                             size_t task, float *scratch)
{
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    size_t row0 = task * PREPARE_ROWS, row1 = ADL_MIN(row0 + PREPARE_ROWS, b.part_rows);
    strassen_split(conv, kernels, &b, x, b.rows, row0, row1, shared, scratch);
}

/* --- running ---------------------------------------------------------------------- */

static size_t strassen_tasks(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                             const struct adl_kernels *kernels)
{
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    return strassen_prepares(&b) ? b.row_groups * b.groups : b.m_blocks;
}

/* Returns the floats of one product of a group; the seven products of a level lie next to
 * each other. */
static size_t strassen_product_floats(const struct strassen_blocking *b,
                                      const struct adl_kernels *kernels)
{
    return b->group_rows * b->group_panels * (size_t)kernels->nr;
}

/* With two levels, returns the floats of one product of the first level, which is joined from
 * seven of the second. */
static size_t strassen_half_floats(const struct strassen_blocking *b,
                                   const struct adl_kernels *kernels)
{
    return b->levels == 1 ? 0 : 4 * strassen_product_floats(b, kernels);
}

static size_t strassen_scratch_floats(const struct adl_conv_algorithm *self,
                                      const struct adl_conv *conv,
                                      const struct adl_kernels *kernels)
{
    struct strassen_blocking b = strassen_blocking(self->strassen_levels, conv, kernels);
    size_t products =
        SEVEN * (strassen_product_floats(&b, kernels) + strassen_half_floats(&b, kernels));
    return products + strassen_strip_floats(&b) +
           (strassen_prepares(&b) ? 0 : strassen_split_floats(&b));
}

struct strassen_job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    struct strassen_blocking b;
    const float *packed, *factors;
    float *products, *halves;
    const float *residual;
    float *out;
    size_t row0, rows;           /* of the block, in the map */
    size_t part_row0, part_rows; /* of the group, in a part */
    size_t panel0, panels;       /* of the group, in a part */
};

/* Computes one product of the group. Meanwhile the next panel, of this product or of the next
 * one, is prefetched; each tile prefetches a part of it. */
static void strassen_multiply(const struct strassen_job *job, size_t product, float *out)
{
    const struct strassen_blocking *b = &job->b;
    size_t nr = (size_t)job->kernels->nr, floats = strassen_panel_floats(b, job->kernels);
    size_t tiles = adl_ceil_div(job->part_rows, (size_t)job->kernels->mr);
    const float *factor = job->factors + product * strassen_factor_floats(b) +
                          job->part_row0 * adl_conv_padded_row(b->part_depth);
    struct adl_gemm_tile tile = {
        .lda = adl_conv_padded_row(b->part_depth),
        .b = job->packed + (product * b->part_panels + job->panel0) * floats,
        .depth = b->part_depth,
        .ldc = b->group_panels * nr,
        .n = (int)nr,
        .bias = job->packed + strassen_all_panels_floats(b, job->kernels) + 2 * b->half_panels * nr,
        .lo = -INFINITY,
        .hi = INFINITY,
    };
    for (size_t panel = 0; panel < job->panels; panel++, tile.b += floats) {
        const float *next = NULL;
        if (panel + 1 < job->panels)
            next = tile.b + floats;
        else if (product + 1 < b->products)
            next = tile.b + floats * (b->part_panels - panel);
        tile.next_step = adl_ceil_div(nr, tiles);
        size_t row = 0;
        for (size_t i = 0; i < tiles; i++, row += (size_t)tile.m) {
            tile.a = factor + row * tile.lda;
            tile.m = (int)((job->part_rows - row) / (tiles - i));
            tile.c = out + row * tile.ldc + panel * nr;
            tile.next = next ? next + i * tile.depth * tile.next_step : NULL;
            job->kernels->gemm(&tile);
        }
    }
}

/* Returns how many of the `count` rows from `row` on exist in a half of `rows` rows. */
static size_t strassen_rows_left(size_t rows, size_t row, size_t count)
{
    return row < rows ? ADL_MIN(count, rows - row) : 0;
}

/* Joins seven products of the second level to one of the first: the group's rows of the
 * upper part, then those of the lower part. */
static void strassen_join_inner(const struct strassen_job *job, float *out)
{
    const struct strassen_blocking *b = &job->b;
    size_t columns = b->group_panels * (size_t)job->kernels->nr, ld = 2 * columns;
    float *lower = out + b->group_rows * ld;
    job->kernels->strassen->join(&(struct adl_strassen_join){
        .in = job->products,
        .step = strassen_product_floats(b, job->kernels),
        .ldi = columns,
        .rows = {job->part_rows,
                 strassen_rows_left(b->half_rows - b->part_rows, job->part_row0, job->part_rows)},
        .columns = {columns, columns},
        .out = {{out, out + columns}, {lower, lower + columns}},
        .ldo = ld,
    });
}

/* Joins the seven products of the first level to the output: the group's rows from `row`
 * on and columns from `column` on, of each half. */
static void strassen_join_outer(const struct strassen_job *job, const float *in, size_t step,
                                size_t ldi, size_t row, size_t column)
{
    const struct adl_conv *conv = job->conv;
    const struct strassen_blocking *b = &job->b;
    size_t nr = (size_t)job->kernels->nr, k = (size_t)conv->k;
    size_t upper_rows = ADL_MIN(job->rows, b->half_rows);
    const float *biases = job->packed + strassen_all_panels_floats(b, job->kernels);
    const unsigned char *zero =
        (const unsigned char *)(job->factors + strassen_factors_floats(b)) + row;
    struct adl_strassen_join join = {
        .in = in,
        .step = step,
        .ldi = ldi,
        .rows = {strassen_rows_left(upper_rows, row, job->part_rows),
                 strassen_rows_left(job->rows - upper_rows, row, job->part_rows)},
        .ldo = conv->ldo,
        .ldr = conv->ldr,
        .lo = conv->lo,
        .hi = conv->hi,
        .zero = {zero, zero + upper_rows},
    };
    for (size_t right_half = 0; right_half < 2; right_half++) {
        size_t from = column + right_half * b->half_panels * nr;
        if (from >= k)
            continue;
        join.columns[right_half] = ADL_MIN(job->panels * nr, k - from);
        join.bias[right_half] = biases + from;
        for (size_t lower = 0; lower < 2; lower++) {
            size_t pixel = job->row0 + (lower ? upper_rows : 0) + row;
            join.out[lower][right_half] = job->out + pixel * conv->ldo + from;
            if (job->residual)
                join.residual[lower][right_half] = job->residual + pixel * conv->ldr + from;
        }
    }
    job->kernels->strassen->join(&join);
    for (size_t right_half = 0; right_half < 2; right_half++)
        for (size_t lower = 0; lower < 2 && join.columns[right_half] > 0; lower++)
            adl_conv_activate(conv, job->kernels, join.out[lower][right_half], conv->ldo,
                              join.rows[lower], join.columns[right_half]);
}

/* Computes a group of columns: all products, and from them the group's part of the output.
 * With two levels, every seven products are joined to one product of the first level as soon
 * as they have been computed. */
static void strassen_run_group(const struct strassen_job *job)
{
    const struct strassen_blocking *b = &job->b;
    size_t nr = (size_t)job->kernels->nr, columns = b->group_panels * nr;
    size_t step = strassen_product_floats(b, job->kernels),
           half_step = strassen_half_floats(b, job->kernels);

    for (size_t i = 0; i < b->products; i++) {
        strassen_multiply(job, i, job->products + i % SEVEN * step);
        if (b->levels == 2 && i % SEVEN == SEVEN - 1)
            strassen_join_inner(job, job->halves + i / SEVEN * half_step);
    }
    if (b->levels == 1) {
        strassen_join_outer(job, job->products, step, columns, job->part_row0, job->panel0 * nr);
        return;
    }
    for (size_t lower = 0; lower < 2; lower++)
        for (size_t right_part = 0; right_part < 2; right_part++) {
            const float *in = job->halves + (lower * b->group_rows * 2 + right_part) * columns;
            strassen_join_outer(job, in, half_step, 2 * columns,
                                job->part_row0 + lower * b->part_rows,
                                (job->panel0 + right_part * b->part_panels) * nr);
        }
}

static void strassen_run(const struct adl_conv_algorithm *self, const struct adl_conv *conv,
                         const struct adl_kernels *kernels, const float *packed, const float *x,
                         const float *residual, float *out, size_t task, float *scratch)
{
    struct strassen_job job = {
        conv,      kernels, strassen_blocking(self->strassen_levels, conv, kernels),
        packed,    x,       .residual = residual,
        .out = out};
    const struct strassen_blocking *b = &job.b;
    bool prepared = strassen_prepares(b);
    size_t row_group = prepared ? task / b->groups : 0, group = prepared ? task % b->groups : 0;
    size_t end = prepared ? group + 1 : b->groups;

    job.products = scratch;
    job.halves = job.products + SEVEN * strassen_product_floats(b, kernels);
    job.row0 = prepared ? 0 : task * b->block_rows;
    job.rows = ADL_MIN(b->block_rows, b->rows - job.row0);
    job.part_row0 = row_group * b->group_rows;
    job.part_rows = ADL_MIN(b->group_rows, b->part_rows - job.part_row0);
    if (!prepared) {
        float *strip = job.halves + SEVEN * strassen_half_floats(b, kernels);
        float *factors = strip + strassen_strip_floats(b);
        strassen_split(conv, kernels, b, x + job.row0 * conv->ldx, job.rows, 0, b->part_rows,
                       factors, strip);
        job.factors = factors;
    }
    for (; group < end; group++) {
        job.panel0 = group * b->group_panels;
        job.panels = ADL_MIN(b->group_panels, b->part_panels - job.panel0);
        strassen_run_group(&job);
    }
}

/* The two algorithms share these functions and differ in `strassen_levels`. */
#define STRASSEN_FUNCTIONS                                                                         \
    .activates = true, .supports = strassen_supports, .cost = strassen_cost,                       \
    .packed_floats = strassen_packed_floats, .pack = strassen_pack, .tasks = strassen_tasks,       \
    .scratch_floats = strassen_scratch_floats, .shared_floats = strassen_shared_floats,            \
    .prepare_tasks = strassen_prepare_tasks, .prepare = strassen_prepare, .run = strassen_run

const struct adl_conv_algorithm adl_conv_strassen = {
    .name = "strassen", .strassen_levels = 1, STRASSEN_FUNCTIONS};
const struct adl_conv_algorithm adl_conv_strassen2 = {
    .name = "strassen2", .strassen_levels = 2, STRASSEN_FUNCTIONS};
