#ifndef ADL_KERNELS_AVX2_VEC_H
#define ADL_KERNELS_AVX2_VEC_H

/* Defines, for AVX2, the names that map_loops.h, strassen_loops.h and winograd*_loops.h use:
 * the vector type, its loads and stores, whole or only the first n floats, and the few
 * operations that GCC's vector operators do not have. Only for files compiled for AVX2. */

#include <immintrin.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* The name of this instruction set's copy of a function. */
#define ISA(name) avx2_##name

typedef __m256 vec;
#define VEC 8

/* Returns the mask of the first n lanes, of all lanes if n is 8 or more. */
INLINE __m256i first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE vec vec_set1(float x)
{
    return _mm256_set1_ps(x);
}

INLINE vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

INLINE void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}

INLINE vec vec_load_part(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, first_lanes(n));
}

INLINE void vec_store_part(float *p, size_t n, vec v)
{
    _mm256_maskstore_ps(p, first_lanes(n), v);
}

/* Returns a * b + c, rounded once. */
INLINE vec vec_fmadd(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
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
 * for a NaN, so a NaN in `a` is put back. */
INLINE vec vec_max(vec a, vec b)
{
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* Numbers of lanes, read from memory; a vector of the floats of v in these lanes. */
typedef int vec_index __attribute__((vector_size(32)));
#define VEC_PICKS 1

INLINE vec_index vec_index_at(const int *p)
{
    return (vec_index)_mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE vec vec_pick(vec v, vec_index lanes)
{
    return _mm256_permutevar8x32_ps(v, (__m256i)lanes);
}

/* Returns the sum of all floats of v. */
INLINE float vec_sum(vec v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

/* Clamps v to lo..hi and keeps NaN: min_ps and max_ps return their second operand if either is
 * NaN, so v comes second. */
INLINE vec vec_clamp(vec v, float lo, float hi)
{
    return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), v));
}

#endif
