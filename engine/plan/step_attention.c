/* Runs the steps of attention networks: pooling over pixels and over channels, gates, and the
 * enlargement of maps. They are limited by memory and use the plain loops of their ops. */

#include "base/size.h"
#include "ops/plain_loops.h"
#include "plan/ir.h"

/* Floats of the map that a task reads or writes. */
#define TASK_FLOATS 16384
/* Channels of a task of a pool over pixels. */
#define TASK_CHANNELS ((size_t)128)

static size_t attention_pixels(struct adl_shape shape)
{
    return (size_t)shape.h * (size_t)shape.w;
}

/* Returns the pixels of a task that goes through a map of `channels` channels. */
static size_t attention_task_pixels(int channels)
{
    return ADL_MAX(TASK_FLOATS / (size_t)channels, 1);
}

size_t plan_attention_tasks(const struct adl_plan *plan, const struct plan_step *step)
{
    struct adl_shape in = plan->values[step->input].shape, out = plan->values[step->output].shape;
    switch (step->kind) {
    case PLAN_SUM:
    case PLAN_AVGMAX: return adl_ceil_div((size_t)out.c, TASK_CHANNELS);
    case PLAN_CHANNELPOOL: return adl_ceil_div(attention_pixels(in), attention_task_pixels(in.c));
    case PLAN_GATE: return adl_ceil_div(attention_pixels(out), attention_task_pixels(out.c));
    case PLAN_UPSAMPLE: return (size_t)out.h;
    default: return 0;
    }
}

/* The sum over the pixels, or their mean and their maximum, for some of the channels. */
static void attention_run_pool(const struct adl_plan *plan, const struct plan_step *step,
                               const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    size_t first = task * TASK_CHANNELS;
    size_t channels = ADL_MIN(TASK_CHANNELS, (size_t)x->shape.c - first);
    const float *from = plan_step_data(plan, bindings, step->input) + first;
    float *to = plan_step_data(plan, bindings, step->output) + first;
    if (step->kind == PLAN_SUM) {
        adl_sum_over_pixels(from, x->ld, attention_pixels(x->shape), channels, to);
        return;
    }
    plan->kernels->mean(from, x->ld, attention_pixels(x->shape), channels, to);
    adl_max_over_pixels(from, x->ld, attention_pixels(x->shape), channels, to + y->ld, NULL);
}

static void attention_run_channelpool(const struct adl_plan *plan, const struct plan_step *step,
                                      const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    size_t all = attention_task_pixels(x->shape.c), first = task * all;
    adl_pool_channels_of(plan_step_data(plan, bindings, step->input) + first * x->ld, x->ld,
                         ADL_MIN(all, attention_pixels(x->shape) - first), (size_t)x->shape.c,
                         plan_step_data(plan, bindings, step->output) + first * y->ld, y->ld, NULL);
}

static void attention_run_gate(const struct adl_plan *plan, const struct plan_step *step,
                               const struct plan_bindings *bindings, size_t task)
{
    const struct adl_gate_attr *attr = step->node->attr;
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    const struct plan_value *g = &plan->values[step->vector];
    size_t all = attention_task_pixels(y->shape.c), first = task * all;
    struct adl_gate_loop loop = {
        .x = plan_step_data(plan, bindings, step->input),
        .ldx = attention_pixels(x->shape) == 1 ? 0 : x->ld,
        .g = plan_step_data(plan, bindings, step->vector) + first * g->ld,
        .ldg = g->ld,
        .per_pixel = g->shape.c == 1,
        .plus_one = attr->plus_one,
        .out = plan_step_data(plan, bindings, step->output) + first * y->ld,
        .ldo = y->ld,
        .pixels = ADL_MIN(all, attention_pixels(y->shape) - first),
        .channels = (size_t)y->shape.c,
        .lo = step->lo,
        .hi = step->hi,
    };
    loop.x += first * loop.ldx;
    if (step->residual >= 0) {
        loop.ldr = plan->values[step->residual].ld;
        loop.residual = plan_step_data(plan, bindings, step->residual) + first * loop.ldr;
    }
    adl_gate_pixels(&loop);
}

static void attention_run_upsample(const struct adl_plan *plan, const struct plan_step *step,
                                   const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    adl_upsample_row(
        plan_step_data(plan, bindings, step->input), x->ld, x->shape, y->shape, (int)task,
        plan_step_data(plan, bindings, step->output) + task * (size_t)y->shape.w * y->ld, y->ld);
}

void plan_attention_run(const struct adl_plan *plan, const struct plan_step *step,
                        const struct plan_bindings *bindings, size_t task)
{
    switch (step->kind) {
    case PLAN_SUM:
    case PLAN_AVGMAX: attention_run_pool(plan, step, bindings, task); break;
    case PLAN_CHANNELPOOL: attention_run_channelpool(plan, step, bindings, task); break;
    case PLAN_GATE: attention_run_gate(plan, step, bindings, task); break;
    case PLAN_UPSAMPLE: attention_run_upsample(plan, step, bindings, task); break;
    default: break;
    }
}
