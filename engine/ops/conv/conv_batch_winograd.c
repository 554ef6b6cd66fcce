/* A convolution at stride 1 of a whole batch by Winograd's algorithm (Lavin & Gray 2016;
 * formulas in kernels/winograd.h): the forward pass, or the gradient of the input, which is
 * the convolution with "turned" weights.
 *
 * Inference uses conv_winograd.c for this, which takes one image at a time. In training that
 * would be slow on small maps: the weights are new in each step and, transformed, 4 to 7
 * times as large as before, larger than the maps; an image with few tiles would have all of
 * them read from memory for a few products. Here, at each position of a tile, the tiles of
 * many images are the rows of one product:
 *
 *     u[position] (C x K)      the transformed weights, made once
 *     v[position] (tiles x C)  the transformed input
 *     m[position] (tiles x K) = v[position] u[position]
 *
 * and m is transformed back to the output. Tiles go through these three stages in chunks
 * whose size is fixed by the shape (conv_tiles.c), so that v and m stay in the caches. A task
 * is a few tiles when transforming and a position when multiplying: each output is computed
 * by one task, whatever the number of threads.
 *
 * Between many channels u is the largest array of a training step. A frugal pass makes u and m for
 * a group of output channels at a time, with the same bits; the input is transformed once for each
 * group, or once in all if its tiles are one chunk. */

#include "ops/conv/conv_batch_winograd.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/conv/conv_tiles.h"

/* Floats of the buffer on the stack in which weights are reordered before they are
 * transformed: those of one input channel or more. */
#define GATHER_FLOATS ((size_t)8192)

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    struct adl_tiles tiles;
    const float *weights;
    bool turned;
    const float *x;
    float *out;
    size_t taps;         /* R S */
    size_t nr, panels;   /* output channels are multiplied in panels of nr */
    size_t group;        /* panels that u has room for */
    size_t first_panel;  /* of the current group */
    size_t panel_count;  /* of the current group */
    size_t depth;        /* input channels that are multiplied at a time */
    size_t step;         /* floats from one position of u to the next */
    size_t first, count; /* tiles of the current chunk */
    float *zeros, *bias;
    uint64_t *zero_outputs; /* for each tile of the chunk, the outputs that see zeros only */
    float *u;               /* position x chunk of input channels x panel x input channel x nr */
    float *v;               /* position x tile x input channel */
    float *m;               /* position x tile x output channel */
};

