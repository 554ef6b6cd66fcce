/* Concat: makes the inputs of a concatenation slices of its output, so that the steps of the
 * branches write directly into the concatenated map. An input that is an output of the plan,
 * the network's input, or already a slice of another value cannot become a slice and is still
 * copied; a step without copies is removed. */

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
            bool movable =
                value->slice_of < 0 && !plan_is_output(plan, id) && plan_producer(plan, id) >= 0;
            if (movable) {
                value->slice_of = step->output;
                value->channel = channel;
                step->pieces[j] = -1;
            }
            copies += !movable;
            channel += value->shape.c;
        }
        if (!copies)
            step->kind = PLAN_DEAD;
    }
    return 0;
}
