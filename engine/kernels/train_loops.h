#ifndef ADL_KERNELS_TRAIN_LOOPS_H
#define ADL_KERNELS_TRAIN_LOOPS_H

/* Implements the kernels of a training step that are not matrix products, in plain C for the
 * compiler to vectorise. Each instruction set's file includes this header and is compiled
 * with the flags for it, after it has defined TRAIN_LANES, the floats of a vector, and
 * ISA(name). Everything here is static, so that no wide instruction can leak into
 * another file through the linker. Maps are dense: channels are contiguous, and pixels
 * `channels` floats apart.
 *
 * Sums over all pixels of a map would lose digits in float32, and double has only
 * half as many lanes in a vector. The loops therefore add runs of a few pixels in
 * float32 and the sums of these runs in double. */

#include "kernels/kernel.h"
#include "kernels/winograd.h"

/* Channels processed at a time; their sums are kept on the stack. */
#define TRAIN_BLOCK 256
/* Rows of a map processed at a time, which stay in a near cache while one vector of channels
 * after the other is computed. */
#define TRAIN_ROWS 4
/* Pixels of a run, summed in float32 before the sum is added to one in double. */
#define TRAIN_RUN 16

#define TRAIN_INLINE inline __attribute__((always_inline))

static size_t train_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Returns the gradient of a clamp's input: dy if y was not clamped, else 0. A NaN was not
 * clamped; it compares false with either bound. Both comparisons are always evaluated
 * (| instead of ||), so that there is no branch to prevent vectorisation. */
static float train_unclamped(float y, float lo, float hi, float dy)
{
    return ((y <= lo) | (y >= hi)) ? 0 : dy;
}

/* Replaces an infinite bound by NaN, which no value reaches: it clamps nothing, not even an
 * infinite value. */
static float train_bound(float bound)
{
    return __builtin_isinf(bound) ? __builtin_nanf("") : bound;
}

static void ISA(train_relu_back)(const float *restrict y, float hi, size_t count, const float *dy,
                                 float *dx, int add)
{
    hi = train_bound(hi);
    if (add)
        for (size_t i = 0; i < count; i++)
            dx[i] += train_unclamped(y[i], 0, hi, dy[i]);
    else
        for (size_t i = 0; i < count; i++)
            dx[i] = train_unclamped(y[i], 0, hi, dy[i]);
}

/* --- batch norm: maps are read in the order in which they lie in memory ---------------- */

/* sums[c] = sum over the pixels of x (mean NULL) or of (x - mean[c])^2. Whether `mean`
 * is NULL is known at each call, so the compiler makes a loop for each case. */
static TRAIN_INLINE void train_sum(const float *restrict x, const float *restrict mean,
                                   size_t pixels, size_t channels, double *restrict sums)
{
    for (size_t c0 = 0; c0 < channels; c0 += TRAIN_BLOCK) {
        size_t block = train_min(TRAIN_BLOCK, channels - c0);
        for (size_t c = 0; c < block; c++)
            sums[c0 + c] = 0;
        for (size_t i = 0; i < pixels; i += TRAIN_RUN) {
            float run[TRAIN_BLOCK] = {0};
            for (size_t j = i; j < train_min(i + TRAIN_RUN, pixels); j++)
                for (size_t c = 0; c < block; c++) {
                    float value = x[j * channels + c0 + c];
                    float d = mean ? value - mean[c0 + c] : 0;
                    run[c] += mean ? d * d : value;
                }
            for (size_t c = 0; c < block; c++)
                sums[c0 + c] += (double)run[c];
        }
    }
}

static void ISA(train_moments)(const float *x, size_t pixels, size_t channels, double *sums,
                               double *squares, float *mean)
{
    train_sum(x, NULL, pixels, channels, sums);
    for (size_t c = 0; c < channels; c++)
        mean[c] = (float)(sums[c] / (double)pixels);
    train_sum(x, mean, pixels, channels, squares);
}

