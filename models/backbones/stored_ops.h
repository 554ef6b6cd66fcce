#ifndef ADL_MODELS_BACKBONES_STORED_OPS_H
#define ADL_MODELS_BACKBONES_STORED_OPS_H

/* The nodes of a stored network (stored.h), and the ops that they may be of. */

#include "graph/graph.h"

#define ADL_STORED_NUMBERS 11

struct adl_stored_op;

struct adl_stored_node {
    const struct adl_stored_op *op;
    const char *name;              /* of its value */
    int inputs[ADL_MAX_OP_INPUTS]; /* 0: the network's input; i + 1: the value of node i */
    int input_count;
    const char *params[ADL_MAX_OP_PARAMS]; /* names; NULL where an optional one is absent */
    int param_count;
    double numbers[ADL_STORED_NUMBERS]; /* in the order of the op's keys */
};

/* A number of an op. */
struct adl_stored_key {
    const char *name; /* NULL: no further one */
    bool whole;       /* an integer */
    double min, max, usual;
};

struct adl_stored_op {
    const char *name;
    int least_inputs, most_inputs;
    int least_params, most_params;
    struct adl_stored_key keys[ADL_STORED_NUMBERS + 1];
    /* Appends the node; `in` are values of the graph. */
    int (*build)(struct adl_graph *graph, const struct adl_stored_node *node, const int *in);
};

/* Returns the op of that name; NULL: there is none. */
const struct adl_stored_op *adl_stored_op_find(const char *name);

#endif
