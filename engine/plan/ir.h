#ifndef ADL_PLAN_IR_H
#define ADL_PLAN_IR_H

/* The intermediate representation of a plan: a list of steps over values. Only the
 * passes, step.c, session.c and plan.c see it; everyone else uses plan.h. Lowering makes
 * one step for each node of the graph, and each pass then rewrites the list. */

#include "base/arena.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "kernels/conv.h"
#include "kernels/conv_int8.h"
#include "ops/ops.h"
#include "plan/pass.h"
#include "plan/quantisation.h"

/* The memory in which a value may live. */
enum plan_space {
    PLAN_SPACE_INPUT,  /* the image's input */
    PLAN_SPACE_OUTPUT, /* the image's outputs, kept until the next run */
    PLAN_SPACE_ARENA,  /* one worker's activations */
    PLAN_SPACE_SHARED, /* what `prepare` computes for all tasks of a step (conv.h) */
    PLAN_SPACE_COUNT
};

struct plan_value {
    struct adl_shape shape;
    int slice_of; /* the concatenated value of which this is a slice; -1: none */
    int channel;  /* its first channel within slice_of */
    int of;       /* the value of the graph that it has the content of */

    /* Set by quantise. A map is float32, or bytes with this range. */
    bool bytes;
    struct adl_int8_range range;

    /* Set by place. */
    enum plan_space space;
    size_t offset; /* floats from the start of the space */
    size_t first;  /* in a map of bytes: bytes from there to a slice */
    size_t ld;     /* elements from pixel to pixel */
};

enum plan_kind {
    PLAN_DEAD,     /* removed by a pass */
    PLAN_IDENTITY, /* an op that does nothing outside training */
    PLAN_CONV,
    PLAN_POINTWISE, /* clamp(x * scale + shift + residual) */
    PLAN_SIGMOID,
    PLAN_ELEMENTWISE, /* the op's own `elementwise` */
    PLAN_MAXPOOL,
    PLAN_AVGPOOL,
    PLAN_LAYERNORM, /* layer norm, then x scale + shift */
    PLAN_MEAN,
    PLAN_LINEAR,
    PLAN_CONCAT,
    /* The ops of attention networks (step_attention.c). */
    PLAN_SUM,
    PLAN_AVGMAX,
    PLAN_CHANNELPOOL,
    PLAN_GATE, /* clamp(x * gate + residual), the gate being `vector` */
    PLAN_UPSAMPLE,
    PLAN_TO_BYTES, /* conversions, inserted by quantise (step_int8.c) */
    PLAN_TO_FLOATS,
    PLAN_PLAIN /* the op's own `forward`, in one task; see lower.c */
};

struct plan_step {
    enum plan_kind kind;
    const struct adl_node *node; /* the node that it was made from */
    int node_index;
    bool for_classes;        /* removed: the maps of single classes replace it (classes.c) */
    bool int8;               /* it reads bytes (step_int8.c); set by quantise */
    struct plan_step *first; /* a depthwise convolution done in the same step; NULL: none */
    int input;               /* value; -1: see `pieces` */
    int residual;            /* value that is added before the clamp; -1: none */
    int vector;              /* value whose elements scale the channels; a gate; -1: none */
    int output;
    float lo, hi; /* clamp; -INFINITY, INFINITY: none */
    /* PLAN_CONV: an activation after the clamp; ADL_CURVE_NONE: none. */
    enum adl_curve curve;
    float curve_a, curve_b;

    /* Per output channel, in the plan's arena; NULL: none. In a convolution or linear layer:
     * the factors of a folded batch norm, and the bias. In a batch norm that was not folded:
     * its factors and its shift. */
    float *scale;
    float *bias;

    /* PLAN_CONCAT: for each input the value to be copied; -1 where it became a slice. PLAN_PLAIN:
     * the inputs. Else NULL. */
    int *pieces;

    /* PLAN_CONV of a linear layer, on each pixel of a map. Else NULL; see plan_conv_attr(). */
    const struct adl_conv_attr *linear;

