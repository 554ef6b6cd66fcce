#ifndef ADL_KERNELS_MAP_LOOPS_H
#define ADL_KERNELS_MAP_LOOPS_H

/* Pooling, pointwise operations, spatial means, depthwise convolution of any size, the linear
 * layer and the peak benchmark, written for the type `vec`. Each instruction set's .c file
 * includes this header after its avx*_vec.h, which defines vec, VEC, INLINE and ISA. kernel.h
 * specifies the kernels.
 *
 * In NHWC the channels of a pixel are contiguous, so a vector holds VEC channels of one
 * pixel, and only the last vector of a pixel may be partial. */

#include "kernels/kernel.h"

/* Loads the first n floats at p and sets the others to zero. n may be VEC or more, which
 * loads a whole vector; if n is a constant, the compiler removes the test. */
INLINE vec map_load(const float *p, size_t n)
{
    return n < VEC ? vec_load_part(p, n) : vec_load(p);
}

/* Stores the first n floats of v at p, or all of them if n is VEC or more. */
INLINE void map_store(float *p, size_t n, vec v)
{
    if (n < VEC)
        vec_store_part(p, n, v);
    else
        vec_store(p, v);
}

/* Adds to `sum` the products of those filter taps of one output pixel that lie inside the
 * map, for a filter of any size. `column` is the column of the first tap; the n channels from
 * c on are computed. */
INLINE vec depthwise_taps(const struct adl_depthwise_rows *j, const float *const *rows, int column,
                          size_t c, size_t n, vec sum)
{
    for (int r = 0; r < j->r; r++)
        for (int s = 0; s < j->s; s++) {
            if (!rows[r] || column + s < 0 || column + s >= j->w)
                continue;
            const float *weight = j->weight + (size_t)(r * j->s + s) * j->channels + c;
            sum += map_load(rows[r] + (size_t)(column + s) * j->ldx + c, n) * map_load(weight, n);
        }
    return sum;
}

/* Computes the n <= VEC channels from c on of one output row, for a filter of any size. */
INLINE void depthwise_any(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                          size_t c, size_t n)
{
    vec bias = map_load(j->bias + c, n);
    for (int q = 0; q < j->q; q++) {
        vec sum = depthwise_taps(j, rows, q * j->stride - j->pad_left, c, n, bias);
        map_store(out + (size_t)q * j->ldo + c, n, vec_clamp(sum, j->lo, j->hi));
    }
}

/* Computes n <= VEC channels of the output pixel whose window begins at `column`. */
INLINE void pool_window(const struct adl_pool_row *j, int column, float *out, size_t c, size_t n,
                        const int average)
{
    vec acc = average ? (vec){0} : vec_set1(-__builtin_inff());
    for (int r = 0; r < j->size; r++)
        for (int s = 0; s < j->size; s++) {
            if (!j->rows[r] || column + s < 0 || column + s >= j->w)
                continue;
            vec x = map_load(j->rows[r] + (size_t)(column + s) * j->ldx + c, n);
            if (average)
                acc += x;
            else
                acc = vec_max(acc, x);
        }
    if (average)
        acc *= 1.0f / (float)(j->size * j->size);
    map_store(out + c, n, acc);
}

/* Computes a row of the output of average pooling if `average` is 1, else of maximum pooling. */
INLINE void pool(const struct adl_pool_row *j, const int average)
{
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        float *out = j->out + (size_t)q * j->ldo;
        size_t c = 0;
        for (; c + VEC <= j->channels; c += VEC)
            pool_window(j, column, out, c, VEC, average);
        if (c < j->channels)
            pool_window(j, column, out, c, j->channels - c, average);
    }
}

static void ISA(maxpool)(const struct adl_pool_row *j)
{
    pool(j, 0);
}

static void ISA(avgpool)(const struct adl_pool_row *j)
{
    pool(j, 1);
}

/* Computes n <= VEC channels of one pixel. */
INLINE void pointwise_part(const struct adl_pointwise *j, size_t pixel, size_t c, size_t n)
{
    vec v = map_load(j->x + pixel * j->ldx + c, n);
    if (j->scale)
        v *= map_load(j->scale + c, n);
    if (j->shift)
        v += map_load(j->shift + c, n);
    if (j->residual)
        v += map_load(j->residual + pixel * j->ldr + c, n);
    map_store(j->out + pixel * j->ldo + c, n, vec_clamp(v, j->lo, j->hi));
}

static void ISA(pointwise)(const struct adl_pointwise *j)
{
    for (size_t i = 0; i < j->pixels; i++) {
        size_t c = 0;
        for (; c + VEC <= j->channels; c += VEC)
            pointwise_part(j, i, c, VEC);
        if (c < j->channels)
            pointwise_part(j, i, c, j->channels - c);
    }
}

/* Sums of a pixel's values, or with `square` of the squares of their distances from the mean, in
 * four sums, so that no addition waits for the one before it. */
