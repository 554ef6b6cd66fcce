/* Computes the gradient of a 3x3 convolution's weights by Winograd's algorithm F(4x4, 3x3)
 * (Lavin & Gray 2016). With the matrices A, B and G of kernels/winograd.h, a tile of 4 x 4
 * outputs y from a tile of 6 x 6 inputs x and the kernel g is
 *
 *     y = A' [ (G g G') . (B' x B) ] A,
 *
 * where . multiplies element by element. This is linear in g, and its transpose gives the
 * gradient of g for a gradient dy of the tile:
 *
 *     dg = G' [ (A dy A') . (B' x B) ] G.
 *
 * The outer transform is linear too, so the bracket may be summed over all tiles of the batch
 * before it is applied, once for each pair of channels. At each of the 36 positions the sum
 * is a matrix product
 *
 *     sums[position] (K x C) = z[position]' (K x tiles) v[position] (tiles x C),
 *
 * with z = A dy A' and v = B' x B: 36 multiplications take the place of 4 x 4 x 9 = 144 for
 * each tile and pair of channels.
 *
 * A frugal pass computes a group of output channels at a time, and transforms the input for each
 * group, or once in all if its tiles are one chunk.
 *
 * Tiles are processed in chunks whose size the shape determines; each chunk is first
 * transformed, then multiplied with one task for each position, so that the result does not
 * depend on the number of threads. */

#include "ops/conv/conv_grad_winograd.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/blas.h"
#include "kernels/winograd.h"
#include "ops/conv/conv_tiles.h"

#define POINTS ADL_GRAD_WINOGRAD_POINTS
#define POSITIONS (POINTS * POINTS)

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const float *x, *grad_out;
    struct adl_tiles tiles;
    size_t first, count; /* tiles of the current chunk */
    float *zeros;        /* a pixel of padding */
    float *v, *z;        /* position x tile x channel */
    float *sums;         /* position x K x C */
    float *grad;         /* K x (R, S, C) */
    float g[POINTS * 3]; /* the matrix G */
    bool transformed;    /* v has been computed with another group */
};

bool adl_conv_grad_winograd_supports(const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    return conv->r == 3 && conv->s == 3 && conv->c >= kernels->lanes && conv->k >= kernels->lanes &&
           adl_conv_winograd6.supports(&adl_conv_winograd6, conv, kernels);
}

/* Returns the output channels of a group: whole cache lines, with as many as a vector kernel needs
 * left for the last group. */
static int conv_grad_winograd_group(const struct adl_conv *conv, bool frugal)
{
    size_t k = (size_t)conv->k, all = POSITIONS * k * (size_t)conv->c;
    if (!frugal || all <= ADL_FRUGAL_FLOATS)
        return conv->k;
    size_t group = adl_ceil_div(k, adl_ceil_div(all, ADL_FRUGAL_FLOATS));
    group = adl_ceil_div(group, ADL_LINE_FLOATS) * ADL_LINE_FLOATS;
    while (k % group > 0 && k % group < ADL_LINE_FLOATS)
        group += ADL_LINE_FLOATS;
    return (int)ADL_MIN(group, k);
}

size_t adl_conv_grad_winograd_scratch(const struct adl_conv *conv, int batch, bool frugal)
{
    struct adl_conv part = *conv;
    part.k = conv_grad_winograd_group(conv, frugal);
    size_t most = 0;
    /* The last group may be smaller, and its chunks of tiles larger. */
    for (int left = conv->k % part.k; part.k > 0; part.k = left, left = 0) {
        struct adl_tiles tiles = adl_tiles_of(&part, batch, POINTS);
        size_t floats = ADL_MAX(tiles.ldx, tiles.ldy) +
                        POSITIONS * tiles.chunk * (tiles.ldx + tiles.ldy) +
                        POSITIONS * (size_t)part.k * (size_t)conv->c;
        most = ADL_MAX(most, floats);
    }
    return most;
}

static void conv_grad_winograd_transform(void *context, size_t task, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_conv *conv = job->conv;
    const struct adl_tiles *tiles = &job->tiles;
    size_t last = ADL_MIN((task + 1) * ADL_TILE_TASK, job->count);
    const float *pixels[ADL_TILE_POSITIONS];

    for (size_t t = task * ADL_TILE_TASK; t < last; t++) {
        struct adl_tile tile = adl_tile_at(tiles, job->first + t);
        if (!job->transformed)
            adl_tile_input(tiles, conv, job->kernels, tile, job->x, job->zeros,
                           job->v + t * tiles->ldx, tiles->chunk * tiles->ldx, NULL);
        adl_tile_output_pixels(tiles, conv, tile, job->grad_out, job->zeros, pixels);
        job->kernels->winograd_spread(pixels, (size_t)conv->k, job->z + t * tiles->ldy,
                                      tiles->chunk * tiles->ldy);
    }
}

