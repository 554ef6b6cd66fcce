/* Defines the kernels for bfloat16 of processors with AVX512-BF16.
 *
 * VDPBF16PS multiplies pairs of bfloat16 numbers and adds both products to a float32 sum: 32
 * multiply-adds in a vector of 512 bits, where an FMA does 16. The tile is 12 rows x 32 columns,
 * as in avx512_int8.c: 24 accumulators, two vectors of b and one pair of a broadcast are 27 of the
 * 32 registers. */

#include "kernels/avx512_vec.h"

#include "kernels/bf16_loops.h"
#include "kernels/kernel.h"

#define MR 12
#define NR 32

/* Writes 16 columns of row i, those of `mask`. */
INLINE void dot_store(const struct adl_bf16_tile *t, __m512 sum, size_t i, size_t j, __mmask16 mask)
{
    float *c = t->c + i * t->ldc + j;
    __m512 init = t->accumulate ? _mm512_maskz_loadu_ps(mask, c) : _mm512_loadu_ps(t->bias + j);
    __m512 v = _mm512_fmadd_ps(sum, _mm512_loadu_ps(t->scale + j), init);

    if (t->residual)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, t->residual + i * t->ldr + j));
    /* VMAXPS and VMINPS return their second operand for a NaN. */
    v = _mm512_min_ps(_mm512_set1_ps(t->hi), _mm512_max_ps(_mm512_set1_ps(t->lo), v));
    _mm512_mask_storeu_ps(c, mask, v);
}

/* `rows` and `vectors` are constants at each call, so that all loops over them are unrolled. */
INLINE void dot_tile(const struct adl_bf16_tile *t, const int rows, const int vectors)
{
    __m512 acc[MR][2];
    const char *b = (const char *)t->b, *a[(MR + 2) / 3];
    const size_t lda = t->lda * sizeof *t->a, a_step = t->a_step * sizeof *t->a;

#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = _mm512_setzero_ps();
        /* One pointer serves three rows, as in avx2.c. */
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 2) / 3; i++)
        a[i] = (const char *)t->a + (size_t)(3 * i) * lda;
    for (size_t l = 0; l < t->steps; l++) {
        __m512i b0 = _mm512_load_si512(b), b1 = b0;
        _mm_prefetch(b + 16 * 64, _MM_HINT_T0);
        if (vectors > 1) {
            b1 = _mm512_load_si512(b + 64);
            _mm_prefetch(b + 17 * 64, _MM_HINT_T0);
        }
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            int pair;
            __builtin_memcpy(&pair, a[i / 3] + (size_t)(i % 3) * lda, sizeof pair);
            __m512i x = _mm512_set1_epi32(pair);
            acc[i][0] = _mm512_dpbf16_ps(acc[i][0], (__m512bh)x, (__m512bh)b0);
            if (vectors > 1)
                acc[i][1] = _mm512_dpbf16_ps(acc[i][1], (__m512bh)x, (__m512bh)b1);
            /* Keeps the rows apart: the compiler would begin with all products, for which there are
             * not enough registers. */
            __asm__ volatile("" : "+v"(acc[i][0]), "+v"(acc[i][1]));
        }
        b += 128;
#pragma GCC unroll 4
        for (int i = 0; i < (rows + 2) / 3; i++) {
            a[i] += a_step;
            __asm__("" : "+r"(a[i])); /* keeps the compiler from using an index */
        }
    }
    const __mmask16 mask0 = first_lanes((size_t)t->n);
    const __mmask16 mask1 = t->n > 16 ? first_lanes((size_t)t->n - 16) : 0;
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        dot_store(t, acc[i][0], (size_t)i, 0, mask0);
        if (vectors > 1)
            dot_store(t, acc[i][1], (size_t)i, 16, mask1);
    }
}

static void avx512_bf16_dot(const struct adl_bf16_tile *t)
{
#define ROWS(m)                                                                                    \
    case m:                                                                                        \
        if (t->n > 16)                                                                             \
            dot_tile(t, m, 2);                                                                     \
        else                                                                                       \
            dot_tile(t, m, 1);                                                                     \
        break
    switch (t->m) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
        ROWS(7);
        ROWS(8);
        ROWS(9);
        ROWS(10);
        ROWS(11);
        ROWS(12);
    }
#undef ROWS
}

const struct adl_bf16_kernels adl_bf16_avx512 = {
    ADL_BF16_LOOPS,
    .dot = avx512_bf16_dot,
    .dot_mr = MR,
    .dot_nr = NR,
};
