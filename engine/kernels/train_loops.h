#ifndef ADL_KERNELS_TRAIN_LOOPS_H
#define ADL_KERNELS_TRAIN_LOOPS_H

/* The loops of training that are not products, in plain C for the compiler to
 * vectorise: included by each instruction set's file, which compiles them with
 * its own flags. Everything here is static, so that no wide instruction can
 * leak into another file through the linker. Channels are contiguous, pixels
 * `channels` apart. */

#include "kernels/kernel.h"

/* Channels whose sums are kept on the stack. */
#define TRAIN_BLOCK 256
/* Pixels summed in float32 before the sum goes over into double. */
#define TRAIN_RUN 16

static size_t train_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void train_relu_back(const float *restrict y, float hi, size_t count, const float *dy,
                            float *dx, int add)
{
    if (add)
        for (size_t i = 0; i < count; i++)
            dx[i] += y[i] > 0 && y[i] < hi ? dy[i] : 0;
    else
        for (size_t i = 0; i < count; i++)
            dx[i] = y[i] > 0 && y[i] < hi ? dy[i] : 0;
}

/* --- batch norm: a map is read in the order in which it lies in memory ----------------- */

static void train_sum(const float *restrict x, size_t pixels, size_t channels,
                      double *restrict sums)
{
    for (size_t c0 = 0; c0 < channels; c0 += TRAIN_BLOCK) {
        size_t block = train_min(TRAIN_BLOCK, channels - c0);
        for (size_t c = 0; c < block; c++)
            sums[c0 + c] = 0;
        for (size_t i = 0; i < pixels; i += TRAIN_RUN) {
            float run[TRAIN_BLOCK] = {0};
            for (size_t j = i; j < train_min(i + TRAIN_RUN, pixels); j++)
                for (size_t c = 0; c < block; c++)
                    run[c] += x[j * channels + c0 + c];
            for (size_t c = 0; c < block; c++)
                sums[c0 + c] += (double)run[c];
        }
    }
}

static void train_square(const float *restrict x, const float *restrict mean, size_t pixels,
                         size_t channels, double *restrict sums)
{
    for (size_t c0 = 0; c0 < channels; c0 += TRAIN_BLOCK) {
        size_t block = train_min(TRAIN_BLOCK, channels - c0);
        for (size_t c = 0; c < block; c++)
            sums[c0 + c] = 0;
        for (size_t i = 0; i < pixels; i += TRAIN_RUN) {
            float run[TRAIN_BLOCK] = {0};
            for (size_t j = i; j < train_min(i + TRAIN_RUN, pixels); j++)
                for (size_t c = 0; c < block; c++) {
                    float d = x[j * channels + c0 + c] - mean[c0 + c];
                    run[c] += d * d;
                }
            for (size_t c = 0; c < block; c++)
                sums[c0 + c] += (double)run[c];
        }
    }
}

static void train_moments(const float *x, size_t pixels, size_t channels, double *sums,
                          double *squares, float *mean)
{
    train_sum(x, pixels, channels, sums);
    for (size_t c = 0; c < channels; c++)
        mean[c] = (float)(sums[c] / (double)pixels);
    train_square(x, mean, pixels, channels, squares);
}

/* The gradient that comes through a clamp of y. */
static float train_unclamped(float y, float lo, float hi, float dy)
{
    return ((y > lo) & (y < hi)) ? dy : 0;
}

static void train_products(const float *restrict x, const float *restrict dy,
                           const struct adl_norm *n, size_t pixels, size_t channels,
                           double *restrict dy_sums, double *restrict product_sums)
{
    float lo = n->lo, hi = n->hi;
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

static void train_affine2(const float *restrict x, const float *dy, const struct adl_norm *n,
                          const struct adl_norm_back *b, size_t pixels, size_t channels, float *dx,
                          int add)
{
    const float *restrict scale = n->scale, *restrict shift = n->shift;
    const float *restrict kx = b->kx, *restrict kdy = b->kdy, *restrict k = b->k;
    float lo = n->lo, hi = n->hi;
    for (size_t i = 0; i < pixels; i++, x += channels, dy += channels, dx += channels) {
        /* dx is dy or apart from it. */
#pragma GCC ivdep
        for (size_t c = 0; c < channels; c++) {
            float g = train_unclamped(x[c] * scale[c] + shift[c], lo, hi, dy[c]);
            float value = kdy[c] * g + (kx[c] * x[c] + k[c]);
            dx[c] = add ? dx[c] + value : value;
        }
    }
}

static void train_dot_rows(const float *restrict a, size_t lda, const float *restrict b, size_t ldb,
                           size_t pixels, size_t channels, float *restrict sums)
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

static void train_spread(const float *restrict x, const float *restrict w, size_t ldx,
                         size_t pixels, size_t channels, float *restrict out, size_t ldo)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++)
            out[i * ldo + c] += x[i * ldx + c] * w[c];
}

#define ADL_TRAIN_LOOPS                                                                            \
    .relu_back = train_relu_back, .moments = train_moments, .products = train_products,            \
    .affine2 = train_affine2, .dot_rows = train_dot_rows, .spread = train_spread

#endif
