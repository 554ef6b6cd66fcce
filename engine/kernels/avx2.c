/* Kernels for AVX2 and FMA: vectors of 8 floats along the channels, tails by
 * masked loads and stores. */

#include <immintrin.h>

#include "kernels/kernel.h"
#define TRAIN_LANES 8
#include "kernels/train_loops.h"

#define MR 6
#define INLINE static inline __attribute__((always_inline))

INLINE __m256i tail_mask(size_t remaining)
{
    int n = remaining >= 8 ? 8 : (int)remaining;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE __m256 clamp(__m256 v, float lo, float hi)
{
    return _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(lo)), _mm256_set1_ps(hi));
}

/* `rows` and `vectors` are constants at each call: 12 accumulators, two vectors
 * of b and a broadcast of a in 16 registers. */
INLINE void gemm_sum(const struct adl_gemm_tile *t, __m256 acc[MR][2], const int rows,
                     const int vectors)
{
    const float *b = t->b, *next = t->next ? t->next : b, *a[(MR + 2) / 3];
    const size_t lda = t->lda, step = t->next ? t->next_step : 0;

    /* A pointer for every third row; the two after it are reached by the scaled
     * index of an address. */
#pragma GCC unroll 2
    for (int i = 0; i < (rows + 2) / 3; i++)
        a[i] = t->a + (size_t)(3 * i) * lda;
    for (size_t segment = 0;;) {
        for (size_t l = 0; l < t->depth; l++) {
            __m256 b0 = _mm256_load_ps(b), b1 = vectors > 1 ? _mm256_load_ps(b + 8) : b0;
            _mm_prefetch((const char *)(b + 16 * 16), _MM_HINT_T0);
            _mm_prefetch((const char *)next, _MM_HINT_T1);
#pragma GCC unroll 6
            for (int i = 0; i < rows; i++) {
                __m256 x = _mm256_broadcast_ss(a[i / 3] + (size_t)(i % 3) * lda);
                acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);
                if (vectors > 1)
                    acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
            }
            b += 16;
            next += step;
#pragma GCC unroll 2
            for (int i = 0; i < (rows + 2) / 3; i++) {
                a[i]++;
                __asm__("" : "+r"(a[i])); /* keep it a pointer */
            }
        }
        if (++segment >= t->segments)
            break;
#pragma GCC unroll 2
        for (int i = 0; i < (rows + 2) / 3; i++)
            a[i] += t->segment_skip;
    }
}

INLINE void gemm_tile(const struct adl_gemm_tile *t, const int rows, const int vectors)
{
    __m256 acc[MR][2];
    __m256i masks[2] = {tail_mask((size_t)t->n), tail_mask(t->n > 8 ? (size_t)t->n - 8 : 0)};
    int whole = t->n == 8 * vectors; /* a masked store costs more */

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[i][v] = t->accumulate
                            ? _mm256_maskload_ps(t->c + (size_t)i * t->ldc + 8 * v, masks[v])
                            : _mm256_loadu_ps(t->bias + 8 * v);

    gemm_sum(t, acc, rows, vectors);

#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            __m256 y = acc[i][v];
            if (t->residual)
                y = _mm256_add_ps(
                    y, _mm256_maskload_ps(t->residual + (size_t)i * t->ldr + 8 * v, masks[v]));
            y = clamp(y, t->lo, t->hi);
            if (whole)
                _mm256_storeu_ps(t->c + (size_t)i * t->ldc + 8 * v, y);
            else
                _mm256_maskstore_ps(t->c + (size_t)i * t->ldc + 8 * v, masks[v], y);
        }
}

static void gemm(const struct adl_gemm_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > 8)                                                                              \
            gemm_tile(t, m, 2);                                                                    \
        else                                                                                       \
            gemm_tile(t, m, 1);                                                                    \
        break;
    switch (t->m) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
    }
#undef ROWS
}

