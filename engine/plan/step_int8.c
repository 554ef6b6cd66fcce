/* Runs the steps of a plan that are in 8 bits, and the conversions from and to floats; quantise.c
 * chooses them. */

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/size.h"
#include "plan/ir.h"

/* Values of a task of a conversion. */
#define TASK_VALUES 16384

static size_t int8_pixels(struct adl_shape shape)
{
    return (size_t)shape.h * (size_t)shape.w;
}

static size_t int8_task_pixels(struct adl_shape shape)
{
    return ADL_MAX(TASK_VALUES / (size_t)shape.c, 1);
}

uint8_t *plan_step_bytes(const struct adl_plan *plan, const struct plan_bindings *bindings,
                         int value)
{
    const struct plan_value *v = &plan->values[value];
    return (uint8_t *)(bindings->base[v->space] + v->offset) + v->first;
}

void plan_int8_describe(const struct adl_plan *plan, const struct plan_step *step,
                        struct adl_conv_int8 *job)
{
    const struct plan_value *out = &plan->values[step->output];

    *job = (struct adl_conv_int8){
        .conv = step->conv,
        .in = plan->values[step->input].range,
        .out = out->range,
        .has_residual = step->residual >= 0,
        .to_floats = !out->bytes,
    };
    if (step->residual >= 0)
        job->residual = plan->values[step->residual].range;
}

static void int8_run_conv(const struct adl_plan *plan, const struct plan_step *step,
                          const struct plan_bindings *bindings, size_t task, float *scratch)
{
    struct adl_conv_int8 job;
    void *out = plan->values[step->output].bytes
                    ? (void *)plan_step_bytes(plan, bindings, step->output)
                    : (void *)plan_step_data(plan, bindings, step->output);

    plan_int8_describe(plan, step, &job);
    adl_conv_int8_run(&job, plan->kernels->int8, step->packed,
                      plan_step_bytes(plan, bindings, step->input),
                      step->residual >= 0 ? plan_step_bytes(plan, bindings, step->residual) : NULL,
                      out, task, scratch);
}

static void int8_run_pool(const struct adl_plan *plan, const struct plan_step *step,
                          const struct plan_bindings *bindings, size_t task, uint8_t *pad)
{
    const struct adl_pool_attr *attr = step->node->attr;
    const struct plan_value *x = &plan->values[step->input], *y = &plan->values[step->output];
    const uint8_t *from = plan_step_bytes(plan, bindings, step->input), *rows[ADL_LIMIT_WINDOW];
    size_t steps[ADL_LIMIT_WINDOW];
    int top = (int)task * attr->stride - attr->pad;
    bool average = step->kind == PLAN_AVGPOOL;
    double scale = (double)x->range.scale / (double)y->range.scale;

    memset(pad, average ? x->range.zero : 0, (size_t)x->shape.c);
    for (int r = 0; r < attr->size; r++) {
        bool inside = top + r >= 0 && top + r < x->shape.h;
        rows[r] = inside ? from + (size_t)(top + r) * (size_t)x->shape.w * x->ld : pad;
        steps[r] = inside ? x->ld : 0;
    }
    struct adl_int8_pool job = {
        .rows = rows,
        .steps = steps,
        .pad = pad,
        .size = attr->size,
        .stride = attr->stride,
        .pad_left = attr->pad,
        .w = x->shape.w,
        .q = y->shape.w,
        .channels = (size_t)x->shape.c,
        .scale = (float)(average ? scale / (attr->size * attr->size) : scale),
        .shift = (float)(y->range.zero - scale * x->range.zero),
        .out = plan_step_bytes(plan, bindings, step->output) + task * (size_t)y->shape.w * y->ld,
        .ldo = y->ld,
    };
    (average ? plan->kernels->int8->avgpool : plan->kernels->int8->maxpool)(&job);
}

/* Copies the inputs that could not become slices of the output, which have its range. */
static void int8_run_concat(const struct adl_plan *plan, const struct plan_step *step,
                            const struct plan_bindings *bindings)
{
    const struct plan_value *y = &plan->values[step->output];
    uint8_t *to = plan_step_bytes(plan, bindings, step->output);

    for (int j = 0; j < step->node->input_count; j++) {
        const struct plan_value *x =
            &plan->values[step->pieces[j] >= 0 ? step->pieces[j] : step->node->inputs[j]];
        size_t channels = (size_t)x->shape.c;
        for (size_t i = 0; step->pieces[j] >= 0 && i < int8_pixels(y->shape); i++)
            memcpy(to + i * y->ld, plan_step_bytes(plan, bindings, step->pieces[j]) + i * x->ld,
                   channels);
        to += channels;
    }
}

static void int8_run_conversion(const struct adl_plan *plan, const struct plan_step *step,
                                const struct plan_bindings *bindings, size_t task)
{
    bool to_bytes = step->kind == PLAN_TO_BYTES;
    int bytes = to_bytes ? step->output : step->input,
        floats = to_bytes ? step->input : step->output;
    const struct plan_value *b = &plan->values[bytes], *f = &plan->values[floats];
    size_t first = task * int8_task_pixels(b->shape);
    struct adl_int8_convert job = {
        .bytes = plan_step_bytes(plan, bindings, bytes) + first * b->ld,
        .floats = plan_step_data(plan, bindings, floats) + first * f->ld,
        .ld_bytes = b->ld,
        .ld_floats = f->ld,
        .pixels = ADL_MIN(int8_task_pixels(b->shape), int8_pixels(b->shape) - first),
        .channels = (size_t)b->shape.c,
        .factor = to_bytes ? 1 / b->range.scale : b->range.scale,
        .zero = (float)b->range.zero,
    };
    (to_bytes ? plan->kernels->int8->to_bytes : plan->kernels->int8->to_floats)(&job);
}

size_t plan_int8_tasks(const struct adl_plan *plan, const struct plan_step *step)
{
    struct adl_shape out = plan->values[step->output].shape;

    switch (step->kind) {
    case PLAN_CONV: return adl_conv_int8_tasks(&step->conv, plan->kernels->int8);
    case PLAN_MAXPOOL:
    case PLAN_AVGPOOL: return (size_t)out.h;
    case PLAN_CONCAT: return 1;
    default: return adl_ceil_div(int8_pixels(out), int8_task_pixels(out));
    }
}

size_t plan_int8_scratch_floats(const struct adl_plan *plan, const struct plan_step *step)
{
    if (step->kind == PLAN_CONV)
        return adl_conv_int8_scratch_floats(&step->conv, plan->kernels->int8);
    if (step->kind == PLAN_MAXPOOL || step->kind == PLAN_AVGPOOL)
        return adl_ceil_div((size_t)plan->values[step->input].shape.c, sizeof(float));
    return 0;
}

void plan_int8_run(const struct adl_plan *plan, const struct plan_step *step,
                   const struct plan_bindings *bindings, size_t task, float *scratch)
{
    switch (step->kind) {
    case PLAN_CONV: int8_run_conv(plan, step, bindings, task, scratch); break;
    case PLAN_MAXPOOL:
    case PLAN_AVGPOOL: int8_run_pool(plan, step, bindings, task, (uint8_t *)scratch); break;
    case PLAN_CONCAT: int8_run_concat(plan, step, bindings); break;
    default: int8_run_conversion(plan, step, bindings, task); break;
    }
}
