/* The gradient of a convolution's weights,
 *
 *   dW[k][(r,s,c)] = sum over images and output pixels m of dY[m][k] * X[m][(r,s,c)],
 *
 * as products of blocks: X's rows are copied a block of pixels and columns at
 * a time (conv_rows.c), never a whole im2col. A task is a block of columns of
 * one group and a run of images; runs are added up in order, so the bits do
 * not depend on the threads. */

#include <string.h>

#include "base/size.h"
#include "kernels/blas.h"
#include "ops/conv/conv_train.h"

#define BLOCK_COLUMNS ((size_t)384)
#define BLOCK_ROWS ((size_t)256)
/* Most floats in a vector. */
#define MAX_LANES ((size_t)16)
/* Tasks wanted before the batch is split into runs as well. */
#define WANTED_TASKS ((size_t)8)

struct split {
    size_t depth; /* R * S * C / groups: columns */
    size_t blocks;
    size_t runs, run_images;
    bool depthwise;
};

static struct split split_of(const struct adl_conv *v, int batch)
{
    struct split s = {.depth = (size_t)(v->c / v->groups) * (size_t)v->r * (size_t)v->s};
    s.depthwise = v->groups == v->c && v->groups == v->k;
    s.blocks = s.depthwise ? 1 : adl_ceil_div(s.depth, BLOCK_COLUMNS);
    size_t tasks = s.depthwise ? 1 : s.blocks * (size_t)v->groups;
    size_t wanted = ADL_MIN(adl_ceil_div(WANTED_TASKS, tasks), (size_t)batch);
    s.run_images = adl_ceil_div((size_t)batch, wanted);
    s.runs = adl_ceil_div((size_t)batch, s.run_images);
    return s;
}

static size_t weight_count(const struct adl_conv *v, const struct split *s)
{
    return (size_t)v->k * s->depth;
}

static size_t worker_floats(const struct adl_conv *v)
{
    size_t sums = (size_t)v->c * (size_t)v->r * (size_t)v->s;
    return ADL_MAX(BLOCK_ROWS * BLOCK_COLUMNS, 3 * sums + 9 * MAX_LANES);
}

struct adl_conv_span adl_conv_span(const struct adl_conv *v, int s)
{
    /* q * stride + s - pad_left in 0..w-1 */
    int from = v->pad_left > s ? (v->pad_left - s + v->stride - 1) / v->stride : 0;
    int last = v->w - 1 + v->pad_left - s;
    int to = last < 0 ? -1 : ADL_MIN(last / v->stride, v->q - 1);
    return (struct adl_conv_span){from, from * v->stride + s - v->pad_left, to - from + 1};
}

size_t adl_conv_grad_weights_scratch(const struct adl_conv *v, int batch, int threads)
{
    struct split s = split_of(v, batch);
    return s.runs * weight_count(v, &s) + (size_t)threads * worker_floats(v);
}

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    struct split split;
    int batch;
    const float *x, *grad_out;
    float *partial; /* runs x K x depth */
    float *grad;    /* K x depth; the same where there is one run */
    float *workers;
};

/* Adds one image's sums, row by row of the output. */
static void depthwise_image(const struct job *job, size_t n, float *sums)
{
    const struct adl_conv *v = job->conv;
    size_t channels = (size_t)v->c, stride = (size_t)v->stride,
           row_floats = (size_t)v->w * channels;
    for (int p = 0; p < v->p; p++)
        for (int r = 0; r < v->r; r++) {
            int row = p * v->stride + r - v->pad_top;
            if (row < 0 || row >= v->h)
                continue;
            const float *x = job->x + (n * (size_t)v->h + (size_t)row) * row_floats;
            const float *dy =
                job->grad_out + (n * (size_t)v->p + (size_t)p) * (size_t)v->q * channels;
            for (int s = 0; s < v->s; s++) {
                struct adl_conv_span span = adl_conv_span(v, s);
                if (span.count > 0)
                    job->kernels->dot_rows(x + (size_t)span.column * channels, stride * channels,
                                           dy + (size_t)span.q * channels, channels,
                                           (size_t)span.count, channels,
                                           sums + (size_t)(r * v->s + s) * channels);
            }
        }
}

static void depthwise_3x3_image(const struct job *job, size_t n, float *sums, float *work)
{
    const struct adl_conv *v = job->conv;
    size_t count = 9 * (size_t)v->c;
    struct adl_depthwise_grad grad = {
        .x = job->x + n * (size_t)v->h * (size_t)v->w * (size_t)v->c,
        .dy = job->grad_out + n * (size_t)v->p * (size_t)v->q * (size_t)v->c,
        .h = v->h,
        .w = v->w,
        .p = v->p,
        .q = v->q,
        .stride = v->stride,
        .pad_top = v->pad_top,
        .pad_left = v->pad_left,
        .channels = (size_t)v->c,
        .work = work + count,
        .sums = work,
    };
    job->kernels->depthwise_grad(&grad);
    for (size_t i = 0; i < count; i++)
        sums[i] += work[i];
}

