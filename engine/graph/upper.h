#ifndef ADL_GRAPH_UPPER_H
#define ADL_GRAPH_UPPER_H

/* The upper part of a network: everything between one of its maps and the logits, as a graph of its
 * own, through which gradients of the logits reach that map. */

#include "graph/graph.h"

/* Returns the value of that name, if the logits depend on the image through its map alone. Fails
 * with ADL_ERR_NOT_FOUND, and a message that names layers which do, for a name that the network
 * does not have; and with ADL_ERR_UNSUPPORTED for a value that paths lead around (a layer within a
 * residual block, a branch of training), for one without positions, and for a graph of several
 * whole networks. */
int adl_graph_find_layer(const struct adl_graph *graph, const char *name,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Returns the graph that computes the logits from the map of value `layer`, one that
 * adl_graph_find_layer() returns. Its input has the layer's shape. *params is an array that the
 * caller frees by adl_free(): parameter i of the new graph is parameter (*params)[i] of `graph`. On
 * failure (ADL_ERR_NOMEM) it is NULL. */
struct adl_graph *adl_graph_upper(const struct adl_graph *graph, int layer, int **params,
                                  struct adl_error *err) ADL_MUST_CHECK;

#endif
