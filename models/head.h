#ifndef ADL_MODELS_HEAD_H
#define ADL_MODELS_HEAD_H

/* The few-box head (wsol/foreground.h) as part of a network: which maps of the graph it reads, and
 * copies that a model owns. */

#include "base/error.h"
#include "base/sha256.h"
#include "graph/graph.h"
#include "wsol/foreground.h"

/* Begins a head for a network: the channels of the last map, no layers, no weights. */
struct adl_foreground_head adl_head_begin(const struct adl_graph *graph);

/* Adds a layer to those that a head reads, those near the end of the network first. Fails with
 * ADL_ERR_ARG if the head has the layer already or has too many, or if the layer's map is smaller
 * than the last one, and as adl_graph_find_layer() does. */
int adl_head_add_layer(const struct adl_graph *graph, struct adl_foreground_head *head,
                       const char *name, struct adl_error *err) ADL_MUST_CHECK;

/* Checks that a head has the channels of the network's maps. Fails with ADL_ERR_ARG, and as
 * adl_head_add_layer(). */
int adl_head_check(const struct adl_graph *graph, const struct adl_foreground_head *head,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Returns a copy of the head and its weights; NULL when out of memory. */
struct adl_foreground_head *adl_head_copy(const struct adl_foreground_head *head);
void adl_head_free(struct adl_foreground_head *head);

/* Adds the weights, and the names of the layers, to a digest. */
void adl_head_digest(const struct adl_foreground_head *head, struct adl_sha256 *hash);

/* Makes the layers those of the same names in another graph of the same network. */
void adl_head_renumber(struct adl_foreground_head *head, const struct adl_graph *graph);

#endif
