#ifndef ADL_EVAL_WEIGHT_BITS_H
#define ADL_EVAL_WEIGHT_BITS_H

/* Chooses how many bits the weights of each layer of an 8-bit network keep, so that all of them
 * fit into a number of bytes. */

#include "graph/graph.h"

/* The fewest bits that a weight keeps. */
#define ADL_WEIGHT_BITS_LEAST 3

/* Sets the scales of a parameter, shape[0] of them, whose weights are rounded to whole multiples of
 * them from -(2^(bits-1) - 1) to 2^(bits-1) - 1, with `bits` from ADL_WEIGHT_BITS_LEAST to 8. With
 * 8 bits the largest weight of a channel is the largest multiple; with fewer, the scale is the one
 * of the least squared error among fractions of that. Returns the mean over the channels of the
 * squared error relative to the squared weights. `scales` may be NULL. */
double adl_weight_bits_scales(const struct adl_param *param, const float *weights, int bits,
                              float *scales);

/* Sets bits[id] for each parameter: 8 for those that adl_quantisation_takes_bf16() leaves out, and
 * for the others as many that the packed weights (models/file/packed.h) of all together take at
 * most `budget` bytes. Sets *least to the bytes that the fewest bits would take. Returns 0; 1 if
 * that is more than `budget`; -1 with ADL_ERR_NOMEM. */
int adl_weight_bits_choose(const struct adl_graph *graph, const float *const *params, size_t budget,
                           unsigned char *bits, size_t *least,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
