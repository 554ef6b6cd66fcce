#ifndef ADL_GRAPH_GRAPH_H
#define ADL_GRAPH_GRAPH_H

/* The description of a network: ops that turn values into values, and the
 * parameters they use. No weights, no memory plan, no kernel: a graph says
 * what is computed, `plan/` how. Built once (by a file in models/, through
 * the builder calls of ops/ops.h), immutable and shared afterwards.
 *
 * Values are maps of one image, NHWC; the number of images is not part of a
 * graph. Shape letters: H W C in, K out, R S kernel, P Q output map. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* One image's map; a vector is 1 x 1 x c. */
struct adl_shape {
    int h;
    int w;
    int c;
};

static inline size_t adl_shape_count(struct adl_shape s)
{
    return (size_t)s.h * (size_t)s.w * (size_t)s.c;
}

/* What a parameter is: decides how it is initialised and whether it is
 * trained (running statistics are not). */
enum adl_param_role {
    ADL_PARAM_CONV_WEIGHT,   /* K x C/groups x R x S */
    ADL_PARAM_LINEAR_WEIGHT, /* K x C */
    ADL_PARAM_BIAS,          /* K */
    ADL_PARAM_BN_WEIGHT,     /* C, starts at 1 */
    ADL_PARAM_BN_BIAS,       /* C, starts at 0 */
    ADL_PARAM_BN_MEAN,       /* C, running */
    ADL_PARAM_BN_VAR         /* C, running */
};

/* Named and laid out as in the PyTorch state_dict. */
struct adl_param {
    const char *name;
    enum adl_param_role role;
    int rank;
    size_t shape[4];
    size_t count;
};

#define ADL_MAX_OP_PARAMS 4
#define ADL_MAX_OP_INPUTS 8

struct adl_op_def;
struct adl_op_train;

struct adl_node {
    const struct adl_op_def *def;
    const void *attr;  /* the op's own attributes; see ops/ops.h */
    const int *inputs; /* value ids, all smaller than `output` */
    int input_count;
    int output;                    /* value id; every node makes one value */
    int params[ADL_MAX_OP_PARAMS]; /* parameter ids; -1 where an optional one is absent */
    int param_count;
};

/* A batch of one op for the plain-C forward: the op's specification. */
struct adl_op_call {
    const struct adl_node *node;
    int batch;
    const float *const *in;           /* input_count arrays of batch maps */
    const struct adl_shape *in_shape; /* one per input */
    const float *const *params;       /* param_count arrays, NULL where absent */
    float *out;
    struct adl_shape out_shape;
};

/* What every kind of op is: one constant per file in ops/. */
struct adl_op_def {
    const char *name;   /* "conv" */
    bool training_only; /* the identity at inference: dropout, ADL */

    /* The shape of the output; fails with ARG when the inputs do not fit. */
    int (*infer)(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err);
    /* Multiply-adds of one image; NULL: none worth counting. */
    uint64_t (*macs)(const struct adl_node *node, const struct adl_shape *in, struct adl_shape out);
    /* Plain C, NHWC, no kernel, no thread: what the result has to be. */
    void (*forward)(const struct adl_op_call *call);
    /* Its part in a training step; see ops/train.h. */
    const struct adl_op_train *train;
    /* "3x3 s2 p1" into `text`, for dumps; NULL: nothing to say. */
    void (*describe)(const struct adl_node *node, char *text, size_t size);
};

struct adl_value {
    const char *name;       /* of the module that made it, as in PyTorch; unique */
    struct adl_shape shape; /* at the size the graph was built for */
    int node;               /* index of the node that makes it; -1: the input */
};

/* The values that the outside asks for. */
enum adl_output {
    ADL_OUTPUT_LOGITS,    /* 1 x 1 x classes */
    ADL_OUTPUT_FEATURES,  /* the last map before pooling (or before the class map) */
    ADL_OUTPUT_CLASS_MAP, /* h x w x classes; only networks that end in one */
    ADL_OUTPUT_COUNT
};

struct adl_graph;

/* An empty graph with one value, the input, of this shape. */
struct adl_graph *adl_graph_create(struct adl_shape input, struct adl_error *err) ADL_MUST_CHECK;
void adl_graph_free(struct adl_graph *graph);

/* --- building (used by ops/) ------------------------------------------------
 * Errors are kept: after the first, every call returns -1 and does nothing, so
 * a builder reads as a description and checks once, in adl_graph_finish. */

/* Adds a parameter; returns its id. The name is copied. */
int adl_graph_add_param(struct adl_graph *graph, const char *name, enum adl_param_role role,
                        int rank, const size_t *shape);

/* Adds an op; `attr` (attr_bytes) is copied; returns the id of its value. */
int adl_graph_add(struct adl_graph *graph, const char *name, const struct adl_op_def *def,
                  const void *attr, size_t attr_bytes, const int *inputs, int input_count,
                  const int *params, int param_count);

/* Records a builder's own failure; returns -1. */
int adl_graph_fail(struct adl_graph *graph, const char *fmt, ...) ADL_PRINTF(2, 3);

/* A name made in the graph's memory, for a parameter or value; "" when out of
 * memory (the error is kept). */
const char *adl_graph_name(struct adl_graph *graph, const char *fmt, ...) ADL_PRINTF(2, 3);

/* Says which value an output is. */
void adl_graph_set_output(struct adl_graph *graph, enum adl_output which, int value);
/* The parameter whose rows weight the features into class maps (fc.weight). */
void adl_graph_set_classifier(struct adl_graph *graph, int param);

/* 0, or -1 with the first error of the building. */
int adl_graph_finish(struct adl_graph *graph, struct adl_error *err) ADL_MUST_CHECK;

/* --- reading ----------------------------------------------------------------- */

int adl_graph_value_count(const struct adl_graph *graph);
int adl_graph_node_count(const struct adl_graph *graph);
int adl_graph_param_count(const struct adl_graph *graph);
const struct adl_value *adl_graph_value(const struct adl_graph *graph, int id);
const struct adl_node *adl_graph_node(const struct adl_graph *graph, int index);
const struct adl_param *adl_graph_param(const struct adl_graph *graph, int id);
/* -1 where there is none. The input is value 0. */
int adl_graph_output(const struct adl_graph *graph, enum adl_output which);
int adl_graph_classifier(const struct adl_graph *graph);
int adl_graph_find_value(const struct adl_graph *graph, const char *name);
int adl_graph_find_param(const struct adl_graph *graph, const char *name);

/* Shapes of all values for another input size; `shapes` has room for
 * adl_graph_value_count. Fails with ARG when a map would vanish. */
int adl_graph_infer(const struct adl_graph *graph, int input_h, int input_w,
                    struct adl_shape *shapes, struct adl_error *err) ADL_MUST_CHECK;

/* Trainable parameters (running statistics are not). */
uint64_t adl_graph_trainable(const struct adl_graph *graph);
/* Multiply-adds of one image at these shapes. */
uint64_t adl_node_macs(const struct adl_node *node, const struct adl_shape *shapes);
uint64_t adl_graph_macs(const struct adl_graph *graph, const struct adl_shape *shapes);

#endif
