#ifndef ADL_KERNELS_GENERIC_VEC_H
#define ADL_KERNELS_GENERIC_VEC_H

/* Defines, by the compiler's own vectors, the names that grouped_loops.h uses; see avx2_vec.h. On
 * a machine whose vectors are no wider than 4 floats these are its instructions. */

#include <stddef.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* The name of this instruction set's copy of a function. */
#define ISA(name) generic_##name

typedef float vec __attribute__((vector_size(16)));
typedef unsigned vec_bits __attribute__((vector_size(16)));
#define VEC 4
#define VEC_PICKS 0

INLINE vec vec_set1(float x)
{
    return (vec){x, x, x, x};
}

INLINE vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

INLINE vec vec_load_part(const float *p, size_t n)
{
    vec v = {0};
    for (size_t i = 0; i < n && i < VEC; i++)
        v[i] = p[i];
    return v;
}

INLINE void vec_store_part(float *p, size_t n, vec v)
{
    for (size_t i = 0; i < n && i < VEC; i++)
        p[i] = v[i];
}

/* Returns a * b + c; whether it is rounded once depends on the machine. */
INLINE vec vec_fmadd(vec a, vec b, vec c)
{
    return a * b + c;
}

/* Returns a in the lanes of which all bits of `mask` are set, and b in the others. */
INLINE vec vec_select(vec_bits mask, vec a, vec b)
{
    return (vec)(((vec_bits)a & mask) | ((vec_bits)b & ~mask));
}

/* Clamps v to lo..hi and keeps NaN, which compares false with both. */
INLINE vec vec_clamp(vec v, float lo, float hi)
{
    v = vec_select((vec_bits)(v < vec_set1(lo)), vec_set1(lo), v);
    return vec_select((vec_bits)(v > vec_set1(hi)), vec_set1(hi), v);
}

#endif
