#ifndef ADL_KERNELS_AVX512_VEC_H
#define ADL_KERNELS_AVX512_VEC_H

/* AVX-512 under the names that map_loops.h, strassen_loops.h and winograd_loops.h use;
 * see avx2_vec.h. Only for files compiled for it. */

#include <immintrin.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* The name that a function compiled for several instruction sets has for this one. */
#define ISA(name) avx512_##name

typedef __m512 vec;
#define VEC 16

/* The mask of the first n lanes, all of them where n is 16 or more. */
INLINE __mmask16 first_lanes(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

INLINE vec vec_set1(float x)
{
    return _mm512_set1_ps(x);
}

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
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

INLINE void vec_store_part(float *p, size_t n, vec v)
{
    _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

/* The larger of each pair, and NaN where either is: max_ps then gives its second operand,
 * so that a NaN in `a` has to be kept. */
INLINE vec vec_max(vec a, vec b)
{
    return _mm512_mask_max_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a, b);
}

/* The sum of all floats of v. */
INLINE float vec_sum(vec v)
{
    return _mm512_reduce_add_ps(v);
}

/* min_ps and max_ps give their second operand where either is NaN: v comes second, so that
 * a NaN stays one. */
INLINE vec vec_clamp(vec v, float lo, float hi)
{
    return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), v));
}

#endif
