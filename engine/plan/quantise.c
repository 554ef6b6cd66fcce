/* Quantise: chooses which steps run in 8 bits, and inserts the conversions between bytes and
 * floats as steps of their own. Without ranges and scales it does nothing.
 *
 * The choice has the least estimated time of all that are possible: each convolution takes its time
 * in 8 bits or that of its fastest algorithm in float32, such as Winograd's, which often wins for
 * 3x3 kernels; and each map that is written as one and read as the other takes a conversion, once
 * for all its readers. That is a minimum cut (cut.h). So 8 bits are chosen nowhere if they are
 * slower on the processor, and no convolution for which the conversions take more than it saves.
 * Float32 stay the convolution that reads the network's input, since pixels have three channels and
 * little is gained; what computes the class scores and class maps from the features; and the
 * outputs of the plan. Pooling and joining run in 8 bits only where their inputs are bytes.
 *
 * Maps that are joined have one range, that of the joined map, since the steps before write
 * directly into it. Maximum pooling keeps the range of its input, unless its output is joined. */

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/conv_cost.h"
#include "kernels/conv_int8.h"
#include "ops/conv/conv_geometry.h"
#include "plan/cut.h"
#include "plan/ir.h"

/* Cost of converting one value, in the unit of conv_cost.h, including the memory traffic. */
#define CONVERSION 8

static bool quantise_known(const struct adl_plan *plan, int value)
{
    return plan->quantisation->ranges[value].scale > 0;
}

/* The following return whether a step may run in 8 bits; `int8` of the steps before says whether
 * they may. */

static struct adl_conv quantise_shape(const struct adl_plan *plan, const struct plan_step *step)
{
    return adl_conv_describe(plan_conv_attr(step), plan->values[step->input].shape,
                             plan->values[step->output].shape);
}

static bool quantise_conv(const struct adl_plan *plan, const struct plan_step *step)
{
    const struct adl_conv conv = quantise_shape(plan, step);

    if (step->node->def != &adl_op_conv || !plan->quantisation->scales[step->node->params[0]] ||
        step->input == 0 || step->input == plan->outputs[ADL_OUTPUT_FEATURES] ||
        step->node->params[0] == adl_graph_classifier(plan->graph) ||
        !adl_conv_int8_supports(&conv, step->residual >= 0))
        return false;
    return quantise_known(plan, step->input) && quantise_known(plan, step->output) &&
           (step->residual < 0 || (step->residual > 0 && quantise_known(plan, step->residual)));
}

static bool quantise_made_in_bytes(const struct adl_plan *plan, int value)
{
    int producer = plan_producer(plan, value);
    return producer >= 0 && plan->steps[producer].int8;
}

static bool quantise_concat(const struct adl_plan *plan, const struct plan_step *step)
{
    bool all = !plan_is_output(plan, step->output) && quantise_known(plan, step->output);
    for (int i = 0; all && i < step->node->input_count; i++)
        all = quantise_made_in_bytes(plan, step->pieces[i]) &&
              !plan_is_output(plan, step->pieces[i]) && plan->values[step->pieces[i]].slice_of < 0;
    /* For the moment, slice_of marks the maps whose range is that of a joined map. */
    for (int i = 0; all && i < step->node->input_count; i++)
        plan->values[step->pieces[i]].slice_of = step->output;
    return all;
}

static void quantise_allow(struct adl_plan *plan)
{
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        if (step->kind == PLAN_CONV)
            step->int8 = quantise_conv(plan, step);
        else if (step->kind == PLAN_CONCAT)
            step->int8 = quantise_concat(plan, step);
        else if (step->kind == PLAN_MAXPOOL || step->kind == PLAN_AVGPOOL)
            step->int8 = quantise_made_in_bytes(plan, step->input) &&
                         !plan_is_output(plan, step->output) && quantise_known(plan, step->output);
    }
}

/* --- choosing ---------------------------------------------------------------------------- */

/* The things that are divided, side `true` being 8 bits: the steps; and for each value two that
 * stand for its readers, to be at `bytes` if any reads bytes, and at `floats` only if none reads
 * floats. */
struct division {
    struct adl_plan *plan;
    struct plan_cut *cut;
    int step; /* whose inputs are visited */
    int pairs;
};

static int quantise_bytes(const struct division *d, int value)
{
    return d->plan->step_count + 2 * value;
}

static int quantise_floats(const struct division *d, int value)
{
    return quantise_bytes(d, value) + 1;
}

static void quantise_count(void *context, int value)
{
    struct division *d = context;
    (void)value;
    d->pairs += 3;
}