/* Floats of a job's zero_outputs, whole cache lines. */
static size_t conv_batch_winograd_zero_floats(const struct adl_tiles *tiles)
{
    size_t floats = tiles->chunk * (sizeof(uint64_t) / sizeof(float));
    return adl_ceil_div(floats, ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
}

/* The sizes of a job, and its parts of the scratch memory. A cache line is added to
 * each stride so that neighbours fall into different sets of the caches. */
static struct job conv_batch_winograd_job(const struct adl_conv *conv,
                                          const struct adl_kernels *kernels, int batch, int points,
                                          bool frugal, float *scratch)
{
    struct job job = {.conv = conv, .kernels = kernels, .tiles = adl_tiles_of(conv, batch, points)};
    size_t c = (size_t)conv->c;
    job.taps = (size_t)conv->r * (size_t)conv->s;
    job.nr = (size_t)kernels->winograd->nr;
    job.panels = adl_ceil_div((size_t)conv->k, job.nr);
    size_t groups =
        frugal ? adl_ceil_div(job.tiles.positions * job.panels * c * job.nr, ADL_FRUGAL_FLOATS) : 1;
    job.group = adl_ceil_div(job.panels, groups);
    /* The product writes whole panels. */
    job.tiles.ldy = job.group * job.nr + ADL_LINE_FLOATS;
    job.depth = adl_ceil_div(c, adl_ceil_div(c, ADL_GEMM_KC));
    job.step = job.group * c * job.nr + ADL_LINE_FLOATS;
    job.zeros = scratch;
    job.bias = job.zeros + job.tiles.ldx;
    job.zero_outputs = (uint64_t *)(void *)(job.bias + job.panels * job.nr);
    job.u = job.bias + job.panels * job.nr + conv_batch_winograd_zero_floats(&job.tiles);
    job.v = job.u + job.tiles.positions * job.step;
    job.m = job.v + job.tiles.positions * job.tiles.chunk * job.tiles.ldx;
    return job;
}

bool adl_conv_batch_winograd_supports(const struct adl_conv *conv,
                                      const struct adl_kernels *kernels, int points)
{
    const struct adl_conv_algorithm *winograd =
        points == 6 ? &adl_conv_winograd6 : &adl_conv_winograd8;
    struct adl_conv overwriting = *conv;
    overwriting.accumulate = false; /* here the output itself is the residual */
    return winograd->supports(winograd, &overwriting, kernels);
}

size_t adl_conv_batch_winograd_scratch(const struct adl_conv *conv,
                                       const struct adl_kernels *kernels, int batch, int points,
                                       bool frugal)
{
    struct job job = conv_batch_winograd_job(conv, kernels, batch, points, frugal, NULL);
    size_t chunk = job.tiles.positions * job.tiles.chunk;
    return job.tiles.ldx + job.panels * job.nr + conv_batch_winograd_zero_floats(&job.tiles) +
           job.tiles.positions * job.step + chunk * (job.tiles.ldx + job.tiles.ldy);
}

/* Copies the weights of a panel and of `count` input channels from c on, as channel x
 * tap x nr; zeros stand for output channels beyond the last. */
static void conv_batch_winograd_gather(const struct job *job, size_t panel, size_t c, size_t count,
                                       float *to)
{
    const struct adl_conv *conv = job->conv;
    size_t k0 = panel * job->nr, lanes = ADL_MIN(job->nr, (size_t)conv->k - k0);

    memset(to, 0, count * job->taps * job->nr * sizeof *to);
    for (size_t i = 0; i < count; i++, to += job->taps * job->nr)
        for (size_t k = 0; k < lanes; k++) {
            const float *from = job->weights + (job->turned ? (c + i) * (size_t)conv->k + k0 + k
                                                            : (k0 + k) * (size_t)conv->c + c + i) *
                                                   job->taps;
            for (size_t tap = 0; tap < job->taps; tap++)
                to[tap * job->nr + k] = from[job->turned ? job->taps - 1 - tap : tap];
        }
}

/* Transforms the weights of one panel and one chunk of input channels. */
static void conv_batch_winograd_weights(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    _Alignas(64) float piece[GATHER_FLOATS];
    size_t max_count = GATHER_FLOATS / (job->taps * job->nr);
    size_t panel = task % job->panel_count, c0 = task / job->panel_count * job->depth;
    size_t depth = ADL_MIN(job->depth, (size_t)job->conv->c - c0);

    for (size_t l = 0; l < depth; l += max_count) {
        size_t count = ADL_MIN(max_count, depth - l);
        conv_batch_winograd_gather(job, job->first_panel + panel, c0 + l, count, piece);
        job->kernels->winograd->weights(&(struct adl_winograd_weights){
            .row_points = job->tiles.row_points,
            .column_points = job->tiles.column_points,
            .r = job->conv->r,
            .s = job->conv->s,
            .w = piece,
            .depth = count,
            .u = job->u + (c0 * job->panel_count + panel * depth + l) * job->nr,
            .step = job->step,
        });
    }
}

static void conv_batch_winograd_input(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t last = ADL_MIN((task + 1) * ADL_TILE_TASK, job->count);
    for (size_t t = task * ADL_TILE_TASK; t < last; t++)
        adl_tile_input(&job->tiles, job->conv, job->kernels,
                       adl_tile_at(&job->tiles, job->first + t), job->x, job->zeros,
                       job->v + t * job->tiles.ldx, job->tiles.chunk * job->tiles.ldx,
                       &job->zero_outputs[t]);
}

/* Computes all products of one position. */
static void conv_batch_winograd_multiply(void *context, size_t position, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_tiles *tiles = &job->tiles;
    size_t c = (size_t)job->conv->c;
    const float *u = job->u + position * job->step;

    for (size_t l = 0; l < c; l += job->depth)
        for (size_t panel = 0; panel < job->panel_count; panel++) {
            struct adl_winograd_product product = {
                .a = job->v + position * tiles->chunk * tiles->ldx + l,
                .lda = tiles->ldx,
                .rows = job->count,
                .b = u,
                .depth = ADL_MIN(job->depth, c - l),
                .c = job->m + position * tiles->chunk * tiles->ldy + panel * job->nr,
                .ldc = tiles->ldy,
                .accumulate = l > 0,
            };
            job->kernels->winograd->product(&product);
            u += product.depth * job->nr;
        }
}

static void conv_batch_winograd_output(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_conv *conv = job->conv;
    const struct adl_tiles *tiles = &job->tiles;
    size_t last = ADL_MIN((task + 1) * ADL_TILE_TASK, job->count), q = (size_t)conv->q;
    size_t k0 = job->first_panel * job->nr;
    struct adl_winograd_output output = {
        .row_points = tiles->row_points,
        .column_points = tiles->column_points,
        .rows = tiles->row_points,
        .columns = tiles->column_points,
        .row_positions = adl_tile_positions,
        .column_positions = adl_tile_positions,
        .row_outputs = tiles->row_outputs,
        .column_outputs = tiles->column_outputs,
        .step = tiles->chunk * tiles->ldy,
        .bias = job->bias + k0,
        .ldo = conv->ldo,
        .out_row = q * conv->ldo,
        .ldr = conv->ldo,
        .residual_row = q * conv->ldo,
        .channels = ADL_MIN((size_t)conv->k - k0, job->panel_count * job->nr),
        .lo = -INFINITY,
        .hi = INFINITY,
    };
    for (size_t t = task * ADL_TILE_TASK; t < last; t++) {
        struct adl_tile tile = adl_tile_at(tiles, job->first + t);
        size_t pixel = (tile.image * (size_t)conv->p + (size_t)tile.p) * q + (size_t)tile.q;
        output.height = ADL_MIN(tiles->row_outputs, conv->p - tile.p);
        output.width = ADL_MIN(tiles->column_outputs, conv->q - tile.q);
        output.zeros = job->zero_outputs[t];
        output.m = job->m + t * tiles->ldy;
        output.out = job->out + pixel * conv->ldo + k0;
        output.residual = conv->accumulate ? output.out : NULL;
        job->kernels->winograd->output(&output);
    }
}

/* Computes the output channels of a group of panels. */
static void conv_batch_winograd_run_group(const struct adl_conv_pass *pass, struct job *job)
{
    bool transformed = job->first_panel > 0 && job->tiles.chunk == job->tiles.all;
    adl_pool_for(pass->pool, job->panel_count * adl_ceil_div((size_t)job->conv->c, job->depth),
                 conv_batch_winograd_weights, job);
    for (job->first = 0; job->first < job->tiles.all; job->first += job->tiles.chunk) {
        job->count = ADL_MIN(job->tiles.chunk, job->tiles.all - job->first);
        size_t tasks = adl_ceil_div(job->count, ADL_TILE_TASK);
        if (!transformed)
            adl_pool_for(pass->pool, tasks, conv_batch_winograd_input, job);
        adl_pool_for(pass->pool, job->tiles.positions, conv_batch_winograd_multiply, job);
        adl_pool_for(pass->pool, tasks, conv_batch_winograd_output, job);
    }
}

void adl_conv_batch_winograd(const struct adl_conv_pass *pass, int points, const float *weights,
                             bool turned, const float *bias, const float *x, float *out)
{
    const struct adl_conv *conv = pass->conv;
    struct job job = conv_batch_winograd_job(conv, pass->kernels, pass->batch, points, pass->frugal,
                                             pass->scratch);
    job.weights = weights;
    job.turned = turned;
    job.x = x;
    job.out = out;
    memset(job.zeros, 0, (job.tiles.ldx + job.panels * job.nr) * sizeof *job.zeros);
    if (bias)
        memcpy(job.bias, bias, (size_t)conv->k * sizeof *bias);
    for (; job.first_panel < job.panels; job.first_panel += job.group) {
        job.panel_count = ADL_MIN(job.group, job.panels - job.first_panel);
        conv_batch_winograd_run_group(pass, &job);
    }
}
