/* What the algorithms share: copies parts of the left factor of a convolution written as a matrix
 * product, computes its sizes, and applies an activation. The algorithms never ask for the whole
 * left factor (the im2col matrix) at once, since it is R S times as large as the map. */

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/conv.h"

/* Copies the floats [from, to) of a run of contiguous floats that begins at x. Those in
 * [valid_from, valid_to) lie inside the map; the others are padding, written as zeros
 * and never read. */
static void rows_copy_run(float *dst, const float *x, ptrdiff_t from, ptrdiff_t to,
                          ptrdiff_t valid_from, ptrdiff_t valid_to)
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

void adl_conv_copy_rows(const struct adl_conv *conv, const float *x, int group, size_t row0,
                        size_t rows, size_t column0, size_t count, float *dst, size_t ldd)
{
    ptrdiff_t channels = conv->c / conv->groups;
    /* In a dense map the S pixels of a kernel row are contiguous and form one run;
     * otherwise each pixel is a separate run. */
    bool dense = conv->groups == 1 && conv->ldx == (size_t)conv->c && conv->gap == 0;
    ptrdiff_t dilation = 1 + conv->gap;
    ptrdiff_t run = dense ? channels * conv->s : channels;
    ptrdiff_t first = (ptrdiff_t)column0, last = (ptrdiff_t)(column0 + count);

    x += (ptrdiff_t)group * channels;
    for (size_t m = row0; m < row0 + rows; m++, dst += ldd) {
        int row = (int)(m / (size_t)conv->q) * conv->stride - conv->pad_top;
        int column = (int)(m % (size_t)conv->q) * conv->stride - conv->pad_left;
        float *to = dst;
        for (ptrdiff_t next = first; next < last;) {
            ptrdiff_t index = next / run, begin = index * run;
            ptrdiff_t end = ADL_MIN(begin + run, last);
            ptrdiff_t y = row + (dense ? index : index / conv->s * dilation);
            ptrdiff_t z = column + (dense ? 0 : index % conv->s * dilation);
            ptrdiff_t width = dense ? conv->s : 1;
            /* The part of the run's pixels z .. z+width-1 that lies inside the map. */
            ptrdiff_t valid_from = ADL_MAX(-z, 0) * channels;
            ptrdiff_t valid_to = ADL_MIN(conv->w - z, width) * channels;
            if (y < 0 || y >= conv->h)
                valid_from = valid_to = 0;
            const float *pixel = x + (y * conv->w + z) * (ptrdiff_t)conv->ldx;
            rows_copy_run(to, pixel, next - begin, end - begin, valid_from, valid_to);
            to += end - next;
            next = end;
        }
    }
}

void adl_conv_activate(const struct adl_conv *conv, const struct adl_kernels *kernels, float *out,
                       size_t ldo, size_t pixels, size_t channels)
{
    if (conv->curve == ADL_CURVE_NONE)
        return;
    if (ldo == channels) {
        channels *= pixels;
        pixels = 1;
    }
    for (size_t i = 0; i < pixels; i++, out += ldo)
        kernels->curve(conv->curve, conv->curve_a, conv->curve_b, out, out, channels);
}

size_t adl_conv_block_tiles(size_t tiles, size_t wanted)
{
    size_t blocks = ADL_MAX((tiles + wanted / 2) / wanted, (size_t)1);
    return adl_ceil_div(tiles, blocks);
}

size_t adl_conv_depth(const struct adl_conv *conv)
{
    return (size_t)(conv->c / conv->groups) * (size_t)conv->r * (size_t)conv->s;
}

bool adl_conv_is_product(const struct adl_conv *conv)
{
    return conv->r == 1 && conv->s == 1 && conv->stride == 1 && conv->pad_top == 0 &&
           conv->pad_left == 0 && conv->p == conv->h && conv->q == conv->w;
}

size_t adl_conv_padded_row(size_t floats)
{
    return adl_ceil_div(floats, ADL_LINE_FLOATS) * ADL_LINE_FLOATS + ADL_LINE_FLOATS;
}
