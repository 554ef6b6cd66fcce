/* Pillow's Image.resize(BILINEAR), to the byte: the networks of the reference implementation
 * were trained on images that Pillow resized, and get exactly the same input here.
 *
 * Along a side that goes from `in` to `out` pixels, with scale = in / out and support =
 * max(scale, 1), output pixel i has its centre at c = (i + 0.5) * scale, and input pixel k
 * has the weight
 *
 *     w(k) = max(0, 1 - |k + 0.5 - c| / support),
 *
 * divided by the sum of the weights. So enlarging interpolates between two pixels, and
 * shrinking averages over 2 * scale of them: unlike OpenCV's or a GPU's bilinear sampling, no
 * input pixel is skipped. A horizontal pass over every row comes first, then a vertical one;
 * either is left out if that side keeps its size.
 *
 * Weights are rounded to fixed point with 22 fractional bits, and each pass rounds its sums
 * to bytes. The sums are exact integers, so their order does not matter and the vector loops
 * may add up several taps at a time. */

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/resize_filter.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void adl_resize_filter_release(struct adl_resize_filter *filter)
{
    adl_free(filter->block);
}

/* Computes the weights of output pixel i, whose centre is at `centre` in input pixels. The
 * rounding of each step is Pillow's; `weights` is scratch. */
static void resize_weigh(struct adl_resize_filter *filter, int i, int in_size, double centre,
                         double support, double *weights)
{
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    double sum = 0;

    first = ADL_MAX(first, 0);
    end = ADL_MIN(end, in_size);
    for (int k = 0; k < end - first; k++) {
        double distance = fabs((k + first - centre + 0.5) * (1.0 / support));
        weights[k] = distance < 1.0 ? 1.0 - distance : 0.0;
        sum += weights[k];
    }
    filter->first[i] = first;
    filter->taps[i] = end - first;
    for (int k = 0; k < end - first; k++) {
        double weight = sum != 0 ? weights[k] / sum : weights[k];
        int fixed = (int)(0.5 + weight * (1 << ADL_RESIZE_WEIGHT_BITS));
        size_t index = (size_t)i * (size_t)filter->taps_padded + (size_t)k;
        filter->high[index] = (int16_t)(fixed >> ADL_RESIZE_LOW_BITS);
        filter->low[index] = (int16_t)(fixed & ((1 << ADL_RESIZE_LOW_BITS) - 1));
    }
}

int adl_resize_filter_init(struct adl_resize_filter *filter, int in_size, int size,
                           struct adl_error *err)
{
    const double scale = (double)in_size / size;
    const double support = ADL_MAX(scale, 1.0);
    const size_t taps = 2 * (size_t)ceil(support) + 1;
    const size_t padded = (taps + ADL_RESIZE_TAPS - 1) / ADL_RESIZE_TAPS * ADL_RESIZE_TAPS;
    size_t weights, bytes;

    *filter = (struct adl_resize_filter){.in_size = in_size,
                                         .size = size,
                                         .taps_padded = (int)padded,
                                         .avx2 = adl_isa_available(ADL_ISA_AVX2)};
    if (adl_size_mul((size_t)size, padded, &weights) < 0 ||
        adl_size_mul(weights, 2 * sizeof(int16_t), &bytes) < 0 ||
        adl_size_add(bytes, (size_t)size * 2 * sizeof(int) + padded * sizeof(double), &bytes) < 0)
        return adl_fail_nomem(err, "resizing an image");
    filter->block = adl_calloc(bytes, 1);
    if (!filter->block)
        return adl_fail_nomem(err, "resizing an image");
    double *scratch = filter->block;
    filter->high = (int16_t *)(scratch + padded);
    filter->low = filter->high + weights;
    filter->first = (int *)(filter->low + weights);
    filter->taps = filter->first + size;
    for (int i = 0; i < size; i++)
        resize_weigh(filter, i, in_size, (i + 0.5) * scale, support, scratch);
    return 0;
}

/* Rounds the joined sums. They are never negative, but rounded weights may overshoot 255 by a
 * little. */
