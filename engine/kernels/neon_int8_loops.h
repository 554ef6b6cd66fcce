#ifndef ADL_KERNELS_NEON_INT8_LOOPS_H
#define ADL_KERNELS_NEON_INT8_LOOPS_H

/* Defines the kernels of int8.h that need nothing beyond NEON: depthwise convolutions, pooling,
 * conversions, and the steps of an epilogue. Where channels are no multiple of a vector, the last
 * vector overlaps the one before it: what both compute is the same. */

#include <arm_neon.h>

#include "kernels/int8_loops.h"

#define INLINE static inline __attribute__((always_inline))
#define ISA(name) neon_dot_##name

/* Applies the epilogue up to the clamp to 4 channels. */
INLINE float32x4_t int8v_finish(int32x4_t sum, float32x4_t scale, float32x4_t shift)
{
    return vaddq_f32(vmulq_f32(vcvtq_f32_s32(sum), scale), shift);
}

/* FMAXNM and FMINNM return the number if the other operand is NaN: a NaN becomes lo. */
INLINE float32x4_t int8v_clamp(float32x4_t v, float lo, float hi)
{
    return vminnmq_f32(vmaxnmq_f32(v, vdupq_n_f32(lo)), vdupq_n_f32(hi));
}

/* Returns 4 residual bytes, of which n exist, as floats. */
INLINE float32x4_t int8v_residual(const uint8_t *r, int n)
{
    uint32_t bytes = 0;
    if (n >= 4)
        __builtin_memcpy(&bytes, r, sizeof bytes);
    else
        for (int i = 0; i < n; i++)
            bytes |= (uint32_t)r[i] << 8 * i;
    uint16x8_t words = vmovl_u8(vcreate_u8(bytes));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(words)));
}

/* Returns 8 floats, of 0..255, as bytes, rounded to nearest even. */
INLINE uint8x8_t int8v_bytes8(float32x4_t v0, float32x4_t v1)
{
    int16x8_t words = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v0)), vqmovn_s32(vcvtnq_s32_f32(v1)));
    return vqmovun_s16(words);
}

INLINE uint8x16_t int8v_bytes(const float32x4_t v[4])
{
    return vcombine_u8(int8v_bytes8(v[0], v[1]), int8v_bytes8(v[2], v[3]));
}

INLINE void int8v_store_bytes(uint8_t *to, uint8x16_t bytes, int n)
{
    uint8_t part[16];
    if (n == 16) {
        vst1q_u8(to, bytes);
        return;
    }
    vst1q_u8(part, bytes);
    for (int i = 0; i < n; i++)
        to[i] = part[i];
}

INLINE void int8v_store_floats(float *to, const float32x4_t v[4], int n)
{
    float part[16];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        vst1q_f32(n == 16 ? to + 4 * i : part + 4 * i, v[i]);
    for (int i = 0; n < 16 && i < n; i++)
        to[i] = part[i];
}

/* --- depthwise convolution ----------------------------------------------------------- */

/* Adds the products of one tap to the sums of 8 channels. */
INLINE void int8v_madd(int32x4_t sums[2], const uint8_t *x, int16x8_t w)
{
    int16x8_t words = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x)));
    sums[0] = vmlal_s16(sums[0], vget_low_s16(words), vget_low_s16(w));
    sums[1] = vmlal_high_s16(sums[1], words, w);
}

INLINE void int8v_store(const struct adl_int8_out *o, const int32x4_t sums[2], size_t pixel,
                        size_t c)
{
    float32x4_t v[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        v[i] = int8v_clamp(int8v_finish(sums[i], vld1q_f32(o->scale + c + 4 * (size_t)i),
                                        vld1q_f32(o->shift + c + 4 * (size_t)i)),
                           o->lo, o->hi);
    if (o->bytes) {
        vst1_u8(o->bytes + pixel * o->ldo + c, int8v_bytes8(v[0], v[1]));
    } else {
        vst1q_f32(o->floats + pixel * o->ldo + c, v[0]);
        vst1q_f32(o->floats + pixel * o->ldo + c + 4, v[1]);
    }
}

/* A 3x3 kernel for 8 channels; the weights stay in registers. */
INLINE void int8v_3x3(const struct adl_int8_depthwise *j, size_t c)
{
    const int16_t *weights = j->weights;
    int16x8_t w[10];

#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        int16x8x2_t pair = vld2q_s16(weights + ((size_t)i * j->channels + c) * 2);
        w[2 * i] = pair.val[0];
        w[2 * i + 1] = pair.val[1];
    }
    for (int q = 0; q < j->q; q++) {
        int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
        int column = q * j->stride - j->pad_left;
        if (column >= 0 && column + 3 <= j->w) {
#pragma GCC unroll 9
            for (int i = 0; i < 9; i++)
                int8v_madd(sums,
                           j->rows[i / 3] + ((size_t)column + (size_t)i % 3) * j->steps[i / 3] + c,
                           w[i]);
        } else {
#pragma GCC unroll 9
            for (int i = 0; i < 9; i++)
                int8v_madd(sums,
                           int8_tap(j->rows, j->steps, j->pad, j->w, i / 3, column + i % 3) + c,
                           w[i]);
        }
        int8v_store(&j->out, sums, (size_t)q, c);
    }
}

