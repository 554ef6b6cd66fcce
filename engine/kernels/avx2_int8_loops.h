#ifndef ADL_KERNELS_AVX2_INT8_LOOPS_H
#define ADL_KERNELS_AVX2_INT8_LOOPS_H

/* Defines the kernels of int8.h with vectors of 256 bits, for files that are compiled for AVX2 or
 * more. Before it is included these are defined:
 *
 *     ISA(name)           the name of this instruction set's copy of a function
 *     MR                  rows of the largest tile of the matrix product
 *     INT8_DOT(sum, a, b) adds to each 32-bit sum the products of one group of a and of b
 *
 * A tile has 16 columns: two vectors of sums, and in each step two vectors of b. */

#include "kernels/avx2_int8_map_loops.h"

#define NR 16

/* Returns 8 residual bytes, of which n exist, as floats. */
INLINE __m256 int8v_residual(const uint8_t *r, int n)
{
    __m128i bytes;
    if (n >= 8) {
        bytes = _mm_loadl_epi64((const __m128i *)r);
    } else {
        uint8_t part[8] = {0};
        for (int i = 0; i < n; i++)
            part[i] = r[i];
        bytes = _mm_loadl_epi64((const __m128i *)part);
    }
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

INLINE void int8v_store_bytes(uint8_t *to, __m128i bytes, int n)
{
    if (n == 16) {
        _mm_storeu_si128((__m128i *)to, bytes);
        return;
    }
    uint8_t part[16];
    _mm_storeu_si128((__m128i *)part, bytes);
    __builtin_memcpy(to, part, (size_t)n);
}

INLINE void int8v_store_floats(float *to, __m256 v0, __m256 v1, int n)
{
    if (n == 16) {
        _mm256_storeu_ps(to, v0);
        _mm256_storeu_ps(to + 8, v1);
        return;
    }
    float part[16];
    _mm256_storeu_ps(part, v0);
    _mm256_storeu_ps(part + 8, v1);
    __builtin_memcpy(to, part, (size_t)n * sizeof *to);
}

/* `rows` and `vectors` are constants at each call, so that all loops over them are unrolled. */
INLINE void int8v_tile(const struct adl_int8_tile *t, const int rows, const int vectors)
{
    __m256i acc[MR][2];
    const char *b = t->b, *a[(MR + 2) / 3];
    const size_t lda = t->lda;

#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_si256();
        /* One pointer serves three rows, as in avx2.c. */
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 2) / 3; i++)
        a[i] = (const char *)t->a + (size_t)(3 * i) * lda;
    for (size_t l = 0; l < t->steps; l++) {
        __m256i b0 = _mm256_load_si256((const __m256i *)b), b1 = b0;
        if (vectors > 1)
            b1 = _mm256_load_si256((const __m256i *)(b + 32));
        _mm_prefetch(b + 16 * 64, _MM_HINT_T0);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            int group;
            __builtin_memcpy(&group, a[i / 3] + (size_t)(i % 3) * lda, sizeof group);
            __m256i x = _mm256_set1_epi32(group);
            acc[i][0] = INT8_DOT(acc[i][0], x, b0);
            if (vectors > 1)
                acc[i][1] = INT8_DOT(acc[i][1], x, b1);
            /* Keeps the rows apart: the compiler would begin with all products, for which there are
             * not enough registers. */
            __asm__ volatile("" : "+v"(acc[i][0]), "+v"(acc[i][1]));
        }
        b += 64;
