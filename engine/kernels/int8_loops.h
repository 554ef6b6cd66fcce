#ifndef ADL_KERNELS_INT8_LOOPS_H
#define ADL_KERNELS_INT8_LOOPS_H

/* Defines the kernels of int8.h in plain C, which every instruction set shares for what it does not
 * vectorise by hand: single channels beyond whole vectors, and pooling, whose loops the compiler
 * vectorises. Only for files that are compiled without contraction to FMA. */

#include "kernels/int8.h"
#include "kernels/kernel.h"

#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

/* The epilogue for channel k of output pixel `pixel`. */
static inline void int8_finish(const struct adl_int8_out *o, int32_t sum, size_t pixel, size_t k)
{
    float v = (float)sum * o->scale[k];
    v = v + o->shift[k];
    if (o->residual) {
        float r = (float)o->residual[pixel * o->ldr + k] * o->residual_scale;
        v = v + r;
    }
    v = v > o->lo ? v : o->lo;
    v = v < o->hi ? v : o->hi;
    if (o->bytes)
        o->bytes[pixel * o->ldo + k] = (uint8_t)__builtin_lrintf(v);
    else
        o->floats[pixel * o->ldo + k] = v;
}

static inline const uint8_t *int8_tap(const uint8_t *const *rows, const size_t *steps,
                                      const uint8_t *pad, int w, int r, int column)
{
    return column >= 0 && column < w ? rows[r] + (size_t)column * steps[r] : pad;
}

/* Computes the channels from `c` on of one output column. */
static inline void int8_depthwise_channels(const struct adl_int8_depthwise *j, int q, size_t c)
{
    const uint8_t *taps[ADL_INT8_MAX_TAPS];
    const int16_t *weights = j->weights;
    int count = 0, column = q * j->stride - j->pad_left;

    for (int r = 0; r < j->r; r++)
        for (int s = 0; s < j->s; s++)
            taps[count++] = int8_tap(j->rows, j->steps, j->pad, j->w, r, column + s);
    for (; c < j->channels; c++) {
        int32_t sum = 0;
        for (int t = 0; t < count; t++)
            sum += taps[t][c] * weights[((size_t)(t / 2) * j->channels + c) * 2 + (size_t)t % 2];
        int8_finish(&j->out, sum, (size_t)q, c);
    }
}

/* Channels that a pooling kernel works on at a time, in memory that stays in the L1 cache. */
#define INT8_POOL_BLOCK 64

static inline void int8_pool_store(const struct adl_int8_pool *j, int q, size_t c, size_t n,
                                   const int32_t *sums)
{
    uint8_t *out = j->out + (size_t)q * j->ldo + c;
    for (size_t i = 0; i < n; i++) {
        float v = (float)sums[i] * j->scale;
        v = v + j->shift;
        v = v > 0 ? v : 0;
        v = v < 255 ? v : 255;
        out[i] = (uint8_t)__builtin_lrintf(v);
    }
}

static inline void int8_pool_max(const struct adl_int8_pool *j)
{
    for (int q = 0; q < j->q; q++)
        for (size_t c = 0; c < j->channels; c += INT8_POOL_BLOCK) {
            size_t n = SMALLER((size_t)INT8_POOL_BLOCK, j->channels - c);
            uint8_t best[INT8_POOL_BLOCK] = {0};
            for (int r = 0; r < j->size; r++)
                for (int s = 0; s < j->size; s++) {
                    const uint8_t *x = int8_tap(j->rows, j->steps, j->pad, j->w, r,
                                                q * j->stride - j->pad_left + s) +
                                       c;
                    for (size_t i = 0; i < n; i++)
                        best[i] = best[i] > x[i] ? best[i] : x[i];
                }
            uint8_t *out = j->out + (size_t)q * j->ldo + c;
            if (j->scale == 1 && j->shift == 0) {
                for (size_t i = 0; i < n; i++)
                    out[i] = best[i];
                continue;
            }
            int32_t sums[INT8_POOL_BLOCK];
            for (size_t i = 0; i < n; i++)
                sums[i] = best[i];
            int8_pool_store(j, q, c, n, sums);
        }
}

static inline void int8_pool_avg(const struct adl_int8_pool *j)
{
    for (int q = 0; q < j->q; q++)
        for (size_t c = 0; c < j->channels; c += INT8_POOL_BLOCK) {
            size_t n = SMALLER((size_t)INT8_POOL_BLOCK, j->channels - c);
            int32_t sums[INT8_POOL_BLOCK] = {0};
            for (int r = 0; r < j->size; r++)
                for (int s = 0; s < j->size; s++) {
                    const uint8_t *x = int8_tap(j->rows, j->steps, j->pad, j->w, r,
                                                q * j->stride - j->pad_left + s) +
                                       c;
                    for (size_t i = 0; i < n; i++)
                        sums[i] += x[i];
                }
            int8_pool_store(j, q, c, n, sums);
        }
}

static inline void int8_widen(const uint8_t *x, size_t n, int16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i];
}

static inline uint8_t int8_to_byte(float x, float factor, float zero)
{
    float v = x * factor;
    v = v + zero;
    v = v > 0 ? v : 0;
    v = v < 255 ? v : 255;
    return (uint8_t)__builtin_lrintf(v);
}

static inline float int8_to_float(uint8_t x, float factor, float zero)
{
    return ((float)x - zero) * factor;
}

#endif