/* Any kernel, for 8 channels. */
INLINE void int8v_any(const struct adl_int8_depthwise *j, size_t c)
{
    const int16_t *weights = j->weights;
    int taps = j->r * j->s;

    for (int q = 0; q < j->q; q++) {
        int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
        int column = q * j->stride - j->pad_left;
        for (int i = 0; i < taps; i++) {
            int16x8x2_t pair = vld2q_s16(weights + ((size_t)(i / 2) * j->channels + c) * 2);
            int8v_madd(sums,
                       int8_tap(j->rows, j->steps, j->pad, j->w, i / j->s, column + i % j->s) + c,
                       i % 2 ? pair.val[1] : pair.val[0]);
        }
        int8v_store(&j->out, sums, (size_t)q, c);
    }
}

static void ISA(int8_depthwise)(const struct adl_int8_depthwise *j)
{
    if (j->channels < 8) {
        for (int q = 0; q < j->q; q++)
            int8_depthwise_channels(j, q, 0);
        return;
    }
    for (size_t c = 0; c < j->channels; c += 8) {
        size_t from = SMALLER(c, j->channels - 8);
        if (j->r == 3 && j->s == 3)
            int8v_3x3(j, from);
        else
            int8v_any(j, from);
    }
}

/* --- pooling ------------------------------------------------------------------------- */

#define POOL_CHANNELS 16

/* Applies the epilogue of a pooling op to 8 sums of 16 bits without sign. */
INLINE uint8x8_t int8v_pool_end(uint16x8_t sums, const struct adl_int8_pool *j)
{
    const float32x4_t scale = vdupq_n_f32(j->scale), shift = vdupq_n_f32(j->shift);
    int32x4_t first = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(sums)));
    int32x4_t second = vreinterpretq_s32_u32(vmovl_high_u16(sums));
    return int8v_bytes8(int8v_clamp(int8v_finish(first, scale, shift), 0, 255),
                        int8v_clamp(int8v_finish(second, scale, shift), 0, 255));
}

/* The maximum of the taps of 16 channels. */
INLINE void int8v_max(const struct adl_int8_pool *j, const uint8_t *const *taps, int count,
                      size_t c, uint8_t *out)
{
    uint8x16_t best = vld1q_u8(taps[0] + c);
    for (int t = 1; t < count; t++)
        best = vmaxq_u8(best, vld1q_u8(taps[t] + c));
    if (j->scale != 1 || j->shift != 0)
        best = vcombine_u8(int8v_pool_end(vmovl_u8(vget_low_u8(best)), j),
                           int8v_pool_end(vmovl_high_u8(best), j));
    vst1q_u8(out + c, best);
}

/* The average of the taps of 16 channels. Sums of ADL_INT8_MAX_TAPS bytes fit 16 bits. */
INLINE void int8v_avg(const struct adl_int8_pool *j, const uint8_t *const *taps, int count,
                      size_t c, uint8_t *out)
{
    uint16x8_t first = vdupq_n_u16(0), second = first;
    for (int t = 0; t < count; t++) {
        uint8x16_t x = vld1q_u8(taps[t] + c);
        first = vaddw_u8(first, vget_low_u8(x));
        second = vaddw_high_u8(second, x);
    }
    vst1q_u8(out + c, vcombine_u8(int8v_pool_end(first, j), int8v_pool_end(second, j)));
}

#include "kernels/int8_pool_loops.h"

/* --- conversions --------------------------------------------------------------------- */

static void ISA(int8_widen)(const uint8_t *x, size_t n, int16_t *out)
{
    int8_widen(x, n, out);
}

INLINE void int8v_row_to_bytes(const float *x, uint8_t *out, size_t n, float factor, float zero)
{
    const float32x4_t z = vdupq_n_f32(zero);
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        float32x4_t v[4];
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++)
            v[k] = int8v_clamp(vaddq_f32(vmulq_n_f32(vld1q_f32(x + i + 4 * k), factor), z), 0, 255);
        vst1q_u8(out + i, int8v_bytes(v));
    }
    for (; i < n; i++)
        out[i] = int8_to_byte(x[i], factor, zero);
}

INLINE void int8v_row_to_floats(const uint8_t *x, float *out, size_t n, float factor, float zero)
{
    const float32x4_t z = vdupq_n_f32(zero);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint16x8_t words = vmovl_u8(vld1_u8(x + i));
        float32x4_t v0 = vcvtq_f32_u32(vmovl_u16(vget_low_u16(words)));
        float32x4_t v1 = vcvtq_f32_u32(vmovl_high_u16(words));
        vst1q_f32(out + i, vmulq_n_f32(vsubq_f32(v0, z), factor));
        vst1q_f32(out + i + 4, vmulq_n_f32(vsubq_f32(v1, z), factor));
    }
    for (; i < n; i++)
        out[i] = int8_to_float(x[i], factor, zero);
}

static void ISA(int8_to_bytes)(const struct adl_int8_convert *j)
{
    int dense = j->ld_floats == j->channels && j->ld_bytes == j->channels;
    size_t rows = dense ? 1 : j->pixels, n = dense ? j->pixels * j->channels : j->channels;
    for (size_t i = 0; i < rows; i++)
        int8v_row_to_bytes(j->floats + i * j->ld_floats, j->bytes + i * j->ld_bytes, n, j->factor,
                           j->zero);
}

static void ISA(int8_to_floats)(const struct adl_int8_convert *j)
{
    int dense = j->ld_floats == j->channels && j->ld_bytes == j->channels;
    size_t rows = dense ? 1 : j->pixels, n = dense ? j->pixels * j->channels : j->channels;
    for (size_t i = 0; i < rows; i++)
        int8v_row_to_floats(j->bytes + i * j->ld_bytes, j->floats + i * j->ld_floats, n, j->factor,
                            j->zero);
}

#endif