/* The taps of one pixel of the output that lie inside the map. */
INLINE __m256 depthwise_taps(const struct adl_depthwise_rows *j, const float *const *rows,
                             int column, size_t c, __m256i mask, __m256 sum)
{
    for (int r = 0; r < j->r; r++)
        for (int s = 0; s < j->s; s++) {
            if (!rows[r] || column + s < 0 || column + s >= j->w)
                continue;
            const float *weight = j->weight + (size_t)(r * j->s + s) * j->channels + c;
            sum = _mm256_fmadd_ps(
                _mm256_maskload_ps(rows[r] + (size_t)(column + s) * j->ldx + c, mask),
                _mm256_maskload_ps(weight, mask), sum);
        }
    return sum;
}

INLINE void depthwise_any(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                          size_t c, __m256i mask)
{
    __m256 bias = _mm256_maskload_ps(j->bias + c, mask);
    for (int q = 0; q < j->q; q++) {
        __m256 sum = depthwise_taps(j, rows, q * j->stride - j->pad_left, c, mask, bias);
        _mm256_maskstore_ps(out + (size_t)q * j->ldo + c, mask, clamp(sum, j->lo, j->hi));
    }
}

/* 3x3: the weights stay in registers, of `count` rows from the first on; the
 * others lie in the padding. Full vectors only: a masked load costs more here. */
INLINE void depthwise_3x3(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                          size_t c, const int first, const int count)
{
    __m256i mask = tail_mask(8);
    __m256 bias = _mm256_loadu_ps(j->bias + c), weight[9];
#pragma GCC unroll 9
    for (int i = 0; i < 3 * count; i++)
        weight[i] = _mm256_loadu_ps(j->weight + (size_t)(3 * first + i) * j->channels + c);
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        __m256 sum = bias;
        if (column < 0 || column + 3 > j->w) {
            sum = depthwise_taps(j, rows, column, c, mask, bias);
        } else {
#pragma GCC unroll 3
            for (int r = 0; r < count; r++) {
                const float *x = rows[first + r] + (size_t)column * j->ldx + c;
#pragma GCC unroll 3
                for (int s = 0; s < 3; s++)
                    sum = _mm256_fmadd_ps(_mm256_loadu_ps(x + (size_t)s * j->ldx),
                                          weight[r * 3 + s], sum);
            }
        }
        _mm256_storeu_ps(out + (size_t)q * j->ldo + c, clamp(sum, j->lo, j->hi));
    }
}

INLINE void depthwise_line(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                           size_t c)
{
    int small = j->r == 3 && j->s == 3 && c + 8 <= j->channels && rows[1];

    if (small && rows[0] && rows[2])
        depthwise_3x3(j, rows, out, c, 0, 3);
    else if (small && rows[0])
        depthwise_3x3(j, rows, out, c, 0, 2);
    else if (small && rows[2])
        depthwise_3x3(j, rows, out, c, 1, 2);
    else
        depthwise_any(j, rows, out, c, tail_mask(j->channels - c));
}

/* Both lines of eight channels before the next eight: they share their rows. */
static void depthwise(const struct adl_depthwise_rows *j)
{
    for (size_t c = 0; c < j->channels; c += 8)
        for (int line = 0; line < j->lines; line++)
            depthwise_line(j, j->rows + line * j->stride, j->out + (size_t)line * j->line, c);
}

INLINE void pool(const struct adl_pool_row *j, const int average)
{
    __m256 start = average ? _mm256_setzero_ps() : _mm256_set1_ps(-__builtin_inff());
    __m256 share = _mm256_set1_ps(1.0f / (float)(j->size * j->size));
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        for (size_t c = 0; c < j->channels; c += 8) {
            __m256i mask = tail_mask(j->channels - c);
            __m256 acc = start;
            for (int r = 0; r < j->size; r++)
                for (int s = 0; s < j->size; s++) {
                    if (!j->rows[r] || column + s < 0 || column + s >= j->w)
                        continue;
                    __m256 x =
                        _mm256_maskload_ps(j->rows[r] + (size_t)(column + s) * j->ldx + c, mask);
                    acc = average ? _mm256_add_ps(acc, x) : _mm256_max_ps(acc, x);
                }
            if (average)
                acc = _mm256_mul_ps(acc, share);
            _mm256_maskstore_ps(j->out + (size_t)q * j->ldo + c, mask, acc);
        }
    }
}

