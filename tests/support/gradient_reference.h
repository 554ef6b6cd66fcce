#ifndef ADL_TESTS_SUPPORT_GRADIENT_REFERENCE_H
#define ADL_TESTS_SUPPORT_GRADIENT_REFERENCE_H

/* The ops as their definitions say, in double and without any cleverness, so
 * that gradients can be had from differences. Independent of ops/: only the
 * graph says what is to be computed. */

#include "graph/graph.h"
#include "ops/train.h"

struct reference {
    const struct adl_graph *graph;
    const struct adl_train_mode *mode; /* draws forced, dropout off */
    int batch;
    double **values; /* by value id, batch maps NHWC; [0] is the input */
    double **params; /* by parameter id */
};

/* Everything as double copies. */
void reference_open(struct reference *ref, const struct adl_graph *graph,
                    const struct adl_train_mode *mode, int batch, const float *input,
                    float *const *params);
void reference_close(struct reference *ref);

/* Computes all values from the input and the parameters. */
void reference_run(struct reference *ref);

/* d sum(output * cotangent) / d *element, by a central difference; it is one
 * of the input or of a parameter. */
double reference_gradient(struct reference *ref, int output, const float *cotangent,
                          double *element);

#endif