static void quantise_join_reader(void *context, int value)
{
    struct division *d = context;
    const struct plan_step *step = &d->plan->steps[d->step];
    int producer = plan_producer(d->plan, value);

    plan_cut_add_pair(d->cut, d->step, quantise_bytes(d, value), ADL_CUT_NEVER);
    plan_cut_add_pair(d->cut, quantise_floats(d, value), d->step, ADL_CUT_NEVER);
    if (step->kind != PLAN_CONV && producer >= 0)
        plan_cut_add_pair(d->cut, d->step, producer, ADL_CUT_NEVER);
}

/* Adds the times of a step, in the unit of conv_cost.h. */
static void quantise_add_step(const struct division *d, int index)
{
    const struct adl_plan *plan = d->plan;
    const struct plan_step *step = &plan->steps[index];
    struct adl_shape out = plan->values[step->output].shape;
    double floats = (double)adl_shape_count(out), bytes = 0; /* of pooling and joining */

    if (step->kind == PLAN_CONV) {
        const struct adl_conv conv = quantise_shape(plan, step);
        const struct adl_conv_algorithm *a = plan_conv_choice(&conv, plan->kernels, 0);
        floats = a->cost(a, &conv, plan->kernels);
        /* Its cost is 0 where nothing is compared with it. */
        if (a == &adl_conv_depthwise)
            floats = adl_cost_depthwise(&conv);
        if (step->int8)
            bytes = adl_conv_int8_cost(&conv, plan->kernels->int8);
    }
    if (!step->int8)
        plan_cut_add(d->cut, index, 0, ADL_CUT_NEVER);
    else if (plan->all_int8)
        plan_cut_add(d->cut, index, 1, 0);
    else
        plan_cut_add(d->cut, index, (int64_t)floats, (int64_t)bytes);
}

/* Adds the conversions of a step's output. An output of the plan is floats in any case, which bytes
 * may be made of. */
static void quantise_add_output(const struct division *d, int index)
{
    const struct adl_plan *plan = d->plan;
    int value = plan->steps[index].output;
    int64_t cost =
        plan->all_int8 ? 0 : CONVERSION * (int64_t)adl_shape_count(plan->values[value].shape);

    if (plan_is_output(plan, value)) {
        plan_cut_add(d->cut, quantise_bytes(d, value), 0, cost);
        return;
    }
    plan_cut_add_pair(d->cut, quantise_bytes(d, value), index, cost);
    /* A convolution on bytes writes floats itself, if it has no other reader: four times the
     * memory, and no step. */
    if (plan->steps[index].kind == PLAN_CONV && plan_uses(plan, value) == 1)
        cost /= 4;
    plan_cut_add_pair(d->cut, index, quantise_floats(d, value), cost);
}

/* Leaves those of the allowed steps in 8 bits that the least time takes. */
static int quantise_choose(struct adl_plan *plan, struct adl_error *err)
{
    struct division d = {.plan = plan, .pairs = 2 * plan->step_count};

    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kind != PLAN_DEAD)
            plan_for_inputs(&plan->steps[i], quantise_count, &d);
    d.cut = plan_cut_create(plan->step_count + 2 * plan->value_count, d.pairs, err);
    if (!d.cut)
        return -1;
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].kind == PLAN_DEAD)
            continue;
        d.step = i;
        quantise_add_step(&d, i);
        quantise_add_output(&d, i);
        plan_for_inputs(&plan->steps[i], quantise_join_reader, &d);
    }
    plan_cut_run(d.cut);
    for (int i = 0; i < plan->step_count; i++) {
        struct plan_step *step = &plan->steps[i];
        bool joined = step->int8 && step->kind == PLAN_CONCAT;
        step->int8 = plan_cut_side(d.cut, i);
        for (int k = 0; joined && !step->int8 && k < step->node->input_count; k++)
            plan->values[step->pieces[k]].slice_of = -1;
    }
    plan_cut_free(d.cut);
    return 0;
}

/* --- ranges and types ---------------------------------------------------------------------- */

/* Sets the ranges of all values, and unmarks the joined ones. A joined map may itself be part of
 * another, which comes later in the list. */
static void quantise_ranges(struct adl_plan *plan)
{
    for (int v = 0; v < plan->value_count; v++)
        plan->values[v].range = plan->quantisation->ranges[v];
    for (int i = plan->step_count - 1; i >= 0; i--) {
        const struct plan_step *step = &plan->steps[i];
        for (int k = 0; step->kind == PLAN_CONCAT && step->int8 && k < step->node->input_count; k++)
            plan->values[step->pieces[k]].range = plan->values[step->output].range;
    }
    for (int i = 0; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->kind == PLAN_MAXPOOL && step->int8 && plan->values[step->output].slice_of < 0)
            plan->values[step->output].range = plan->values[step->input].range;
    }
    for (int v = 0; v < plan->value_count; v++)
        plan->values[v].slice_of = -1;
}

