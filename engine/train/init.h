#ifndef ADL_TRAIN_INIT_H
#define ADL_TRAIN_INIT_H

#include <stdint.h>

#include "graph/graph.h"

/* Fills one parameter (param->count values) with initial values:
 *
 *     convolution  normal, mean 0, variance 2 / fan-out, fan-out = K/G R S
 *                  (He et al. 2015: keeps the variance of gradients under ReLU)
 *     linear       normal, mean 0, standard deviation 0.01
 *     xavier       of param->xavier, instead of its role's: uniform in +- sqrt(6 / (fan-in +
 *                  fan-out)), fan-in = C/G R S, fan-out = K R S (Glorot & Bengio 2010)
 *     biases       0
 *     batch norm   weight and variance 1, bias and mean 0
 *     zero         of param->zero, instead of its role's: 0
 *
 * The random numbers depend on the seed and the parameter's name alone, so that one
 * layer's values do not depend on which other layers there are. */
void adl_init_param(const struct adl_param *param, uint64_t seed, float *values);

#endif