#pragma GCC unroll 4
        for (int i = 0; i < (rows + 2) / 3; i++) {
            a[i] += 4;
            __asm__("" : "+r"(a[i])); /* keeps the compiler from using an index */
        }
    }

    const struct adl_int8_out *o = &t->out;
    const __m256 lo = _mm256_set1_ps(o->lo), hi = _mm256_set1_ps(o->hi);
    const __m256 scale0 = _mm256_loadu_ps(o->scale), shift0 = _mm256_loadu_ps(o->shift);
    const __m256 scale1 = vectors > 1 ? _mm256_loadu_ps(o->scale + 8) : scale0;
    const __m256 shift1 = vectors > 1 ? _mm256_loadu_ps(o->shift + 8) : shift0;
    const __m256 factor = _mm256_set1_ps(o->residual_scale);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        __m256 v0 = int8v_finish(acc[i][0], scale0, shift0);
        __m256 v1 = vectors > 1 ? int8v_finish(acc[i][1], scale1, shift1) : v0;
        if (o->residual) {
            const uint8_t *r = o->residual + (size_t)i * o->ldr;
            v0 = _mm256_add_ps(v0, _mm256_mul_ps(int8v_residual(r, t->n), factor));
            if (vectors > 1)
                v1 = _mm256_add_ps(v1, _mm256_mul_ps(int8v_residual(r + 8, t->n - 8), factor));
        }
        v0 = int8v_clamp(v0, lo, hi);
        v1 = int8v_clamp(v1, lo, hi);
        if (o->bytes)
            int8v_store_bytes(o->bytes + (size_t)i * o->ldo, int8v_bytes(v0, v1), t->n);
        else
            int8v_store_floats(o->floats + (size_t)i * o->ldo, v0, v1, t->n);
    }
}

static void ISA(int8_gemm)(const struct adl_int8_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > 8)                                                                              \
            int8v_tile(t, m, 2);                                                                   \
        else                                                                                       \
            int8v_tile(t, m, 1);                                                                   \
        break
    switch (t->m) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
    }
#undef ROWS
}

/* --- depthwise convolution ---------------------------------------------------------- */

/* The weights of a pair of taps for 16 channels. Unpacking 16 words of two taps gives pairs in the
 * order 0-3, 8-11 and 4-7, 12-15; the weights, scale and shift are put in the same order once, and
 * packing the sums to words restores the order of the channels. */
struct int8v_pair {
    __m256i first, second;
};

INLINE struct int8v_pair int8v_weights(const int16_t *w)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)w);
    __m256i b = _mm256_loadu_si256((const __m256i *)(w + 16));
    return (struct int8v_pair){_mm256_permute2x128_si256(a, b, 0x20),
                               _mm256_permute2x128_si256(a, b, 0x31)};
}

INLINE void int8v_madd(__m256i sums[2], __m256i x0, __m256i x1, struct int8v_pair w)
{
    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1), w.first));
    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1), w.second));
}

/* What the epilogue of 16 channels needs, in the order of the sums. */
struct int8v_end {
    __m256 scale[2], shift[2], lo, hi;
};

INLINE struct int8v_end int8v_end(const struct adl_int8_out *o, size_t c)
{
    __m256 scale0 = _mm256_loadu_ps(o->scale + c), scale1 = _mm256_loadu_ps(o->scale + c + 8);
    __m256 shift0 = _mm256_loadu_ps(o->shift + c), shift1 = _mm256_loadu_ps(o->shift + c + 8);
    return (struct int8v_end){.scale = {_mm256_permute2f128_ps(scale0, scale1, 0x20),
                                        _mm256_permute2f128_ps(scale0, scale1, 0x31)},
                              .shift = {_mm256_permute2f128_ps(shift0, shift1, 0x20),
                                        _mm256_permute2f128_ps(shift0, shift1, 0x31)},
                              .lo = _mm256_set1_ps(o->lo),
                              .hi = _mm256_set1_ps(o->hi)};
}

INLINE void int8v_store(const struct adl_int8_out *o, const struct int8v_end *end,
                        const __m256i sums[2], size_t pixel, size_t c)
{
    __m256 v0 = int8v_finish(sums[0], end->scale[0], end->shift[0]);
    __m256 v1 = int8v_finish(sums[1], end->scale[1], end->shift[1]);
    v0 = int8v_clamp(v0, end->lo, end->hi);
    v1 = int8v_clamp(v1, end->lo, end->hi);
    if (o->bytes) {
        __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v0), _mm256_cvtps_epi32(v1));
        __m128i bytes =
            _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((__m128i *)(o->bytes + pixel * o->ldo + c), bytes);
    } else {
        float *to = o->floats + pixel * o->ldo + c;
        _mm256_storeu_ps(to, _mm256_permute2f128_ps(v0, v1, 0x20));
        _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(v0, v1, 0x31));
    }
}

