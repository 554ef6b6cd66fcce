#ifndef ADL_MODELS_FILE_PREFIX_H
#define ADL_MODELS_FILE_PREFIX_H

/* What a file has in front of the names of all parameters. */

#include "graph/graph.h"
#include "io/tensor.h"
#include "models/arch.h"

/* Renames tensors such as "net.encoder.conv1.weight" to the names of the graph's parameters,
 * where taking away a common beginning makes more of them match, and at least half. Tensors
 * with only a part of it in front ("net.fc.weight") are renamed too where a parameter has
 * that name. `arch` is the graph's. Fails with FORMAT where two beginnings serve equally
 * well, as in a file of two networks, and with NOMEM. */
int adl_prefix_strip(struct adl_tensors *tensors, const struct adl_arch *arch,
                     const struct adl_graph *graph, struct adl_error *err) ADL_MUST_CHECK;

#endif
