#ifndef ADL_KERNELS_AVX512_VEC_H
#define ADL_KERNELS_AVX512_VEC_H

/* Defines, for AVX-512, the names that map_loops.h, strassen_loops.h and winograd*_loops.h
 * use; see avx2_vec.h. Only for files compiled for AVX-512. */

#include <immintrin.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* The name of this instruction set's copy of a function. */
#define ISA(name) avx512_##name

typedef __m512 vec;
#define VEC 16

/* Returns the mask of the first n lanes, of all lanes if n is 16 or more. */
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

/* Returns a * b + c, rounded once. */
INLINE vec vec_fmadd(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* A number that vectors are multiplied by. */
typedef vec vec_factor;

INLINE vec_factor vec_load_factor(const float *p)
{
    return vec_set1(*p);
}

/* Returns a * b + c, rounded once, with one number for a. */
INLINE vec vec_fmadd_factor(vec_factor a, vec b, vec c)
{
    return vec_fmadd(a, b, c);
}

/* Returns the larger value of each pair, NaN if either is NaN. max_ps returns its second operand
 * for a NaN, so a NaN in `a` is kept by the mask. */
INLINE vec vec_max(vec a, vec b)
{
    return _mm512_mask_max_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a, b);
}

/* Numbers of lanes, read from memory; a vector of the floats of v in these lanes. */
typedef int vec_index __attribute__((vector_size(64)));
#define VEC_PICKS 1

INLINE vec_index vec_index_at(const int *p)
{
    return (vec_index)_mm512_loadu_si512(p);
}

INLINE vec vec_pick(vec v, vec_index lanes)
{
    return _mm512_permutexvar_ps((__m512i)lanes, v);
}

/* Returns the sum of all floats of v. */
INLINE float vec_sum(vec v)
{
    return _mm512_reduce_add_ps(v);
}

/* Clamps v to lo..hi and keeps NaN: min_ps and max_ps return their second operand if either is
 * NaN, so v comes second. */
INLINE vec vec_clamp(vec v, float lo, float hi)
{
    return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), v));
}

#endif
