/* Concat: makes the inputs of a concatenation slices of its output, so that the steps of the
 * branches write directly into the concatenated map. An input that is an output of the plan,
 * the network's input, or already a slice of another value cannot become a slice and is still
 * copied; a step without copies is removed.
 *
 * A joined map may be joined again, as in DenseNet, where each layer adds its map to all that are
 * there: the last joined map is looked at first, so that an earlier one becomes a slice of it, and
 * what is joined to the earlier one a slice of that. In 8 bits an earlier joined map is copied,
 * because it has a range of its own. */

#include "plan/ir.h"

struct concat_reader {
    int value;
    bool found;
};

static void concat_visit(void *context, int value)
{
    struct concat_reader *reader = context;
    reader->found |= value == reader->value;
}

/* Returns whether a step that runs the plain definition of its op makes or reads a value: such a
 * step knows nothing of slices. */
static bool concat_is_plain(const struct adl_plan *plan, int value)
{
    struct concat_reader reader = {value, false};
    for (int i = 0; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_PLAIN)
            continue;
        reader.found |= step->output == value;
        plan_for_inputs(step, concat_visit, &reader);
    }
    return reader.found;
}

static bool concat_may_move(const struct adl_plan *plan, int value)
{
    int producer = plan_producer(plan, value);
    return producer >= 0 && !concat_is_plain(plan, value) &&
           !(plan->values[value].bytes && plan->steps[producer].kind == PLAN_CONCAT);
}

int plan_concat(struct adl_plan *plan, struct adl_error *err)
{
    (void)err;
    for (int i = plan->step_count - 1; i >= 0; i--) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind != PLAN_CONCAT)
            continue;
        int channel = 0, copies = 0;
        for (int j = 0; j < step->node->input_count; j++) {
            int id = step->pieces[j];
            struct plan_value *value = &plan->values[id];
            bool movable =
                value->slice_of < 0 && !plan_is_output(plan, id) && concat_may_move(plan, id);
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
