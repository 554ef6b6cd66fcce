/* Fuse: makes residual additions and activations the epilogue of the step that computes their
 * input, so that a map is written once instead of being read and written again. The epilogue
 * is always clamp(value + residual, lo, hi), so a step can have one residual and after it one
 * clamp. ReLU and ReLU6 are clamps to [0, inf] and [0, 6]. Of a convolution it may be followed by
 * an activation that is a curve (SiLU, hard-swish, GELU ...), where the instruction set has a
 * kernel for it; in a model in 8 bits these stay steps of their own, before which maps become
 * floats. */

#include <math.h>

#include "plan/ir.h"

static bool has_epilogue(const struct plan_step *step)
{
    return step->kind == PLAN_CONV || step->kind == PLAN_POINTWISE || step->kind == PLAN_LINEAR ||
           step->kind == PLAN_GATE;
}

static bool is_clamp_only(const struct plan_step *step)
{
    return step->kind == PLAN_POINTWISE && !step->scale && !step->bias && step->vector < 0 &&
           step->residual < 0;
}

/* Returns the step that computes `value`, if the value has a single reader; else NULL. */
static struct plan_step *sole_producer(struct adl_plan *plan, int value)
{
    int producer = plan_producer(plan, value);
    return producer >= 0 && plan_uses(plan, value) == 1 ? &plan->steps[producer] : NULL;
}

/* Fuses relu(f(x)): the clamp becomes part of f. */
static bool fuse_clamp(struct adl_plan *plan, struct plan_step *clamp)
{
    if (!is_clamp_only(clamp))
        return false;
    struct plan_step *before = sole_producer(plan, clamp->input);
    if (!before || !has_epilogue(before) || !isinf(before->lo) || !isinf(before->hi) ||
        before->curve)
        return false;
    before->lo = clamp->lo;
    before->hi = clamp->hi;
    before->output = clamp->output;
    clamp->kind = PLAN_DEAD;
    return true;
}

/* Fuses silu(conv(x)) and the like: the activation is applied where the convolution writes. */
static bool fuse_curve(struct adl_plan *plan, struct plan_step *step)
{
    if ((step->kind != PLAN_ELEMENTWISE && step->kind != PLAN_SIGMOID) || !plan->kernels->curve ||
        plan->quantisation)
        return false;
    enum adl_curve curve = adl_elementwise_curve(step->node->def);
    struct plan_step *before = sole_producer(plan, step->input);
    if (!curve || !before || before->kind != PLAN_CONV || before->curve)
        return false;
    before->curve = curve;
    if (step->kind == PLAN_ELEMENTWISE) {
        const struct adl_elementwise_attr *attr = step->node->attr;
        before->curve_a = attr->a;
        before->curve_b = attr->b;
    }
    before->output = step->output;
    step->kind = PLAN_DEAD;
    return true;
}

/* Fuses layernorm(x) scale + shift, and such a step after that. Its node becomes that of the layer
 * norm alone. */
static bool fuse_norm(struct adl_plan *plan, struct plan_step *step)
{
    if (step->kind != PLAN_POINTWISE || !step->scale || step->vector >= 0 || !plan_is_open(step))
        return false;
    struct plan_step *norm = sole_producer(plan, step->input);
    if (!norm || norm->kind != PLAN_LAYERNORM)
        return false;
    for (int c = 0; norm->scale && c < plan->values[step->output].shape.c; c++) {
        step->bias[c] += norm->bias[c] * step->scale[c];
        step->scale[c] *= norm->scale[c];
    }
    norm->scale = step->scale;
    norm->bias = step->bias;
    norm->output = step->output;
    step->kind = PLAN_DEAD;
    return true;
}

/* Returns whether the step is a + b, possibly with a clamp, and nothing else. */
static bool is_addition(const struct plan_step *step)
{
    return step->kind == PLAN_POINTWISE && step->residual >= 0 && !step->scale && !step->bias &&
           step->vector < 0;
}

/* Fuses conv(x) + y: the addition becomes part of the convolution, provided that y is
 * computed before the convolution runs. Likewise x * gate + y. */
static bool fuse_residual(struct adl_plan *plan, struct plan_step *add)
{
    if (!is_addition(add))
        return false;
    for (int side = 0; side < 2; side++) {
        int value = side ? add->residual : add->input;
        int other = side ? add->input : add->residual;
        struct plan_step *conv = sole_producer(plan, value);
        if (!conv || (conv->kind != PLAN_CONV && conv->kind != PLAN_GATE) || !plan_is_open(conv) ||
            value == other)
            continue;
        if (plan_producer(plan, other) > conv - plan->steps)
            continue;
        conv->residual = other;
        conv->lo = add->lo;
        conv->hi = add->hi;
        conv->output = add->output;
        add->kind = PLAN_DEAD;
        return true;
    }
    return false;
}

/* Fuses scale(x, v) + y: the scaling becomes part of the addition. */
static bool fuse_scaled_add(struct adl_plan *plan, struct plan_step *add)
{
    if (!is_addition(add))
        return false;
    for (int side = 0; side < 2; side++) {
        int value = side ? add->residual : add->input;
        int other = side ? add->input : add->residual;
        struct plan_step *scale = sole_producer(plan, value);
        if (!scale || scale->kind != PLAN_POINTWISE || !plan_is_open(scale))
            continue;
        add->input = scale->input;
        add->vector = scale->vector;
        add->scale = scale->scale;
        add->bias = scale->bias;
        add->residual = other;
        scale->kind = PLAN_DEAD;
        return true;
    }
    return false;
}

/* Each fusion may make another one possible, so the list is scanned until nothing
 * changes. */
int plan_fuse(struct adl_plan *plan, struct adl_error *err)
{
    (void)err;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < plan->step_count; i++) {
            struct plan_step *step = &plan->steps[i];
            changed |= fuse_residual(plan, step) || fuse_scaled_add(plan, step) ||
                       fuse_clamp(plan, step) || fuse_curve(plan, step) || fuse_norm(plan, step);
        }
    }
    return 0;
}
