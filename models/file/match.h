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
    bool *used; /* used[i]: tensor i is in `found`, or is known not to be a parameter */
    /* How many parameters have no tensor (missing), one of another shape (misshapen), or
     * one that fits (fitting), and how many tensors are not used (unexpected). */
    size_t missing, misshapen, unexpected, fitting;
};

/* Fills in `match`, which the caller releases; `arch` is the graph's. Fails with ADL_ERR_NOMEM. */
int adl_match_find(struct adl_match *match, const struct adl_arch *arch,
                   const struct adl_graph *graph, const struct adl_tensors *tensors,
                   struct adl_error *err) ADL_MUST_CHECK;
/* For a graph of several whole networks and a file of one: gives the parameters of all networks the
 * tensors of the first. Changes nothing if the file has a tensor of another network. */
void adl_match_share(struct adl_match *match, const struct adl_arch *arch);
void adl_match_release(struct adl_match *match);

/* Number of variants of a network, which may differ in the numbers in parameter names, or be public
 * code that calls them otherwise (the last one). Variant 0 is the graph's own. */
#define ADL_MATCH_VARIANTS 9
/* Returns the name that the parameter `name` of `arch` has in variant `i`: `name` itself,
 * or another name, which is written to the `size` bytes of `text`. */
const char *adl_match_numbered(const struct adl_arch *arch, int i, const char *name, char *text,
                               size_t size);

/* Returns whether a tensor was found for a parameter and has the parameter's shape. */
bool adl_match_fits(const struct adl_match *match, int param);

/* Writes a parameter's shape, such as "[64, 3, 7, 7]", to `text`, and returns `text`. */
const char *adl_match_shape(const struct adl_param *param, char *text, size_t size);

/* Writes a summary of what does not fit, which names the first tensor of each kind:
 * `3 missing ("fc.bias" and others), 1 unexpected ("head.bias")`. */
void adl_match_summary(const struct adl_match *match, char *text, size_t size);

#endif
