/* Kernels for AVX-512 (F, DQ, VL): vectors of 16 floats along the channels,
 * tails by masks. */

#include <immintrin.h>

#include "kernels/kernel.h"
#define TRAIN_LANES 16
#include "kernels/train_loops.h"

#define MR 14
#define INLINE static inline __attribute__((always_inline))

INLINE __mmask16 tail_mask(size_t remaining)
{
    return (__mmask16)(remaining >= 16 ? 0xffffu : (1u << remaining) - 1);
}

INLINE __m512 clamp(__m512 v, float lo, float hi)
{
    return _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(lo)), _mm512_set1_ps(hi));
}

/* `rows` and `vectors` are constants at each call, so that the accumulators
 * are registers: 28 of them, two vectors of b and a broadcast of a. */
INLINE void gemm_sum(const struct adl_gemm_tile *t, __m512 acc[MR][2], const int rows,
                     const int vectors)
{
    const float *b = t->b, *next = t->next ? t->next : b, *a[(MR + 2) / 3];
    const size_t lda = t->lda, step = t->next ? t->next_step : 0;

    /* A pointer for every third row; the two after it are reached by the scaled
     * index of an address. The compiler would rather keep an offset for each
     * row, has no registers for so many, and fetches them from the stack. */
#pragma GCC unroll 5
    for (int i = 0; i < (rows + 2) / 3; i++)
        a[i] = t->a + (size_t)(3 * i) * lda;
    for (size_t segment = 0;;) {
        for (size_t l = 0; l < t->depth; l++) {
            __m512 b0 = _mm512_load_ps(b), b1 = vectors > 1 ? _mm512_load_ps(b + 16) : b0;
            _mm_prefetch((const char *)(b + 16 * 32), _MM_HINT_T0);
            if (vectors > 1)
                _mm_prefetch((const char *)(b + 16 * 32 + 16), _MM_HINT_T0);
            _mm_prefetch((const char *)next, _MM_HINT_T1);
#pragma GCC unroll 14
            for (int i = 0; i < rows; i++) {
                __m512 x = _mm512_set1_ps(a[i / 3][(size_t)(i % 3) * lda]);
                acc[i][0] = _mm512_fmadd_ps(x, b0, acc[i][0]);
                if (vectors > 1)
                    acc[i][1] = _mm512_fmadd_ps(x, b1, acc[i][1]);
            }
            b += 32;
            next += step;
#pragma GCC unroll 5
            for (int i = 0; i < (rows + 2) / 3; i++) {
                a[i]++;
                __asm__("" : "+r"(a[i]));
            }
        }
        if (++segment >= t->segments)
            break;
#pragma GCC unroll 5
        for (int i = 0; i < (rows + 2) / 3; i++)
            a[i] += t->segment_skip;
    }
}

INLINE void gemm_tile(const struct adl_gemm_tile *t, const int rows, const int vectors)
{
    __m512 acc[MR][2];
    __mmask16 masks[2] = {tail_mask((size_t)t->n),
                          t->n > 16 ? tail_mask((size_t)t->n - 16) : (__mmask16)0};

#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            acc[i][v] = t->accumulate
                            ? _mm512_maskz_loadu_ps(masks[v], t->c + (size_t)i * t->ldc + 16 * v)
                            : _mm512_loadu_ps(t->bias + 16 * v);

    gemm_sum(t, acc, rows, vectors);

#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            __m512 y = acc[i][v];
            if (t->residual)
                y = _mm512_add_ps(
                    y, _mm512_maskz_loadu_ps(masks[v], t->residual + (size_t)i * t->ldr + 16 * v));
            _mm512_mask_storeu_ps(t->c + (size_t)i * t->ldc + 16 * v, masks[v],
                                  clamp(y, t->lo, t->hi));
        }
}

static void gemm(const struct adl_gemm_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > 16)                                                                             \
            gemm_tile(t, m, 2);                                                                    \
        else                                                                                       \
            gemm_tile(t, m, 1);                                                                    \
        break;
    switch (t->m) {
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13) ROWS(14)
    }
#undef ROWS
}

/* Channels ahead, of a pixel: the pixels of a wide map lie so far apart that
 * nothing else would fetch them in time. */
#define DEPTHWISE_AHEAD 32

/* A pixel of a row, zero beyond the sides and where there is no row. */
INLINE __m512 depthwise_pixel(const float *row, int column, int w, size_t ldx, __mmask16 mask)
{
    if (!row || column < 0 || column >= w)
        return _mm512_setzero_ps();
    row += (size_t)column * ldx;
    _mm_prefetch((const char *)(row + DEPTHWISE_AHEAD), _MM_HINT_T1);
    return _mm512_maskz_loadu_ps(mask, row);
}