INLINE float layernorm_sum(const float *x, size_t channels, vec mean, const int square)
{
    vec sum[4] = {{0}};
    size_t c = 0;
    for (; c + 4 * VEC <= channels; c += 4 * VEC)
#pragma GCC unroll 4
        for (size_t v = 0; v < 4; v++) {
            vec d = vec_load(x + c + v * VEC) - mean;
            if (square)
                d *= d;
            sum[v] += d;
        }
    for (; c + VEC <= channels; c += VEC) {
        vec d = vec_load(x + c) - mean;
        if (square)
            d *= d;
        sum[0] += d;
    }
    float all = vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (; c < channels; c++) {
        float d = x[c] - mean[0];
        all += square ? d * d : d;
    }
    return all;
}

static void ISA(layernorm)(const struct adl_layernorm_rows *j)
{
    const float count = (float)j->channels;
    for (size_t i = 0; i < j->pixels; i++) {
        const float *x = j->x + i * j->ldx;
        float *out = j->out + i * j->ldo;
        const vec mean = vec_set1(layernorm_sum(x, j->channels, vec_set1(0), 0) / count);
        float variance = layernorm_sum(x, j->channels, mean, 1) / count;
        const vec factor = vec_set1(1 / __builtin_sqrtf(variance + j->eps));
        for (size_t c = 0; c < j->channels; c += VEC) {
            size_t n = j->channels - c;
            vec v = (map_load(x + c, n) - mean) * factor;
            if (j->scale)
                v *= map_load(j->scale + c, n);
            if (j->shift)
                v += map_load(j->shift + c, n);
            map_store(out + c, n, v);
        }
    }
}

/* Vectors of channels whose means are computed at a time, so that each pixel is read in long
 * contiguous pieces. */
#define MEAN_VECTORS 4

/* Computes the means of `vectors` vectors of channels; the last vector has n channels.
 * `vectors` is a constant at each call. */
INLINE void mean_of(const float *x, size_t ldx, size_t pixels, size_t n, float *out,
                    const int vectors)
{
    vec divisor = vec_set1((float)pixels), sum[MEAN_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = (vec){0};
    for (size_t i = 0; i < pixels; i += ADL_SUM_PIXELS) {
        size_t count = pixels - i < ADL_SUM_PIXELS ? pixels - i : ADL_SUM_PIXELS;
        vec part[MEAN_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            part[v] = (vec){0};
        for (size_t k = 0; k < count; k++, x += ldx)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                part[v] += map_load(x + VEC * v, v + 1 < vectors ? VEC : n);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] += part[v];
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        map_store(out + VEC * v, v + 1 < vectors ? VEC : n, sum[v] / divisor);
}

static void ISA(mean)(const float *x, size_t ldx, size_t pixels, size_t channels, float *out)
{
    size_t c = 0;
    for (; c + VEC * MEAN_VECTORS <= channels; c += VEC * MEAN_VECTORS)
        mean_of(x + c, ldx, pixels, VEC, out + c, MEAN_VECTORS);
    for (; c + VEC <= channels; c += VEC)
        mean_of(x + c, ldx, pixels, VEC, out + c, 1);
    if (c < channels)
        mean_of(x + c, ldx, pixels, channels - c, out + c, 1);
}

/* Computes y = weight x + bias for `rows` rows of the weights, C floats each. */
static void ISA(linear)(const float *weight, const float *x, const float *bias, size_t rows,
                        size_t c, float *y)
{
    for (size_t k = 0; k < rows; k++) {
        const float *w = weight + k * c;
        vec sum[4] = {{0}}; /* independent, so that no addition waits for the one before it */
        size_t i = 0;
        for (; i + 4 * VEC <= c; i += 4 * VEC)
#pragma GCC unroll 4
            for (size_t v = 0; v < 4; v++)
                sum[v] += vec_load(w + i + v * VEC) * vec_load(x + i + v * VEC);
        for (; i < c; i += VEC)
            sum[0] += map_load(w + i, c - i) * map_load(x + i, c - i);
        y[k] = vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) + (bias ? bias[k] : 0);
    }
}

/* Independent chains of multiply-adds: enough to keep two FMA units busy despite their
 * latency. */
#define FMA_CHAINS 12

/* Executes only multiply-adds, VEC * FMA_CHAINS in each round, to measure the peak speed. */
static float ISA(fma_burst)(size_t rounds, float x)
{
    vec acc[FMA_CHAINS];
#pragma GCC unroll 12
    for (int i = 0; i < FMA_CHAINS; i++)
        acc[i] = vec_set1((float)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < FMA_CHAINS; i++)
            acc[i] = acc[i] * 0.5f + x;
    for (int i = 1; i < FMA_CHAINS; i++)
        acc[0] += acc[i];
    return acc[0][0];
}

/* Initializers for the members of struct adl_kernels that this header implements, except for
 * depthwise convolution, which each .c file builds from depthwise_taps and depthwise_any. In
 * fma_flops, a multiply-add counts as two operations of each lane. */
#define ADL_MAP_LOOPS                                                                              \
    .maxpool = ISA(maxpool), .avgpool = ISA(avgpool), .pointwise = ISA(pointwise),                 \
    .layernorm = ISA(layernorm), .mean = ISA(mean), .linear = ISA(linear), .fma = ISA(fma_burst),  \
    .fma_flops = 2 * VEC * FMA_CHAINS

#endif
