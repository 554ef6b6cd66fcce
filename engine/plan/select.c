/* Select: chooses an algorithm for each convolution (choice.c, shrink.c) and packs the
 * weights of all steps into one block. It runs last, because algorithms depend on the
 * strides of the maps in memory, which place assigns. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/conv/conv_geometry.h"
#include "plan/ir.h"

/* Weights that are not bfloat16 numbers are held in float32. */
static enum adl_precision select_precision(const struct adl_plan *plan,
                                           const struct plan_step *step)
{
    const struct adl_param *weights = adl_graph_param(plan->graph, step->node->params[0]);
    bool rounded = plan->precision != ADL_PRECISION_BF16 || adl_quantisation_takes_bf16(weights);
    return rounded ? plan->precision : ADL_PRECISION_F32;
}

static void select_describe(const struct adl_plan *plan, struct plan_step *step)
{
    int input = step->first ? step->first->output : step->input;
    const struct plan_value *x = &plan->values[input], *y = &plan->values[step->output];
    struct adl_conv conv = adl_conv_describe(plan_conv_attr(step), x->shape, y->shape);
    conv.ldx = x->ld;
    conv.ldo = y->ld;
    conv.ldr = step->residual >= 0 ? plan->values[step->residual].ld : 0;
    conv.lo = step->lo;
    conv.hi = step->hi;
    conv.curve = step->curve;
    conv.curve_a = step->curve_a;
    conv.curve_b = step->curve_b;
    conv.precision = select_precision(plan, step);
    step->conv = conv;
}

/* Adds the floats of a step's packed weights to *total, which is rounded up to whole cache
 * lines. */
static int select_add_weights(const struct adl_plan *plan, const struct plan_step *step,
                              size_t *total, struct adl_error *err)
{
    size_t floats = 0;
    if (step->kind == PLAN_LINEAR)
        floats = adl_graph_param(plan->graph, step->node->params[0])->count;
    else if (step->kind == PLAN_CONV && step->int8)
        floats = adl_conv_int8_packed_floats(&step->conv, plan->kernels->int8);
    else if (step->algorithm)
        floats = step->algorithm->packed_floats(step->algorithm, &step->conv, plan->kernels);
    if (adl_size_add(*total, floats, total) < 0 ||
        adl_size_round_up(*total, ADL_LINE_FLOATS, total) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "the network's weights are too large");
    return 0;
}

/* Gives a convolution into which no batch norm was folded factors of 1. */
static int select_make_scale(struct adl_plan *plan, struct plan_step *step, struct adl_error *err)
{
    if (step->kind == PLAN_LINEAR || step->scale)
        return 0;
    step->scale = adl_arena_alloc(&plan->arena, (size_t)step->conv.k, sizeof *step->scale);
    if (!step->scale)
        return adl_fail_nomem(err, "the plan");
    for (int k = 0; k < step->conv.k; k++)
        step->scale[k] = 1;
    return 0;
}

/* Copies the weights of a linear layer, K x C, times the factors of a folded batch norm. */
static void select_pack_linear(const struct adl_plan *plan, const struct plan_step *step,
                               const float *weights, float *packed)
{
    const struct adl_param *param = adl_graph_param(plan->graph, step->node->params[0]);
    memcpy(packed, weights, param->count * sizeof *packed);
    for (size_t k = 0; step->scale && k < param->shape[0]; k++)
        for (size_t c = 0; c < param->shape[1]; c++)
            packed[k * param->shape[1] + c] *= step->scale[k];
}

static void select_pack_int8(const struct adl_plan *plan, const struct plan_step *step,
                             const float *weights, float *packed)
{
    const struct adl_int8_weights w = {.values = weights,
                                       .scale = plan->quantisation->scales[step->node->params[0]],
                                       .factor = step->scale,
                                       .bias = step->bias};
    struct adl_conv_int8 job;

    plan_int8_describe(plan, step, &job);
    adl_conv_int8_pack(&job, plan->kernels->int8, &w, packed);
}