struct readers {
    const struct adl_plan *plan;
    bool int8;       /* of the step that reads */
    bool *wanted[2]; /* by value id: read as floats, as bytes */
};

static void quantise_read(void *context, int value)
{
    struct readers *r = context;
    r->wanted[r->int8][value] = true;
}

/* Marks how the values are read, and makes those bytes that are written and read so. Returns the
 * number of conversions. */
static int quantise_types(struct adl_plan *plan, struct readers *r)
{
    int count = 0;

    for (int i = 0; i < plan->step_count; i++) {
        r->int8 = plan->steps[i].int8;
        plan_for_inputs(&plan->steps[i], quantise_read, r);
    }
    for (int i = 0; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        struct plan_value *out = &plan->values[step->output];
        if (step->kind == PLAN_DEAD)
            continue;
        out->bytes = step->int8 && !plan_is_output(plan, step->output) &&
                     (r->wanted[1][step->output] || step->kind != PLAN_CONV);
        count += r->wanted[!out->bytes][step->output];
    }
    return count;
}

/* Returns the value that a step reads in place of `value`. */
static int quantise_source(const struct adl_plan *plan, const int *converted, int value, bool bytes)
{
    return value >= 0 && plan->values[value].bytes != bytes ? converted[value] : value;
}

static struct plan_step quantise_conversion(const struct adl_plan *plan,
                                            const struct plan_step *after, int output)
{
    return (struct plan_step){
        .kind = plan->values[after->output].bytes ? PLAN_TO_FLOATS : PLAN_TO_BYTES,
        .node = after->node,
        .node_index = after->node_index,
        .input = after->output,
        .residual = -1,
        .vector = -1,
        .output = output,
        .lo = -INFINITY,
        .hi = INFINITY,
    };
}

/* Makes the new list: each conversion follows the step whose output it converts. */
static int quantise_insert(struct adl_plan *plan, const struct readers *r, int count,
                           int *converted, struct adl_error *err)
{
    size_t all_steps = (size_t)(plan->step_count + count),
           all_values = (size_t)(plan->value_count + count);
    struct plan_step *steps = adl_arena_alloc(&plan->arena, all_steps, sizeof *steps), *to = steps;
    struct plan_value *values = adl_arena_alloc(&plan->arena, all_values, sizeof *values);
    int next = plan->value_count;

    if (!steps || !values)
        return adl_fail_nomem(err, "the plan");
    memcpy(values, plan->values, (size_t)plan->value_count * sizeof *values);
    for (int i = 0; i < plan->step_count; i++) {
        *to = plan->steps[i];
        if (to->kind == PLAN_DEAD) {
            to++;
            continue;
        }
        int v = to->output;
        bool bytes = values[v].bytes;
        to->input = quantise_source(plan, converted, to->input, to->int8);
        to->residual = quantise_source(plan, converted, to->residual, to->int8);
        to->vector = quantise_source(plan, converted, to->vector, to->int8);
        for (int k = 0; to->pieces && k < to->node->input_count; k++)
            to->pieces[k] = quantise_source(plan, converted, to->pieces[k], to->int8);
        if (r->wanted[!bytes][v]) {
            converted[v] = next;
            values[next] = values[v];
            values[next].bytes = !bytes;
            to[1] = quantise_conversion(plan, to, next++);
            to++;
        }
        to++;
    }
    plan->steps = steps;
    plan->values = values;
    plan->step_count = (int)(to - steps);
    plan->value_count = plan->end_values = next;
    return 0;
}

int plan_quantise(struct adl_plan *plan, struct adl_error *err)
{
    size_t values = (size_t)plan->value_count;
    int result = -1;

    if (!plan->quantisation || plan->precision != ADL_PRECISION_INT8)
        return 0;
    bool *wanted = adl_calloc(2 * values, sizeof *wanted);
    int *converted = adl_calloc(values, sizeof *converted);
    struct readers r = {.plan = plan, .wanted = {wanted, wanted + values}};
    if (!wanted || !converted) {
        adl_fail_nomem(err, "the plan");
        goto out;
    }
    quantise_allow(plan);
    ADL_TRY(quantise_choose(plan, err));
    quantise_ranges(plan);
    int count = quantise_types(plan, &r);
    result = quantise_insert(plan, &r, count, converted, err);
out:
    adl_free(wanted);
    adl_free(converted);
    return result;
}
