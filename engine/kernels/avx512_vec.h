#ifndef ADL_KERNELS_AVX512_VEC_H
#define ADL_KERNELS_AVX512_VEC_H

/* The vector type of AVX-512 under the names that winograd_loops.h and
 * strassen_loops.h use. Only for files compiled for it. */

#include <immintrin.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512 vec;
#define VEC 16

INLINE vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

INLINE void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

INLINE vec vec_load_part(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

INLINE void vec_store_part(float *p, size_t n, vec v)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}

INLINE vec vec_clamp(vec v, float lo, float hi)
{
    return _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(lo)), _mm512_set1_ps(hi));
}

#endif
