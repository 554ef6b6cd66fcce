/* A convolution at stride 1 of a whole batch by Winograd's algorithm: forward, or
 * (turned) the gradient of its input. Beside conv_winograd.c, which takes an image
 * at a time: there a small map's few tiles would have all the transformed weights
 * read from memory for each image.
 *
 * Weights are transformed first, then the tiles in chunks fixed by the shape:
 * transformed, multiplied (a task is a position), transformed back. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "ops/conv/conv_tiles.h"
#include "ops/conv/conv_train.h"

#define LINE_FLOATS ((size_t)16)
/* Floats of the taps that are gathered at a time: of some channels, of one at least. */
#define GATHER_FLOATS ((size_t)8192)

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    struct adl_tiles tiles;
    const float *weights;
    bool turned;
    const float *x;
    float *out;
    size_t taps, nr, panels;
    size_t depth;        /* of a chunk of the input channels */
    size_t step;         /* floats from position to position of the weights */
    size_t first, count; /* tiles of this chunk */
    float *zeros, *bias;
    float *u; /* position x chunk of the depth x panel x channel x nr */
    float *v; /* position x tile x input channel */
    float *m; /* position x tile x output channel */
};

static struct job job_of(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                         int points, float *scratch)
{
    struct job job = {.conv = v, .kernels = kernels, .tiles = adl_tiles_of(v, batch, points)};
    size_t c = (size_t)v->c;
    job.taps = (size_t)v->r * (size_t)v->s;
    job.nr = (size_t)kernels->winograd->nr;
    job.panels = adl_ceil_div((size_t)v->k, job.nr);
    /* The product writes whole panels. */
    job.tiles.ldy = job.panels * job.nr + LINE_FLOATS;
    job.depth = adl_ceil_div(c, adl_ceil_div(c, ADL_GEMM_KC));
    job.step = job.panels * c * job.nr + LINE_FLOATS;
    job.zeros = scratch;
    job.bias = job.zeros + job.tiles.ldx;
    job.u = job.bias + job.panels * job.nr;
    job.v = job.u + job.tiles.positions * job.step;
    job.m = job.v + job.tiles.positions * job.tiles.chunk * job.tiles.ldx;
    return job;
}

bool adl_conv_batch_winograd_supports(const struct adl_conv *v, const struct adl_kernels *kernels,
                                      int points)
{
    const struct adl_conv_algorithm *one = points == 6 ? &adl_conv_winograd6 : &adl_conv_winograd8;
    struct adl_conv written = *v;
    written.accumulate = false; /* here it is the residual */
    return one->supports(one, &written, kernels);
}

size_t adl_conv_batch_winograd_scratch(const struct adl_conv *v, const struct adl_kernels *kernels,
                                       int batch, int points)
{
    struct job job = job_of(v, kernels, batch, points, NULL);
    size_t chunk = job.tiles.positions * job.tiles.chunk;
    return job.tiles.ldx + job.panels * job.nr + job.tiles.positions * job.step +
           chunk * (job.tiles.ldx + job.tiles.ldy);
}

/* The taps of a panel and of `count` input channels from c on: channel x tap x nr,
 * zero beyond the last output channel. */
static void gather(const struct job *job, size_t panel, size_t c, size_t count, float *to)
{
    const struct adl_conv *v = job->conv;
    size_t k0 = panel * job->nr, lanes = ADL_MIN(job->nr, (size_t)v->k - k0);

    memset(to, 0, count * job->taps * job->nr * sizeof *to);
    for (size_t i = 0; i < count; i++, to += job->taps * job->nr)
        for (size_t k = 0; k < lanes; k++) {
            const float *from = job->weights + (job->turned ? (c + i) * (size_t)v->k + k0 + k
                                                            : (k0 + k) * (size_t)v->c + c + i) *
                                                   job->taps;
            for (size_t tap = 0; tap < job->taps; tap++)
                to[tap * job->nr + k] = from[job->turned ? job->taps - 1 - tap : tap];
        }
}

