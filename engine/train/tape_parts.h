#ifndef ADL_TRAIN_TAPE_PARTS_H
#define ADL_TRAIN_TAPE_PARTS_H

/* What tape.c and tape_layout.c share. */

#include "train/tape.h"

enum tape_phase { TAPE_FORWARD, TAPE_BACKWARD, TAPE_PHASES };

struct tape_value {
    struct adl_shape shape;
    int root;                   /* the value whose memory this one has */
    int uses;                   /* nodes that read it */
    size_t offset[TAPE_PHASES]; /* of the value, in floats; roots only */
    size_t grad;                /* of its gradient; roots only */
    bool again;                 /* computed again before the backward reads it; roots only */
    bool present;               /* during backward: that is done; roots only */
    bool written;               /* during backward: the gradient holds something */
};

struct tape_node {
    size_t saved;
    bool folded;  /* a clamp that the node before does with its own work */
    float lo, hi; /* of the clamp that this node does */
};

struct adl_tape {
    const struct adl_graph *graph;
    struct adl_pool *pool;
    const struct adl_kernels *kernels;
    enum adl_tape_memory memory;
    int max_batch;
    int batch; /* of the last forward */
    struct tape_value *values;
    struct tape_node *nodes;
    size_t scratch;
    float *block;
    size_t floats;
};

/* The parts of a call that do not change between forward and backward. */
struct tape_call_arrays {
    const float *in[ADL_MAX_OP_INPUTS];
    struct adl_shape in_shape[ADL_MAX_OP_INPUTS];
    float *params[ADL_MAX_OP_PARAMS];
    float *grad_in[ADL_MAX_OP_INPUTS];
    bool add_in[ADL_MAX_OP_INPUTS];
    float *grad_params[ADL_MAX_OP_PARAMS];
};

/* The call of a node as far as shapes go. */
struct adl_train_call tape_shapes(const struct adl_tape *tape, int node, int batch,
                                  struct tape_call_arrays *arrays);

/* Fills in everything from `values` down to `floats`, for the graph, memory and
 * max_batch that are set, and allocates the block. */
int tape_lay_out(struct adl_tape *tape, int input_h, int input_w,
                 struct adl_error *err) ADL_MUST_CHECK;

/* Calls visit(context, root) for each value that the backward of a node reads. */
void tape_for_read(const struct adl_tape *tape, int node, void (*visit)(void *context, int root),
                   void *context);

#endif
