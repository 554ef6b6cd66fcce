#ifndef ADL_KERNELS_AVX2_VEC_H
#define ADL_KERNELS_AVX2_VEC_H

/* AVX2 under the names that map_loops.h, strassen_loops.h and winograd_loops.h use: the
 * vector type, its loads and stores, whole or only the first n floats, and the few
 * operations that GCC's vector operators do not have. Only for files compiled for it. */

#include <immintrin.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* The name that a function compiled for several instruction sets has for this one. */
#define ISA(name) avx2_##name

typedef __m256 vec;
#define VEC 8

/* The mask of the first n lanes, all of them where n is 8 or more. */
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

/* The larger of each pair, and NaN where either is: max_ps then gives its second operand,
 * so that a NaN in `a` has to be put back. */
INLINE vec vec_max(vec a, vec b)
{
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* The sum of all floats of v. */
INLINE float vec_sum(vec v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

/* min_ps and max_ps give their second operand where either is NaN: v comes second, so that
 * a NaN stays one. */
INLINE vec vec_clamp(vec v, float lo, float hi)
{
    return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), v));
}

#endif
