#ifndef ADL_GRAPH_GRAPH_H
#define ADL_GRAPH_GRAPH_H

/* The description of a network: values, the nodes that compute one value from others by
 * an op, and the parameters that the ops use. It holds no weights, no memory and no
 * kernels: a graph says what is computed, `plan/` and `train/` say how. It is built once,
 * by a file in models/ through the builder calls of ops/ops.h, and is immutable
 * afterwards; any number of threads may read it.
 *
 * A value is the map of one image, H x W x C floats with the channels of a pixel next to
 * each other (NHWC); the number of images N is not part of a graph. Throughout the tree,
 * H W C are height, width and channels of an input, P Q K those of an output, and R S
 * height and width of a kernel. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

/* The shape of one image's map; a vector is 1 x 1 x c. */
struct adl_shape {
    int h;
    int w;
    int c;
};

/* Returns the number of floats in a map of this shape. */
static inline size_t adl_shape_count(struct adl_shape s)
{
    return (size_t)s.h * (size_t)s.w * (size_t)s.c;
}

/* The purpose of a parameter. It decides how the parameter is initialised, and whether it is
 * trained: running statistics are updated by the forward pass instead. */
enum adl_param_role {
    ADL_PARAM_CONV_WEIGHT,   /* K x C/G x R x S for G groups */
    ADL_PARAM_LINEAR_WEIGHT, /* K x C */
    ADL_PARAM_BIAS,          /* K */
    ADL_PARAM_BN_WEIGHT,     /* C, starts at 1 */
    ADL_PARAM_BN_BIAS,       /* C, starts at 0 */
    ADL_PARAM_BN_MEAN,       /* C, running */
    ADL_PARAM_BN_VAR         /* C, running */
};

/* A parameter, with the name, shape and layout that it has in PyTorch's state_dict. */
struct adl_param {
    const char *name;
    enum adl_param_role role;
    int rank; /* dimensions, 1 to 4 */
    size_t shape[4];
    size_t count; /* elements */
    bool zero;    /* starts at 0 instead of its role's values */
    bool xavier;  /* starts as Xavier's uniform distribution instead of its role's (train/init.h) */
    int part;     /* the whole network that it belongs to, from 1 (adl_graph_begin_part); 0: none */
    size_t
        prefix; /* leading bytes of the name that say so; what follows is as in a network alone */
};

/* Returns whether a parameter is trained, and has a gradient; the others are running statistics. */
static inline bool adl_param_is_trained(const struct adl_param *param)
{
    return param->role != ADL_PARAM_BN_MEAN && param->role != ADL_PARAM_BN_VAR;
}

#define ADL_MAX_OP_PARAMS 4
#define ADL_MAX_OP_INPUTS 8
#define ADL_MAX_TAPS 8
#define ADL_MAX_PARTS 4

struct adl_op_def;
struct adl_op_train;

struct adl_node {
    const struct adl_op_def *def;
    const void *attr; /* the op's own attributes; see ops/ops.h */
    size_t attr_bytes;
    const int *inputs; /* value ids, all smaller than `output` */
    int input_count;
    int output;                    /* value id; every node computes one value */
    int params[ADL_MAX_OP_PARAMS]; /* parameter ids; -1 where an optional one is absent */
    int param_count;
    /* A copy of another node, with the same parameters, which it reads only: they get no gradient
     * from it, and batch norm does not update its running statistics. */
    bool copy;
    bool training_only; /* no output depends on it: inference leaves it out */
    int part; /* the whole network that it belongs to, from 1 (adl_graph_begin_part); 0: none */
};

/* A call of an op's plain-C `forward` for a batch, whose maps lie one after the other. */
struct adl_op_call {
    const struct adl_node *node;
    int batch;
    const float *const *in;           /* node->input_count batches of maps */
    const struct adl_shape *in_shape; /* of one image, for each input */
    const float *const *params;       /* node->param_count arrays, NULL where absent */
    float *out;
    struct adl_shape out_shape;
    /* The class that is asked for in each image, -1 where the network's own answer counts; NULL:
     * none is asked for. Only ops that treat one class apart read it. */
    const int *asked;
};

