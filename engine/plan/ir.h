#ifndef ADL_PLAN_IR_H
#define ADL_PLAN_IR_H

/* The plan under construction, seen only by the passes, step.c and session.c:
 * a list of steps over values. Lowering makes one step per node of the graph;
 * each pass then rewrites the list. */

#include "base/arena.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "kernels/conv.h"
#include "ops/ops.h"
#include "plan/pass.h"

/* Memory a value may live in. */
enum plan_space {
    PLAN_SPACE_INPUT,  /* the image's input */
    PLAN_SPACE_OUTPUT, /* the image's outputs: kept until the next run */
    PLAN_SPACE_ARENA,  /* one worker's activations */
    PLAN_SPACE_SHARED, /* what one step's tasks have in common (see conv.h) */
    PLAN_SPACE_COUNT
};

struct plan_value {
    struct adl_shape shape;
    int slice_of; /* the joined value it is part of; -1: none */
    int channel;  /* first channel within slice_of */

    /* Made by place. */
    enum plan_space space;
    size_t offset; /* floats from the start of the space */
    size_t ld;     /* floats from pixel to pixel */
};

enum plan_kind {
    PLAN_DEAD, /* removed by a pass */
    PLAN_IDENTITY,
    PLAN_CONV,
    PLAN_POINTWISE, /* clamp(x * scale + shift + residual) */
    PLAN_SIGMOID,
    PLAN_MAXPOOL,
    PLAN_AVGPOOL,
    PLAN_MEAN,
    PLAN_LINEAR,
    PLAN_CONCAT
};

struct plan_step {
    enum plan_kind kind;
    const struct adl_node *node; /* where it came from */
    struct plan_step *first;     /* a depthwise convolution done in the same step; NULL: none */
    int input;                   /* -1: a concat, see node->inputs and `pieces` */
    int residual;                /* value added before the clamp; -1: none */
    int vector;                  /* value that scales the channels; -1: none */
    int output;
    float lo, hi; /* clamp; -INFINITY, INFINITY: none */

    /* Per output channel, in the plan's build arena: a folded batch norm and
     * the bias of a convolution or linear layer; the factors of a batch norm
     * that stands alone. NULL: none. */
    float *scale;
    float *bias;

    /* PLAN_CONCAT: values still to be copied, -1 where one became a slice. */
    int *pieces;

    /* Made by select. */
    struct adl_conv conv;
    const struct adl_conv_algorithm *algorithm;
    const float *packed;  /* convolution: algorithm's; linear: weights; kept for good */
    size_t prepare_tasks; /* to be done before the others; usually 0 */
    size_t tasks;
};

struct adl_plan {
    _Atomic int references;
    const struct adl_graph *graph;
    const struct adl_kernels *kernels;
    enum adl_isa isa;
    enum adl_precision precision;
    unsigned disabled;
    int conv_rank;

    struct adl_arena arena;    /* the lists below and small per-channel arrays */
    struct plan_value *values; /* as many as the graph has */
    int value_count;
    struct plan_step *steps;
    int step_count;
    int outputs[ADL_OUTPUT_COUNT]; /* values; -1: none */

    const float *const *params; /* during create only, as the next three */
    struct adl_pool *pool;      /* as in the options, as the next two */
    void (*release)(void *context, int param);
    void *release_context;
    float *packed; /* one block: packed weights of all steps */
    size_t packed_floats;
    const float *classifier; /* rows of the classifier, classes x channels; NULL: none */

    size_t space_floats[PLAN_SPACE_COUNT]; /* one image */
    size_t scratch_floats;                 /* one worker */
    uint64_t macs;
};

/* The passes, in order; each in its own file. */
int plan_lower(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_strip(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_fold(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_fuse(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_pair(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_concat(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_place(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
int plan_select(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;
/* A part of select: where the packed weights would be too many times as large as
 * in the file, replaces algorithms by others until they are not. */
int plan_shrink(struct adl_plan *plan, struct adl_error *err) ADL_MUST_CHECK;

/* --- shared by the passes (ir.c) ---------------------------------------------- */

/* Index of the live step that makes a value; -1: the input. */
int plan_producer(const struct adl_plan *plan, int value);
/* Times a value is read by live steps; an output of the plan counts as one. */
int plan_uses(const struct adl_plan *plan, int value);
bool plan_is_output(const struct adl_plan *plan, int value);
/* Calls visit for every value a step reads. */
void plan_for_inputs(const struct plan_step *step, void (*visit)(void *context, int value),
                     void *context);
/* Every reader of `from`, and the plan's outputs, read `to` instead. */
void plan_replace_value(struct adl_plan *plan, int from, int to);
/* Whether the step still has neither clamp nor residual. */
bool plan_is_open(const struct plan_step *step);

/* --- choosing (choice.c) ---------------------------------------------------------- */

/* Of the algorithms that can do it, the one of this rank by expected time: 0
 * the best, 1 the next; beyond the last, the last. */
const struct adl_conv_algorithm *plan_conv_choice(const struct adl_conv *conv,
                                                  const struct adl_kernels *kernels, int rank);

/* Of the algorithms that can do it with smaller packed weights than `current`, the
 * one that asks least time for each float saved, *price; NULL: none. */
const struct adl_conv_algorithm *plan_conv_smaller(const struct adl_conv *conv,
                                                   const struct adl_kernels *kernels,
                                                   const struct adl_conv_algorithm *current,
                                                   double *price);

/* --- running (step.c) ------------------------------------------------------------- */

/* Where one image's values are for one worker. */
struct plan_bindings {
    float *base[PLAN_SPACE_COUNT];
};

/* Task `task` of a step; scratch is the worker's own. */
void plan_step_run(const struct adl_plan *plan, const struct plan_step *step,
                   const struct plan_bindings *at, size_t task, float *scratch);
/* Task `task` of what a step has to do first. */
void plan_step_prepare(const struct adl_plan *plan, const struct plan_step *step,
                       const struct plan_bindings *at, size_t task, float *scratch);
/* How many tasks a step is; fixed by its shape. */
size_t plan_step_tasks(const struct adl_plan *plan, const struct plan_step *step);

#endif
