#ifndef ADL_TESTS_SUPPORT_PLAN_RUN_H
#define ADL_TESTS_SUPPORT_PLAN_RUN_H

#include "ops/ops.h"
#include "plan/session.h"

/* Appends a convolution, a batch norm and a ReLU. */
int test_conv_block(struct adl_graph *g, int x, const char *name, struct adl_conv_attr attr);

/* Makes x the last map, appends a classifier of 5 classes, and finishes the graph. */
void test_plan_classifier(struct adl_graph *g, int x);

/* Returns weights for a graph from formulas; those of vectors are spread over -spread..spread, and
 * those of batch norms that have to be positive around 1. */
float **test_plan_params(const struct adl_graph *graph, double spread);
void test_plan_params_free(const struct adl_graph *graph, float **params);

/* Runs a batch, of which `fill` writes each image's input: image 0 last, so that it is in another
 * place of each batch. Returns the features of image 0, to be freed, and sets *count to their
 * number. */
float *test_plan_features(struct adl_plan *plan, int threads, int batch,
                          void (*fill)(float *input, int image), size_t *count);

#endif