/* A kind of op; each is a constant in a file of ops/. Nodes point to it, so that the graph
 * and what walks it need not know the kinds. */
struct adl_op_def {
    const char *name;   /* "conv" */
    bool training_only; /* the identity at inference, as dropout and ADL are */

    /* Sets *out to the shape of the output; fails with ADL_ERR_ARG when the inputs do not
     * fit. */
    int (*infer)(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err);
    /* Returns the multiply-adds for one image; NULL: negligible. */
    uint64_t (*macs)(const struct adl_node *node, const struct adl_shape *in, struct adl_shape out);
    /* Computes the op at inference in plain C, without kernels or threads: the
     * specification that plans and kernels are tested against. */
    void (*forward)(const struct adl_op_call *call);
    /* For ops of one input that compute each element from the same element of it: does so for
     * `count` of them, as `forward` does, and may be called for any part of a map. NULL: it is no
     * such op, or a plan has a step of its own for it. */
    void (*elementwise)(const struct adl_node *node, const float *x, float *y, size_t count);
    /* The op's training side (ops/train.h); NULL: it cannot be trained. */
    const struct adl_op_train *train;
    /* Writes the attributes into `text` for people, "3x3 s2"; NULL: there are none. */
    void (*describe)(const struct adl_node *node, char *text, size_t size);
};

struct adl_value {
    const char *name;       /* of the module whose output it is, as in PyTorch; unique */
    struct adl_shape shape; /* at the size the graph was built for */
    int node;               /* index of the node that computes it; -1: the input */
};

/* The values that are read when the network has run. */
enum adl_output {
    ADL_OUTPUT_LOGITS,    /* 1 x 1 x classes */
    ADL_OUTPUT_FEATURES,  /* the last map before pooling (or before the class map) */
    ADL_OUTPUT_CLASS_MAP, /* h x w x classes; absent in networks that do not end in one */
    ADL_OUTPUT_KEPT,      /* the first of any other values that a plan is asked to keep
                           * (plan/plan.h) */
    ADL_OUTPUT_SLOPES = ADL_OUTPUT_KEPT + ADL_LIMIT_KEPT, /* what a plan needs for the maps of
                                                           * single classes (plan/classes.c) */
    ADL_OUTPUT_COUNT = ADL_OUTPUT_SLOPES + ADL_LIMIT_CLASS_LAYERS
};

/* A whole network within a graph, as adl_graph_end_part returns it; ids are -1 where the network
 * has no such thing. */
struct adl_graph_part {
    int outputs[ADL_OUTPUT_COUNT]; /* values */
    int classifier;                /* parameter */
};

struct adl_graph;

/* Creates a graph with one value, the input, of this shape. Fails with ADL_ERR_ARG or
 * ADL_ERR_NOMEM. */
struct adl_graph *adl_graph_create(struct adl_shape input, struct adl_error *err) ADL_MUST_CHECK;
void adl_graph_free(struct adl_graph *graph);

/* --- building (used by ops/) ------------------------------------------------
 * The graph keeps the first error; after it, every call returns -1 and does nothing. A
 * builder therefore reads as a description of the network, and only the result of
 * adl_graph_finish has to be checked. */

/* Adds a parameter; returns its id. The name is copied. */
int adl_graph_add_param(struct adl_graph *graph, const char *name, enum adl_param_role role,
                        int rank, const size_t *shape);

/* Adds a node and the value that it computes, whose shape def->infer gives; returns the
 * value's id. `attr` (attr_bytes), `inputs`, `params` and the name are copied; `def` must
 * outlive the graph. */
int adl_graph_add(struct adl_graph *graph, const char *name, const struct adl_op_def *def,
                  const void *attr, size_t attr_bytes, const int *inputs, int input_count,
                  const int *params, int param_count);

/* Records an error (ADL_ERR_ARG) of a builder call; returns -1. */
int adl_graph_fail(struct adl_graph *graph, const char *fmt, ...) ADL_PRINTF(2, 3);

/* Formats a name in the graph's memory. When out of memory, the graph keeps the error and
 * the name is "". */
const char *adl_graph_name(struct adl_graph *graph, const char *fmt, ...) ADL_PRINTF(2, 3);

