#ifndef ADL_MODELS_FILE_PREFIX_H
#define ADL_MODELS_FILE_PREFIX_H

/* Removes the prefix that a file adds to the names of all parameters. */

#include "graph/graph.h"
#include "io/tensor.h"
#include "models/arch.h"

/* Removes a common prefix from the names of tensors ("net.encoder." from
 * "net.encoder.conv1.weight") if more of the graph's parameters are then found, and at least half
 * of them. Tensors with only a part of the prefix ("net.fc.weight") are renamed as well if the
 * rest is the name of a parameter. `arch` is the graph's. Fails with ADL_ERR_FORMAT if two prefixes
 * give equally many parameters, as in a file of two networks, and with ADL_ERR_NOMEM. */
int adl_prefix_strip(struct adl_tensors *tensors, const struct adl_arch *arch,
                     const struct adl_graph *graph, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the tensors whose names begin with `prefix` and a dot, without these, and the metadata
 * and the note of the set; the caller frees it and the old set, which loses their data. Fails with
 * ADL_ERR_NOT_FOUND if there is none, and with ADL_ERR_NOMEM. */
struct adl_tensors *adl_prefix_select(struct adl_tensors *tensors, const char *prefix,
                                      struct adl_error *err) ADL_MUST_CHECK;

#endif
