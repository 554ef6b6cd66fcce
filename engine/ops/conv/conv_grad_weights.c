/* Computes the gradient of a convolution's weights,
 *
 *     dW[k][(r,s,c)] = sum over images n and output pixels m of dY[n][m][k] X[n][m][(r,s,c)],
 *
 * where row m of X, R S C/G long, is the window of the input that output pixel m sees
 * ("im2col"). It is a sum of matrix products dY' X over blocks of BLOCK_ROWS pixels and
 * BLOCK_COLUMNS columns: only that block of X is ever copied (adl_conv_copy_rows), so it
 * stays in the L2 cache, whereas the whole matrix would be R S times the input's size. For a
 * dense 1x1 convolution X is the input itself and nothing is copied.
 *
 * A task is a block of columns of one group, and a run of consecutive images. If the shape
 * gives fewer than WANTED_TASKS blocks, the batch is divided into several runs, each with a
 * sum of its own; the sums are then added up in order. The division depends on the shape and
 * the batch alone, so the result does not depend on the number of threads.
 *
 * Where the products are of bfloat16 numbers (conv->precision, kernels/bf16.h), the pixels are the
 * depth, so that a pair is of two pixels: both blocks are copied as pairs of rows, rounded.
 *
 * Depthwise convolutions have one column for each tap and no product; their sums are made by
 * vector kernels along the channels instead. */

#include "ops/conv/conv_grad_weights.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/bf16.h"
#include "kernels/blas.h"

#define BLOCK_COLUMNS ((size_t)384)
#define BLOCK_ROWS ((size_t)256)
#define WANTED_TASKS ((size_t)8)
/* Floats in the widest vector of any instruction set. */
#define MAX_LANES ((size_t)16)
/* Columns of a product of bfloat16 numbers with any instruction set; they divide BLOCK_COLUMNS. */
#define MAX_DOT_COLUMNS 32

/* How the work falls into tasks. */
struct split {
    size_t depth;      /* columns of one group: R S C/G */
    size_t blocks;     /* of columns, of one group; depthwise 1 for all groups */
    size_t tasks;      /* of one run */
    size_t run_images; /* images in each run but the last, which may have fewer */
    size_t runs;
    bool depthwise;
};

static struct split conv_grad_weights_split(const struct adl_conv *conv, int batch)
{
    struct split s = {.depth = adl_conv_depth(conv), .depthwise = adl_conv_is_depthwise(conv)};
    s.blocks = s.depthwise ? 1 : adl_ceil_div(s.depth, BLOCK_COLUMNS);
    s.tasks = s.depthwise ? 1 : s.blocks * (size_t)conv->groups;
    size_t wanted = ADL_MIN(adl_ceil_div(WANTED_TASKS, s.tasks), (size_t)batch);
    s.run_images = adl_ceil_div((size_t)batch, wanted);
    s.runs = adl_ceil_div((size_t)batch, s.run_images);
    return s;
}

/* Returns whether the products are of bfloat16 numbers. */
static bool conv_grad_weights_rounds(const struct adl_conv *conv)
{
    return conv->precision == ADL_PRECISION_BF16 && conv->groups == 1;
}

/* Returns the scratch floats of one worker: a block of X, and in bfloat16 one of pairs of X and one
 * of pairs of dY; or, for a depthwise convolution, the sums of a run, and the sums and the scratch
 * of kernels->depthwise_grad. */
