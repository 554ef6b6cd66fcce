#ifndef ADL_TESTS_SUPPORT_ORACLE_H
#define ADL_TESTS_SUPPORT_ORACLE_H

/* Runs a graph by the plain-C forwards of its ops, one after another. Every plan and
 * kernel has to agree with the result. */

#include "graph/graph.h"

/* Returns all values by value id, each N x H x W x C, to be freed by oracle_free. params:
 * by parameter id; input: `batch` images. */
float **oracle_run(const struct adl_graph *graph, float *const *params, const float *input,
                   int batch);
void oracle_free(const struct adl_graph *graph, float **values);

#endif
