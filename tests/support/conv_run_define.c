/* The definition of a convolution in double.
 *
 *     out[p, q, k] = scale[k] sum over r, s, c of x[p stride + r - top, q stride + s - left, c]
 *                    w[k, c, r, s] + bias[k] + residual[p, q, k]
 *
 * where c runs over the channels of the group of k. The innermost loop runs over k, with the
 * weights transposed to [r, s, c][k] for it, because the tests compute millions of products this
 * way. */

#include "support/conv_run.h"

#include <string.h>

#include "base/mem.h"

/* Returns the input at (row, column) of the map, or NULL in the padding. */
static const float *pixel_at(const struct conv_run *run, int row, int column)
{
    const struct adl_conv *conv = &run->conv;
    if (row < 0 || row >= conv->h || column < 0 || column >= conv->w)
        return NULL;
    return run->x + (size_t)(row * conv->w + column) * (size_t)conv->c;
}

/* Returns the weights as [r x s x c of the group][k]. */
static double *transpose(const struct conv_run *run)
{
    size_t k = (size_t)run->conv.k, depth = run->weight_count / k;
    size_t taps = (size_t)(run->conv.r * run->conv.s), channels = depth / taps;
    double *to = adl_malloc(run->weight_count, sizeof *to);
    for (size_t i = 0; i < k; i++)
        for (size_t c = 0; c < channels; c++)
            for (size_t tap = 0; tap < taps; tap++)
                to[(tap * channels + c) * k + i] =
                    (double)run->weights[(i * channels + c) * taps + tap];
    return to;
}

/* Adds the products of one element of the kernel to the sums of all k. */
static void add_tap(const struct conv_run *run, const float *x, const double *weights, double *sums)
{
    size_t k = (size_t)run->conv.k, groups = (size_t)run->conv.groups, of_group = k / groups;
    size_t channels = (size_t)run->conv.c / groups;
    for (size_t c = 0; c < channels; c++)
        for (size_t g = 0; g < groups; g++) {
            double input = x ? (double)x[g * channels + c] : 0;
            const double *w = weights + c * k + g * of_group;
            double *out = sums + g * of_group;
            for (size_t i = 0; i < of_group; i++)
                out[i] += input * w[i];
        }
}

void conv_run_define(const struct conv_run *run, bool with_residual, double *want)
{
    const struct adl_conv *conv = &run->conv;
    size_t k = (size_t)conv->k, channels = (size_t)(conv->c / conv->groups);
    double *weights = transpose(run);

    memset(want, 0, run->out_count * sizeof *want);
    for (size_t i = 0; i < run->out_count; i += k) {
        int row = (int)(i / k) / conv->q * conv->stride - conv->pad_top;
        int column = (int)(i / k) % conv->q * conv->stride - conv->pad_left;
        for (int tap = 0; tap < conv->r * conv->s; tap++)
            add_tap(run, pixel_at(run, row + tap / conv->s, column + tap % conv->s),
                    weights + (size_t)tap * channels * k, want + i);
        for (size_t j = 0; j < k; j++) {
            want[i + j] = want[i + j] * (double)run->scale[j] + (double)run->bias[j];
            if (with_residual)
                want[i + j] += (double)run->residual[i + j];
        }
    }
    adl_free(weights);
}

bool conv_run_sees_zeros(const struct conv_run *run, size_t pixel)
{
    const struct adl_conv *conv = &run->conv;
    int row = (int)pixel / conv->q * conv->stride - conv->pad_top;
    int column = (int)pixel % conv->q * conv->stride - conv->pad_left;
    for (int tap = 0; tap < conv->r * conv->s; tap++) {
        const float *x = pixel_at(run, row + tap / conv->s, column + tap % conv->s);
        for (int c = 0; x && c < conv->c; c++)
            if (x[c] != 0)
                return false;
    }
    return true;
}
