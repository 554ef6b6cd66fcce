/* Queries about the list of steps, shared by the passes. Lists have at most a few hundred
 * steps and plans are created rarely, so every query is a plain scan, and there is no
 * index that a pass would have to keep up to date. */

#include "plan/ir.h"

#include <math.h>

void plan_for_inputs(const struct plan_step *step, void (*visit)(void *context, int value),
                     void *context)
{
    if (step->kind == PLAN_DEAD)
        return;
    if (step->pieces) {
        for (int i = 0; i < step->node->input_count; i++)
            if (step->pieces[i] >= 0)
                visit(context, step->pieces[i]);
        return;
    }
    visit(context, step->input);
    if (step->residual >= 0)
        visit(context, step->residual);
    if (step->vector >= 0)
        visit(context, step->vector);
}

int plan_producer(const struct adl_plan *plan, int value)
{
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kind != PLAN_DEAD && plan->steps[i].output == value)
            return i;
    return -1;
}

struct count {
    int value;
    int uses;
};

static void count_use(void *context, int value)
{
    struct count *count = context;
    count->uses += value == count->value;
}

bool plan_is_output(const struct adl_plan *plan, int value)
{
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        if (plan->outputs[i] == value)
            return true;
    return false;
}

int plan_uses(const struct adl_plan *plan, int value)
{
    struct count count = {value, plan_is_output(plan, value)};
    for (int i = 0; i < plan->step_count; i++)
        plan_for_inputs(&plan->steps[i], count_use, &count);
    return count.uses;
}

void plan_replace_value(struct adl_plan *plan, int from, int to)
{
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->pieces)
            for (int j = 0; j < step->node->input_count; j++)
                step->pieces[j] = step->pieces[j] == from ? to : step->pieces[j];
        step->input = step->input == from ? to : step->input;
        step->residual = step->residual == from ? to : step->residual;
        step->vector = step->vector == from ? to : step->vector;
    }
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        plan->outputs[i] = plan->outputs[i] == from ? to : plan->outputs[i];
}

const char *plan_value_name(const struct adl_plan *plan, int value)
{
    return adl_graph_value(plan->graph, plan->values[value].of)->name;
}

uint64_t plan_step_macs(const struct adl_plan *plan, const struct plan_step *step)
{
    const struct adl_node *node = step->node;
    int values = plan->end_values;
    const struct plan_value *half = plan->values + (step->output >= values ? values : 0);
    struct adl_shape in[ADL_MAX_OP_INPUTS];
    if (step->kind == PLAN_TO_BYTES || step->kind == PLAN_TO_FLOATS)
        return 0;
    for (int i = 0; i < node->input_count; i++)
        in[i] = half[node->inputs[i]].shape;
    return node->def->macs ? node->def->macs(node, in, half[node->output].shape) : 0;
}

void plan_count_macs(struct adl_plan *plan, const struct adl_shape *shapes)
{
    plan->macs = adl_graph_macs(plan->graph, shapes);
    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].for_classes)
            plan->macs -= adl_node_macs(plan->steps[i].node, shapes);
}

bool plan_is_open(const struct plan_step *step)
{
    return step->residual < 0 && isinf(step->lo) && isinf(step->hi) &&
           step->curve == ADL_CURVE_NONE;
}

float *plan_step_data(const struct adl_plan *plan, const struct plan_bindings *bindings, int value)
{
    const struct plan_value *v = &plan->values[value];
    return bindings->base[v->space] + v->offset;
}

const struct adl_conv_attr *plan_conv_attr(const struct plan_step *step)
{
    return step->linear ? step->linear : step->node->attr;
}
