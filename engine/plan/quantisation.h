#ifndef ADL_PLAN_QUANTISATION_H
#define ADL_PLAN_QUANTISATION_H

/* What a network needs to run in 8 bits, besides its weights: the range of each map, and the scales
 * of the weights. */

#include "base/error.h"
#include "graph/graph.h"
#include "kernels/conv_int8.h"

/* Immutable once filled, and shared. */
struct adl_quantisation {
    int value_count, param_count;  /* of the graph */
    struct adl_int8_range *ranges; /* by value id; a scale of 0: not known, so it stays float32 */
    /* By parameter id: a scale for each output channel, whose weights are whole multiples
     * -127..127 of it. NULL: the parameter is float32. */
    float **scales;
};

/* Returns one without ranges and scales. Fails with ADL_ERR_NOMEM. */
struct adl_quantisation *adl_quantisation_create(const struct adl_graph *graph,
                                                 struct adl_error *err) ADL_MUST_CHECK;
void adl_quantisation_free(struct adl_quantisation *quantisation); /* NULL is fine */

/* Returns whether a parameter is stored in 8 bits: the weights of convolutions and
 * linear layers. */
bool adl_quantisation_takes(const struct adl_param *param);

/* Returns whether a parameter is stored in bfloat16: of these, the ones with at least
 * ADL_BF16_LEAST_DEPTH values for an output channel. In a sum of so few products as in a depthwise
 * convolution rounding errors do not average out, and little memory is in such weights. */
#define ADL_BF16_LEAST_DEPTH 32
bool adl_quantisation_takes_bf16(const struct adl_param *param);

/* Returns the scales of a parameter, shape[0] of them, which are added, uninitialised, if it has
 * none. Fails with ADL_ERR_NOMEM. */
float *adl_quantisation_scales(struct adl_quantisation *quantisation, const struct adl_graph *graph,
                               int param, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the range that a byte covers if the map's values are from `least` to `most`: 0 is always
 * within it and has a byte of its own, so that padding and ReLU are exact. Scales are at least
 * 2^-100, and finite for finite arguments. */
struct adl_int8_range adl_quantisation_range(double least, double most);

#endif
