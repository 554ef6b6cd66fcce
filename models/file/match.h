#ifndef ADL_MODELS_FILE_MATCH_H
#define ADL_MODELS_FILE_MATCH_H

/* Finding the tensor of a file for each parameter of a graph. */

#include "graph/graph.h"
#include "io/tensor.h"
#include "models/arch.h"

/* Borrows the graph and the tensors. A zeroed struct holds nothing. */
struct adl_match {
    const struct adl_graph *graph;
    const struct adl_tensors *tensors;
    /* found[id]: the tensor that has the name of parameter `id`, after renumbering,
     * whatever its shape; NULL: missing. */
    const struct adl_tensor **found;
    bool *used; /* used[i]: tensor i was found, or is of no importance */
    size_t missing, misshapen, unexpected, fitting; /* counts */
};

/* `arch` is the graph's. Fails with NOMEM. */
int adl_match_find(struct adl_match *match, const struct adl_arch *arch,
                   const struct adl_graph *graph, const struct adl_tensors *tensors,
                   struct adl_error *err) ADL_MUST_CHECK;
void adl_match_release(struct adl_match *match);

/* Variants of a network that differ in the numbers in parameter names; 0 is the graph's own. */
#define ADL_MATCH_VARIANTS 4
/* What the parameter `name` of `arch` is called in variant `i`: `name` itself or `text`. */
const char *adl_match_numbered(const struct adl_arch *arch, int i, const char *name, char *text,
                               size_t size);

/* Whether the tensor found for a parameter has its shape. */
bool adl_match_fits(const struct adl_match *match, int param);

/* "[64, 3, 7, 7]" into `text`; returns `text`. */
const char *adl_match_shape(const struct adl_param *param, char *text, size_t size);

/* One clause on what does not fit, with the first example of each kind:
 * `2 missing ("fc.bias" and others), 1 unexpected ("head.bias")`. */
void adl_match_summary(const struct adl_match *match, char *text, size_t size);

#endif