/* A panel and a chunk of the depth. */
static void weights_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    _Alignas(64) float piece[GATHER_FLOATS];
    size_t most = GATHER_FLOATS / (job->taps * job->nr);
    size_t panel = task % job->panels, c0 = task / job->panels * job->depth;
    size_t depth = ADL_MIN(job->depth, (size_t)job->conv->c - c0);

    for (size_t l = 0; l < depth; l += most) {
        size_t count = ADL_MIN(most, depth - l);
        gather(job, panel, c0 + l, count, piece);
        job->kernels->winograd->weights(&(struct adl_winograd_weights){
            .row_points = job->tiles.row_points,
            .column_points = job->tiles.column_points,
            .r = job->conv->r,
            .s = job->conv->s,
            .w = piece,
            .depth = count,
            .u = job->u + (c0 * job->panels + panel * depth + l) * job->nr,
            .step = job->step,
        });
    }
}

static void input_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t last = ADL_MIN((task + 1) * ADL_TILE_TASK, job->count);
    for (size_t t = task * ADL_TILE_TASK; t < last; t++)
        adl_tile_input(&job->tiles, job->conv, job->kernels,
                       adl_tile_at(&job->tiles, job->first + t), job->x, job->zeros,
                       job->v + t * job->tiles.ldx, job->tiles.chunk * job->tiles.ldx);
}

static void multiply_task(void *context, size_t position, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_tiles *tiles = &job->tiles;
    size_t c = (size_t)job->conv->c;
    const float *u = job->u + position * job->step;

    for (size_t l = 0; l < c; l += job->depth)
        for (size_t panel = 0; panel < job->panels; panel++) {
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

static void output_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_conv *v = job->conv;
    const struct adl_tiles *tiles = &job->tiles;
    size_t last = ADL_MIN((task + 1) * ADL_TILE_TASK, job->count), q = (size_t)v->q;
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
        .bias = job->bias,
        .ldo = v->ldo,
        .out_row = q * v->ldo,
        .ldr = v->ldo,
        .residual_row = q * v->ldo,
        .channels = (size_t)v->k,
        .lo = -INFINITY,
        .hi = INFINITY,
    };
    for (size_t t = task * ADL_TILE_TASK; t < last; t++) {
        struct adl_tile tile = adl_tile_at(tiles, job->first + t);
        size_t pixel = (tile.image * (size_t)v->p + (size_t)tile.p) * q + (size_t)tile.q;
        output.height = ADL_MIN(tiles->row_outputs, v->p - tile.p);
        output.width = ADL_MIN(tiles->column_outputs, v->q - tile.q);
        output.m = job->m + t * tiles->ldy;
        output.out = job->out + pixel * v->ldo;
        output.residual = v->accumulate ? output.out : NULL;
        job->kernels->winograd->output(&output);
    }
}

void adl_conv_batch_winograd(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                             int points, const float *weights, bool turned, const float *bias,
                             const float *x, float *out, float *scratch, struct adl_pool *pool)
{
    struct job job = job_of(v, kernels, batch, points, scratch);
    job.weights = weights;
    job.turned = turned;
    job.x = x;
    job.out = out;
    memset(job.zeros, 0, (job.tiles.ldx + job.panels * job.nr) * sizeof *job.zeros);
    if (bias)
        memcpy(job.bias, bias, (size_t)v->k * sizeof *bias);
    adl_pool_for(pool, job.panels * adl_ceil_div((size_t)v->c, job.depth), weights_task, &job);
    for (job.first = 0; job.first < job.tiles.all; job.first += job.tiles.chunk) {
        job.count = ADL_MIN(job.tiles.chunk, job.tiles.all - job.first);
        size_t tasks = adl_ceil_div(job.count, ADL_TILE_TASK);
        adl_pool_for(pool, tasks, input_task, &job);
        adl_pool_for(pool, job.tiles.positions, multiply_task, &job);
        adl_pool_for(pool, tasks, output_task, &job);
    }
}