    /* Set by select. */
    struct adl_conv conv;
    const struct adl_conv_algorithm *algorithm; /* NULL in 8 bits */
    const float *packed;  /* weights, in the algorithm's layout or a linear layer's */
    size_t prepare_tasks; /* done before the tasks below; usually 0 */
    size_t tasks;
    size_t
        finish_tasks; /* done after them: the activation, if the algorithm leaves it; usually 0 */
};

/* A layer of a classifier, as its derivative (classes.c). */
struct plan_class_layer {
    size_t channels;                       /* of what it reads */
    int param;                             /* its weights, of a linear layer; -1: none */
    const float *weights;                  /* as a step has them packed; set by select */
    const float *factors;                  /* of the channels; NULL: none */
    int vector;                            /* value: slopes, or where a layer norm is; -1: none */
    int output;                            /* the output that has `vector` */
    const struct adl_layernorm_attr *norm; /* NULL: it is none */
};

/* Immutable once adl_plan_create has returned, except for the reference count. */
struct adl_plan {
    _Atomic int references;
    struct adl_plan *base; /* the plan whose weights this one uses (resize.c); NULL: its own */
    const struct adl_graph *graph;
    const struct adl_kernels *kernels;
    enum adl_isa isa;
    enum adl_precision precision;
    bool all_int8;
    unsigned disabled;
    int conv_rank;

    struct adl_arena arena;    /* holds the lists below and the arrays per channel */
    struct plan_value *values; /* by the graph's value ids, then those of a second end (tail.c) */
    int value_count;
    int end_values; /* of one end */
    struct plan_step *steps;
    int step_count;
    int outputs[ADL_OUTPUT_COUNT]; /* values; -1: none */
    int kept[ADL_LIMIT_KEPT];      /* values of the graph that are outputs too; 0: none */

    /* Arguments of adl_plan_create, valid only while it runs. */
    const float *const *params;
    struct adl_pool *pool;
    void (*release)(void *context, int param);
    void *release_context;
    const struct adl_quantisation *quantisation; /* NULL: none */

    /* The maps of single classes (classes.c), the last layer first; 0 layers: none. */
    struct plan_class_layer class_layers[ADL_LIMIT_CLASS_LAYERS];
    int class_layer_count;
    size_t classes;

    float *packed; /* the packed weights of all steps, one block */
    size_t packed_floats;
    const float *classifier; /* classes x channels, in `packed` or the copy; NULL: none */
    float *classifier_copy;  /* of a convolution, whose packed weights have another order */

    size_t space_floats[PLAN_SPACE_COUNT]; /* for one image */
    size_t scratch_floats;                 /* for one worker */
    uint64_t macs;
};

/* Returns what the convolution of a PLAN_CONV is; that of a node, which may have other strides in
 * another graph, is read from the node. */
const struct adl_conv_attr *plan_conv_attr(const struct plan_step *step);

/* The passes in the order in which they run, each in a file of its own; plan.h says what they
 * do. Each returns 0, or -1 with the reason in `err`. */
