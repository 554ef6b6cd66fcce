#ifndef ADL_KERNELS_ZEROS_H
#define ADL_KERNELS_ZEROS_H

/* Finds the outputs of a convolution that see only zeros. They are exactly the bias, but
 * algorithms that take sums over several pixels before they multiply (winograd.h,
 * strassen.h) leave rounding errors of the neighbouring pixels in them. The errors are as often
 * positive as negative: a ReLU after a bias of 0 would let half of them pass, with the whole
 * gradient, wherever a drop mask has cleared a part of the map. The algorithms therefore look
 * for these outputs and clear their sums.
 *
 * A search ends at the first value that is not 0, so it costs almost nothing in maps that are
 * not zero. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/winograd.h"

/* Returns whether all `count` values are 0 or -0. */
bool adl_zeros_only(const float *x, size_t count);

/* Returns the outputs of a tile whose r x s inputs are all zero in every channel: bit 8 i + j
 * for output (i, j). Only the tile's pixels and sizes are read. */
uint64_t adl_zeros_outputs(const struct adl_winograd_input *tile, int r, int s);

#endif
