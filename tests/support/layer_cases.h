#ifndef ADL_TESTS_SUPPORT_LAYER_CASES_H
#define ADL_TESTS_SUPPORT_LAYER_CASES_H

/* The single layers and blocks of tests/golden/methods/layers.json: what goes
 * in as PyTorch had it, and what has to come out, forward and backward. */

#include <jansson.h>
#include <stdbool.h>

#include "graph/graph.h"

/* The layer's input is a copy of the graph's, so that its gradient is made. */
#define LAYER_CASE_INPUT 1

struct layer_case {
    const char *name;
    struct adl_graph *graph;
    int output; /* value id */
    int batch;
    float *input;          /* batch maps, NHWC */
    float *cotangent;      /* gradient of the loss with respect to the output */
    float **params;        /* by parameter id */
    bool batch_statistics; /* training mode */
    bool has_batchnorm;
    const json_t *results; /* "output", "grad.input", "grad.NAME", "after.NAME" */
};

/* Opens each case in turn and hands it to `check`. */
void layer_case_for_each(void (*check)(struct layer_case *layer));
/* One case of the file; -1 after failing the running test. */
int layer_case_open(struct layer_case *layer, const json_t *item);
void layer_case_close(struct layer_case *layer);

/* The parameter's name in the file. */
const char *layer_case_key(const struct adl_param *param);

/* Compares batch maps, NHWC, with a tensor record. */
void layer_case_check(const char *what, const json_t *record, const float *nhwc, int batch,
                      struct adl_shape shape);

#endif