static void ISA(train_products)(const float *restrict x, const float *restrict dy,
                                const struct adl_norm *n, size_t pixels, size_t channels,
                                double *restrict dy_sums, double *restrict product_sums)
{
    float lo = train_bound(n->lo), hi = train_bound(n->hi);
    for (size_t c0 = 0; c0 < channels; c0 += TRAIN_BLOCK) {
        size_t block = train_min(TRAIN_BLOCK, channels - c0);
        const float *restrict scale = n->scale + c0, *restrict shift = n->shift + c0;
        const float *restrict mean = n->mean + c0;
        for (size_t c = 0; c < block; c++)
            dy_sums[c0 + c] = product_sums[c0 + c] = 0;
        for (size_t i = 0; i < pixels; i += TRAIN_RUN) {
            float dy_run[TRAIN_BLOCK] = {0}, product_run[TRAIN_BLOCK] = {0};
            for (size_t j = i; j < train_min(i + TRAIN_RUN, pixels); j++) {
                const float *xj = x + j * channels + c0, *dyj = dy + j * channels + c0;
                for (size_t c = 0; c < block; c++) {
                    float g = train_unclamped(xj[c] * scale[c] + shift[c], lo, hi, dyj[c]);
                    dy_run[c] += g;
                    product_run[c] += g * (xj[c] - mean[c]);
                }
            }
            for (size_t c = 0; c < block; c++) {
                dy_sums[c0 + c] += (double)dy_run[c];
                product_sums[c0 + c] += (double)product_run[c];
            }
        }
    }
}

static void ISA(train_affine2)(const float *restrict x, const float *dy, const struct adl_norm *n,
                               const struct adl_norm_back *b, size_t pixels, size_t channels,
                               float *dx, int add)
{
    const float *restrict scale = n->scale, *restrict shift = n->shift;
    const float *restrict kx = b->kx, *restrict kdy = b->kdy, *restrict k = b->k;
    float lo = train_bound(n->lo), hi = train_bound(n->hi);
    for (size_t i = 0; i < pixels; i++, x += channels, dy += channels, dx += channels) {
        /* dx and dy are the same or do not overlap, so no iteration depends on another. */
#ifdef __clang__
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
        for (size_t c = 0; c < channels; c++) {
            float g = train_unclamped(x[c] * scale[c] + shift[c], lo, hi, dy[c]);
            float value = kdy[c] * g + (kx[c] * x[c] + k[c]);
            dx[c] = add ? dx[c] + value : value;
        }
    }
}

static void ISA(train_dot_rows)(const float *restrict a, size_t lda, const float *restrict b,
                                size_t ldb, size_t pixels, size_t channels, float *restrict sums)
{
    for (size_t c0 = 0; c0 < channels; c0 += 64) {
        size_t block = train_min(64, channels - c0);
        float run[64] = {0};
        for (size_t i = 0; i < pixels; i++)
            for (size_t c = 0; c < block; c++)
                run[c] += a[i * lda + c0 + c] * b[i * ldb + c0 + c];
        for (size_t c = 0; c < block; c++)
            sums[c0 + c] += run[c];
    }
}

/* --- 3x3 depthwise: the gradient of the weights ---------------------------------------- */

typedef float train_vector __attribute__((vector_size(4 * TRAIN_LANES), aligned(4), may_alias));

static train_vector train_load(const float *floats)
{
    return *(const train_vector *)(const void *)floats;
}

/* Returns a vector of channels of column q of a row of dy; zero outside the row. */
static train_vector train_column(const struct adl_depthwise_grad *g, const float *dy, int q)
{
    return q >= 0 && q < g->q ? train_load(dy + (size_t)q * g->channels) : (train_vector){0};
}

/* Adds the products of one row of dy to the nine sums of a vector of channels. `rows` has
 * a bit for each of the three rows of x that lies inside the map. It is a constant if all
 * three do, so that the sums stay in registers. */
static TRAIN_INLINE void train_depthwise_row(const struct adl_depthwise_grad *g, const int rows,
                                             const float *x, const float *dy, train_vector *sums)
{
    size_t ld = g->channels, line = (size_t)g->w * ld;
    if (g->stride == 1) { /* each pixel of x meets three of dy, which move along */
        train_vector d1 = train_column(g, dy, g->pad_left - 1);
        train_vector d2 = train_column(g, dy, g->pad_left - 2);
        for (int j = 0; j < g->w; j++, x += ld) {
            train_vector d0 = train_column(g, dy, j + g->pad_left);
#pragma GCC unroll 3
            for (int r = 0; r < 3; r++) {
                if (!(rows & 1 << r))
                    continue;
                train_vector xj = train_load(x + (size_t)r * line);
                sums[r * 3] += xj * d0;
                sums[r * 3 + 1] += xj * d1;
                sums[r * 3 + 2] += xj * d2;
            }
            d2 = d1;
            d1 = d0;
        }
        return;
    }
    for (int q = 0; q < g->q; q++, dy += ld) {
        int column = q * g->stride - g->pad_left;
        int inside = column >= 0 && column + 3 <= g->w;
        train_vector d = train_load(dy);
#pragma GCC unroll 3
        for (int r = 0; r < 3; r++)
#pragma GCC unroll 3
            for (int s = 0; s < 3; s++)
                if (rows & 1 << r && (inside || (column + s >= 0 && column + s < g->w)))
                    sums[r * 3 + s] +=
                        train_load(x + (size_t)r * line + (ptrdiff_t)(column + s) * (ptrdiff_t)ld) *
                        d;
    }
}

