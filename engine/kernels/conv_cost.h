#ifndef ADL_KERNELS_CONV_COST_H
#define ADL_KERNELS_CONV_COST_H

/* The time that a convolution should take, estimated from its shape alone: the
 * choice of an algorithm must not depend on how busy the machine was when it was
 * made.
 *
 * The unit is the time of one multiply-add of a matrix product at full speed.
 * Counted in that unit, a transform or the load of a weight costs about the same
 * with every instruction set: one that multiplies faster also transforms faster.
 * The constants were fitted to measurements on an AMD Zen 4. */

/* Multiply-adds in the time in which one weight comes from memory. */
#define ADL_COST_WEIGHT_LOAD 11
/* Share of the full speed that the products of our own kernels reach. */
#define ADL_COST_PRODUCT_SHARE 0.95

/* `count` padded to a multiple: channels that are multiplied in whole panels. */
double adl_cost_padded(int count, int multiple);

/* What one pass of Winograd's algorithm (winograd.h) multiplies and transforms:
 * over one image in an inference plan, over a whole batch in a training step. */
struct adl_winograd_pass {
    double c; /* input channels */
    double k; /* output channels that are multiplied, with any padding to whole panels */
    double tiles;
    double positions; /* of one tile: points of a row times points of a column */
    /* Both for one pair of an input and an output channel, in multiply-adds: the
     * products of all tiles, and what is done to the weights before they can be
     * multiplied. */
    double products, weights;
};

/* Expected time: (products + weights) c k for the matrix products, and for each
 * position, tile and channel of both maps a constant for its transform. */
double adl_winograd_cost(const struct adl_winograd_pass *pass);

#endif