/* Depthwise: each tap's sum over the pixels of a run; taps x channels here,
 * turned round at the end. */
static void depthwise_run(const struct job *job, size_t run, int worker)
{
    const struct adl_conv *v = job->conv;
    size_t channels = (size_t)v->c, taps = (size_t)v->r * (size_t)v->s;
    size_t first = run * job->split.run_images;
    size_t last = ADL_MIN(first + job->split.run_images, (size_t)job->batch);
    float *sums = job->workers + (size_t)worker * worker_floats(v);
    float *to = job->partial + run * weight_count(v, &job->split);

    memset(sums, 0, taps * channels * sizeof *sums);
    for (size_t n = first; n < last; n++)
        if (v->r == 3 && v->s == 3 && v->c >= job->kernels->lanes)
            depthwise_3x3_image(job, n, sums, sums + taps * channels);
        else
            depthwise_image(job, n, sums);
    for (size_t c = 0; c < channels; c++)
        for (size_t tap = 0; tap < taps; tap++)
            to[c * taps + tap] = sums[tap * channels + c];
}

static void product_task(const struct job *job, size_t task, int worker)
{
    const struct adl_conv *v = job->conv;
    const struct split *s = &job->split;
    size_t channels = (size_t)(v->k / v->groups), pixels = (size_t)v->p * (size_t)v->q;
    size_t block = task % s->blocks, group = task / s->blocks % (size_t)v->groups;
    size_t run = task / (s->blocks * (size_t)v->groups);
    size_t column = block * BLOCK_COLUMNS;
    size_t columns = ADL_MIN(BLOCK_COLUMNS, s->depth - column);
    size_t first = run * s->run_images;
    size_t last = ADL_MIN(first + s->run_images, (size_t)job->batch);
    float *rows = job->workers + (size_t)worker * worker_floats(v);
    float *to = job->partial + run * weight_count(v, s) + group * channels * s->depth + column;
    float beta = 0;
    /* A dense 1x1 convolution's rows are the map itself. */
    bool dense = v->r == 1 && v->s == 1 && v->stride == 1 && v->p == v->h && v->q == v->w;

    for (size_t n = first; n < last; n++) {
        const float *x = job->x + n * (size_t)v->h * (size_t)v->w * v->ldx;
        const float *dy = job->grad_out + n * pixels * v->ldo + group * channels;
        for (size_t m = 0; m < pixels; m += BLOCK_ROWS) {
            size_t count = ADL_MIN(BLOCK_ROWS, pixels - m);
            const float *b = x + m * v->ldx + group * s->depth + column;
            if (!dense)
                adl_conv_copy_rows(v, x, (int)group, m, count, column, columns, rows, columns);
            adl_sgemm(true, false, channels, columns, count, dy + m * v->ldo, v->ldo,
                      dense ? b : rows, dense ? v->ldx : columns, beta, to, s->depth);
            beta = 1;
        }
    }
}

static void run_task(void *context, size_t task, int worker)
{
    const struct job *job = context;
    if (job->split.depthwise)
        depthwise_run(job, task, worker);
    else
        product_task(job, task, worker);
}

/* What is added up of the runs in a task. */
#define JOIN_FLOATS ((size_t)16384)

static void join_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t count = weight_count(job->conv, &job->split);
    size_t first = task * JOIN_FLOATS, last = ADL_MIN(first + JOIN_FLOATS, count);
    for (size_t i = first; i < last; i++) {
        float sum = job->partial[i];
        for (size_t run = 1; run < job->split.runs; run++)
            sum += job->partial[run * count + i];
        job->grad[i] = sum;
    }
}

void adl_conv_grad_weights(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                           const float *x, const float *grad_out, float *grad, float *scratch,
                           struct adl_pool *pool)
{
    struct job job = {.conv = v,
                      .kernels = kernels,
                      .split = split_of(v, batch),
                      .batch = batch,
                      .x = x,
                      .grad_out = grad_out,
                      .grad = grad};
    size_t count = weight_count(v, &job.split);
    size_t tasks = job.split.depthwise ? 1 : job.split.blocks * (size_t)v->groups;
    job.partial = job.split.runs > 1 ? scratch : grad;
    job.workers = scratch + job.split.runs * count;
    adl_pool_for(pool, tasks * job.split.runs, run_task, &job);
    if (job.split.runs > 1)
        adl_pool_for(pool, adl_ceil_div(count, JOIN_FLOATS), join_task, &job);
}
