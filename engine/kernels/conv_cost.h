#ifndef ADL_KERNELS_CONV_COST_H
#define ADL_KERNELS_CONV_COST_H

/* The cost model of convolutions. The time that each algorithm will take is estimated
 * from the shape alone rather than measured when a plan is made: with a measurement, the
 * choice and with it the last bits of every result would depend on how busy the machine
 * happened to be.
 *
 * The unit is the time of one multiply-add of a matrix product at full speed.
 * Measured in that unit, a transform or the load of a weight costs about the same
 * with every instruction set, since a machine that multiplies faster also transforms
 * faster. The constants, here and in the conv_*.c, were fitted to measurements on an
 * AMD Zen 4; `bench --layers` compares the choice with the next best algorithm. */

#include "kernels/conv.h"

/* Multiply-adds in the time it takes to load one weight from memory. A product with
 * fewer rows than this is limited by loading its weights. */
#define ADL_COST_WEIGHT_LOAD 11
/* Fraction of the full speed that the matrix products of our own kernels reach. */
#define ADL_COST_PRODUCT_FRACTION 0.95

/* Returns `count` rounded up to a multiple of `multiple`: channels are multiplied in whole
 * panels. */
double adl_cost_padded(int count, int multiple);

/* Returns how many times as long the products of a convolution in groups take, because a row that
 * is copied for a group is multiplied by the few columns of this group alone; 1 with one group. */
double adl_cost_narrow(const struct adl_conv *conv);

/* Returns the time of a depthwise convolution in float32: multiply-adds in the time of one of them.
 * Nothing else than its own kernels computes it, so in float32 this is not compared with anything;
 * 8 bits are. Fitted to MobileNetV1's on AVX2: 10 to 20 GFLOP/s where products reach 55. */
#define ADL_COST_DEPTHWISE 3.5
double adl_cost_depthwise(const struct adl_conv *conv);

/* The work of one pass of Winograd's algorithm (winograd.h), which is a pass over one image
 * in an inference plan and over a whole batch in a training step. */
struct adl_winograd_pass {
    double c; /* input channels */
    double k; /* output channels, including any padding to whole panels */
    double tiles;
    double positions; /* elements of a transformed tile, n x n' */
    /* Cost per pair of an input and an output channel: the products of all tiles, and
     * the work on the weights before they can be multiplied. */
    double products, weights;
};

/* Returns (products + weights) c k + T tiles positions (c + k), where T is the cost of
 * transforming one value, of the input or of the output. */
double adl_winograd_cost(const struct adl_winograd_pass *pass);

#endif
