#ifndef ADL_KERNELS_CURVE_LOOPS_H
#define ADL_KERNELS_CURVE_LOOPS_H

/* Activations that are curves (sigmoid, SiLU, GELU ...), written for the type `vec`; the C library
 * computes one value at a time, which takes longer than the convolutions around it. Included as
 * map_loops.h is. kernel.h specifies the functions.
 *
 * exp(x) = 2^n exp(r) with n the nearest whole number to x / ln 2, and r = x - n ln 2, whose ln 2
 * is in two parts so that n times the first is exact. n comes from adding 1.5 * 2^23, which leaves
 * it in the lowest bits of the sum. exp(r) is 1 + r + r^2 p(r); beyond the range of float the
 * result is 0 or infinite.
 *
 * erf(t) is t p(t^2) below 1, and above it 1 - exp(-q(t)), which is 1 in float from 4 on.
 *
 * The polynomials were fitted to values in double at Chebyshev's nodes. The largest errors of the
 * functions in float, on 100,000 points each: exp 8e-8 relative, erf 2e-7 relative below 1 and 9e-8
 * absolute above. */

#include "kernels/kernel.h"

typedef unsigned curve_bits __attribute__((vector_size(sizeof(vec))));

/* Returns c[0] x^(count - 1) + ... + c[count - 1]. */
INLINE vec curve_polynomial(const float *c, const int count, vec x)
{
    vec sum = vec_set1(c[0]);
#pragma GCC unroll 8
    for (int i = 1; i < count; i++)
        sum = vec_fmadd(sum, x, vec_set1(c[i]));
    return sum;
}

INLINE vec curve_exp(vec x)
{
    static const float p[] = {1.39345461e-3f, 8.36377684e-3f, 4.16664556e-2f, 1.66665733e-1f, 0.5f};
    const vec magic = vec_set1(12582912.0f); /* 1.5 * 2^23 */

    x = vec_clamp(x, -87.3f, 88.8f);
    vec sum = vec_fmadd(x, vec_set1(1.44269504f), magic), n = sum - magic;
    vec r = vec_fmadd(n, vec_set1(-0.693359375f), x);
    r = vec_fmadd(n, vec_set1(2.12194440e-4f), r);
    vec e = vec_fmadd(r * r, curve_polynomial(p, 5, r), r) + 1.0f;
    /* 2^n: all bits of the sum but those of n are shifted out. */
    return e * (vec)(((curve_bits)sum + 127) << 23);
}

INLINE vec curve_sigmoid(vec x)
{
    return vec_set1(1) / (curve_exp(-x) + 1.0f);
}

INLINE vec curve_erf(vec x)
{
    static const float p[] = {7.89607511e-5f, -8.02366121e-4f, 5.18996734e-3f, -2.68547572e-2f,
                              1.12836108e-1f, -3.76126289e-1f, 1.12837923f};
    static const float q[] = {2.15828786e-5f, -4.40224103e-4f, 4.19961289e-3f, -2.51963995e-2f,
                              1.08402088e-1f, 6.33233190e-1f,  1.12957275f,    -1.87035213e-4f};
    const curve_bits sign = (curve_bits)x & 0x80000000u;
    const vec t = (vec)((curve_bits)x ^ sign);
    vec low = t * curve_polynomial(p, 7, t * t);
    vec high = vec_set1(1) - curve_exp(-curve_polynomial(q, 8, vec_clamp(t, 0, 4)));
    const curve_bits small = (curve_bits)(t < vec_set1(1));
    return (vec)(((((curve_bits)low & small) | ((curve_bits)high & ~small))) | sign);
}

/* Computes one vector; `curve` is a constant at each call. */
INLINE vec curve_at(const enum adl_curve curve, vec x, float a, float b)
{
    switch (curve) {
    case ADL_CURVE_HARD_SIGMOID: return vec_clamp(x * a + b, 0, 1);
    case ADL_CURVE_HARD_SWISH: return x * vec_clamp(x * (1.0f / 6) + 0.5f, 0, 1);
    case ADL_CURVE_SIGMOID: return curve_sigmoid(x);
    case ADL_CURVE_SILU: return x * curve_sigmoid(x);
    case ADL_CURVE_GELU: return x * 0.5f * (curve_erf(x * 0.70710678f) + 1.0f);
    /* (1 + tanh u) / 2 is sigmoid(2 u). */
    case ADL_CURVE_GELU_TANH:
        return x * curve_sigmoid(x * 1.59576912f * (x * x * 0.044715f + 1.0f));
    default: return x;
    }
}

INLINE void curve_all(const enum adl_curve curve, float a, float b, const float *x, float *y,
                      size_t count)
{
    size_t i = 0;
    for (; i + VEC <= count; i += VEC)
        vec_store(y + i, curve_at(curve, vec_load(x + i), a, b));
    if (i < count)
        vec_store_part(y + i, count - i, curve_at(curve, vec_load_part(x + i, count - i), a, b));
}

static void ISA(curve)(enum adl_curve curve, float a, float b, const float *x, float *y,
                       size_t count)
{
#define CURVE(name)                                                                                \
    case name: curve_all(name, a, b, x, y, count); break;
    switch (curve) {
        CURVE(ADL_CURVE_NONE)
        CURVE(ADL_CURVE_HARD_SIGMOID)
        CURVE(ADL_CURVE_HARD_SWISH)
        CURVE(ADL_CURVE_SIGMOID)
        CURVE(ADL_CURVE_SILU)
        CURVE(ADL_CURVE_GELU)
        CURVE(ADL_CURVE_GELU_TANH)
    }
#undef CURVE
}

#endif
