#ifndef ADL_WSOL_LAYER_NET_H
#define ADL_WSOL_LAYER_NET_H

/* Computes the maps of a layer (wsol/layer_map.h): the network above the layer with its weights,
 * and the memory to run it forward and back. */

#include <stddef.h>

#include "base/pool.h"
#include "graph/graph.h"
#include "wsol/layer_map.h"

/* The part of a network above a layer, with copies of its weights. Immutable, any number of
 * threads. */
struct adl_layer_net;

/* Creates that of the layer `name` of a network with these parameters (by id), which are not needed
 * afterwards. Fails as adl_graph_find_layer() does, and with ADL_ERR_NOMEM. */
struct adl_layer_net *adl_layer_net_create(const struct adl_graph *graph,
                                           const float *const *params, const char *name,
                                           struct adl_error *err) ADL_MUST_CHECK;
void adl_layer_net_free(struct adl_layer_net *net); /* NULL is ignored */

/* Return the layer's name, and the value in the network's graph. */
const char *adl_layer_net_name(const struct adl_layer_net *net);
int adl_layer_net_value(const struct adl_layer_net *net);

/* Memory for running it, for maps of one size. Several threads may use it at the same time. */
struct adl_layer_runs;

/* Creates memory for maps of h x w and up to `most` runs at a time (at least 1): a thread that
 * finds all of it in use waits. The net has to outlive it. Fails with ADL_ERR_UNSUPPORTED if an op
 * above the layer has no gradient, with ADL_ERR_ARG if the map is too small for the network above
 * it, and with ADL_ERR_LIMIT or ADL_ERR_NOMEM. */
struct adl_layer_runs *adl_layer_runs_create(const struct adl_layer_net *net, int h, int w,
                                             int most, struct adl_error *err) ADL_MUST_CHECK;
void adl_layer_runs_free(struct adl_layer_runs *runs); /* NULL is ignored */
size_t adl_layer_runs_bytes(const struct adl_layer_runs *runs);

/* Computes the map of a class, h x w values, from the layer's map (h x w x channels, NHWC). Runs on
 * the calling thread alone and allocates nothing; the result has the same bits whoever else runs.
 */
void adl_layer_runs_map(struct adl_layer_runs *runs, enum adl_layer_method method,
                        const float *features, int class_id, double *map);

#endif
