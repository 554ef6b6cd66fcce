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
#include "ops/conv_train.h"

#define LINE_FLOATS ((size_t)16)
#define SIDE 4          /* of a tile of the output */
#define SPAN (SIDE + 2) /* of the input */
#define POSITIONS (SPAN * SPAN)
/* Floats of a chunk's transformed tiles, unless that were too few tiles for a
 * product to be worth its sums' way through the caches. */
#define CHUNK_FLOATS ((size_t)4 << 20)
#define CHUNK_TILES ((size_t)256)
/* Tiles in a task. */
#define TASK_TILES ((size_t)16)

static size_t lines(size_t floats)
{
    return (floats + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
}

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const float *x, *grad_out;
    size_t across, image_tiles, tiles;
    size_t ldv, ldz;      /* floats from tile to tile: of x, of grad_out */
    size_t chunk;         /* tiles */
    size_t first, count;  /* of this chunk */
    float *zeros, *v, *z; /* position x tile x channel */
    float *sums;          /* position x K x C */
    float *grad;          /* K x taps x C */
    float g[SPAN * 3];
};

static struct job job_of(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                         float *scratch)
{
    struct job job = {.conv = v, .kernels = kernels};
    job.across = (size_t)(v->q + SIDE - 1) / SIDE;
    job.image_tiles = job.across * ((size_t)(v->p + SIDE - 1) / SIDE);
    job.tiles = job.image_tiles * (size_t)batch;
    job.ldv = lines((size_t)v->c) + LINE_FLOATS;
    job.ldz = lines((size_t)v->k) + LINE_FLOATS;
    job.chunk = ADL_MAX(CHUNK_FLOATS / (POSITIONS * (job.ldv + job.ldz)), CHUNK_TILES);
    job.chunk = ADL_MIN(job.chunk, job.tiles);
    job.zeros = scratch;
    job.v = job.zeros + ADL_MAX(job.ldv, job.ldz);
    job.z = job.v + POSITIONS * job.chunk * job.ldv;
    job.sums = job.z + POSITIONS * job.chunk * job.ldz;
    return job;
}

bool adl_conv_grad_winograd_supports(const struct adl_conv *v, const struct adl_kernels *kernels,
                                     int batch)
{
    return v->c >= kernels->lanes && v->k >= kernels->lanes &&
           adl_conv_winograd_pays(v, kernels, batch);
}

size_t adl_conv_grad_winograd_scratch(const struct adl_conv *v, const struct adl_kernels *kernels,
                                      int batch)
{
    struct job job = job_of(v, kernels, batch, NULL);
    return ADL_MAX(job.ldv, job.ldz) + POSITIONS * job.chunk * (job.ldv + job.ldz) +
           POSITIONS * (size_t)v->k * (size_t)v->c;
}

/* Pointers to the pixels of a square of a map, `zeros` where there is none. */
static void square(const float *map, int h, int w, size_t ld, int top, int left, int side,
                   const float *zeros, const float **pixels)
{
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            int y = top + i, z = left + j;
            bool inside = y >= 0 && y < h && z >= 0 && z < w;
            pixels[i * side + j] = inside ? map + ((size_t)y * (size_t)w + (size_t)z) * ld : zeros;
        }
}

static const unsigned char all_positions[SPAN] = {0, 1, 2, 3, 4, 5};

static void transform_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_conv *v = job->conv;
    size_t last = ADL_MIN((task + 1) * TASK_TILES, job->count);
    const float *pixels[POSITIONS];

    for (size_t t = task * TASK_TILES; t < last; t++) {
        size_t image = (job->first + t) / job->image_tiles;
        size_t tile = (job->first + t) % job->image_tiles;
        int p = (int)(tile / job->across) * SIDE, q = (int)(tile % job->across) * SIDE;
        square(job->x + image * (size_t)v->h * (size_t)v->w * v->ldx, v->h, v->w, v->ldx,
               p - v->pad_top, q - v->pad_left, SPAN, job->zeros, pixels);
        job->kernels->winograd->input(
            &(struct adl_winograd_input){.row_points = SPAN,
                                         .column_points = SPAN,
                                         .rows = SPAN,
                                         .columns = SPAN,
                                         .row_positions = all_positions,
                                         .column_positions = all_positions,
                                         .pixels = pixels,
                                         .channels = (size_t)v->c,
                                         .v = job->v + t * job->ldv,
                                         .step = job->chunk * job->ldv});
        square(job->grad_out + image * (size_t)v->p * (size_t)v->q * v->ldo, v->p, v->q, v->ldo, p,
               q, SIDE, job->zeros, pixels);
        job->kernels->winograd_spread(pixels, (size_t)v->k, job->z + t * job->ldz,
                                      job->chunk * job->ldz);
    }
}

static void multiply_task(void *context, size_t i, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t c = (size_t)job->conv->c, k = (size_t)job->conv->k;
    adl_sgemm(true, false, k, c, job->count, job->z + i * job->chunk * job->ldz, job->ldz,
              job->v + i * job->chunk * job->ldv, job->ldv, job->first > 0 ? 1 : 0,
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
    memset(job.zeros, 0, ADL_MAX(job.ldv, job.ldz) * sizeof *job.zeros);
    for (job.first = 0; job.first < job.tiles; job.first += job.chunk) {
        job.count = ADL_MIN(job.chunk, job.tiles - job.first);
        adl_pool_for(pool, (job.count + TASK_TILES - 1) / TASK_TILES, transform_task, &job);
        adl_pool_for(pool, POSITIONS, multiply_task, &job);
    }
    adl_pool_for(pool, (size_t)v->k, fold_task, &job);
}
