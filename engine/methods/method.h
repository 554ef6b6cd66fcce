#ifndef ADL_METHODS_METHOD_H
#define ADL_METHODS_METHOD_H

/* Training methods: changes to the training of a classifier that make its class map cover
 * more of the object. A method is one file of this directory, which defines a struct
 * adl_method, and one row of ADL_METHODS below; --method, --help, completion, model files and
 * the tests read the list.
 *
 * The backbones decide where a method's layers go (adl_places); the method decides what they
 * do. At inference they are the identity and are stripped from the plan. */

#include <stdint.h>

#include "graph/graph.h"

/* A batch of training images before the forward pass, for a method that changes them. */
struct adl_method_batch {
    const float *images; /* count x height x width x 3, normalised, as the loader made them */
    float *input;        /* of the same shape: receives what the network is trained on */
    size_t count;        /* at least 1 */
    int height, width;
    double probability; /* that the batch is changed, 0..1 */
    uint64_t key;       /* all random numbers are derived from it */
    /* Receives, for each image, the number in the batch of the image whose label takes a part of
     * the loss, and how large that part is; a share of 0 (the value before): no other label. */
    size_t *partners;
    double share;
};

struct adl_method {
    const char *name; /* value of --method, and of arch.method in a model file */
    /* Appends the method's layer after the value `input` of `graph` and returns the value
     * that replaces it, of the same shape: a node of an op without parameters that is
     * training_only (ops/train.h has its training side). NULL: the method has no layers. */
    int (*layer)(struct adl_graph *graph, int input, const char *name);
    /* Writes the changed images of a batch to its `input`. NULL: images are used as they are. */
    void (*mix)(struct adl_method_batch *batch);
};

/* The one row of each method, in the order --help lists them: ROW(NAME) stands for
 * `const struct adl_method adl_method_NAME`. The first is the default. */
#define ADL_METHODS(ROW)                                                                           \
    ROW(cam)                                                                                       \
    ROW(adl)                                                                                       \
    ROW(cutmix)

#define ADL_METHOD_DECLARE(name) extern const struct adl_method adl_method_##name;
ADL_METHODS(ADL_METHOD_DECLARE)
#undef ADL_METHOD_DECLARE

#endif
