#ifndef ADL_KERNELS_AVX2_INT8_MAP_LOOPS_H
#define ADL_KERNELS_AVX2_INT8_MAP_LOOPS_H

/* Defines the kernels of int8.h that do not multiply, pooling and conversions, with vectors of 256
 * bits, and the steps of an epilogue. For files that are compiled for AVX2 or more, which define
 * ISA(name), the name of this instruction set's copy of a function, before. */

#include <immintrin.h>

#include "kernels/int8_loops.h"

#define INLINE static inline __attribute__((always_inline))

/* Applies the epilogue up to the clamp to 8 channels. */
INLINE __m256 int8v_finish(__m256i sum, __m256 scale, __m256 shift)
{
    return _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), shift);
}

INLINE __m256 int8v_clamp(__m256 v, __m256 lo, __m256 hi)
{
    /* MAXPS and MINPS return their second operand for a NaN. */
    return _mm256_min_ps(_mm256_max_ps(v, lo), hi);
}

/* Returns 16 floats as bytes, rounded to nearest even. */
INLINE __m128i int8v_bytes(__m256 v0, __m256 v1)
{
    __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v0), _mm256_cvtps_epi32(v1));
    words = _mm256_permute4x64_epi64(words, 0xD8);
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

INLINE __m256i int8v_load(const uint8_t *x)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x));
}

/* --- pooling ------------------------------------------------------------------------- */

/* Vectors of 32 channels. The last one overlaps the one before it if the channels are not a
 * multiple of 32: what both compute is the same. */
#define POOL_CHANNELS 32

/* Applies the epilogue of a pooling op to 16 sums of 16 bits without sign. */
INLINE __m128i int8v_pool_end(__m256i sums, const struct adl_int8_pool *j)
{
    const __m256 scale = _mm256_set1_ps(j->scale), shift = _mm256_set1_ps(j->shift);
    const __m256 lo = _mm256_setzero_ps(), hi = _mm256_set1_ps(255);
    __m256i first = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums));
    __m256i second = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(sums, 1));
    return int8v_bytes(int8v_clamp(int8v_finish(first, scale, shift), lo, hi),
                       int8v_clamp(int8v_finish(second, scale, shift), lo, hi));
}

/* The maximum of the taps of 32 channels. */
INLINE void int8v_max(const struct adl_int8_pool *j, const uint8_t *const *taps, int count,
                      size_t c, uint8_t *out)
{
    __m256i best = _mm256_loadu_si256((const __m256i *)(taps[0] + c));
    for (int t = 1; t < count; t++)
        best = _mm256_max_epu8(best, _mm256_loadu_si256((const __m256i *)(taps[t] + c)));
    if (j->scale != 1 || j->shift != 0) {
        __m256i first = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(best));
        __m256i second = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(best, 1));
        best = _mm256_set_m128i(int8v_pool_end(second, j), int8v_pool_end(first, j));
    }
    _mm256_storeu_si256((__m256i *)(out + c), best);
}

/* The average of the taps of 32 channels. Sums of ADL_INT8_MAX_TAPS bytes fit 16 bits. */
INLINE void int8v_avg(const struct adl_int8_pool *j, const uint8_t *const *taps, int count,
                      size_t c, uint8_t *out)
{
    __m256i first = int8v_load(taps[0] + c), second = int8v_load(taps[0] + c + 16);
    for (int t = 1; t < count; t++) {
        first = _mm256_add_epi16(first, int8v_load(taps[t] + c));
        second = _mm256_add_epi16(second, int8v_load(taps[t] + c + 16));
    }
    _mm_storeu_si128((__m128i *)(out + c), int8v_pool_end(first, j));
    _mm_storeu_si128((__m128i *)(out + c + 16), int8v_pool_end(second, j));
}

#include "kernels/int8_pool_loops.h"

/* --- conversions --------------------------------------------------------------------- */

static void ISA(int8_widen)(const uint8_t *x, size_t n, int16_t *out)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(out + i), int8v_load(x + i));
    int8_widen(x + i, n - i, out + i);
}

INLINE void int8v_row_to_bytes(const float *x, uint8_t *out, size_t n, float factor, float zero)
{
    const __m256 f = _mm256_set1_ps(factor), z = _mm256_set1_ps(zero);
    const __m256 lo = _mm256_setzero_ps(), hi = _mm256_set1_ps(255);
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        __m256 v0 = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), f), z);
        __m256 v1 = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), f), z);
        v0 = int8v_clamp(v0, lo, hi);
        v1 = int8v_clamp(v1, lo, hi);
        _mm_storeu_si128((__m128i *)(out + i), int8v_bytes(v0, v1));
    }
    for (; i < n; i++)
        out[i] = int8_to_byte(x[i], factor, zero);
}

INLINE void int8v_row_to_floats(const uint8_t *x, float *out, size_t n, float factor, float zero)
{
    const __m256 f = _mm256_set1_ps(factor), z = _mm256_set1_ps(zero);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m256i words = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(x + i)));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(words), z), f));
    }
    for (; i < n; i++)
        out[i] = int8_to_float(x[i], factor, zero);
}

static void ISA(int8_to_bytes)(const struct adl_int8_convert *j)
{
    int dense = j->ld_floats == j->channels && j->ld_bytes == j->channels;
    size_t rows = dense ? 1 : j->pixels, n = dense ? j->pixels * j->channels : j->channels;
    for (size_t i = 0; i < rows; i++)
        int8v_row_to_bytes(j->floats + i * j->ld_floats, j->bytes + i * j->ld_bytes, n, j->factor,
                           j->zero);
}

static void ISA(int8_to_floats)(const struct adl_int8_convert *j)
{
    int dense = j->ld_floats == j->channels && j->ld_bytes == j->channels;
    size_t rows = dense ? 1 : j->pixels, n = dense ? j->pixels * j->channels : j->channels;
    for (size_t i = 0; i < rows; i++)
        int8v_row_to_floats(j->bytes + i * j->ld_bytes, j->floats + i * j->ld_floats, n, j->factor,
                            j->zero);
}

#endif
