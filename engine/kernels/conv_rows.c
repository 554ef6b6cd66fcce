/* A convolution's input as the rows of a matrix product, copied piece by
 * piece: at no time does the whole im2col matrix exist. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/conv.h"

/* Copies columns [from, to) of the run that begins at `start`, of which
 * [valid_from, valid_to) exist in `x`; the rest is zero. */
static void copy_run(float *dst, const float *x, ptrdiff_t from, ptrdiff_t to, ptrdiff_t valid_from,
                     ptrdiff_t valid_to)
{
    ptrdiff_t a = ADL_MIN(ADL_MAX(valid_from, from), to);
    ptrdiff_t b = ADL_MAX(ADL_MIN(valid_to, to), a);
    if (a > from)
        memset(dst, 0, (size_t)(a - from) * sizeof *dst);
    if (b > a)
        memcpy(dst + (a - from), x + a, (size_t)(b - a) * sizeof *dst);
    if (to > b)
        memset(dst + (b - from), 0, (size_t)(to - b) * sizeof *dst);
}

void adl_conv_copy_rows(const struct adl_conv *v, const float *x, int group, size_t row0,
                        size_t rows, size_t column0, size_t count, float *dst, size_t ldd)
{
    ptrdiff_t channels = v->c / v->groups;
    /* Neighbouring pixels are neighbours in memory: a kernel row is one run. */
    bool dense = v->groups == 1 && v->ldx == (size_t)v->c;
    ptrdiff_t run = dense ? channels * v->s : channels;
    ptrdiff_t first = (ptrdiff_t)column0, last = (ptrdiff_t)(column0 + count);

    x += (ptrdiff_t)group * channels;
    for (size_t m = row0; m < row0 + rows; m++, dst += ldd) {
        int row = (int)(m / (size_t)v->q) * v->stride - v->pad_top;
        int column = (int)(m % (size_t)v->q) * v->stride - v->pad_left;
        float *to = dst;
        for (ptrdiff_t at = first; at < last;) {
            ptrdiff_t index = at / run, begin = index * run;
            ptrdiff_t end = ADL_MIN(begin + run, last);
            ptrdiff_t y = row + (dense ? index : index / v->s);
            ptrdiff_t z = column + (dense ? 0 : index % v->s);
            ptrdiff_t width = dense ? v->s : 1;
            /* Of the run's pixels z .. z+width-1, those inside the map. */
            ptrdiff_t valid_from = ADL_MAX(-z, 0) * channels;
            ptrdiff_t valid_to = ADL_MIN(v->w - z, width) * channels;
            if (y < 0 || y >= v->h)
                valid_from = valid_to = 0;
            const float *pixel = x + (y * v->w + z) * (ptrdiff_t)v->ldx;
            copy_run(to, pixel, at - begin, end - begin, valid_from, valid_to);
            to += end - at;
            at = end;
        }
    }
}

size_t adl_conv_padded_row(size_t floats)
{
    return adl_ceil_div(floats, ADL_LINE_FLOATS) * ADL_LINE_FLOATS + ADL_LINE_FLOATS;
}
