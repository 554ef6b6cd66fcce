/* Strip: removes the ops that do nothing outside training, such as dropout and the layers
 * of ADL; readers of their output read their input instead. At test time a network with
 * ADL is therefore exactly the plain network. */

#include "plan/ir.h"

int plan_strip(struct adl_plan *plan, struct adl_error *err)
{
    (void)err;
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_IDENTITY)
            continue;
        step->kind = PLAN_DEAD;
        plan_replace_value(plan, step->output, step->input);
    }
    return 0;
}
