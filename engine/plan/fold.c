/* Fold: makes a batch norm part of the convolution or linear layer before it, if nothing else reads
 * that layer's output. With running statistics a batch norm is y = x scale + shift per
 * channel (lower.c). If x is a convolution with weights w and bias b, then y is a convolution
 * with weights w scale and bias b scale + shift. The bias is computed here, in double; the
 * weights are scaled while they are packed. */

#include "plan/ir.h"

int plan_fold(struct adl_plan *plan, struct adl_error *err)
{
    (void)err;
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *norm = &plan->steps[i];
        if (norm->kind != PLAN_POINTWISE || !norm->scale || norm->vector >= 0)
            continue;
        int producer = plan_producer(plan, norm->input);
        if (producer < 0 || plan_uses(plan, norm->input) != 1)
            continue;
        struct plan_step *conv = &plan->steps[producer];
        if ((conv->kind != PLAN_CONV && conv->kind != PLAN_LINEAR) || conv->scale ||
            !plan_is_open(conv))
            continue;
        int channels = plan->values[norm->output].shape.c;
        for (int c = 0; c < channels; c++)
            norm->bias[c] =
                (float)((double)conv->bias[c] * (double)norm->scale[c] + (double)norm->bias[c]);
        conv->scale = norm->scale;
        conv->bias = norm->bias;
        conv->output = norm->output;
        norm->kind = PLAN_DEAD;
    }
    return 0;
}
