#ifndef ADL_KERNELS_INT8_POOL_LOOPS_H
#define ADL_KERNELS_INT8_POOL_LOOPS_H

/* Pooling of bytes, row by row, for any vectors: included where POOL_CHANNELS, int8v_max() and
 * int8v_avg(), which compute so many channels of one output, are defined, and ISA(name) and INLINE
 * as in the files that include it. */

#include "kernels/int8_loops.h"

/* Finds the taps of output column q; returns how many. */
INLINE int int8v_taps(const struct adl_int8_pool *j, int q, const uint8_t **taps)
{
    int count = 0, column = q * j->stride - j->pad_left;
    for (int r = 0; r < j->size; r++)
        for (int s = 0; s < j->size; s++)
            taps[count++] = int8_tap(j->rows, j->steps, j->pad, j->w, r, column + s);
    return count;
}

INLINE int int8v_pool_fits(const struct adl_int8_pool *j)
{
    return j->channels >= POOL_CHANNELS && j->size * j->size <= ADL_INT8_MAX_TAPS;
}

/* A row of the output; `average` is a constant at each call. */
INLINE void int8v_pool(const struct adl_int8_pool *j, const int average)
{
    const uint8_t *taps[ADL_INT8_MAX_TAPS];

    for (int q = 0; q < j->q; q++) {
        uint8_t *out = j->out + (size_t)q * j->ldo;
        int count = int8v_taps(j, q, taps);
        for (size_t block = 0; block < j->channels; block += POOL_CHANNELS) {
            size_t c = SMALLER(block, j->channels - POOL_CHANNELS);
            if (average)
                int8v_avg(j, taps, count, c, out);
            else
                int8v_max(j, taps, count, c, out);
        }
    }
}

static void ISA(int8_maxpool)(const struct adl_int8_pool *j)
{
    if (int8v_pool_fits(j))
        int8v_pool(j, 0);
    else
        int8_pool_max(j);
}

static void ISA(int8_avgpool)(const struct adl_int8_pool *j)
{
    if (int8v_pool_fits(j))
        int8v_pool(j, 1);
    else
        int8_pool_avg(j);
}

#endif
