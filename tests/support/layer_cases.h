#ifndef ADL_TESTS_SUPPORT_LAYER_CASES_H
#define ADL_TESTS_SUPPORT_LAYER_CASES_H

/* Reads the single layers and blocks of tests/golden/methods/layers.json: the inputs and
 * parameters that were given to PyTorch, and its results, forward and backward. */

#include <jansson.h>
#include <stdbool.h>

#include "graph/graph.h"

/* The value that the layer reads: a copy of the graph's input, because no gradient of the
 * input itself is computed. */
#define LAYER_CASE_INPUT 1

struct layer_case {
    const char *name;
    struct adl_graph *graph;
    int output; /* value id */
    int batch;
    float *input;          /* N x H x W x C */
    float *cotangent;      /* gradient of the loss with respect to the output */
    float **params;        /* by parameter id */
    bool batch_statistics; /* training mode */
    bool has_batchnorm;
    const json_t *results; /* "output", "grad.input", "grad.NAME", "after.NAME" */
};

/* Opens the cases one after another and calls `check` with each. */
void layer_case_for_each(void (*check)(struct layer_case *layer));
/* Opens one case of the file; returns -1 after failing the running test. */
int layer_case_open(struct layer_case *layer, const json_t *item);
void layer_case_close(struct layer_case *layer);

/* Returns the name of a parameter in the file. */
const char *layer_case_key(const struct adl_param *param);

/* Compares a batch of maps, N x H x W x C, with a tensor of the file, N x C x H x W. */
void layer_case_check(const char *what, const json_t *record, const float *nhwc, int batch,
                      struct adl_shape shape);

#endif
