#ifndef ADL_KERNELS_DEPTHWISE_WIDE_LOOPS_H
#define ADL_KERNELS_DEPTHWISE_WIDE_LOOPS_H

/* Depthwise convolution with kernels of five and seven columns (MobileNetV3, EfficientNet,
 * ConvNeXt), written for the type `vec` as map_loops.h, whose names it uses. Beside them the
 * including file defines
 *
 *     DEPTHWISE_PIXELS    7 or 14: the most pixels of a tile, for which there are registers beside
 *                         seven weights
 *
 * With so many taps each pixel of the input would be loaded as often. Here some neighbouring
 * outputs of one vector of channels are summed at the same time: for each row of the kernel its
 * weights are loaded once, and each pixel once, which goes into all sums that need it. */

#include "kernels/map_loops.h"

/* Computes m outputs from column q on of n <= VEC channels from c on. m, s, stride and whole, which
 * says that n is VEC, are constants at each call. */
INLINE void depthwise_tile(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                           size_t c, size_t n, int q, const int m, const int s, const int stride,
                           const int whole)
{
    const int column = q * stride - j->pad_left, columns = (m - 1) * stride + s;
    const int inside = column >= 0 && column + columns <= j->w;
    const vec bias = whole ? vec_load(j->bias + c) : vec_load_part(j->bias + c, n);
    vec acc[DEPTHWISE_PIXELS];

#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
        acc[i] = bias;
    for (int r = 0; r < j->r; r++) {
        const float *weight = j->weight + (size_t)(r * s) * j->channels + c;
        vec w[7];
        if (!rows[r])
            continue;
#pragma GCC unroll 7
        for (int tap = 0; tap < s; tap++, weight += j->channels)
            w[tap] = whole ? vec_load(weight) : vec_load_part(weight, n);
#pragma GCC unroll 40
        for (int i = 0; i < columns; i++) {
            if (!inside && (column + i < 0 || column + i >= j->w))
                continue;
            const float *p = rows[r] + (size_t)(column + i) * j->ldx + c;
            const vec x = whole ? vec_load(p) : vec_load_part(p, n);
#pragma GCC unroll 7
            for (int tap = 0; tap < s; tap++)
                if (i >= tap && (i - tap) % stride == 0 && (i - tap) / stride < m)
                    acc[(i - tap) / stride] = vec_fmadd(x, w[tap], acc[(i - tap) / stride]);
        }
    }
    out += (size_t)q * j->ldo + c;
#pragma GCC unroll 16
    for (int i = 0; i < m; i++, out += j->ldo) {
        const vec v = vec_clamp(acc[i], j->lo, j->hi);
        if (whole)
            vec_store(out, v);
        else
            vec_store_part(out, n, v);
    }
}

/* Computes one output row, in tiles of 14, 7, 4, 2 and 1: maps are often multiples of 7 wide.
 * With ADL_SMALL_TILES, which a sanitizer's build sets, only the last two are compiled. */
INLINE void depthwise_tiles(const struct adl_depthwise_rows *j, const float *const *rows,
                            float *out, size_t c, size_t n, const int s, const int stride,
                            const int whole)
{
    int q = 0;
#if DEPTHWISE_PIXELS >= 14 && !defined(ADL_SMALL_TILES)
    for (; q + 14 <= j->q; q += 14)
        depthwise_tile(j, rows, out, c, n, q, 14, s, stride, whole);
#endif
#ifndef ADL_SMALL_TILES
    for (; q + 7 <= j->q; q += 7)
        depthwise_tile(j, rows, out, c, n, q, 7, s, stride, whole);
    for (; q + 4 <= j->q; q += 4)
        depthwise_tile(j, rows, out, c, n, q, 4, s, stride, whole);
#endif
    for (; q + 2 <= j->q; q += 2)
        depthwise_tile(j, rows, out, c, n, q, 2, s, stride, whole);
    for (; q < j->q; q++)
        depthwise_tile(j, rows, out, c, n, q, 1, s, stride, whole);
}

static __attribute__((noinline)) void ISA(depthwise_5_1)(const struct adl_depthwise_rows *j,
                                                         const float *const *rows, float *out,
                                                         size_t c, size_t n)
{
    if (n >= VEC)
        depthwise_tiles(j, rows, out, c, n, 5, 1, 1);
    else
        depthwise_tiles(j, rows, out, c, n, 5, 1, 0);
}

static __attribute__((noinline)) void ISA(depthwise_5_2)(const struct adl_depthwise_rows *j,
                                                         const float *const *rows, float *out,
                                                         size_t c, size_t n)
{
    if (n >= VEC)
        depthwise_tiles(j, rows, out, c, n, 5, 2, 1);
    else
        depthwise_tiles(j, rows, out, c, n, 5, 2, 0);
}

static __attribute__((noinline)) void ISA(depthwise_7_1)(const struct adl_depthwise_rows *j,
                                                         const float *const *rows, float *out,
                                                         size_t c, size_t n)
{
    if (n >= VEC)
        depthwise_tiles(j, rows, out, c, n, 7, 1, 1);
    else
        depthwise_tiles(j, rows, out, c, n, 7, 1, 0);
}

/* Computes the n channels from c on of one output row, up to a vector; returns 0 if the kernel has
 * other sides, and then does nothing. */
INLINE int depthwise_wide(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                          size_t c, size_t n)
{
    if (j->s == 5 && j->stride == 1)
        ISA(depthwise_5_1)(j, rows, out, c, n);
    else if (j->s == 5 && j->stride == 2)
        ISA(depthwise_5_2)(j, rows, out, c, n);
    else if (j->s == 7 && j->stride == 1)
        ISA(depthwise_7_1)(j, rows, out, c, n);
    else
        return 0;
    return 1;
}

#endif
