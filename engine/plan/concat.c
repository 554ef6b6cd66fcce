/* Concat: the steps of the branches write straight into slices of the joined
 * map; only what cannot (an output of the plan, the input, a value that is
 * already a slice) is still copied. */

#include "plan/ir.h"

int plan_concat(struct adl_plan *plan, struct adl_error *err)
{
    (void)err;
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_CONCAT)
            continue;
        int channel = 0, copies = 0;
        for (int j = 0; j < step->node->input_count; j++) {
            int id = step->pieces[j];
            struct plan_value *value = &plan->values[id];
            bool free =
                value->slice_of < 0 && !plan_is_output(plan, id) && plan_producer(plan, id) >= 0;
            if (free) {
                value->slice_of = step->output;
                value->channel = channel;
                step->pieces[j] = -1;
            }
            copies += !free;
            channel += value->shape.c;
        }
        if (!copies)
            step->kind = PLAN_DEAD;
    }
    return 0;
}
