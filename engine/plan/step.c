/* Runs steps: turns values into pointers and calls the kernels. A step is divided into tasks
 * by its shape alone; the tasks of a step write disjoint memory and may run in any order and
 * on any thread. */

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/size.h"
#include "ops/pool_window.h"
#include "plan/ir.h"

/* Floats of a task of an element-by-element step, enough to outweigh the cost of handing it
 * to a thread. */
#define TASK_FLOATS 16384
/* Channels of a mean, or rows of a linear layer, of one task. */
#define TASK_CHANNELS 128

/* Returns the pixels of a task of an element-by-element step. */
static size_t step_task_pixels(struct adl_shape shape)
{
    return ADL_MAX(TASK_FLOATS / (size_t)shape.c, 1);
}

static size_t step_pixels(struct adl_shape shape)
{
    return (size_t)shape.h * (size_t)shape.w;
}

size_t plan_step_tasks(const struct adl_plan *plan, const struct plan_step *step)
{
    struct adl_shape out = plan->values[step->output].shape;
    if (plan_is_int8(step))
        return plan_int8_tasks(plan, step);
    switch (step->kind) {
    case PLAN_CONV:
        return step->first ? adl_separable_tasks(&step->first->conv)
                           : step->algorithm->tasks(step->algorithm, &step->conv, plan->kernels);
    case PLAN_MAXPOOL:
    case PLAN_AVGPOOL: return (size_t)out.h;
    case PLAN_MEAN:
    case PLAN_LINEAR: return adl_ceil_div((size_t)out.c, TASK_CHANNELS);
    case PLAN_IDENTITY:
    case PLAN_POINTWISE:
    case PLAN_SIGMOID:
    case PLAN_LAYERNORM:
    case PLAN_ELEMENTWISE: return adl_ceil_div(step_pixels(out), step_task_pixels(out));
    case PLAN_CONCAT:
    case PLAN_PLAIN: return 1;
    case PLAN_SUM:
    case PLAN_AVGMAX:
    case PLAN_CHANNELPOOL:
    case PLAN_GATE:
    case PLAN_UPSAMPLE: return plan_attention_tasks(plan, step);
    case PLAN_TO_BYTES:
    case PLAN_TO_FLOATS:
    case PLAN_DEAD: break;
    }
    return 0;
}

static void step_run_pointwise(const struct adl_plan *plan, const struct plan_step *step,
                               const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    size_t first = task * step_task_pixels(y->shape);
    struct adl_pointwise job = {
        .x = plan_step_data(plan, bindings, step->input) + first * x->ld,
        .ldx = x->ld,
        .scale = step->vector >= 0 ? plan_step_data(plan, bindings, step->vector) : step->scale,
        .shift = step->bias,
        .out = plan_step_data(plan, bindings, step->output) + first * y->ld,
        .ldo = y->ld,
        .pixels = ADL_MIN(step_task_pixels(y->shape), step_pixels(y->shape) - first),
        .channels = (size_t)y->shape.c,
        .lo = step->lo,
        .hi = step->hi,
    };
    if (step->residual >= 0) {
        job.ldr = plan->values[step->residual].ld;
        job.residual = plan_step_data(plan, bindings, step->residual) + first * job.ldr;
    }
    plan->kernels->pointwise(&job);
}

static void step_run_layernorm(const struct adl_plan *plan, const struct plan_step *step,
                               const struct plan_bindings *bindings, size_t task)
{
    const struct adl_layernorm_attr *attr = step->node->attr;
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    size_t pixels = step_task_pixels(y->shape), first = task * pixels;
    plan->kernels->layernorm(&(struct adl_layernorm_rows){
        .x = plan_step_data(plan, bindings, step->input) + first * x->ld,
        .ldx = x->ld,
        .scale = step->scale,
        .shift = step->bias,
        .out = plan_step_data(plan, bindings, step->output) + first * y->ld,
        .ldo = y->ld,
        .pixels = ADL_MIN(pixels, step_pixels(y->shape) - first),
        .channels = (size_t)y->shape.c,
        .eps = (float)attr->eps,
    });
}