/* 3x3, `lines` rows of the output at once. Weights and the window of the input
 * stay in registers: for each step to the right only what is new is loaded. */
INLINE void depthwise_3x3(const struct adl_depthwise_rows *j, size_t c, __mmask16 mask,
                          const int stride, const int lines)
{
    const int inputs = 3 + (lines - 1) * stride, keep = 3 - stride;
    __m512 bias = _mm512_maskz_loadu_ps(mask, j->bias + c), weight[9], x[5][3];
    const float *rows[5];

#pragma GCC unroll 9
    for (int i = 0; i < 9; i++)
        weight[i] = _mm512_maskz_loadu_ps(mask, j->weight + (size_t)i * j->channels + c);
#pragma GCC unroll 5
    for (int i = 0; i < inputs; i++) {
        rows[i] = j->rows[i] ? j->rows[i] + c : 0;
#pragma GCC unroll 2
        for (int s = 0; s < keep; s++)
            x[i][s] = depthwise_pixel(rows[i], s - j->pad_left, j->w, j->ldx, mask);
    }
    for (int q = 0; q < j->q; q++) {
        int column = q * stride - j->pad_left;
#pragma GCC unroll 5
        for (int i = 0; i < inputs; i++)
#pragma GCC unroll 2
            for (int s = keep; s < 3; s++)
                x[i][s] = depthwise_pixel(rows[i], column + s, j->w, j->ldx, mask);
#pragma GCC unroll 2
        for (int line = 0; line < lines; line++) {
            __m512 sum = bias;
#pragma GCC unroll 9
            for (int i = 0; i < 9; i++)
                sum = _mm512_fmadd_ps(x[line * stride + i / 3][i % 3], weight[i], sum);
            float *out = j->out + (size_t)line * j->line + (size_t)q * j->ldo + c;
            _mm_prefetch((const char *)(out + DEPTHWISE_AHEAD), _MM_HINT_T1);
            _mm512_mask_storeu_ps(out, mask, clamp(sum, j->lo, j->hi));
        }
#pragma GCC unroll 5
        for (int i = 0; i < inputs; i++)
#pragma GCC unroll 2
            for (int s = 0; s < keep; s++)
                x[i][s] = x[i][s + stride];
    }
}

/* Any kernel; taps in the padding are left out. */
INLINE void depthwise_any(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                          size_t c, __mmask16 mask)
{
    __m512 bias = _mm512_maskz_loadu_ps(mask, j->bias + c);
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        __m512 sum = bias;
        for (int r = 0; r < j->r; r++)
            for (int s = 0; s < j->s; s++) {
                if (!rows[r] || column + s < 0 || column + s >= j->w)
                    continue;
                const float *weight = j->weight + (size_t)(r * j->s + s) * j->channels + c;
                sum = _mm512_fmadd_ps(
                    _mm512_maskz_loadu_ps(mask, rows[r] + (size_t)(column + s) * j->ldx + c),
                    _mm512_maskz_loadu_ps(mask, weight), sum);
            }
        _mm512_mask_storeu_ps(out + (size_t)q * j->ldo + c, mask, clamp(sum, j->lo, j->hi));
    }
}

static void depthwise(const struct adl_depthwise_rows *j)
{
    int small = j->r == 3 && j->s == 3 && j->stride <= 2;

    for (size_t c = 0; c < j->channels; c += 16) {
        __mmask16 mask = tail_mask(j->channels - c);
        if (small && j->stride == 1 && j->lines == 2)
            depthwise_3x3(j, c, mask, 1, 2);
        else if (small && j->stride == 1)
            depthwise_3x3(j, c, mask, 1, 1);
        else if (small && j->lines == 2)
            depthwise_3x3(j, c, mask, 2, 2);
        else if (small)
            depthwise_3x3(j, c, mask, 2, 1);
        else
            for (int line = 0; line < j->lines; line++)
                depthwise_any(j, j->rows + line * j->stride, j->out + (size_t)line * j->line, c,
                              mask);
    }
}