int plan_lower(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_strip(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_classes(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_fold(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_fuse(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_quantise(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_pair(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_concat(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_place(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_select(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
/* For a plan whose steps were copied from those of another: everything that select does, except
 * that each convolution keeps its algorithm and its packed weights. */
int plan_select_again(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
/* Adds a second end (tail.c): the features and the class map become those of `graph`, which has the
 * nodes of the plan's graph with other strides; `shapes` are those of its values. There is room for
 * twice the steps and values. */
int plan_add_tail(struct adl_plan *plan, const struct adl_graph *graph,
                  const struct adl_shape *shapes, struct adl_error *err) ADL_MUST_CHECK;
/* A part of select: replaces algorithms by others with smaller packed weights until all
 * packed weights together are within a multiple of the size of the weights they are made of. */
int plan_shrink(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;

/* --- queries that the passes share (ir.c) ----------------------------------------- */

/* Returns the index of the step that computes a value; -1 for the input and if no step does. */
int plan_producer(const struct adl_plan *plan, int value);
/* Returns how often steps read a value; being an output of the plan counts as one more
 * reading. */
int plan_uses(const struct adl_plan *plan, int value);
bool plan_is_output(const struct adl_plan *plan, int value);
/* Calls `visit` for every value that a step reads. */
void plan_for_inputs(const struct plan_step *step, void (*visit)(void *context, int value),
                     void *context);
/* Makes every reader of `from`, and the plan's outputs, use `to` instead. */
void plan_replace_value(struct adl_plan *plan, int from, int to);
/* Returns the name of a value, of the second end as well. */
const char *plan_value_name(const struct adl_plan *plan, int value);
/* Returns the multiply-adds of a step by the definition of its node. The shapes of a second end are
 * in its half of the values, where these agree with the first as well. */
uint64_t plan_step_macs(const struct adl_plan *plan, const struct plan_step *step);
/* Sets plan->macs to those of all nodes but the ones that the maps of single classes replace.
 * shapes: of the values of the graph. */
void plan_count_macs(struct adl_plan *plan, const struct adl_shape *shapes);
/* Returns whether the step has neither a clamp, a residual nor an activation yet. */
bool plan_is_open(const struct plan_step *step);

/* --- choosing algorithms (choice.c) ------------------------------------------------ */

/* Returns one of the algorithms that support the convolution, by its rank in estimated time:
 * 0 is the fastest, 1 the next best; a rank beyond the last means the last. */
const struct adl_conv_algorithm *plan_conv_choice(const struct adl_conv *conv,
                                                  const struct adl_kernels *kernels, int rank);

/* Returns, among the algorithms that support the convolution with smaller packed weights than
 * `current`, the one that costs the least additional time for each float that it saves;
 * *price is set to that time. Returns NULL if there is none; *price is then not set. */
const struct adl_conv_algorithm *plan_conv_smaller(const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels,
                                                   const struct adl_conv_algorithm *current,
                                                   double *price);

/* --- running steps (step.c) -------------------------------------------------------- */

/* The start of each space for one image and one worker. */
struct plan_bindings {
    float *base[PLAN_SPACE_COUNT];
    int asked; /* the class that is asked for; -1: none */
};

/* Returns the address of a value's map (ir.c). */
float *plan_step_data(const struct adl_plan *plan, const struct plan_bindings *bindings, int value);

/* Runs one task of a step. `scratch` is memory of the worker, plan->scratch_floats floats. */
void plan_step_run(const struct adl_plan *plan, const struct plan_step *step,
                   const struct plan_bindings *bindings, size_t task, float *scratch);
/* Runs one of the prepare_tasks, which precede the tasks of the same step. */
void plan_step_prepare(const struct adl_plan *plan, const struct plan_step *step,
                       const struct plan_bindings *bindings, size_t task, float *scratch);
/* Runs one of the finish_tasks, which follow the tasks of the same step. */
void plan_step_finish(const struct adl_plan *plan, const struct plan_step *step,
                      const struct plan_bindings *bindings, size_t task);
/* Returns their number. */
size_t plan_step_finish_tasks(const struct adl_plan *plan, const struct plan_step *step);
/* Returns the number of tasks of a step, which depends on its shape alone. */
size_t plan_step_tasks(const struct adl_plan *plan, const struct plan_step *step);
/* The same for the ops of attention networks (step_attention.c). */
size_t plan_attention_tasks(const struct adl_plan *plan, const struct plan_step *step);
void plan_attention_run(const struct adl_plan *plan, const struct plan_step *step,
                        const struct plan_bindings *bindings, size_t task);

/* --- in 8 bits (step_int8.c) --------------------------------------------------------- */

/* Returns whether a step is run by the functions below. */
static inline bool plan_is_int8(const struct plan_step *step)
{
    return step->int8 || step->kind == PLAN_TO_BYTES || step->kind == PLAN_TO_FLOATS;
}

/* Returns the address of a value's map of bytes. */
uint8_t *plan_step_bytes(const struct adl_plan *plan, const struct plan_bindings *bindings,
                         int value);
/* Describes a convolution in 8 bits, whose step->conv is set. */
void plan_int8_describe(const struct adl_plan *plan, const struct plan_step *step,
                        struct adl_conv_int8 *job);
size_t plan_int8_tasks(const struct adl_plan *plan, const struct plan_step *step);
size_t plan_int8_scratch_floats(const struct adl_plan *plan, const struct plan_step *step);
void plan_int8_run(const struct adl_plan *plan, const struct plan_step *step,
                   const struct plan_bindings *bindings, size_t task, float *scratch);

#endif