static uint8_t resize_to_byte(int high, int low)
{
    int value = ((high << ADL_RESIZE_LOW_BITS) + low + ADL_RESIZE_HALF) >> ADL_RESIZE_WEIGHT_BITS;
    return (uint8_t)ADL_MIN(value, 255);
}

#ifdef __SSE2__

static __m128i resize_rounded(__m128i sums)
{
    return _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(ADL_RESIZE_HALF)),
                          ADL_RESIZE_WEIGHT_BITS);
}

/* Returns the pixels k and k + 1 of a row as words: red of both, green of both, blue of both.
 * pmaddwd multiplies each pair by the pair of their weights and adds the products. Reads no byte
 * beyond the second pixel. */
static __m128i resize_pair(const uint8_t *rgb)
{
    int first, second;

    memcpy(&first, rgb, sizeof first);
    memcpy(&second, rgb + 2, sizeof second);
    __m128i both =
        _mm_unpacklo_epi8(_mm_cvtsi32_si128(first), _mm_srli_epi32(_mm_cvtsi32_si128(second), 8));
    return _mm_unpacklo_epi8(both, _mm_setzero_si128());
}

/* Returns a pixel beside one without colour. */
static __m128i resize_single(const uint8_t *rgb)
{
    const __m128i zero = _mm_setzero_si128();
    int pixel = rgb[0] | rgb[1] << 8 | rgb[2] << 16;
    return _mm_unpacklo_epi8(_mm_unpacklo_epi8(_mm_cvtsi32_si128(pixel), zero), zero);
}

static __m128i resize_weights(const int16_t *weights)
{
    int pair;

    memcpy(&pair, weights, sizeof pair);
    return _mm_set1_epi32(pair);
}

/* Computes one output pixel, whose first tap is at `rgb`. */
static void resize_dot(const uint8_t *rgb, const int16_t *high, const int16_t *low, int taps,
                       uint8_t *out)
{
    __m128i sum_high = _mm_setzero_si128(), sum_low = _mm_setzero_si128();

    for (int k = 0; k < taps; k += 2, rgb += 6) {
        __m128i pixels = k + 1 < taps ? resize_pair(rgb) : resize_single(rgb);
        sum_high = _mm_add_epi32(sum_high, _mm_madd_epi16(pixels, resize_weights(high + k)));
        sum_low = _mm_add_epi32(sum_low, _mm_madd_epi16(pixels, resize_weights(low + k)));
    }
    __m128i sums =
        resize_rounded(_mm_add_epi32(_mm_slli_epi32(sum_high, ADL_RESIZE_LOW_BITS), sum_low));
    __m128i words = _mm_packs_epi32(sums, sums);
    int bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(out, &bytes, 3);
}

/* Computes eight neighbouring bytes of an output row, from two input rows at a time: their
 * bytes are interleaved, so that one pmaddwd multiplies both by their weights and adds the
 * products. */
static void resize_column8(const uint8_t *in, size_t stride, const int16_t *high,
                           const int16_t *low, int taps, uint8_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i high0 = zero, high1 = zero, low0 = zero, low1 = zero;

    for (int k = 0; k < taps; k += 2, in += 2 * stride) {
        const uint8_t *second = k + 1 < taps ? in + stride : in;
        __m128i pair_high = resize_weights(high + k), pair_low = resize_weights(low + k);
        __m128i both = _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)in),
                                         _mm_loadl_epi64((const __m128i *)second));
        __m128i p0 = _mm_unpacklo_epi8(both, zero), p1 = _mm_unpackhi_epi8(both, zero);
        high0 = _mm_add_epi32(high0, _mm_madd_epi16(p0, pair_high));
        high1 = _mm_add_epi32(high1, _mm_madd_epi16(p1, pair_high));
        low0 = _mm_add_epi32(low0, _mm_madd_epi16(p0, pair_low));
        low1 = _mm_add_epi32(low1, _mm_madd_epi16(p1, pair_low));
    }
    __m128i words = _mm_packs_epi32(
        resize_rounded(_mm_add_epi32(_mm_slli_epi32(high0, ADL_RESIZE_LOW_BITS), low0)),
        resize_rounded(_mm_add_epi32(_mm_slli_epi32(high1, ADL_RESIZE_LOW_BITS), low1)));
    _mm_storel_epi64((__m128i *)out, _mm_packus_epi16(words, words));
}