INLINE void pool(const struct adl_pool_row *j, const int average)
{
    __m512 start = average ? _mm512_setzero_ps() : _mm512_set1_ps(-__builtin_inff());
    __m512 share = _mm512_set1_ps(1.0f / (float)(j->size * j->size));
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        for (size_t c = 0; c < j->channels; c += 16) {
            __mmask16 mask = tail_mask(j->channels - c);
            __m512 acc = start;
            for (int r = 0; r < j->size; r++)
                for (int s = 0; s < j->size; s++) {
                    if (!j->rows[r] || column + s < 0 || column + s >= j->w)
                        continue;
                    __m512 x =
                        _mm512_maskz_loadu_ps(mask, j->rows[r] + (size_t)(column + s) * j->ldx + c);
                    acc = average ? _mm512_add_ps(acc, x) : _mm512_max_ps(acc, x);
                }
            if (average)
                acc = _mm512_mul_ps(acc, share);
            _mm512_mask_storeu_ps(j->out + (size_t)q * j->ldo + c, mask, acc);
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
        for (size_t c = 0; c < j->channels; c += 16) {
            __mmask16 mask = tail_mask(j->channels - c);
            __m512 v = _mm512_maskz_loadu_ps(mask, x + c);
            if (j->scale)
                v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, j->scale + c));
            if (j->shift)
                v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, j->shift + c));
            if (residual)
                v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, residual + c));
            _mm512_mask_storeu_ps(out + c, mask, clamp(v, j->lo, j->hi));
        }
    }
}

/* Of channels that are summed at a time, so that a pixel's are read in a row. */
#define MEAN_VECTORS 4

/* `vectors` is a constant at each call; the last is a tail. */
INLINE void mean_of(const float *x, size_t ldx, size_t pixels, __mmask16 tail, float *out,
                    const int vectors)
{
    __m512 divisor = _mm512_set1_ps((float)pixels), sum[MEAN_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        sum[v] = _mm512_setzero_ps();
    for (size_t i = 0; i < pixels; i++, x += ldx)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] = _mm512_add_ps(
                sum[v], _mm512_maskz_loadu_ps(v + 1 < vectors ? 0xffff : tail, x + 16 * v));
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        _mm512_mask_storeu_ps(out + 16 * v, v + 1 < vectors ? 0xffff : tail,
                              _mm512_div_ps(sum[v], divisor));
}

static void mean(const float *x, size_t ldx, size_t pixels, size_t channels, float *out)
{
    size_t c = 0;
    for (; c + 16 * MEAN_VECTORS <= channels; c += 16 * MEAN_VECTORS)
        mean_of(x + c, ldx, pixels, 0xffff, out + c, MEAN_VECTORS);
    for (; c < channels; c += 16)
        mean_of(x + c, ldx, pixels, tail_mask(channels - c), out + c, 1);
}

static void linear(const float *weight, const float *x, const float *bias, size_t rows, size_t c,
                   float *y)
{
    for (size_t k = 0; k < rows; k++) {
        const float *w = weight + k * c;
        __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
        size_t i = 0;
        for (; i + 64 <= c; i += 64) {
            s0 = _mm512_fmadd_ps(_mm512_loadu_ps(w + i), _mm512_loadu_ps(x + i), s0);
            s1 = _mm512_fmadd_ps(_mm512_loadu_ps(w + i + 16), _mm512_loadu_ps(x + i + 16), s1);
            s2 = _mm512_fmadd_ps(_mm512_loadu_ps(w + i + 32), _mm512_loadu_ps(x + i + 32), s2);
            s3 = _mm512_fmadd_ps(_mm512_loadu_ps(w + i + 48), _mm512_loadu_ps(x + i + 48), s3);
        }
        for (; i < c; i += 16) {
            __mmask16 mask = tail_mask(c - i);
            s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, w + i),
                                 _mm512_maskz_loadu_ps(mask, x + i), s0);
        }
        y[k] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3))) +
               (bias ? bias[k] : 0);
    }
}

/* As many chains as hide the latency of two units. */
#define CHAINS 12

static float fma_burst(size_t rounds, float x)
{
    __m512 acc[CHAINS], a = _mm512_set1_ps(x), b = _mm512_set1_ps(0.5f);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], b, a);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    return _mm512_cvtss_f32(acc[0]);
}

const struct adl_kernels adl_kernels_avx512 = {
    .name = "avx512",
    .mr = MR,
    .nr = 32,
    .gemm = gemm,
    .strassen = &adl_strassen_avx512,
    .winograd = &adl_winograd_avx512,
    .depthwise = depthwise,
    .maxpool = maxpool,
    .avgpool = avgpool,
    .pointwise = pointwise,
    .mean = mean,
    .linear = linear,
    .fma = fma_burst,
    .fma_flops = 2 * 16 * CHAINS,
    ADL_TRAIN_LOOPS,
};
