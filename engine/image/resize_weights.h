#ifndef ADL_IMAGE_RESIZE_WEIGHTS_H
#define ADL_IMAGE_RESIZE_WEIGHTS_H

/* The weights of resize_filter.h, for the files that sum with them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Weights have so many fractional bits: the 32 of a sum less the 8 of a pixel, less 2 for
 * headroom. */
#define ADL_RESIZE_WEIGHT_BITS 22
#define ADL_RESIZE_HALF (1 << (ADL_RESIZE_WEIGHT_BITS - 1))
/* A vector multiplies 16-bit integers (pmaddwd), and a weight of up to 2^22 is wider. It is kept as
 * high * 2^11 + low, where both fit into 16 bits, and the sums with the high and the low parts are
 * joined at the end. They cannot overflow 32 bits: the weights of an output pixel add up to 2^22
 * except for rounding, so 255 times their sum is below 2^31. */
#define ADL_RESIZE_LOW_BITS 11
/* The taps of an output pixel are padded with zero weights to a multiple of this. */
#define ADL_RESIZE_TAPS 4

/* The weights of every output pixel along one side; zeroed: none. Immutable after init and
 * reverse. */
struct adl_resize_filter {
    int in_size, size;
    int taps_padded; /* stride of the weights, a multiple of ADL_RESIZE_TAPS */
    int *first;      /* [size] first input pixel of each output pixel; never descending */
    int *taps;       /* [size] number of input pixels */
    int16_t *high;   /* [size][taps_padded] upper bits of the weights */
    int16_t *low;    /* [size][taps_padded] lower bits */
    bool avx2;       /* this processor has it */
    void *block;     /* all of them; owned */
};

/* Computes output pixels of a row with AVX2, from the first one on, as many as it can without
 * reading beyond the row, and returns how many. In a file of its own for its instructions. */
int adl_resize_row_avx2(const uint8_t *rgb, const struct adl_resize_filter *filter, uint8_t *out);

#endif
