/* Defines the kernels for bfloat16 of processors with AVX512-BF16.
 *
 * VDPBF16PS multiplies pairs of bfloat16 numbers and adds both products to a float32 sum: 32
 * multiply-adds in a vector of 512 bits, where an FMA does 16. */

#if defined(__x86_64__)

#include "kernels/avx512_vec.h"

#include "kernels/bf16_loops.h"
#include "kernels/kernel.h"

#define DOT_ADD(sum, a, b) (__m512i) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b))

#include "kernels/avx512_dot_loops.h"

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

INLINE void dot_tile(const struct adl_bf16_tile *t, const int rows, const int vectors)
{
    const struct dot_sums sums = dot_loop(t->a, t->lda * sizeof *t->a, t->a_step * sizeof *t->a,
                                          t->b, t->steps, rows, vectors);
    const __mmask16 mask0 = first_lanes((size_t)t->n);
    const __mmask16 mask1 = t->n > 16 ? first_lanes((size_t)t->n - 16) : 0;

#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        dot_store(t, (__m512)sums.v[i][0], (size_t)i, 0, mask0);
        if (vectors > 1)
            dot_store(t, (__m512)sums.v[i][1], (size_t)i, 16, mask1);
    }
}

static void avx512_bf16_dot(const struct adl_bf16_tile *t)
{
    DOT_DISPATCH(dot_tile, t);
}

const struct adl_bf16_kernels adl_bf16_avx512 = {
    ADL_BF16_LOOPS,
    .dot = avx512_bf16_dot,
    .dot_mr = MR,
    .dot_nr = NR,
};

#endif
