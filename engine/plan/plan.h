#ifndef ADL_PLAN_PLAN_H
#define ADL_PLAN_PLAN_H

/* A plan: how a graph with given weights is run for one input size with one instruction set.
 * The graph is lowered to a list of steps, one for each node, and a series of passes rewrites
 * the list, each in a file of its own, in this order:
 *
 *   lower   makes one step for each node that an output depends on (always runs)
 *   strip   removes ops that only training needs
 *   classes  replaces the class maps of a classifier of several layers by those of single classes
 *   fold    folds a batch norm into the convolution before it
 *   fuse    makes residual additions and activations the epilogue of a step
 *   quantise  chooses the steps that run in 8 bits, if ranges and scales are given
 *   pair    merges a depthwise convolution with the 1x1 convolution after it
 *   concat  lets branches write into slices of the concatenated map
 *   place   assigns memory: one arena, shared by lifetime
 *   select  chooses an algorithm for each convolution and packs the weights (always
 *           runs)
 *
 * A plan is immutable once created and shared by all threads; a session runs it. It describes
 * how one image is run, and the images of a batch are computed independently, so a result
 * depends neither on the other images of the batch nor on the number of threads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "base/str.h"
#include "graph/graph.h"
#include "kernels/conv.h"
#include "plan/pass.h"
#include "plan/quantisation.h"

/* The names of enum adl_precision, terminated by NULL. */
extern const char *const adl_precision_names[];

struct adl_plan_options {
    int input_h; /* pixels */
    int input_w;
    enum adl_isa isa; /* ADL_ISA_AUTO: the best available, or what ADL_CPU says */
    /* How convolutions hold their weights; for ADL_PRECISION_BF16, those of convolutions and linear
     * layers are bfloat16 numbers, but for the small ones (adl_quantisation_takes_bf16). */
    enum adl_precision precision;
    /* The ranges and scales for ADL_PRECISION_INT8, without which all is float32; the weights are
     * then whole multiples of the scales. Borrowed while the plan is created. NULL: none. */
    const struct adl_quantisation *quantisation;
    bool all_int8;         /* whatever may run in 8 bits does, however slow: for tests */
    unsigned disabled;     /* passes to leave out: bits of enum adl_pass */
    int conv_rank;         /* which algorithm each convolution gets, by estimated time: 0 the
                            * fastest, 1 the next best, and so on, for comparisons */
    struct adl_pool *pool; /* whose threads pack the weights; NULL: the calling thread */
    /* Is called with each parameter that has been packed and will not be read again, so that
     * its memory can be released before the others are packed. Any thread of the pool may
     * call it. May be NULL. */
    void (*release)(void *context, int param);
    void *release_context;
    /* Values of the graph that are outputs of the plan as well (adl_plan_keep); 0: none. Steps
     * around them are not merged across them, so the other outputs may differ in their last bits.
     */
    int kept[ADL_LIMIT_KEPT];
};

/* Adds a value to those that are kept, unless it is there or is 0. At most ADL_LIMIT_KEPT different
 * ones may be added. */
void adl_plan_keep(struct adl_plan_options *options, int value);

struct adl_plan;

/* Creates a plan. params: the weights by parameter id (adl_graph_param), float32 in PyTorch's
 * layout. They are copied into packed form and are not needed afterwards; each one has to
 * stay valid until it is released, or else until the function returns. The graph has to
 * outlive the plan. Returns NULL and sets `err` if the input size does not suit the graph,
 * the instruction set is not available, or memory runs out. */
struct adl_plan *adl_plan_create(const struct adl_graph *graph, const float *const *params,
                                 const struct adl_plan_options *options,
                                 struct adl_error *err) ADL_MUST_CHECK;

/* Returns a plan that runs the network of `base` for images of input_h x input_w with the packed
 * weights of `base`, of which it keeps a reference: it takes little memory and needs no weights.
 * `graph` is that of `base` or one that differs from it only in attributes that no weight depends
 * on, such as strides; it has to outlive the plan. Returns NULL and sets `err` if the input size
 * does not suit the graph, with ADL_ERR_INTERNAL if the structure of the graphs differs, and when
 * out of memory. */
struct adl_plan *adl_plan_resize(struct adl_plan *base, const struct adl_graph *graph, int input_h,
                                 int input_w, struct adl_error *err) ADL_MUST_CHECK;

/* The same with two ends: the logits are those of the network of `base`, the features and the class
 * map those of `map_graph`, which differs from its graph in strides near the end. The steps before
 * the first difference run once. */
struct adl_plan *adl_plan_with_map(struct adl_plan *base, const struct adl_graph *map_graph,
                                   int input_h, int input_w, struct adl_error *err) ADL_MUST_CHECK;

/* Plans are reference-counted, with one reference when created. Both functions are
 * thread-safe; adl_plan_unref(NULL) is fine. */
struct adl_plan *adl_plan_ref(struct adl_plan *plan);
void adl_plan_unref(struct adl_plan *plan);

const struct adl_graph *adl_plan_graph(const struct adl_plan *plan);
struct adl_shape adl_plan_input_shape(const struct adl_plan *plan);
/* Returns the output that has a value of the graph, one that the plan was asked to keep; -1 if it
 * was not. */
int adl_plan_kept(const struct adl_plan *plan, int value);
/* Returns the shape of an output at the plan's input size; all zero if the network has none. */
struct adl_shape adl_plan_output_shape(const struct adl_plan *plan, enum adl_output which);
/* Returns the classifier's weights, classes x feature channels, which are those of the
 * 1x1 convolution in a network that ends in a class map. Owned by the plan; NULL where the class
 * map is not a weighted sum of the features. */
const float *adl_plan_classifier(const struct adl_plan *plan);
/* Returns the number of classes whose weights adl_session_class_weights computes: those of a
 * classifier of several layers, whose class map is then no output. 0: the plan has none. */
size_t adl_plan_class_count(const struct adl_plan *plan);
/* Returns "generic", "avx2" or "avx512". */
const char *adl_plan_isa_name(const struct adl_plan *plan);

/* Returns the bytes of the packed weights, 0 if they are those of another plan. Those of a single
 * Winograd convolution may be four to seven times as large as in the file; shrink.c limits all
 * packed weights together to 3.3 times. */
size_t adl_plan_weight_bytes(const struct adl_plan *plan);
/* Returns the bytes that one image needs while it is processed: activations and scratch
 * memory. */
size_t adl_plan_arena_bytes(const struct adl_plan *plan);
/* Returns the multiply-adds of one image, by the definition of each op, not of the algorithm. */
uint64_t adl_plan_macs(const struct adl_plan *plan);

/* The steps that are executed, in order. */
struct adl_step_info {
    const char *name;   /* of the value that it computes */
    const char *kernel; /* "gemm", "separable", "maxpool", ... */
    struct adl_shape out;
    uint64_t macs;
};
int adl_plan_step_count(const struct adl_plan *plan);
void adl_plan_step_info(const struct adl_plan *plan, int step, struct adl_step_info *info);

/* Appends the plan as text to `out`, as `info --plan` prints it. */
void adl_plan_dump(const struct adl_plan *plan, struct adl_str *out);

#endif