/* A 3x3 kernel for 16 channels; the weights stay in registers. */
INLINE void int8v_3x3(const struct adl_int8_depthwise *j, size_t c)
{
    const struct int8v_end end = int8v_end(&j->out, c);
    const int16_t *weights = j->weights;
    struct int8v_pair w[5];

#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        w[i] = int8v_weights(weights + ((size_t)i * j->channels + c) * 2);
    for (int q = 0; q < j->q; q++) {
        const uint8_t *x[9];
        int column = q * j->stride - j->pad_left;
        if (column >= 0 && column + 3 <= j->w) {
#pragma GCC unroll 3
            for (int r = 0; r < 3; r++) {
                x[3 * r] = j->rows[r] + (size_t)column * j->steps[r] + c;
                x[3 * r + 1] = x[3 * r] + j->steps[r];
                x[3 * r + 2] = x[3 * r + 1] + j->steps[r];
            }
        } else {
#pragma GCC unroll 9
            for (int i = 0; i < 9; i++)
                x[i] = int8_tap(j->rows, j->steps, j->pad, j->w, i / 3, column + i % 3) + c;
        }
        __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            int8v_madd(sums, int8v_load(x[2 * i]), int8v_load(x[2 * i + 1]), w[i]);
        int8v_madd(sums, int8v_load(x[8]), _mm256_setzero_si256(), w[4]);
        int8v_store(&j->out, &end, sums, (size_t)q, c);
    }
}

/* Any kernel, for 16 channels. */
INLINE void int8v_any(const struct adl_int8_depthwise *j, size_t c)
{
    const struct int8v_end end = int8v_end(&j->out, c);
    const int16_t *weights = j->weights;
    int taps = j->r * j->s;

    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (int i = 0; i < taps; i += 2) {
            __m256i x0 = int8v_load(
                int8_tap(j->rows, j->steps, j->pad, j->w, i / j->s, column + i % j->s) + c);
            __m256i x1 = _mm256_setzero_si256();
            if (i + 1 < taps)
                x1 = int8v_load(int8_tap(j->rows, j->steps, j->pad, j->w, (i + 1) / j->s,
                                         column + (i + 1) % j->s) +
                                c);
            int8v_madd(sums, x0, x1,
                       int8v_weights(weights + ((size_t)(i / 2) * j->channels + c) * 2));
        }
        int8v_store(&j->out, &end, sums, (size_t)q, c);
    }
}

/* The last vector of 16 channels overlaps the one before it if the channels are not a multiple of
 * 16: what both compute is the same. */
static void ISA(int8_depthwise)(const struct adl_int8_depthwise *j)
{
    if (j->channels < 16) {
        for (int q = 0; q < j->q; q++)
            int8_depthwise_channels(j, q, 0);
        return;
    }
    for (size_t c = 0; c < j->channels; c += 16) {
        size_t from = SMALLER(c, j->channels - 16);
        if (j->r == 3 && j->s == 3)
            int8v_3x3(j, from);
        else
            int8v_any(j, from);
    }
}

/* Defines a table of these kernels; GROUP, the bytes of a group, and the speeds are explained in
 * int8.h. */
#define INT8_TABLE(TABLE, GROUP, SPEED, DEPTHWISE_SPEED)                                           \
    const struct adl_int8_kernels TABLE = {.mr = MR,                                               \
                                           .nr = NR,                                               \
                                           .group = (GROUP),                                       \
                                           .depthwise_group = 2,                                   \
                                           .speed = (SPEED),                                       \
                                           .depthwise_speed = (DEPTHWISE_SPEED),                   \
                                           .gemm = ISA(int8_gemm),                                 \
                                           .depthwise = ISA(int8_depthwise),                       \
                                           .maxpool = ISA(int8_maxpool),                           \
                                           .avgpool = ISA(int8_avgpool),                           \
                                           .widen = ISA(int8_widen),                               \
                                           .to_bytes = ISA(int8_to_bytes),                         \
                                           .to_floats = ISA(int8_to_floats)}

#endif
