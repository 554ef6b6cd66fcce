/* Pair: merges a depthwise convolution and a 1x1 convolution, if nothing else reads the
 * depthwise output, into one step (conv_separable.c), which multiplies a few rows of the
 * depthwise output while they are in the cache, so that the map between the two is never
 * written. This pays off only if that map is too large for a core's cache. With a smaller
 * map, two steps are faster, because each of them divides its work among the threads in its
 * own way. Where the processor multiplies bfloat16 and the plan may, the product alone gains more
 * (conv_dot.c). */

#include "kernels/bf16.h"
#include "ops/conv/conv_geometry.h"
#include "plan/ir.h"

/* Floats of the largest map that stays in a core's own cache, roughly (1 MiB). */
#define CACHE_FLOATS (256 * 1024)

static bool is_depthwise(const struct adl_plan *plan, const struct plan_step *step)
{
    int channels = plan->values[step->output].shape.c;
    return step->kind == PLAN_CONV && !step->int8 && !step->first &&
           plan_conv_attr(step)->groups == channels &&
           plan->values[step->input].shape.c == channels && step->residual < 0;
}

static bool is_pointwise(const struct plan_step *step)
{
    const struct adl_conv_attr *attr = plan_conv_attr(step);
    return step->kind == PLAN_CONV && !step->int8 && attr->r == 1 && attr->s == 1 &&
           attr->stride == 1 && attr->groups == 1;
}

/* Returns whether both can be one step. That the depthwise kernel has few rows is one of the
 * conditions: with more, an algorithm of another kind computes it by itself. */
static bool is_supported(const struct adl_plan *plan, const struct plan_step *first,
                         const struct plan_step *step)
{
    const struct plan_value *values = plan->values;
    const struct adl_conv depthwise = adl_conv_describe(
        plan_conv_attr(first), values[first->input].shape, values[first->output].shape);
    const struct adl_conv pointwise = adl_conv_describe(
        plan_conv_attr(step), values[step->input].shape, values[step->output].shape);
    return adl_separable_supports(&depthwise, &pointwise, plan->kernels);
}

int plan_pair(struct adl_plan *plan, struct adl_error *err)
{
    (void)err;
    bool dot = plan->precision == ADL_PRECISION_BF16 && plan->kernels->bf16->dot;
    if (!plan->kernels->gemm || dot)
        return 0;
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_CONV || !is_pointwise(step))
            continue;
        int value = step->input, producer = plan_producer(plan, value);
        if (producer < 0 || plan_uses(plan, value) != 1)
            continue;
        struct plan_step *first = &plan->steps[producer];
        struct adl_shape shape = plan->values[value].shape;
        if (!is_depthwise(plan, first) || adl_shape_count(shape) < CACHE_FLOATS ||
            !is_supported(plan, first, step))
            continue;
        step->first = first;
        step->input = first->input;
        first->kind = PLAN_DEAD;
    }
    return 0;
}
