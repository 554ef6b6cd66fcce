/* The gradient of a 3x3 convolution's weights by Winograd's algorithm. With the
 * matrices of kernels/winograd.h, a tile's output is
 *
 *     y = A' [ (G g G') . (B' x B) ] A,    so    dg = G' [ (A dy A') . (B' x B) ] G,
 *
 * and the bracket may be summed over all tiles first: at each of the 36 positions
 * it is a product, output channels x tiles by tiles x input channels. The tiles
 * are done in chunks fixed by the shape: transformed, then multiplied, one task a
 * position, so the bits do not depend on the threads. */

#include <string.h>

#include "base/size.h"
#include "kernels/blas.h"
#include "kernels/winograd.h"
#include "ops/conv/conv_tiles.h"
#include "ops/conv/conv_train.h"

#define SPAN 6 /* points of a tile's side */
#define POSITIONS (SPAN * SPAN)

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const float *x, *grad_out;
    struct adl_tiles tiles;
    size_t first, count;  /* of this chunk */
    float *zeros, *v, *z; /* position x tile x channel */
    float *sums;          /* position x K x C */
    float *grad;          /* K x taps x C */
    float g[SPAN * 3];
};

static struct job job_of(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                         float *scratch)
{
    struct job job = {.conv = v, .kernels = kernels, .tiles = adl_tiles_of(v, batch, SPAN)};
    job.zeros = scratch;
    job.v = job.zeros + ADL_MAX(job.tiles.ldx, job.tiles.ldy);
    job.z = job.v + POSITIONS * job.tiles.chunk * job.tiles.ldx;
    job.sums = job.z + POSITIONS * job.tiles.chunk * job.tiles.ldy;
    return job;
}

bool adl_conv_grad_winograd_supports(const struct adl_conv *v, const struct adl_kernels *kernels,
                                     int batch)
{
    return v->c >= kernels->lanes && v->k >= kernels->lanes &&
           adl_conv_winograd_pays(v, kernels, batch);
}

size_t adl_conv_grad_winograd_scratch(const struct adl_conv *v, int batch)
{
    struct adl_tiles tiles = adl_tiles_of(v, batch, SPAN);
    return ADL_MAX(tiles.ldx, tiles.ldy) + POSITIONS * tiles.chunk * (tiles.ldx + tiles.ldy) +
           POSITIONS * (size_t)v->k * (size_t)v->c;
}

static void transform_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_conv *v = job->conv;
    const struct adl_tiles *tiles = &job->tiles;
    size_t last = ADL_MIN((task + 1) * ADL_TILE_TASK, job->count);
    const float *pixels[ADL_TILE_POSITIONS];

    for (size_t t = task * ADL_TILE_TASK; t < last; t++) {
        struct adl_tile tile = adl_tile_at(tiles, job->first + t);
        adl_tile_input(tiles, v, job->kernels, tile, job->x, job->zeros, job->v + t * tiles->ldx,
                       tiles->chunk * tiles->ldx);
        adl_tile_output_pixels(tiles, v, tile, job->grad_out, job->zeros, pixels);
        job->kernels->winograd_spread(pixels, (size_t)v->k, job->z + t * tiles->ldy,
                                      tiles->chunk * tiles->ldy);
    }
}

static void multiply_task(void *context, size_t i, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_tiles *tiles = &job->tiles;
    size_t c = (size_t)job->conv->c, k = (size_t)job->conv->k;
    adl_sgemm(true, false, k, c, job->count, job->z + i * tiles->chunk * tiles->ldy, tiles->ldy,
              job->v + i * tiles->chunk * tiles->ldx, tiles->ldx, job->first > 0 ? 1 : 0,
              job->sums + i * k * c, c);
}

static void fold_task(void *context, size_t k, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t c = (size_t)job->conv->c;
    job->kernels->winograd_fold(job->sums + k * c, (size_t)job->conv->k * c, job->g, c,
                                job->grad + k * 9 * c);
}

/* G of winograd.h, SPAN x 3. */
static void kernel_matrix(float *g)
{
    static const float pairs[] = ADL_WINOGRAD_PAIRS6;
    double points[SPAN - 1] = {0};
    for (int i = 1; i < SPAN - 1; i++)
        points[i] = i % 2 ? (double)pairs[(i - 1) / 2] : -(double)pairs[(i - 1) / 2];
    for (int i = 0; i < SPAN - 1; i++) {
        double value = 1;
        for (int l = 0; l < SPAN - 1; l++)
            value /= l == i ? 1 : points[i] - points[l];
        for (int j = 0; j < 3; j++, value *= points[i])
            g[i * 3 + j] = (float)value;
    }
    memcpy(g + (ptrdiff_t)(SPAN - 1) * 3, (const float[]){0, 0, 1}, 3 * sizeof *g);
}

void adl_conv_grad_winograd(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                            const float *x, const float *grad_out, float *grad, float *scratch,
                            struct adl_pool *pool)
{
    struct job job = job_of(v, kernels, batch, scratch);
    job.x = x;
    job.grad_out = grad_out;
    job.grad = grad;
    kernel_matrix(job.g);
    memset(job.zeros, 0, ADL_MAX(job.tiles.ldx, job.tiles.ldy) * sizeof *job.zeros);
    for (job.first = 0; job.first < job.tiles.all; job.first += job.tiles.chunk) {
        job.count = ADL_MIN(job.tiles.chunk, job.tiles.all - job.first);
        adl_pool_for(pool, adl_ceil_div(job.count, ADL_TILE_TASK), transform_task, &job);
        adl_pool_for(pool, POSITIONS, multiply_task, &job);
    }
    adl_pool_for(pool, (size_t)v->k, fold_task, &job);
}
