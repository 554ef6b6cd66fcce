#ifndef ADL_PLAN_PLAN_H
#define ADL_PLAN_PLAN_H

/* A plan: how one graph with these weights is run for one input size on one
 * kind of CPU. Made by a list of passes over the graph's nodes:
 *
 *   strip   training-only ops vanish
 *   fold    batch norm into the convolution before it
 *   fuse    residual additions and activations into an epilogue
 *   pair    a depthwise convolution and the 1x1 after it in one step
 *   concat  branches write into slices of the joined map
 *   place   one arena, by lifetime
 *   select  a kernel for each convolution, its weights packed
 *
 * Immutable after create and shared by all threads; a session runs it. A plan
 * is for one image: a batch is that many runs, so an answer cannot depend on
 * what else was in the batch, nor on the number of threads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "base/str.h"
#include "graph/graph.h"
#include "kernels/conv.h"
#include "plan/pass.h"

extern const char *const adl_precision_names[]; /* by enum adl_precision; NULL at the end */

struct adl_plan_options {
    int input_h;
    int input_w;
    enum adl_isa isa;             /* ADL_ISA_AUTO: the best there is, or what ADL_CPU says */
    enum adl_precision precision; /* the lowest that convolutions may use */
    unsigned disabled;            /* passes to leave out: tests show that each keeps the result */
    int conv_rank;         /* 0: the algorithm that should be fastest for each convolution; 1: the
                            * next best, to compare; ... */
    struct adl_pool *pool; /* whose threads pack the weights; NULL: this one alone */
    /* Called with each parameter whose values are packed and will not be read
     * again, so that their memory can be given back meanwhile, by any thread of the
     * pool; NULL: none is. */
    void (*release)(void *context, int param);
    void *release_context;
};

struct adl_plan;

/* `params` are the weights by parameter id (adl_graph_param), float32 in
 * PyTorch's layout; they are copied into packed form and not needed later (each
 * one only until it is released, whether or not that succeeds). The graph has to outlive the plan.
 */
struct adl_plan *adl_plan_create(const struct adl_graph *graph, const float *const *params,
                                 const struct adl_plan_options *options,
                                 struct adl_error *err) ADL_MUST_CHECK;

/* Plans are reference-counted: created with one reference. */
struct adl_plan *adl_plan_ref(struct adl_plan *plan);
void adl_plan_unref(struct adl_plan *plan);

struct adl_shape adl_plan_input_shape(const struct adl_plan *plan);
/* The shape of an output at the plan's input size; all zero where absent. */
struct adl_shape adl_plan_output_shape(const struct adl_plan *plan, enum adl_output which);
/* The classifier's rows, classes x channels of the features; NULL for networks
 * that end in a class map. */
const float *adl_plan_classifier(const struct adl_plan *plan);
/* "generic", "avx2", "avx512" */
const char *adl_plan_isa_name(const struct adl_plan *plan);

/* As packed; Winograd convolutions may take four to seven times their size in the
 * file, all together at most 3.3 times. */
size_t adl_plan_weight_bytes(const struct adl_plan *plan);
/* One image in work: its activations and what the kernels work in. */
size_t adl_plan_arena_bytes(const struct adl_plan *plan);
uint64_t adl_plan_macs(const struct adl_plan *plan); /* one image */

/* Steps: what is executed, in order. */
struct adl_step_info {
    const char *name;   /* of the value it makes */
    const char *kernel; /* "gemm", "separable", "maxpool", ... */
    struct adl_shape out;
    uint64_t macs;
};
int adl_plan_step_count(const struct adl_plan *plan);
void adl_plan_step_info(const struct adl_plan *plan, int step, struct adl_step_info *info);

/* The whole plan as text: `info --plan`. */
void adl_plan_dump(const struct adl_plan *plan, struct adl_str *out);

#endif