/* Adds the rows p0 .. p1-1 of dy to the sums in `work`, for a vector of channels from
 * c on. */
static void ISA(train_depthwise_rows)(const struct adl_depthwise_grad *g, int p0, int p1, size_t c,
                                      float *work)
{
    train_vector sums[9];
#pragma GCC unroll 9
    for (int tap = 0; tap < 9; tap++)
        sums[tap] = train_load(work + tap * TRAIN_LANES);
    for (int p = p0; p < p1; p++) {
        int top = p * g->stride - g->pad_top, rows = 0;
        for (int r = 0; r < 3; r++)
            rows |= (top + r >= 0 && top + r < g->h) << r;
        const float *x = g->x + (ptrdiff_t)top * g->w * (ptrdiff_t)g->channels + c;
        const float *dy = g->dy + (size_t)p * (size_t)g->q * g->channels + c;
        if (rows == 7)
            train_depthwise_row(g, 7, x, dy, sums);
        else
            train_depthwise_row(g, rows, x, dy, sums);
    }
#pragma GCC unroll 9
    for (int tap = 0; tap < 9; tap++)
        *(train_vector *)(void *)(work + tap * TRAIN_LANES) = sums[tap];
}

/* The last vector ends with the last channel, so it may overlap the one before it; both compute
 * equal sums for the channels in common. */
static void ISA(train_depthwise_grad)(const struct adl_depthwise_grad *g)
{
    size_t vectors = (g->channels + TRAIN_LANES - 1) / TRAIN_LANES, each = 9 * TRAIN_LANES;
    for (size_t i = 0; i < vectors * each; i++)
        g->work[i] = 0;
    for (int p = 0; p < g->p; p += TRAIN_ROWS)
        for (size_t v = 0; v < vectors; v++)
            ISA(train_depthwise_rows)
    (g, p, p + TRAIN_ROWS < g->p ? p + TRAIN_ROWS : g->p,
     train_min(v * TRAIN_LANES, g->channels - TRAIN_LANES), g->work + v * each);
    for (size_t v = 0; v < vectors; v++)
        for (size_t i = 0; i < each; i++)
            g->sums[i / TRAIN_LANES * g->channels +
                    train_min(v * TRAIN_LANES, g->channels - TRAIN_LANES) + i % TRAIN_LANES] =
                g->work[v * each + i];
}

/* --- Winograd's algorithm, gradient of the weights (formulas: winograd.h) --------------- */

static const float train_pairs[2] = ADL_WINOGRAD_PAIRS6;

/* Computes y = A x, from 4 vectors that are sx apart to 6 that are sy apart. */
static TRAIN_INLINE void train_spread4(const train_vector *x, int sx, train_vector *y, int sy)
{
    const float a = train_pairs[0], b = train_pairs[1];
    train_vector even_a = x[0] + x[2 * sx] * (a * a), odd_a = (x[sx] + x[3 * sx] * (a * a)) * a;
    train_vector even_b = x[0] + x[2 * sx] * (b * b), odd_b = (x[sx] + x[3 * sx] * (b * b)) * b;
    y[0] = x[0];
    y[sy] = even_a + odd_a;
    y[2 * sy] = even_a - odd_a;
    y[3 * sy] = even_b + odd_b;
    y[4 * sy] = even_b - odd_b;
    y[5 * sy] = x[3 * sx];
}

/* As in train_depthwise_grad, the last vector ends with the last channel and may overlap
 * the one before it. */
