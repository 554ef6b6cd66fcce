/* Defines the kernels for AVX-512 (F, DQ, VL): vectors of 16 floats along the channels, with
 * masks for the last, partial vector.
 *
 * The tile of the matrix product is 14 rows x 32 columns. Its 28 accumulators, two
 * vectors of b and one broadcast value of a are 31 of the 32 registers, and each step
 * along the depth does 28 multiply-adds for 16 loads. */

#if defined(__x86_64__)

#include "kernels/avx512_vec.h"
#include "kernels/bf16_loops.h"
#include "kernels/curve_loops.h"
#define DEPTHWISE_PIXELS 14
#include "kernels/depthwise_wide_loops.h"
/* The widths of maps are usually multiples of 7. */
#define GROUPED_PIXELS 14
#include "kernels/grouped_loops.h"
#include "kernels/kernel.h"
#include "kernels/map_loops.h"
#define TRAIN_LANES VEC
#include "kernels/train_loops.h"

#define MR 14

/* Adds the products along the depth to the accumulators. `rows` and `vectors` are
 * constants at each call, so that all loops over them are unrolled. */
INLINE void gemm_sum(const struct adl_gemm_tile *t, __m512 acc[MR][2], const int rows,
                     const int vectors)
{
    const float *b = t->b, *next = t->next ? t->next : b, *a[(MR + 2) / 3];
    const size_t lda = t->lda, step = t->next ? t->next_step : 0;

    /* One pointer serves three rows: the other two are lda and 2 lda away, which an
     * address of the instruction set can express. Left alone, the compiler keeps an
     * offset for each row, runs out of registers, and loads the offsets from the
     * stack. */
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
    __mmask16 masks[2] = {first_lanes((size_t)t->n),
                          t->n > 16 ? first_lanes((size_t)t->n - 16) : (__mmask16)0};

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
                                  vec_clamp(y, t->lo, t->hi));
        }
}

static void avx512_gemm(const struct adl_gemm_tile *t)
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

/* How many channels ahead of the current vector a pixel is prefetched: the pixels of a map
 * with many channels lie too far apart for the processor's own prefetchers. */
#define DEPTHWISE_AHEAD 32

/* Returns a vector of channels of one pixel; zero outside the map, where row is NULL or the
 * column is not in 0..w-1. */
INLINE __m512 depthwise_pixel(const float *row, int column, int w, size_t ldx, __mmask16 mask)
{
    if (!row || column < 0 || column >= w)
        return _mm512_setzero_ps();
    row += (size_t)column * ldx;
    _mm_prefetch((const char *)(row + DEPTHWISE_AHEAD), _MM_HINT_T1);
    return _mm512_maskz_loadu_ps(mask, row);
}

/* Computes `lines` output rows of a 3x3 kernel at once; stride and lines are constants at
 * each call. The weights and the window of the input that the rows need stay in registers:
 * for each step to the right only the new columns of the window are loaded. */
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
            _mm512_mask_storeu_ps(out, mask, vec_clamp(sum, j->lo, j->hi));
        }
#pragma GCC unroll 5
        for (int i = 0; i < inputs; i++)
#pragma GCC unroll 2
            for (int s = 0; s < keep; s++)
                x[i][s] = x[i][s + stride];
    }
}

static void avx512_depthwise(const struct adl_depthwise_rows *j)
{
    int small = j->r == 3 && j->s == 3 && j->stride <= 2;

    for (size_t c = 0; c < j->channels; c += 16) {
        __mmask16 mask = first_lanes(j->channels - c);
        if (small && j->stride == 1 && j->lines == 2)
            depthwise_3x3(j, c, mask, 1, 2);
        else if (small && j->stride == 1)
            depthwise_3x3(j, c, mask, 1, 1);
        else if (small && j->lines == 2)
            depthwise_3x3(j, c, mask, 2, 2);
        else if (small)
            depthwise_3x3(j, c, mask, 2, 1);
        else
            for (int line = 0; line < j->lines; line++) {
                const float *const *rows = j->rows + line * j->stride;
                float *out = j->out + (size_t)line * j->line;
                if (!depthwise_wide(j, rows, out, c, j->channels - c))
                    depthwise_any(j, rows, out, c, j->channels - c);
            }
    }
}

static const struct adl_bf16_kernels avx512_bf16 = {ADL_BF16_LOOPS};

#define TABLE(int8_kernels, bf16_kernels)                                                          \
    {                                                                                              \
        .name = "avx512", .mr = MR, .nr = 32, .gemm = avx512_gemm,                                 \
        .strassen = &adl_strassen_avx512, .winograd = &adl_winograd_avx512, .int8 = &int8_kernels, \
        .bf16 = &bf16_kernels, .depthwise = avx512_depthwise, .grouped = avx512_grouped,           \
        .picks = VEC_PICKS, ADL_MAP_LOOPS, .curve = ISA(curve), ADL_TRAIN_LOOPS,                   \
    }

const struct adl_kernels adl_kernels_avx512 = TABLE(adl_int8_avx512, avx512_bf16);
const struct adl_kernels adl_kernels_avx512_vnni = TABLE(adl_int8_avx512_vnni, avx512_bf16);
const struct adl_kernels adl_kernels_avx512_bf16 = TABLE(adl_int8_avx512_vnni, adl_bf16_avx512);

#endif
