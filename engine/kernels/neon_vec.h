#ifndef ADL_KERNELS_NEON_VEC_H
#define ADL_KERNELS_NEON_VEC_H

/* Defines, for NEON on 64-bit ARM, the names that map_loops.h, strassen_loops.h and
 * winograd*_loops.h use; see avx2_vec.h. Every such processor has what is used here, so that these
 * files need no flags. */

#include <arm_neon.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* The name of this instruction set's copy of a function. */
#define ISA(name) neon_##name

typedef float32x4_t vec;
#define VEC 4

INLINE vec vec_set1(float x)
{
    return vdupq_n_f32(x);
}

INLINE vec vec_load(const float *p)
{
    return vld1q_f32(p);
}

INLINE void vec_store(float *p, vec v)
{
    vst1q_f32(p, v);
}

/* There are no masks: a partial vector is loaded and stored by its halves. */
INLINE vec vec_load_part(const float *p, size_t n)
{
    vec v = vdupq_n_f32(0);
    if (n >= 4)
        return vec_load(p);
    if (n >= 2) {
        v = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
        return n == 3 ? vld1q_lane_f32(p + 2, v, 2) : v;
    }
    return n == 1 ? vld1q_lane_f32(p, v, 0) : v;
}

INLINE void vec_store_part(float *p, size_t n, vec v)
{
    if (n >= 4) {
        vec_store(p, v);
    } else if (n >= 2) {
        vst1_f32(p, vget_low_f32(v));
        if (n == 3)
            vst1q_lane_f32(p + 2, v, 2);
    } else if (n == 1) {
        vst1q_lane_f32(p, v, 0);
    }
}

/* Returns a * b + c, rounded once. */
INLINE vec vec_fmadd(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

/* A number that vectors are multiplied by: FMLA takes it from an element of a register, so it needs
 * no broadcast, which would occupy a unit that multiplies on many cores. */
typedef float vec_factor;

INLINE vec_factor vec_load_factor(const float *p)
{
    float x = *p;
    __asm__ volatile("" : "+w"(x)); /* keeps the compiler from a load that broadcasts, LD1R */
    return x;
}

/* Returns a * b + c, rounded once, with one number for a. */
INLINE vec vec_fmadd_factor(vec_factor a, vec b, vec c)
{
    return vfmaq_n_f32(c, b, a);
}

/* Returns the larger value of each pair, NaN if either is NaN, as FMAX does. */
INLINE vec vec_max(vec a, vec b)
{
    return vmaxq_f32(a, b);
}

/* A vector is no wider than the narrowest groups that matter. */
#define VEC_PICKS 0

/* Returns the sum of all floats of v. */
INLINE float vec_sum(vec v)
{
    return vaddvq_f32(v);
}

/* Clamps v to lo..hi and keeps NaN, as FMIN and FMAX do. */
INLINE vec vec_clamp(vec v, float lo, float hi)
{
    return vminq_f32(vdupq_n_f32(hi), vmaxq_f32(vdupq_n_f32(lo), v));
}

#endif
