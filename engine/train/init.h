#ifndef ADL_TRAIN_INIT_H
#define ADL_TRAIN_INIT_H

#include <stdint.h>

#include "graph/graph.h"

/* Fills one parameter as a new layer's: convolutions normal with variance
 * 2 / (K/groups * R * S) (He et al. 2015, fan-out), linear layers normal with
 * standard deviation 0.01, biases 0, batch norm neutral. The draws depend on
 * the seed and the parameter's name alone. */
void adl_init_param(const struct adl_param *param, uint64_t seed, float *values);

#endif
