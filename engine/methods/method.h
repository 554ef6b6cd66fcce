#ifndef ADL_METHODS_METHOD_H
#define ADL_METHODS_METHOD_H

/* Training methods: changes to the training of a classifier that make its class map cover
 * more of the object. A method is one file of this directory, which defines a struct
 * adl_method, and one row of ADL_METHODS below; --method, --help, completion, model files and
 * the tests read the list.
 *
 * The backbones decide where a method's layers go (adl_places); the method decides what they
 * do. At inference they are the identity and are stripped from the plan. */

#include "graph/graph.h"

struct adl_method {
    const char *name; /* value of --method, and of arch.method in a model file */
    /* Appends the method's layer after the value `input` of `graph` and returns the value
     * that replaces it, of the same shape: a node of an op without parameters that is
     * training_only (ops/train.h has its training side). NULL: the method has no layers. */
    int (*layer)(struct adl_graph *graph, int input, const char *name);
};

/* The one row of each method, in the order --help lists them: ROW(NAME) stands for
 * `const struct adl_method adl_method_NAME`. The first is the default. */
#define ADL_METHODS(ROW)                                                                           \
    ROW(cam)                                                                                       \
    ROW(adl)

#define ADL_METHOD_DECLARE(name) extern const struct adl_method adl_method_##name;
ADL_METHODS(ADL_METHOD_DECLARE)
#undef ADL_METHOD_DECLARE

#endif