static size_t conv_grad_weights_worker(const struct adl_conv *conv)
{
    size_t sums = (size_t)conv->c * (size_t)conv->r * (size_t)conv->s;
    size_t block = BLOCK_ROWS * BLOCK_COLUMNS;
    if (conv_grad_weights_rounds(conv))
        block += block / 2 +
                 adl_ceil_div(BLOCK_ROWS / 2 * (size_t)conv->k, ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
    return ADL_MAX(block, 3 * sums + 9 * MAX_LANES);
}

/* Returns the floats of the sums of all runs, whole cache lines. */
static size_t conv_grad_weights_sums(const struct adl_conv *conv, const struct split *s)
{
    return adl_ceil_div(s->runs * adl_conv_weight_count(conv), ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
}

size_t adl_conv_grad_weights_scratch(const struct adl_conv *conv, int batch, int threads)
{
    struct split s = conv_grad_weights_split(conv, batch);
    return conv_grad_weights_sums(conv, &s) + (size_t)threads * conv_grad_weights_worker(conv);
}

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    struct split split;
    int batch;
    const float *x, *grad_out;
    float *partial; /* run x K x depth: the sums of each run; `grad` if there is only one */
    float *grad;    /* K x depth */
    float *workers;
};

/* Depthwise convolution of any size: adds one image's sums, a row of the output at a time. */
static void conv_grad_weights_depthwise(const struct job *job, size_t n, float *sums)
{
    const struct adl_conv *conv = job->conv;
    size_t channels = (size_t)conv->c, stride = (size_t)conv->stride,
           row_floats = (size_t)conv->w * channels;
    for (int p = 0; p < conv->p; p++)
        for (int r = 0; r < conv->r; r++) {
            int row = p * conv->stride + r - conv->pad_top;
            if (row < 0 || row >= conv->h)
                continue;
            const float *x = job->x + (n * (size_t)conv->h + (size_t)row) * row_floats;
            const float *dy =
                job->grad_out + (n * (size_t)conv->p + (size_t)p) * (size_t)conv->q * channels;
            for (int s = 0; s < conv->s; s++) {
                struct adl_conv_span span = adl_conv_span(conv, s);
                if (span.count > 0)
                    job->kernels->dot_rows(x + (size_t)span.column * channels, stride * channels,
                                           dy + (size_t)span.q * channels, channels,
                                           (size_t)span.count, channels,
                                           sums + (size_t)(r * conv->s + s) * channels);
            }
        }
}

/* Depthwise 3x3 convolution: adds one image's sums with a function that keeps the nine sums
 * in registers. */
static void conv_grad_weights_depthwise3x3(const struct job *job, size_t n, float *sums,
                                           float *work)
{
    const struct adl_conv *conv = job->conv;
    size_t count = 9 * (size_t)conv->c;
    struct adl_depthwise_grad grad = {
        .x = job->x + n * (size_t)conv->h * (size_t)conv->w * (size_t)conv->c,
        .dy = job->grad_out + n * (size_t)conv->p * (size_t)conv->q * (size_t)conv->c,
        .h = conv->h,
        .w = conv->w,
        .p = conv->p,
        .q = conv->q,
        .stride = conv->stride,
        .pad_top = conv->pad_top,
        .pad_left = conv->pad_left,
        .channels = (size_t)conv->c,
        .work = work + count,
        .sums = work,
    };
    job->kernels->depthwise_grad(&grad);
    for (size_t i = 0; i < count; i++)
        sums[i] += work[i];
}

/* Depthwise convolution: computes the sums over one run of images. They are summed as (R, S)
 * x C, along the channels, and transposed to C x (R, S) at the end. */
static void conv_grad_weights_run(const struct job *job, size_t run, int worker)
{
    const struct adl_conv *conv = job->conv;
    size_t channels = (size_t)conv->c, taps = (size_t)conv->r * (size_t)conv->s;
    size_t first = run * job->split.run_images;
    size_t last = ADL_MIN(first + job->split.run_images, (size_t)job->batch);
    float *sums = job->workers + (size_t)worker * conv_grad_weights_worker(conv);
    float *to = job->partial + run * adl_conv_weight_count(conv);

    memset(sums, 0, taps * channels * sizeof *sums);
    for (size_t n = first; n < last; n++)
        if (conv->r == 3 && conv->s == 3 && conv->c >= job->kernels->lanes)
            conv_grad_weights_depthwise3x3(job, n, sums, sums + taps * channels);
        else
            conv_grad_weights_depthwise(job, n, sums);
    for (size_t c = 0; c < channels; c++)
        for (size_t tap = 0; tap < taps; tap++)
            to[c * taps + tap] = sums[tap * channels + c];
}

/* Copies `count` rows as pairs of rows, in panels of `width` columns each, of which the last has
 * zeros beyond the last column: panel by panel, and pair by pair within. */
static void conv_grad_weights_pairs(const struct adl_bf16_kernels *kernels, const float *x,
                                    size_t ldx, size_t count, size_t columns, size_t width,
                                    uint32_t *pairs)
{
    for (size_t column = 0; column < columns; column += width) {
        size_t there = ADL_MIN(width, columns - column);
        for (size_t row = 0; row < count; row += 2, pairs += width) {
            const float *first = x + row * ldx + column;
            kernels->round_pairs(first, row + 1 < count ? first + ldx : NULL, there, pairs);
            for (size_t i = there; i < width; i++)
                pairs[i] = 0;
        }
    }
}

/* to[k][column] (+)= sum over `count` pixels of dY[pixel][k] X[pixel][column], in bfloat16. */
static void conv_grad_weights_dot(const struct job *job, const float *dy, const float *x,
                                  size_t ldx, size_t count, size_t columns, bool add, float *pairs,
                                  float *to)
{
    static const float ones[MAX_DOT_COLUMNS] = {[0 ... MAX_DOT_COLUMNS - 1] = 1};
    static const float zeros[MAX_DOT_COLUMNS];
    const struct adl_bf16_kernels *kernels = job->kernels->bf16;
    const struct adl_conv *conv = job->conv;
    size_t mr = (size_t)kernels->dot_mr, nr = (size_t)kernels->dot_nr, k = (size_t)conv->k;
    size_t steps = adl_ceil_div(count, 2);
    uint32_t *b = (uint32_t *)(void *)pairs, *a = b + BLOCK_ROWS / 2 * BLOCK_COLUMNS;

    conv_grad_weights_pairs(kernels, x, ldx, count, columns, nr, b);
    conv_grad_weights_pairs(kernels, dy, conv->ldo, count, k, k, a);
    for (size_t j = 0; j < columns; j += nr)
        for (size_t i = 0; i < k; i += mr) {
            const struct adl_bf16_tile tile = {
                .a = (const uint16_t *)(a + i),
                .lda = 2,
                .a_step = 2 * k,
                .b = b + j * steps,
                .steps = steps,
                .m = (int)ADL_MIN(mr, k - i),
                .n = (int)ADL_MIN(nr, columns - j),
                .scale = ones,
                .bias = zeros,
                .accumulate = add,
                .c = to + i * job->split.depth + j,
                .ldc = job->split.depth,
                .lo = -INFINITY,
                .hi = INFINITY,
            };
            kernels->dot(&tile);
        }
}

/* Computes one block of columns over one run of images. */
static void conv_grad_weights_product(const struct job *job, size_t task, int worker)
{
    const struct adl_conv *conv = job->conv;
    const struct split *s = &job->split;
    size_t channels = (size_t)(conv->k / conv->groups), pixels = (size_t)conv->p * (size_t)conv->q;
    size_t block = task % s->blocks, group = task / s->blocks % (size_t)conv->groups;
    size_t run = task / (s->blocks * (size_t)conv->groups);
    size_t column = block * BLOCK_COLUMNS;
    size_t columns = ADL_MIN(BLOCK_COLUMNS, s->depth - column);
    size_t first = run * s->run_images;
    size_t last = ADL_MIN(first + s->run_images, (size_t)job->batch);
    float *rows = job->workers + (size_t)worker * conv_grad_weights_worker(conv);
    float *to =
        job->partial + run * adl_conv_weight_count(conv) + group * channels * s->depth + column;
    float beta = 0;
    /* The rows of a dense 1x1 convolution are the map itself. */
    bool dense = conv->r == 1 && conv->s == 1 && conv->stride == 1 && conv->p == conv->h &&
                 conv->q == conv->w;

    for (size_t n = first; n < last; n++) {
        const float *x = job->x + n * (size_t)conv->h * (size_t)conv->w * conv->ldx;
        const float *dy = job->grad_out + n * pixels * conv->ldo + group * channels;
        for (size_t m = 0; m < pixels; m += BLOCK_ROWS) {
            size_t count = ADL_MIN(BLOCK_ROWS, pixels - m);
            const float *b = x + m * conv->ldx + group * s->depth + column;
            if (!dense)
                adl_conv_copy_rows(conv, x, (int)group, m, count, column, columns, rows, columns);
            if (conv_grad_weights_rounds(conv))
                conv_grad_weights_dot(job, dy + m * conv->ldo, dense ? b : rows,
                                      dense ? conv->ldx : columns, count, columns, beta > 0,
                                      rows + BLOCK_ROWS * BLOCK_COLUMNS, to);
            else
                adl_sgemm(true, false, channels, columns, count, dy + m * conv->ldo, conv->ldo,
                          dense ? b : rows, dense ? conv->ldx : columns, beta, to, s->depth);
            beta = 1;
        }
    }
}

static void conv_grad_weights_task(void *context, size_t task, int worker)
{
    const struct job *job = context;
    if (job->split.depthwise)
        conv_grad_weights_run(job, task, worker);
    else
        conv_grad_weights_product(job, task, worker);
}

/* --- the sum over the runs ----------------------------------------------------- */

/* Weights that one task adds up. */
#define JOIN_FLOATS ((size_t)16384)

static void conv_grad_weights_join(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t count = adl_conv_weight_count(job->conv);
    size_t first = task * JOIN_FLOATS, last = ADL_MIN(first + JOIN_FLOATS, count);
    for (size_t i = first; i < last; i++) {
        float sum = job->partial[i];
        for (size_t run = 1; run < job->split.runs; run++)
            sum += job->partial[run * count + i];
        job->grad[i] = sum;
    }
}

void adl_conv_grad_weights(const struct adl_conv_pass *pass, const float *x, const float *grad_out,
                           float *grad)
{
    size_t count = adl_conv_weight_count(pass->conv);
    struct job job = {.conv = pass->conv,
                      .kernels = pass->kernels,
                      .split = conv_grad_weights_split(pass->conv, pass->batch),
                      .batch = pass->batch,
                      .x = x,
                      .grad_out = grad_out,
                      .grad = grad};
    job.partial = job.split.runs > 1 ? pass->scratch : grad;
    job.workers = pass->scratch + conv_grad_weights_sums(pass->conv, &job.split);
    adl_pool_for(pass->pool, job.split.tasks * job.split.runs, conv_grad_weights_task, &job);
    if (job.split.runs > 1)
        adl_pool_for(pass->pool, adl_ceil_div(count, JOIN_FLOATS), conv_grad_weights_join, &job);
}