static void maxpool(const struct adl_pool_row *j)
{
    pool(j, 0);
}

static void avgpool(const struct adl_pool_row *j)
{
    pool(j, 1);
}

static void pointwise(const struct adl_pointwise *j)
{
    for (size_t i = 0; i < j->pixels; i++) {
        const float *x = j->x + i * j->ldx;
        const float *residual = j->residual ? j->residual + i * j->ldr : 0;
        float *out = j->out + i * j->ldo;
        for (size_t c = 0; c < j->channels; c += 8) {
            __m256i mask = tail_mask(j->channels - c);
            __m256 v = _mm256_maskload_ps(x + c, mask);
            if (j->scale)
                v = _mm256_mul_ps(v, _mm256_maskload_ps(j->scale + c, mask));
            if (j->shift)
                v = _mm256_add_ps(v, _mm256_maskload_ps(j->shift + c, mask));
            if (residual)
                v = _mm256_add_ps(v, _mm256_maskload_ps(residual + c, mask));
            _mm256_maskstore_ps(out + c, mask, clamp(v, j->lo, j->hi));
        }
    }
}

static void mean(const float *x, size_t ldx, size_t pixels, size_t channels, float *out)
{
    __m256 divisor = _mm256_set1_ps((float)pixels);
    for (size_t c = 0; c < channels; c += 8) {
        __m256i mask = tail_mask(channels - c);
        __m256 sum = _mm256_setzero_ps();
        for (size_t i = 0; i < pixels; i++)
            sum = _mm256_add_ps(sum, _mm256_maskload_ps(x + i * ldx + c, mask));
        _mm256_maskstore_ps(out + c, mask, _mm256_div_ps(sum, divisor));
    }
}

INLINE float reduce_add(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

static void linear(const float *weight, const float *x, const float *bias, size_t rows, size_t c,
                   float *y)
{
    for (size_t k = 0; k < rows; k++) {
        const float *w = weight + k * c;
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
        size_t i = 0;
        for (; i + 32 <= c; i += 32) {
            s0 = _mm256_fmadd_ps(_mm256_loadu_ps(w + i), _mm256_loadu_ps(x + i), s0);
            s1 = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + 8), _mm256_loadu_ps(x + i + 8), s1);
            s2 = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + 16), _mm256_loadu_ps(x + i + 16), s2);
            s3 = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + 24), _mm256_loadu_ps(x + i + 24), s3);
        }
        for (; i < c; i += 8) {
            __m256i mask = tail_mask(c - i);
            s0 = _mm256_fmadd_ps(_mm256_maskload_ps(w + i, mask), _mm256_maskload_ps(x + i, mask),
                                 s0);
        }
        y[k] = reduce_add(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3))) +
               (bias ? bias[k] : 0);
    }
}

/* As many chains as hide the latency of two units. */
#define CHAINS 12

static float fma_burst(size_t rounds, float x)
{
    __m256 acc[CHAINS], a = _mm256_set1_ps(x), b = _mm256_set1_ps(0.5f);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], b, a);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm256_add_ps(acc[0], acc[i]);
    return _mm256_cvtss_f32(acc[0]);
}

const struct adl_kernels adl_kernels_avx2 = {
    .name = "avx2",
    .mr = MR,
    .nr = 16,
    .gemm = gemm,
    .strassen = &adl_strassen_avx2,
    .winograd = &adl_winograd_avx2,
    .depthwise = depthwise,
    .maxpool = maxpool,
    .avgpool = avgpool,
    .pointwise = pointwise,
    .mean = mean,
    .linear = linear,
    .fma = fma_burst,
    .fma_flops = 2 * 8 * CHAINS,
    ADL_TRAIN_LOOPS,
};
