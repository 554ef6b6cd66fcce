/* Creates a plan by running the passes, counts its references, and answers queries about it. */

#include "plan/plan.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/dispatch.h"
#include "plan/ir.h"

const char *const adl_precision_names[] = {"fp32", "bf16", "int8", NULL};

static const struct {
    unsigned flag; /* of enum adl_pass; 0: cannot be left out */
    int (*run)(struct adl_plan *plan, struct adl_error *err);
} passes[] = {
    {0, plan_lower},
    {ADL_PASS_STRIP, plan_strip},
    {ADL_PASS_CLASSES, plan_classes},
    {ADL_PASS_FOLD, plan_fold},
    {ADL_PASS_FUSE, plan_fuse},
    {0, plan_quantise},
    {ADL_PASS_PAIR, plan_pair},
    {ADL_PASS_CONCAT, plan_concat},
    {0, plan_place}, /* reads ADL_PASS_PLACE itself */
    {0, plan_select},
};

static int plan_begin(struct adl_plan *plan, const struct adl_graph *graph,
                      const struct adl_plan_options *options, struct adl_error *err)
{
    int values = adl_graph_value_count(graph), nodes = adl_graph_node_count(graph);
    int result = -1;

    if (adl_isa_choose(options->isa, &plan->isa, err) < 0)
        return -1;
    plan->kernels = adl_kernels_for(plan->isa);
    plan->graph = graph;
    plan->precision = options->precision;
    plan->disabled = options->disabled;
    plan->conv_rank = options->conv_rank;
    plan->value_count = plan->end_values = values;
    plan->step_count = nodes;
    plan->values = adl_arena_alloc(&plan->arena, (size_t)values, sizeof *plan->values);
    plan->steps = adl_arena_alloc(&plan->arena, (size_t)nodes, sizeof *plan->steps);
    struct adl_shape *shapes = adl_malloc((size_t)values, sizeof *shapes);
    if (!plan->values || !plan->steps || !shapes) {
        adl_fail_nomem(err, "the plan");
        goto out;
    }
    ADL_TRY(adl_graph_infer(graph, options->input_h, options->input_w, shapes, err));
    for (int i = 0; i < values; i++)
        plan->values[i] = (struct plan_value){.shape = shapes[i], .slice_of = -1, .of = i};
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        plan->outputs[i] = adl_graph_output(graph, (enum adl_output)i);
    memcpy(plan->kept, options->kept, sizeof plan->kept);
    for (int i = 0; i < ADL_LIMIT_KEPT; i++)
        plan->outputs[ADL_OUTPUT_KEPT + i] = plan->kept[i] > 0 ? plan->kept[i] : -1;
    plan->macs = adl_graph_macs(graph, shapes);
    result = 0;
out:
    adl_free(shapes);
    return result;
}

void adl_plan_keep(struct adl_plan_options *options, int value)
{
    int *kept = options->kept;

    while (*kept != 0 && *kept != value)
        kept++;
    *kept = value;
}

int adl_plan_kept(const struct adl_plan *plan, int value)
{
    for (int i = 0; i < ADL_LIMIT_KEPT; i++)
        if (plan->kept[i] == value)
            return ADL_OUTPUT_KEPT + i;
    return -1;
}

struct adl_plan *adl_plan_create(const struct adl_graph *graph, const float *const *params,
                                 const struct adl_plan_options *options, struct adl_error *err)
{
    struct adl_plan *plan = adl_calloc(1, sizeof *plan);
    if (!plan) {
        adl_fail_nomem(err, "the plan");
        return NULL;
    }
    atomic_init(&plan->references, 1);
    plan->params = params;
    plan->pool = options->pool;
    plan->release = options->release;
    plan->release_context = options->release_context;
    plan->quantisation = options->quantisation;
    plan->all_int8 = options->all_int8;
    int result = plan_begin(plan, graph, options, err);
    for (size_t i = 0; result == 0 && i < sizeof passes / sizeof *passes; i++)
        if (!(options->disabled & passes[i].flag))
            result = passes[i].run(plan, err);
    plan->params = NULL;
    plan->quantisation = NULL;
    if (result < 0) {
        adl_plan_unref(plan);
        return NULL;
    }
    return plan;
}

struct adl_plan *adl_plan_ref(struct adl_plan *plan)
{
    atomic_fetch_add_explicit(&plan->references, 1, memory_order_relaxed);
    return plan;
}

void adl_plan_unref(struct adl_plan *plan)
{
    if (!plan || atomic_fetch_sub_explicit(&plan->references, 1, memory_order_acq_rel) != 1)
        return;
    adl_free(plan->packed);
    adl_free(plan->classifier_copy);
    adl_arena_release(&plan->arena);
    adl_plan_unref(plan->base);
    adl_free(plan);
}

const struct adl_graph *adl_plan_graph(const struct adl_plan *plan)
{
    return plan->graph;
}

struct adl_shape adl_plan_input_shape(const struct adl_plan *plan)
{
    return plan->values[0].shape;
}

struct adl_shape adl_plan_output_shape(const struct adl_plan *plan, enum adl_output which)
{
    int value = plan->outputs[which];
    return value < 0 ? (struct adl_shape){0, 0, 0} : plan->values[value].shape;
}

const float *adl_plan_classifier(const struct adl_plan *plan)
{
    return plan->classifier;
}

size_t adl_plan_class_count(const struct adl_plan *plan)
{
    return plan->class_layer_count ? plan->classes : 0;
}

