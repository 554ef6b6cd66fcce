#ifndef ADL_MODELS_FILE_MATCH_H
#define ADL_MODELS_FILE_MATCH_H

/* Finds the tensor of a file for each parameter of a graph. */

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
    bool *used; /* used[i]: tensor i was found, or is ignored because it is not a parameter */
    size_t missing, misshapen, unexpected, fitting; /* counts */
};

/* Fills in `match`, which the caller releases; `arch` is the graph's. Fails with ADL_ERR_NOMEM. */
int adl_match_find(struct adl_match *match, const struct adl_arch *arch,
                   const struct adl_graph *graph, const struct adl_tensors *tensors,
                   struct adl_error *err) ADL_MUST_CHECK;
void adl_match_release(struct adl_match *match);

/* Variants of a network that differ in the numbers in parameter names; 0 is the graph's own. */
#define ADL_MATCH_VARIANTS 4
/* Returns the name that the parameter `name` of `arch` has in variant `i`: `name` itself, or `text`
 * with the new name. */
const char *adl_match_numbered(const struct adl_arch *arch, int i, const char *name, char *text,
                               size_t size);

/* Returns whether a tensor was found for a parameter and has the parameter's shape. */
bool adl_match_fits(const struct adl_match *match, int param);

/* Writes a parameter's shape, such as "[64, 3, 7, 7]", to `text` and returns it. */
const char *adl_match_shape(const struct adl_param *param, char *text, size_t size);

/* Writes one clause on the tensors that do not fit, with the first example of each kind:
 * `2 missing ("fc.bias" and others), 1 unexpected ("head.bias")`. */
void adl_match_summary(const struct adl_match *match, char *text, size_t size);

#endif