/* Adds a chunk's product at one position; the first chunk writes it. */
static void conv_grad_winograd_multiply(void *context, size_t position, int worker)
{
    (void)worker;
    const struct job *job = context;
    const struct adl_tiles *tiles = &job->tiles;
    size_t c = (size_t)job->conv->c, k = (size_t)job->conv->k;
    adl_sgemm(true, false, k, c, job->count, job->z + position * tiles->chunk * tiles->ldy,
              tiles->ldy, job->v + position * tiles->chunk * tiles->ldx, tiles->ldx,
              job->first > 0 ? 1 : 0, job->sums + position * k * c, c);
}

/* Applies the outer transform G' [.] G for one output channel. */
static void conv_grad_winograd_fold(void *context, size_t k, int worker)
{
    (void)worker;
    const struct job *job = context;
    size_t c = (size_t)job->conv->c;
    job->kernels->winograd_fold(job->sums + k * c, (size_t)job->conv->k * c, job->g, c,
                                job->grad + k * 9 * c);
}

/* Writes G of winograd.h, POINTS x 3, row by row. The row of point p[i] holds the powers
 * p[i]^j divided by the product of all p[i] - p[l]; the row of infinity is (0 0 1). The
 * points are 0 and the pairs +-p. */
static void conv_grad_winograd_matrix(float *g)
{
    static const float pairs[] = ADL_WINOGRAD_PAIRS6;
    double points[POINTS - 1] = {0};
    for (int i = 1; i < POINTS - 1; i++)
        points[i] = i % 2 ? (double)pairs[(i - 1) / 2] : -(double)pairs[(i - 1) / 2];
    for (int i = 0; i < POINTS - 1; i++) {
        double value = 1;
        for (int l = 0; l < POINTS - 1; l++)
            value /= l == i ? 1 : points[i] - points[l];
        for (int j = 0; j < 3; j++, value *= points[i])
            g[i * 3 + j] = (float)value;
    }
    memcpy(g + (ptrdiff_t)(POINTS - 1) * 3, (const float[]){0, 0, 1}, 3 * sizeof *g);
}

/* Computes a group of output channels: those of pass->conv. */
static void conv_grad_winograd_run_group(const struct adl_conv_pass *pass, bool transformed,
                                         const float *x, const float *grad_out, float *grad)
{
    struct job job = {.conv = pass->conv,
                      .kernels = pass->kernels,
                      .x = x,
                      .grad_out = grad_out,
                      .tiles = adl_tiles_of(pass->conv, pass->batch, POINTS),
                      .grad = grad};
    size_t zeros = ADL_MAX(job.tiles.ldx, job.tiles.ldy);
    job.transformed = transformed && job.tiles.chunk == job.tiles.all;
    job.v = pass->scratch;
    job.z = job.v + POSITIONS * job.tiles.chunk * job.tiles.ldx;
    job.sums = job.z + POSITIONS * job.tiles.chunk * job.tiles.ldy;
    job.zeros = job.sums + POSITIONS * (size_t)job.conv->k * (size_t)job.conv->c;

    conv_grad_winograd_matrix(job.g);
    memset(job.zeros, 0, zeros * sizeof *job.zeros);
    for (job.first = 0; job.first < job.tiles.all; job.first += job.tiles.chunk) {
        job.count = ADL_MIN(job.tiles.chunk, job.tiles.all - job.first);
        adl_pool_for(pass->pool, adl_ceil_div(job.count, ADL_TILE_TASK),
                     conv_grad_winograd_transform, &job);
        adl_pool_for(pass->pool, POSITIONS, conv_grad_winograd_multiply, &job);
    }
    adl_pool_for(pass->pool, (size_t)pass->conv->k, conv_grad_winograd_fold, &job);
}

void adl_conv_grad_winograd(const struct adl_conv_pass *pass, const float *x, const float *grad_out,
                            float *grad)
{
    const struct adl_conv *conv = pass->conv;
    int group = conv_grad_winograd_group(conv, pass->frugal);
    for (int k = 0; k < conv->k; k += group) {
        struct adl_conv part = *conv;
        struct adl_conv_pass group_pass = *pass;
        part.k = ADL_MIN(group, conv->k - k);
        group_pass.conv = &part;
        conv_grad_winograd_run_group(&group_pass, k > 0, x, grad_out + k,
                                     grad + (size_t)k * 9 * (size_t)conv->c);
    }
}
