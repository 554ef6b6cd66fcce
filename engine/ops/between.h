#ifndef ADL_OPS_BETWEEN_H
#define ADL_OPS_BETWEEN_H

/* Bilinear enlargement: where an output row or column lies in the input, and the value there. */

#include <stddef.h>
#include <stdint.h>

#include "base/size.h"

/* A position between the input rows or columns `first` and `second`, which are the same at the
 * edge; their weights are 1 - t and t. */
struct adl_between {
    int first, second;
    float t; /* 0 to 1 */
};

/* Returns where output `position` of `to` lies among `from`, with the outermost pixels of both maps
 * on each other (PyTorch's align_corners): at position (from - 1) / (to - 1), computed as an exact
 * fraction of integers; at 0 if there is one output. */
static inline struct adl_between adl_between_corners(int position, int from, int to)
{
    if (to < 2)
        return (struct adl_between){0, 0, 0};
    int64_t numerator = (int64_t)position * (from - 1);
    int first = (int)(numerator / (to - 1));
    return (struct adl_between){first, ADL_MIN(first + 1, from - 1),
                                (float)(numerator % (to - 1)) / (float)(to - 1)};
}

/* The same with the outer edges of both maps on each other, so that it lies between the centres of
 * pixels: at (position + 1/2) from / to - 1/2, clamped to 0..from - 1. */
static inline struct adl_between adl_between_centres(int position, int from, int to)
{
    double at = ((double)position + 0.5) * (double)from / (double)to - 0.5;
    at = ADL_MIN(ADL_MAX(at, 0), (double)(from - 1));
    int first = (int)at;
    return (struct adl_between){first, ADL_MIN(first + 1, from - 1), (float)(at - (double)first)};
}

/* Returns the value of four neighbours: elements `left` and `right` of the rows above and below,
 * with the weights v and h of the lower row and of the right column. */
static inline float adl_between_four(const float *above, const float *below, size_t left,
                                     size_t right, float v, float h)
{
    return (1 - v) * ((1 - h) * above[left] + h * above[right]) +
           v * ((1 - h) * below[left] + h * below[right]);
}

#endif