static void step_run_sigmoid(const struct adl_plan *plan, const struct plan_step *step,
                             const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    size_t pixels = step_task_pixels(y->shape), first = task * pixels;
    size_t last = ADL_MIN(first + pixels, step_pixels(y->shape));
    for (size_t i = first; i < last; i++) {
        const float *from = plan_step_data(plan, bindings, step->input) + i * x->ld;
        float *to = plan_step_data(plan, bindings, step->output) + i * y->ld;
        if (plan->kernels->curve)
            plan->kernels->curve(ADL_CURVE_SIGMOID, 0, 0, from, to, (size_t)y->shape.c);
        else
            for (int c = 0; c < y->shape.c; c++)
                to[c] = 1 / (1 + expf(-from[c]));
    }
}

/* The maps may be slices of joined ones, so this goes pixel by pixel, or over all at once. */
static void step_run_elementwise(const struct adl_plan *plan, const struct plan_step *step,
                                 const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    size_t pixels = step_task_pixels(y->shape), first = task * pixels;
    size_t count = ADL_MIN(pixels, step_pixels(y->shape) - first), channels = (size_t)y->shape.c;
    const float *from = plan_step_data(plan, bindings, step->input) + first * x->ld;
    float *to = plan_step_data(plan, bindings, step->output) + first * y->ld;
    if (x->ld == channels && y->ld == channels)
        adl_elementwise_run(plan->kernels, step->node, from, to, count * channels);
    else
        for (size_t i = 0; i < count; i++)
            adl_elementwise_run(plan->kernels, step->node, from + i * x->ld, to + i * y->ld,
                                channels);
}

static void step_run_window(const struct adl_plan *plan, const struct plan_step *step,
                            const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    const float *rows[ADL_LIMIT_WINDOW];
    struct adl_pool_row row =
        adl_pool_row_at(step->node->attr, plan_step_data(plan, bindings, step->input), x->shape,
                        x->ld, (int)task, y->shape.w, rows);

    row.out = plan_step_data(plan, bindings, step->output) + task * (size_t)y->shape.w * y->ld;
    row.ldo = y->ld;
    if (step->kind == PLAN_MAXPOOL)
        plan->kernels->maxpool(&row);
    else
        plan->kernels->avgpool(&row);
}