static void ISA(train_winograd_spread)(const float *const *pixels, size_t channels, float *z,
                                       size_t step)
{
    for (size_t i = 0; i < channels; i += TRAIN_LANES) {
        size_t c = train_min(i, channels - TRAIN_LANES);
        train_vector x[4], half[24], line[6];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
#pragma GCC unroll 4
            for (int l = 0; l < 4; l++)
                x[l] = train_load(pixels[l * 4 + j] + c);
            train_spread4(x, 1, half + j, 4);
        }
#pragma GCC unroll 6
        for (int l = 0; l < 6; l++) {
            train_spread4(half + l * 4, 1, line, 1);
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                *(train_vector *)(void *)(z + (size_t)(l * 6 + j) * step + c) = line[j];
        }
    }
}

static void ISA(train_winograd_fold)(const float *m, size_t step, const float *g, size_t channels,
                                     float *grad)
{
    for (size_t i = 0; i < channels; i += TRAIN_LANES) {
        size_t c = train_min(i, channels - TRAIN_LANES);
        for (size_t r = 0; r < 3; r++) {
            train_vector half[6];
            for (size_t j = 0; j < 6; j++) {
                half[j] = train_load(m + j * step + c) * g[r];
                for (size_t l = 1; l < 6; l++)
                    half[j] += train_load(m + (l * 6 + j) * step + c) * g[l * 3 + r];
            }
            for (size_t s = 0; s < 3; s++) {
                train_vector sum = half[0] * g[s];
                for (size_t j = 1; j < 6; j++)
                    sum += half[j] * g[j * 3 + s];
                *(train_vector *)(void *)(grad + (r * 3 + s) * channels + c) = sum;
            }
        }
    }
}

/* --- pooling ------------------------------------------------------------------------------ */

/* Adds the gradient to the last NaN of the window in the channels whose maximum is NaN. */
static void ISA(train_maxpool_back_nan)(const struct adl_maxpool_back *j)
{
    for (size_t c = 0; c < j->channels; c++) {
        size_t last = 0;
        if (j->y[c] == j->y[c])
            continue;
        for (int r = 0; r < j->rows; r++)
            for (int s = 0; s < j->columns; s++) {
                size_t index = (size_t)r * j->line + (size_t)s * j->channels + c;
                last = j->x[index] != j->x[index] ? index : last;
            }
        j->dx[last] += j->dy[c];
    }
}

/* `pending` is dy for the channels whose maximum has not been found yet, else 0, so that
 * only the first pixel that equals the maximum receives the gradient. */
static void ISA(train_maxpool_back)(const struct adl_maxpool_back *j)
{
    int nan = 0;
    for (size_t c0 = 0; c0 < j->channels; c0 += TRAIN_BLOCK) {
        size_t block = train_min(TRAIN_BLOCK, j->channels - c0);
        const float *restrict y = j->y + c0;
        float pending[TRAIN_BLOCK];
        for (size_t c = 0; c < block; c++) {
            pending[c] = j->dy[c0 + c];
            nan |= y[c] != y[c];
        }
        for (int r = 0; r < j->rows; r++)
            for (int s = 0; s < j->columns; s++) {
                size_t index = (size_t)r * j->line + (size_t)s * j->channels + c0;
                const float *restrict x = j->x + index;
                float *restrict dx = j->dx + index;
                for (size_t c = 0; c < block; c++) {
                    float found = x[c] == y[c] ? pending[c] : 0;
                    dx[c] += found;
                    pending[c] = x[c] == y[c] ? 0 : pending[c];
                }
            }
    }
    if (nan)
        ISA(train_maxpool_back_nan)(j);
}

static void ISA(train_spread)(const float *restrict x, const float *restrict w, size_t ldx,
                              size_t pixels, size_t channels, float *restrict out, size_t ldo)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            out[i * ldo + c] += x[i * ldx + c] * w[c];
}

/* Initializers for the members of struct adl_kernels that this header implements. */
#define ADL_TRAIN_LOOPS                                                                            \
    .relu_back = ISA(train_relu_back), .moments = ISA(train_moments),                              \
    .products = ISA(train_products), .affine2 = ISA(train_affine2),                                \
    .dot_rows = ISA(train_dot_rows), .lanes = TRAIN_LANES,                                         \
    .depthwise_grad = ISA(train_depthwise_grad), .maxpool_back = ISA(train_maxpool_back),          \
    .spread = ISA(train_spread), .winograd_spread = ISA(train_winograd_spread),                    \
    .winograd_fold = ISA(train_winograd_fold)

#endif
