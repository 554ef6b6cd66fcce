#ifndef ADL_KERNELS_STRASSEN_LOOPS_H
#define ADL_KERNELS_STRASSEN_LOOPS_H

/* Computes the additions of Strassen's algorithm, written for a vector type: each instruction
 * set's file includes this header after its avx*_vec.h. The formulas are in strassen.h.
 * `split` loads four vectors and stores seven, `join` loads seven and stores four, with
 * less than one addition for each load or store, so the time goes into loads and stores. */

#include "kernels/strassen.h"

/* Loads the first n floats at row + offset and sets the others to zero; all are zero if row is
 * NULL. */
INLINE vec strassen_load(const float *row, size_t offset, size_t n)
{
    if (!row || n == 0)
        return (vec){0};
    return n < VEC ? vec_load_part(row + offset, n) : vec_load(row + offset);
}

INLINE void strassen_factors(vec a00, vec a01, vec a10, vec a11, float *out, size_t step)
{
    vec_store(out, a00 + a11);
    vec_store(out + step, a10 + a11);
    vec_store(out + 2 * step, a00);
    vec_store(out + 3 * step, a11);
    vec_store(out + 4 * step, a00 + a01);
    vec_store(out + 5 * step, a10 - a00);
    vec_store(out + 6 * step, a01 - a11);
}

static void ISA(strassen_split)(const struct adl_strassen_split *j)
{
    const float *upper = j->x[0], *lower = j->x[1];
    size_t half = j->half, second = j->count - half, l = 0;

    if (upper && lower)
        for (; l + VEC <= second; l += VEC)
            strassen_factors(vec_load(upper + l), vec_load(upper + half + l), vec_load(lower + l),
                             vec_load(lower + half + l), j->out + l, j->step);
    for (; l < half; l += VEC) {
        size_t n = half - l, m = l < second ? second - l : 0;
        strassen_factors(strassen_load(upper, l, n), strassen_load(upper, half + l, m),
                         strassen_load(lower, l, n), strassen_load(lower, half + l, m), j->out + l,
                         j->step);
    }
}

/* Stores a vector of the result in one of its quarters, as far as that exists. `finish`, a
 * constant at each call, says whether bias, residual and clamp are applied. */
INLINE void strassen_put(const struct adl_strassen_join *j, size_t row, size_t l, int lower,
                         int right, vec sum, const int finish)
{
    float *out = j->out[lower][right] + row * j->ldo + l;
    const float *residual = j->residual[lower][right];
    size_t n = l < j->columns[right] ? j->columns[right] - l : 0;

    if (row >= j->rows[lower] || n == 0)
        return;
    if (finish) {
        if (j->zero[lower][row])
            sum -= sum;
        sum += strassen_load(j->bias[right], l, n);
        if (residual)
            sum += strassen_load(residual + row * j->ldr, l, n);
        sum = vec_clamp(sum, j->lo, j->hi);
    }
    if (n < VEC)
        vec_store_part(out, n, sum);
    else
        vec_store(out, sum);
}

INLINE void strassen_join_rows(const struct adl_strassen_join *j, const int finish)
{
    for (size_t row = 0; row < j->rows[0]; row++)
        for (size_t l = 0; l < j->columns[0]; l += VEC) {
            const float *in = j->in + row * j->ldi + l;
            vec p[ADL_STRASSEN_PRODUCTS];
#pragma GCC unroll 7
            for (int i = 0; i < ADL_STRASSEN_PRODUCTS; i++)
                p[i] = vec_load(in + (size_t)i * j->step);
            strassen_put(j, row, l, 0, 0, p[0] + p[3] - p[4] + p[6], finish);
            strassen_put(j, row, l, 0, 1, p[2] + p[4], finish);
            strassen_put(j, row, l, 1, 0, p[1] + p[3], finish);
            strassen_put(j, row, l, 1, 1, p[0] - p[1] + p[2] + p[5], finish);
        }
}

static void ISA(strassen_join)(const struct adl_strassen_join *j)
{
    if (j->bias[0])
        strassen_join_rows(j, 1);
    else
        strassen_join_rows(j, 0);
}

#endif
