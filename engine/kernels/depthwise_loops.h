#ifndef ADL_KERNELS_DEPTHWISE_LOOPS_H
#define ADL_KERNELS_DEPTHWISE_LOOPS_H

/* Depthwise convolution with the nine weights of a 3x3 kernel in registers, for instruction sets
 * with registers for little more. Written for the type `vec` as map_loops.h, whose names it uses.
 */

#include "kernels/depthwise_wide_loops.h"
#include "kernels/map_loops.h"

/* Computes one output row of a 3x3 kernel for a whole vector of channels (masked loads would
 * be slower here). The weights stay in registers. Of the three input rows, only the `count`
 * rows from `first` on lie inside the map; both are constants at each call. */
INLINE void depthwise_3x3(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                          size_t c, const int first, const int count)
{
    vec bias = vec_load(j->bias + c), weight[9];
#pragma GCC unroll 9
    for (int i = 0; i < 3 * count; i++)
        weight[i] = vec_load(j->weight + (size_t)(3 * first + i) * j->channels + c);
    for (int q = 0; q < j->q; q++) {
        int column = q * j->stride - j->pad_left;
        vec sum = bias;
        if (column < 0 || column + 3 > j->w) {
            sum = depthwise_taps(j, rows, column, c, VEC, bias);
        } else {
#pragma GCC unroll 3
            for (int r = 0; r < count; r++) {
                const float *x = rows[first + r] + (size_t)column * j->ldx + c;
#pragma GCC unroll 3
                for (int s = 0; s < 3; s++)
                    sum = vec_fmadd(vec_load(x + (size_t)s * j->ldx), weight[r * 3 + s], sum);
            }
        }
        vec_store(out + (size_t)q * j->ldo + c, vec_clamp(sum, j->lo, j->hi));
    }
}

INLINE void depthwise_line(const struct adl_depthwise_rows *j, const float *const *rows, float *out,
                           size_t c)
{
    int small = j->r == 3 && j->s == 3 && c + VEC <= j->channels && rows[1];

    if (small && rows[0] && rows[2])
        depthwise_3x3(j, rows, out, c, 0, 3);
    else if (small && rows[0])
        depthwise_3x3(j, rows, out, c, 0, 2);
    else if (small && rows[2])
        depthwise_3x3(j, rows, out, c, 1, 2);
    else if (!depthwise_wide(j, rows, out, c, j->channels - c))
        depthwise_any(j, rows, out, c, j->channels - c);
}

/* Both output rows of a vector of channels are computed before the next channels, since they share
 * input rows. */
static void ISA(depthwise)(const struct adl_depthwise_rows *j)
{
    for (size_t c = 0; c < j->channels; c += VEC)
        for (int line = 0; line < j->lines; line++)
            depthwise_line(j, j->rows + line * j->stride, j->out + (size_t)line * j->line, c);
}

#endif
