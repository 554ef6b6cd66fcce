#ifndef ADL_TRAIN_TAPE_PARTS_H
#define ADL_TRAIN_TAPE_PARTS_H

/* What a tape consists of. tape_layout.c fills it in, once, when a tape is created; tape.c runs
 * steps in it, node by node with tape_run.c. Not for other users: they see train/tape.h. */

#include "ops/train.h"

/* A value that is recomputed, or kept in bfloat16, has an offset for each of the two passes. */
enum tape_phase { TAPE_FORWARD, TAPE_BACKWARD, TAPE_PHASES };

/* Several values share memory when ops work in place; the first of them, in the order of the
 * graph, is their root. Offsets are floats from the start of the block. */
struct tape_value {
    struct adl_shape shape; /* of one image, at the tape's input size */
    int root; /* value id; the value's own id if it shares memory with no earlier one */
    int uses; /* number of nodes that read the value */
    size_t offset[TAPE_PHASES]; /* of the value; roots only */
    size_t grad;                /* offset of its gradient; roots only */
    bool needs_grad; /* some parameter that is trained may lie before it; the input: it is wanted */
    bool recompute;  /* recomputed before the backward pass reads it; roots only */
    bool recomputed; /* state of a backward pass: that has been done; roots only */
    bool narrow;     /* in bfloat16 from its last forward reader on; roots only */
    bool narrow_grad; /* the gradient is in bfloat16; roots only */
    int narrow_after; /* the node after which that happens, or -1; roots only */
    bool has_grad;    /* state of a backward pass: the gradient has been written */
};

struct tape_node {
    size_t saved; /* offset of what the op saves for the backward pass */
    bool folded;  /* a clamp that the node before it applies; this node does not run */
    float lo, hi; /* the clamp that this node applies; infinite where there is none */
};

struct adl_tape {
    const struct adl_graph *graph;
    int part; /* the whole network that is trained; 0: the graph has one only */
    struct adl_pool *pool;
    const struct adl_kernels *kernels;
    bool input_grad; /* the gradient of the input is wanted */
    bool bf16;       /* values are kept in bfloat16 for the backward pass (ADL_TAPE_BF16) */
    bool keep_all;   /* no memory is shared and nothing is recomputed (ADL_TAPE_KEPT) */
    int max_batch;
    int batch; /* images of the last forward pass */
    struct tape_value *values;
    struct tape_node *nodes;
    size_t scratch; /* offset of the memory that all ops use in turn */
    float *block;
    size_t floats; /* in `block` */
};

/* The arrays that a struct adl_train_call points to. */
struct tape_call_arrays {
    const float *in[ADL_MAX_OP_INPUTS];
    struct adl_shape in_shape[ADL_MAX_OP_INPUTS];
    float *params[ADL_MAX_OP_PARAMS];
    float *grad_in[ADL_MAX_OP_INPUTS];
    bool add_in[ADL_MAX_OP_INPUTS];
    float *grad_params[ADL_MAX_OP_PARAMS];
};

/* Return whether a node runs forward in a step, and whether it is trained as well. */
static inline bool tape_runs(const struct adl_tape *tape, int node)
{
    if (tape->part == 0)
        return true;
    int part = adl_graph_node(tape->graph, node)->part;
    return part >= 1 && part <= tape->part;
}

static inline bool tape_trains(const struct adl_tape *tape, int node)
{
    return tape->part == 0 || adl_graph_node(tape->graph, node)->part == tape->part;
}

/* Returns whether a node has to compute the gradient of its input number `input`. */
static inline bool tape_passes(const struct adl_tape *tape, int node, int input)
{
    const struct adl_node *n = adl_graph_node(tape->graph, node);
    return tape->values[n->inputs[input]].needs_grad && !(n->def->train->detached >> input & 1);
}

/* Returns the logits that the loss is computed from. */
static inline int tape_logits(const struct adl_tape *tape)
{
    return tape->part == 0 ? adl_graph_output(tape->graph, ADL_OUTPUT_LOGITS)
                           : adl_graph_part_logits(tape->graph, tape->part);
}

#endif