static void select_pack_step(const struct adl_plan *plan, const struct plan_step *step,
                             float *packed)
{
    const float *weights = plan->params[step->node->params[0]];
    if (step->kind == PLAN_LINEAR)
        select_pack_linear(plan, step, weights, packed);
    else if (step->int8)
        select_pack_int8(plan, step, weights, packed);
    else
        step->algorithm->pack(step->algorithm, &step->conv, plan->kernels, weights, step->scale,
                              step->bias, packed);
}

/* Describes a depthwise and a 1x1 convolution in one step; each is packed by its own
 * algorithm. */
static void select_pair(struct adl_plan *plan, struct plan_step *step)
{
    select_describe(plan, step->first);
    step->algorithm =
        step->conv.precision == ADL_PRECISION_BF16 ? &adl_conv_gemm_bf16 : &adl_conv_gemm;
    step->first->algorithm = &adl_conv_depthwise;
    plan->scratch_floats =
        ADL_MAX(plan->scratch_floats, adl_separable_scratch_floats(&step->first->conv));
}

static void select_conv(struct adl_plan *plan, struct plan_step *step)
{
    select_describe(plan, step);
    if (step->first)
        select_pair(plan, step);
    else if (!step->int8)
        step->algorithm = plan_conv_choice(&step->conv, plan->kernels, plan->conv_rank);
}

/* Enlarges the scratch memory and the shared space to what the step's algorithm needs. */
static void select_add_memory(struct adl_plan *plan, struct plan_step *step)
{
    const struct adl_conv_algorithm *a = step->algorithm;
    plan->scratch_floats =
        ADL_MAX(plan->scratch_floats, a->scratch_floats(a, &step->conv, plan->kernels));
    if (a->prepare) {
        size_t *shared = &plan->space_floats[PLAN_SPACE_SHARED];
        *shared = ADL_MAX(*shared, a->shared_floats(a, &step->conv, plan->kernels));
        step->prepare_tasks = a->prepare_tasks(a, &step->conv, plan->kernels);
    }
}

/* A step and the address of its packed weights. */
struct packing {
    struct plan_step *step;
    float *to;
    size_t count; /* floats of the parameter */
    bool shared;  /* with another step */
};

static int select_larger_first(const void *a, const void *b)
{
    const struct packing *left = a, *right = b;
    return (left->count < right->count) - (left->count > right->count);
}

struct packing_job {
    const struct adl_plan *plan;
    const struct packing *list;
};

static void select_pack_task(void *context, size_t i, int worker)
{
    const struct packing_job *job = context;
    const struct adl_plan *plan = job->plan;
    const struct packing *item = &job->list[i];
    (void)worker;
    select_pack_step(plan, item->step, item->to);
    /* A parameter that several steps use stays until the caller releases all. */
    if (plan->release && !item->shared)
        plan->release(plan->release_context, item->step->node->params[0]);
}

/* Makes the classifier's weights available as they are in the file, classes x channels. */
static int select_keep_classifier(struct adl_plan *plan, const struct plan_step *step,
                                  struct adl_error *err)
{
    int id = step->node->params[0];
    size_t count = adl_graph_param(plan->graph, id)->count;

    if (step->kind == PLAN_LINEAR) {
        plan->classifier = step->packed;
        return 0;
    }
    plan->classifier_copy = adl_malloc(count, sizeof *plan->classifier_copy);
    if (!plan->classifier_copy)
        return adl_fail_nomem(err, "the classifier's weights");
    memcpy(plan->classifier_copy, plan->params[id], count * sizeof *plan->classifier_copy);
    plan->classifier = plan->classifier_copy;
    return 0;
}

/* Notes the weights of a linear layer that maps of single classes are computed from (classes.c). */
static void select_keep_class_layer(struct adl_plan *plan, const struct plan_step *step)
{
    for (int i = 0; step->kind == PLAN_LINEAR && i < plan->class_layer_count; i++)
        if (plan->class_layers[i].param == step->node->params[0])
            plan->class_layers[i].weights = step->packed;
}