#else

static void resize_dot(const uint8_t *rgb, const int16_t *high, const int16_t *low, int taps,
                       uint8_t *out)
{
    for (int c = 0; c < 3; c++) {
        int sum_high = 0, sum_low = 0;
        for (int k = 0; k < taps; k++) {
            sum_high += rgb[3 * k + c] * high[k];
            sum_low += rgb[3 * k + c] * low[k];
        }
        out[c] = resize_to_byte(sum_high, sum_low);
    }
}

#endif

static void resize_column(const uint8_t *in, size_t stride, const int16_t *high, const int16_t *low,
                          int taps, uint8_t *out)
{
    int sum_high = 0, sum_low = 0;
    for (int k = 0; k < taps; k++, in += stride) {
        sum_high += *in * high[k];
        sum_low += *in * low[k];
    }
    *out = resize_to_byte(sum_high, sum_low);
}

void adl_resize_row(const uint8_t *rgb, const struct adl_resize_filter *filter, uint8_t *out)
{
    int i = filter->avx2 ? adl_resize_row_avx2(rgb, filter, out) : 0;

    for (out += 3 * (size_t)i; i < filter->size; i++, out += 3) {
        const size_t start = (size_t)i * (size_t)filter->taps_padded;
        resize_dot(rgb + 3 * (size_t)filter->first[i], filter->high + start, filter->low + start,
                   filter->taps[i], out);
    }
}

void adl_resize_column(const uint8_t *first, size_t row_bytes,
                       const struct adl_resize_filter *filter, int i, uint8_t *out)
{
    const size_t start = (size_t)i * (size_t)filter->taps_padded;
    const int16_t *high = filter->high + start, *low = filter->low + start;
    size_t x = 0;

#ifdef __SSE2__
    for (; x + 8 <= row_bytes; x += 8)
        resize_column8(first + x, row_bytes, high, low, filter->taps[i], out + x);
#endif
    for (; x < row_bytes; x++)
        resize_column(first + x, row_bytes, high, low, filter->taps[i], out + x);
}

/* Swaps output pixels i and j, whose weights are reversed. */
static void resize_swap(struct adl_resize_filter *filter, int i, int j)
{
    int first = filter->first[i], taps = filter->taps[i];

    filter->first[i] = filter->in_size - filter->first[j] - filter->taps[j];
    filter->taps[i] = filter->taps[j];
    filter->first[j] = filter->in_size - first - taps;
    filter->taps[j] = taps;
    for (int k = 0; k < filter->taps_padded; k++) {
        size_t a = (size_t)i * (size_t)filter->taps_padded + (size_t)k;
        size_t b = (size_t)j * (size_t)filter->taps_padded + (size_t)k;
        int16_t high = filter->high[a], low = filter->low[a];
        filter->high[a] = filter->high[b];
        filter->low[a] = filter->low[b];
        filter->high[b] = high;
        filter->low[b] = low;
    }
}

static void resize_reverse_weights(int16_t *weights, int taps)
{
    for (int a = 0, b = taps - 1; a < b; a++, b--) {
        int16_t kept = weights[a];
        weights[a] = weights[b];
        weights[b] = kept;
    }
}

void adl_resize_filter_reverse(struct adl_resize_filter *filter)
{
    for (int i = 0; i < (filter->size + 1) / 2; i++)
        resize_swap(filter, i, filter->size - 1 - i);
    for (int i = 0; i < filter->size; i++) {
        size_t start = (size_t)i * (size_t)filter->taps_padded;
        resize_reverse_weights(filter->high + start, filter->taps[i]);
        resize_reverse_weights(filter->low + start, filter->taps[i]);
    }
}