/* Makes a value an output of the network. */
void adl_graph_set_output(struct adl_graph *graph, enum adl_output which, int value);
/* Sets the parameter, fc.weight, whose row k holds the weights with which the channels of the
 * features are summed to the class map of class k. */
void adl_graph_set_classifier(struct adl_graph *graph, int param);

/* Makes a value a tap: the loss of training depends on it directly, beside the logits
 * (train/tape.h). Returns the tap's number, from 0; fails beyond ADL_MAX_TAPS. */
int adl_graph_add_tap(struct adl_graph *graph, int value);
/* Makes a parameter start as Xavier's uniform distribution. */
void adl_graph_set_xavier(struct adl_graph *graph, int param);

/* Makes a parameter start at 0. */
void adl_graph_set_zero(struct adl_graph *graph, int param);

/* Between these two calls, builder calls append copies of nodes that the graph already has
 * (adl_node.copy): parameters of a name that exists are those parameters, which have to have the
 * same shape, and another name is an error. The values are called PREFIX.NAME. */
void adl_graph_begin_copy(struct adl_graph *graph, const char *prefix);
void adl_graph_end_copy(struct adl_graph *graph);

/* Between these two calls, parameters and values are named likewise, but the nodes are no copies:
 * layers that are used again, and get the gradients of all their uses. */
void adl_graph_begin_shared(struct adl_graph *graph, const char *prefix);
void adl_graph_end_shared(struct adl_graph *graph);

/* Between these two calls, builder calls append a whole network as part of a larger graph: part 1,
 * then 2 up to ADL_MAX_PARTS. Names of values and parameters get "PREFIX." before them, unless
 * `prefix` is "", and parameters are looked up so. From adl_graph_set_part_input on, the network
 * reads `value` where it says value 0. What it makes its outputs and its classifier goes to *part
 * and not to the graph, except that the logits are kept (adl_graph_part_logits). */
void adl_graph_begin_part(struct adl_graph *graph, int number, const char *prefix);
void adl_graph_set_part_input(struct adl_graph *graph, int value);
void adl_graph_end_part(struct adl_graph *graph, struct adl_graph_part *part);

/* Ends the building: 0, or -1 with the first error. */
int adl_graph_finish(struct adl_graph *graph, struct adl_error *err) ADL_MUST_CHECK;

/* --- reading ----------------------------------------------------------------- */

int adl_graph_value_count(const struct adl_graph *graph);
int adl_graph_node_count(const struct adl_graph *graph);
int adl_graph_param_count(const struct adl_graph *graph);
int adl_graph_tap_count(const struct adl_graph *graph);
int adl_graph_part_count(const struct adl_graph *graph);
const struct adl_value *adl_graph_value(const struct adl_graph *graph, int id);
const struct adl_node *adl_graph_node(const struct adl_graph *graph, int index);
const struct adl_param *adl_graph_param(const struct adl_graph *graph, int id);
/* The following return an id, or -1 where there is none. The input is value 0. */
int adl_graph_output(const struct adl_graph *graph, enum adl_output which);
int adl_graph_classifier(const struct adl_graph *graph);
int adl_graph_tap(const struct adl_graph *graph, int tap);
int adl_graph_part_logits(const struct adl_graph *graph, int part);
int adl_graph_find_value(const struct adl_graph *graph, const char *name);
int adl_graph_find_param(const struct adl_graph *graph, const char *name);

/* Sets shapes[id] to the shape of value `id`, for every value, if the input is input_h x
 * input_w; `shapes` has room for adl_graph_value_count of them. Fails with ADL_ERR_ARG if a
 * map becomes too small for the next op. */
int adl_graph_infer(const struct adl_graph *graph, int input_h, int input_w,
                    struct adl_shape *shapes, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the elements of all trainable parameters; running statistics are not trainable. */
uint64_t adl_graph_trainable(const struct adl_graph *graph);
/* Return the multiply-adds for one image at the shapes of adl_graph_infer: those of a node,
 * and those of the whole graph at inference. */
uint64_t adl_node_macs(const struct adl_node *node, const struct adl_shape *shapes);
uint64_t adl_graph_macs(const struct adl_graph *graph, const struct adl_shape *shapes);

#endif
