#ifndef ADL_TESTS_SUPPORT_GRADIENT_REFERENCE_H
#define ADL_TESTS_SUPPORT_GRADIENT_REFERENCE_H

/* Computes the ops by their definitions, in double and as simply as possible, so that gradients
 * can be computed as finite differences. Uses the graph, but no code of ops/. */

#include "graph/graph.h"
#include "ops/train.h"

struct reference {
    const struct adl_graph *graph;
    const struct adl_train_mode *mode; /* with forced draws and without dropout */
    int batch;
    double **values; /* by value id, N x H x W x C; [0] is the input */
    double **params; /* by parameter id */
};

/* Copies the input and the parameters to double. */
void reference_open(struct reference *ref, const struct adl_graph *graph,
                    const struct adl_train_mode *mode, int batch, const float *input,
                    float *const *params);
void reference_close(struct reference *ref);

/* Computes all values from the input and the parameters. */
void reference_run(struct reference *ref);

/* Returns the derivative of sum(output * cotangent) with respect to *element, a value of the input
 * or of a parameter, by a central difference. */
double reference_gradient(struct reference *ref, int output, const float *cotangent,
                          double *element);

#endif
