/* The pass along a row with AVX2: four taps of an output pixel at a time. The sums are exact
 * integers, so the bytes are those of resize_filter.c.
 *
 * Sixteen bytes hold five pixels. Four of them are spread so that each pair of neighbours is side
 * by side, as VPMADDWD wants them, one pair in each half of the register:
 *
 *     R0 R1 G0 G1 B0 B1 - -    R2 R3 G2 G3 B2 B3 - - */

#include "image/resize_weights.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define TAPS ADL_RESIZE_TAPS

/* Returns the weights of four taps, each pair three times and once more, in its half. */
static __m256i weights_of(const int16_t *weights)
{
    const __m256i pairs = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    __m128i four = _mm_loadl_epi64((const __m128i *)weights);
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four), pairs);
}

/* Computes an output pixel as four bytes, the last of which is 0. Reads sixteen bytes from `rgb`
 * on for each four taps. */
static int resize_dot(const uint8_t *rgb, const int16_t *high, const int16_t *low, int taps)
{
    const __m128i spread = _mm_setr_epi8(0, 3, 1, 4, 2, 5, -1, -1, 6, 9, 7, 10, 8, 11, -1, -1);
    __m256i sum_high = _mm256_setzero_si256(), sum_low = _mm256_setzero_si256();

    for (int k = 0; k < taps; k += TAPS, rgb += 3 * TAPS) {
        __m128i bytes = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)rgb), spread);
        __m256i pixels = _mm256_cvtepu8_epi16(bytes);
        sum_high = _mm256_add_epi32(sum_high, _mm256_madd_epi16(pixels, weights_of(high + k)));
        sum_low = _mm256_add_epi32(sum_low, _mm256_madd_epi16(pixels, weights_of(low + k)));
    }
    __m256i halves = _mm256_add_epi32(_mm256_slli_epi32(sum_high, ADL_RESIZE_LOW_BITS), sum_low);
    __m128i sums =
        _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    sums = _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(ADL_RESIZE_HALF)),
                          ADL_RESIZE_WEIGHT_BITS);
    __m128i words = _mm_packs_epi32(sums, sums);
    return _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
}

int adl_resize_row_avx2(const uint8_t *rgb, const struct adl_resize_filter *filter, uint8_t *out)
{
    const int taps = filter->taps_padded;
    const int most = filter->in_size - taps - 2; /* the first tap from which 16 bytes are there */
    int i = 0;

    for (; i < filter->size && filter->first[i] <= most; i++, out += 3) {
        const size_t start = (size_t)i * (size_t)taps;
        int bytes = resize_dot(rgb + 3 * (size_t)filter->first[i], filter->high + start,
                               filter->low + start, taps);
        memcpy(out, &bytes, 3);
    }
    return i;
}

#else

int adl_resize_row_avx2(const uint8_t *rgb, const struct adl_resize_filter *filter, uint8_t *out)
{
    (void)rgb;
    (void)filter;
    (void)out;
    return 0;
}

#endif