const char *adl_plan_isa_name(const struct adl_plan *plan)
{
    return plan->kernels->name;
}

size_t adl_plan_weight_bytes(const struct adl_plan *plan)
{
    return plan->packed_floats * sizeof(float);
}

size_t adl_plan_arena_bytes(const struct adl_plan *plan)
{
    return (plan->space_floats[PLAN_SPACE_ARENA] + plan->space_floats[PLAN_SPACE_SHARED] +
            plan->scratch_floats) *
           sizeof(float);
}

uint64_t adl_plan_macs(const struct adl_plan *plan)
{
    return plan->macs;
}

/* Returns the index in `steps` of the n-th step that has not been removed. */
static int plan_live_step(const struct adl_plan *plan, int n)
{
    int i = 0;
    for (;; i++)
        if (plan->steps[i].kind != PLAN_DEAD && n-- == 0)
            return i;
}

int adl_plan_step_count(const struct adl_plan *plan)
{
    int count = 0;
    for (int i = 0; i < plan->step_count; i++)
        count += plan->steps[i].kind != PLAN_DEAD;
    return count;
}

static const char *plan_kernel_name(const struct plan_step *step)
{
    switch (step->kind) {
    case PLAN_CONV: return step->int8 ? "int8" : step->first ? "separable" : step->algorithm->name;
    case PLAN_POINTWISE: return "pointwise";
    case PLAN_SIGMOID: return "sigmoid";
    case PLAN_LAYERNORM: return "layernorm";
    case PLAN_MAXPOOL: return "maxpool";
    case PLAN_AVGPOOL: return "avgpool";
    case PLAN_MEAN: return "mean";
    case PLAN_LINEAR: return "linear";
    case PLAN_CONCAT: return "concat";
    case PLAN_SUM: return "sum";
    case PLAN_AVGMAX: return "avgmax";
    case PLAN_CHANNELPOOL: return "channels";
    case PLAN_GATE: return "gate";
    case PLAN_UPSAMPLE: return "upsample";
    case PLAN_TO_BYTES: return "to bytes";
    case PLAN_TO_FLOATS: return "to floats";
    case PLAN_IDENTITY: return "identity";
    case PLAN_ELEMENTWISE:
    case PLAN_PLAIN: return step->node->def->name;
    case PLAN_DEAD: break;
    }
    return "dead";
}

void adl_plan_step_info(const struct adl_plan *plan, int step, struct adl_step_info *info)
{
    const struct plan_step *s = &plan->steps[plan_live_step(plan, step)];
    *info = (struct adl_step_info){
        .name = plan_value_name(plan, s->output),
        .kernel = plan_kernel_name(s),
        .out = plan->values[s->output].shape,
    };
    info->macs = plan_step_macs(plan, s);
    if (s->first)
        info->macs += plan_step_macs(plan, s->first);
}

void adl_plan_dump(const struct adl_plan *plan, struct adl_str *out)
{
    static const char *const spaces[] = {"input", "output", "arena"};
    static const char *const curves[] = {[ADL_CURVE_HARD_SIGMOID] = "hard_sigmoid",
                                         [ADL_CURVE_HARD_SWISH] = "hard_swish",
                                         [ADL_CURVE_SIGMOID] = "sigmoid",
                                         [ADL_CURVE_SILU] = "silu",
                                         [ADL_CURVE_GELU] = "gelu",
                                         [ADL_CURVE_GELU_TANH] = "gelu_tanh"};
    adl_str_printf(out, "%-28s %-10s %-10s %-15s %9s  %s\n", "step", "kernel", "what", "output",
                   "MMAC", "where, epilogue");
    for (int i = 0, n = adl_plan_step_count(plan); i < n; i++) {
        const struct plan_step *step = &plan->steps[plan_live_step(plan, i)];
        const struct plan_value *y = &plan->values[step->output];
        struct adl_step_info info;
        char what[32] = "", shape[32];
        adl_plan_step_info(plan, i, &info);
        if (step->node->def->describe)
            step->node->def->describe(step->node, what, sizeof what);
        snprintf(shape, sizeof shape, "%dx%dx%d", y->shape.h, y->shape.w, y->shape.c);
        adl_str_printf(out, "%-28s %-10s %-10s %-15s %9.2f  %s+%zu", info.name, info.kernel, what,
                       shape, (double)info.macs * 1e-6, spaces[y->space],
                       y->offset * sizeof(float) + y->first);
        if (y->bytes)
            adl_str_printf(out, " bytes %g (x - %d)", (double)y->range.scale, y->range.zero);
        if (y->slice_of >= 0)
            adl_str_printf(out, " (in %s)", plan_value_name(plan, y->slice_of));
        if (step->residual >= 0)
            adl_str_printf(out, " + %s", plan_value_name(plan, step->residual));
        if (step->vector >= 0)
            adl_str_printf(out, " * %s", plan_value_name(plan, step->vector));
        if (step->curve)
            adl_str_printf(out, " then %s", curves[step->curve]);
        if (!isinf(step->lo) || !isinf(step->hi))
            adl_str_printf(out, " clamp[%g, %g]", (double)step->lo, (double)step->hi);
        adl_str_puts(out, "\n");
    }
    adl_str_printf(
        out, "%s; weights %.1f MiB, working memory %.1f MiB for each image, %.3f GMAC an image\n",
        plan->kernels->name, (double)adl_plan_weight_bytes(plan) / 1048576,
        (double)adl_plan_arena_bytes(plan) / 1048576, (double)plan->macs * 1e-9);
}