/* A NaN compares false with both bounds and stays one. */
static float step_clamp(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* A linear layer on each pixel of a map. */
static void step_run_linear(const struct adl_plan *plan, const struct plan_step *step,
                            const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *input = &plan->values[step->input];
    const struct plan_value *output = &plan->values[step->output];
    size_t c = (size_t)input->shape.c, k = (size_t)output->shape.c;
    size_t first = task * TASK_CHANNELS, rows = ADL_MIN((size_t)TASK_CHANNELS, k - first);
    for (size_t pixel = 0; pixel < step_pixels(output->shape); pixel++) {
        float *y = plan_step_data(plan, bindings, step->output) + pixel * output->ld + first;
        plan->kernels->linear(step->packed + first * c,
                              plan_step_data(plan, bindings, step->input) + pixel * input->ld,
                              step->bias + first, rows, c, y);
        for (size_t i = 0; i < rows; i++)
            y[i] = step_clamp(y[i], step->lo, step->hi);
    }
}

static void step_run_mean(const struct adl_plan *plan, const struct plan_step *step,
                          const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *x = &plan->values[step->input];
    size_t first = task * TASK_CHANNELS;
    plan->kernels->mean(plan_step_data(plan, bindings, step->input) + first, x->ld,
                        step_pixels(x->shape),
                        ADL_MIN((size_t)TASK_CHANNELS, (size_t)x->shape.c - first),
                        plan_step_data(plan, bindings, step->output) + first);
}

/* Copies the inputs that could not become slices of the output (concat.c). */
static void step_run_concat(const struct adl_plan *plan, const struct plan_step *step,
                            const struct plan_bindings *bindings)
{
    const struct plan_value *y = &plan->values[step->output];
    float *to = plan_step_data(plan, bindings, step->output);
    for (int j = 0; j < step->node->input_count; j++) {
        const struct plan_value *x =
            &plan->values[step->pieces[j] >= 0 ? step->pieces[j] : step->node->inputs[j]];
        size_t channels = (size_t)x->shape.c;
        if (step->pieces[j] >= 0)
            for (size_t i = 0; i < step_pixels(y->shape); i++)
                memcpy(to + i * y->ld, plan_step_data(plan, bindings, step->pieces[j]) + i * x->ld,
                       channels * sizeof *to);
        to += channels;
    }
}

/* place.c makes sure that the maps are contiguous. */
static void step_run_plain(const struct adl_plan *plan, const struct plan_step *step,
                           const struct plan_bindings *bindings)
{
    const float *in[ADL_MAX_OP_INPUTS];
    struct adl_shape shapes[ADL_MAX_OP_INPUTS];
    for (int i = 0; i < step->node->input_count; i++) {
        in[i] = plan_step_data(plan, bindings, step->pieces[i]);
        shapes[i] = plan->values[step->pieces[i]].shape;
    }
    struct adl_op_call call = {.node = step->node,
                               .batch = 1,
                               .in = in,
                               .in_shape = shapes,
                               .out = plan_step_data(plan, bindings, step->output),
                               .out_shape = plan->values[step->output].shape,
                               .asked = &bindings->asked};
    step->node->def->forward(&call);
}

static void step_run_conv(const struct adl_plan *plan, const struct plan_step *step,
                          const struct plan_bindings *bindings, size_t task, float *scratch)
{
    const float *x = plan_step_data(plan, bindings, step->input);
    const float *residual =
        step->residual >= 0 ? plan_step_data(plan, bindings, step->residual) : NULL;
    float *out = plan_step_data(plan, bindings, step->output);
    if (step->first)
        adl_separable_run(&step->first->conv, &step->conv, step->algorithm, plan->kernels,
                          step->first->packed, step->packed, x, residual, out, task, scratch);
    else
        step->algorithm->run(step->algorithm, &step->conv, plan->kernels, step->packed,
                             step->prepare_tasks ? bindings->base[PLAN_SPACE_SHARED] : x, residual,
                             out, task, scratch);
}

size_t plan_step_finish_tasks(const struct adl_plan *plan, const struct plan_step *step)
{
    struct adl_shape out = plan->values[step->output].shape;
    bool left = step->kind == PLAN_CONV && step->curve && !step->algorithm->activates;
    return left ? adl_ceil_div(step_pixels(out), step_task_pixels(out)) : 0;
}

void plan_step_finish(const struct adl_plan *plan, const struct plan_step *step,
                      const struct plan_bindings *bindings, size_t task)
{
    const struct plan_value *y = &plan->values[step->output];
    size_t pixels = step_task_pixels(y->shape), first = task * pixels;
    adl_conv_activate(&step->conv, plan->kernels,
                      plan_step_data(plan, bindings, step->output) + first * y->ld, y->ld,
                      ADL_MIN(pixels, step_pixels(y->shape) - first), (size_t)y->shape.c);
}

void plan_step_prepare(const struct adl_plan *plan, const struct plan_step *step,
                       const struct plan_bindings *bindings, size_t task, float *scratch)
{
    step->algorithm->prepare(step->algorithm, &step->conv, plan->kernels,
                             plan_step_data(plan, bindings, step->input),
                             bindings->base[PLAN_SPACE_SHARED], task, scratch);
}

void plan_step_run(const struct adl_plan *plan, const struct plan_step *step,
                   const struct plan_bindings *bindings, size_t task, float *scratch)
{
    if (plan_is_int8(step)) {
        plan_int8_run(plan, step, bindings, task, scratch);
        return;
    }
    switch (step->kind) {
    case PLAN_CONV: step_run_conv(plan, step, bindings, task, scratch); break;
    case PLAN_IDENTITY:
    case PLAN_POINTWISE: step_run_pointwise(plan, step, bindings, task); break;
    case PLAN_SIGMOID: step_run_sigmoid(plan, step, bindings, task); break;
    case PLAN_LAYERNORM: step_run_layernorm(plan, step, bindings, task); break;
    case PLAN_ELEMENTWISE: step_run_elementwise(plan, step, bindings, task); break;
    case PLAN_MAXPOOL:
    case PLAN_AVGPOOL: step_run_window(plan, step, bindings, task); break;
    case PLAN_MEAN: step_run_mean(plan, step, bindings, task); break;
    case PLAN_LINEAR: step_run_linear(plan, step, bindings, task); break;
    case PLAN_CONCAT: step_run_concat(plan, step, bindings); break;
    case PLAN_SUM:
    case PLAN_AVGMAX:
    case PLAN_CHANNELPOOL:
    case PLAN_GATE:
    case PLAN_UPSAMPLE: plan_attention_run(plan, step, bindings, task); break;
    case PLAN_PLAIN: step_run_plain(plan, step, bindings); break;
    case PLAN_TO_BYTES:
    case PLAN_TO_FLOATS:
    case PLAN_DEAD: break;
    }
}
