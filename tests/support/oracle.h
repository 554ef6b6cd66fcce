#ifndef ADL_TESTS_SUPPORT_ORACLE_H
#define ADL_TESTS_SUPPORT_ORACLE_H

/* A graph run by the plain-C forward of each of its ops, one after another:
 * what every plan and kernel has to agree with. */

#include "graph/graph.h"

/* All values, by id, each batch maps NHWC; params by parameter id. */
float **oracle_run(const struct adl_graph *graph, float *const *params, const float *input,
                   int batch);
void oracle_free(const struct adl_graph *graph, float **values);

#endif