/* Packs all weights with the threads of the pool. Large parameters come first: while the
 * packed weights are filled, the parameters are released, and this order keeps the peak of
 * both together low, because the parameters that remain near the end are small. Most of the
 * time is spent by the kernel of the operating system, which clears each page before its
 * first use. */
static int select_pack_all(struct adl_plan *plan, struct adl_error *err)
{
    struct packing *list = adl_calloc((size_t)plan->step_count, sizeof *list);
    size_t count = 0, offset = 0;
    int result = -1;

    if (!list)
        return adl_fail_nomem(err, "the plan");
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        size_t begin = offset;
        ADL_TRY(select_add_weights(plan, step, &offset, err));
        if (offset == begin)
            continue;
        ADL_TRY(select_make_scale(plan, step, err));
        step->packed = plan->packed + begin;
        select_keep_class_layer(plan, step);
        if (step->node->params[0] == adl_graph_classifier(plan->graph))
            ADL_TRY(select_keep_classifier(plan, step, err));
        list[count].step = step;
        list[count].to = plan->packed + begin;
        list[count].count = adl_graph_param(plan->graph, step->node->params[0])->count;
        count++;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (list[i].step->node->params[0] == list[j].step->node->params[0])
                list[i].shared = list[j].shared = true;
    qsort(list, count, sizeof *list, select_larger_first);
    adl_pool_for(plan->pool, count, select_pack_task, &(struct packing_job){plan, list});
    result = 0;
out:
    adl_free(list);
    return result;
}

/* Sets the tasks of each step and the memory that they need. */
static void select_finish(struct adl_plan *plan)
{
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (plan_is_int8(step))
            plan->scratch_floats =
                ADL_MAX(plan->scratch_floats, plan_int8_scratch_floats(plan, step));
        else if (step->kind == PLAN_CONV && step->algorithm && !step->first)
            select_add_memory(plan, step);
        step->tasks = step->kind == PLAN_DEAD ? 0 : plan_step_tasks(plan, step);
        step->finish_tasks = plan_step_finish_tasks(plan, step);
    }
}

static bool select_fits(const struct adl_plan *plan, const struct plan_step *step,
                        const struct adl_conv *before)
{
    const struct adl_conv_algorithm *a = step->algorithm;
    return a->supports(a, &step->conv, plan->kernels) &&
           a->packed_floats(a, &step->conv, plan->kernels) ==
               a->packed_floats(a, before, plan->kernels);
}

/* The steps that select_pair() describes as a part of another are described again, which changes
 * nothing. */
int plan_select_again(struct adl_plan *plan, struct adl_error *err)
{
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        const struct adl_conv before = step->conv;
        if (step->kind == PLAN_CONV && step->int8)
            select_describe(plan, step);
        if (!step->algorithm)
            continue;
        select_describe(plan, step);
        step->conv.packed_p = before.packed_p ? before.packed_p : before.p;
        step->conv.packed_q = before.packed_q ? before.packed_q : before.q;
        if (!select_fits(plan, step, &before))
            return adl_fail(err, ADL_ERR_INTERNAL,
                            "%s: its algorithm does not run at this input size",
                            plan_value_name(plan, step->output));
        if (step->first)
            plan->scratch_floats =
                ADL_MAX(plan->scratch_floats, adl_separable_scratch_floats(&step->first->conv));
    }
    select_finish(plan);
    return 0;
}

int plan_select(struct adl_plan *plan, struct adl_error *err)
{
    size_t total = 0;
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind == PLAN_CONV)
            select_conv(plan, step);
    }
    if (plan->conv_rank == 0 && !(plan->disabled & ADL_PASS_SHRINK) && plan_shrink(plan, err) < 0)
        return -1;
    select_finish(plan);
    for (int i = 0; i < plan->step_count; i++)
        if (select_add_weights(plan, &plan->steps[i], &total, err) < 0)
            return -1;
    plan->packed = adl_malloc(total, sizeof *plan->packed);
    if (!plan->packed)
        return adl_fail_nomem(err, "the network's weights");
    adl_mem_large_pages(plan->packed, total * sizeof *plan->packed);
    plan->packed_floats = total;
    return select_pack_all(plan, err);
}
