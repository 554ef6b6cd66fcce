/* Tail: adds a second end to a plan, so that one run gives the scores of the network as it was
 * trained and a map of more positions.
 *
 * `graph` is the network with other strides near its end. Up to the first node whose map differs,
 * both networks compute the same; these steps run once. The steps that the features and the class
 * map of the second network need from there on are appended as copies: value v of the second
 * network has the id V + v if the plan has V values, and v itself where both agree. The
 * copies use the packed weights of the steps that they were copied from.
 *
 * The features, the class map and everything that is derived from them are then those of the second
 * network, and the logits those of the first. */

#include <string.h>

#include "base/mem.h"
#include "plan/ir.h"

struct tail {
    struct adl_plan *plan;
    const struct adl_graph *graph; /* of the second end */
    const struct adl_shape *shapes;
    int values, steps; /* of the plan without the second end */
    bool *differs;     /* by value id: it has another map at the second end */
    bool *needed;      /* by value id: the second end's outputs need it */
    bool *copied;      /* by step: it is needed at the second end */
};

/* Marks the values whose maps differ: those of another shape, and those computed from one. */
static void tail_compare(struct tail *t)
{
    for (int v = 0; v < t->values; v++) {
        struct adl_shape a = t->plan->values[v].shape, b = t->shapes[t->plan->values[v].of];
        t->differs[v] = a.h != b.h || a.w != b.w;
    }
    for (int i = 0; i < adl_graph_node_count(t->graph); i++) {
        const struct adl_node *node = adl_graph_node(t->graph, i);
        for (int k = 0; k < node->input_count; k++)
            t->differs[node->output] |= t->differs[node->inputs[k]];
    }
    for (int v = 0; v < t->values; v++)
        t->differs[v] |= t->differs[t->plan->values[v].of];
}

static void tail_need(void *context, int value)
{
    struct tail *t = context;
    t->needed[value] = true;
}

/* Marks the steps that compute differing values which the map needs. */
static int tail_choose(struct tail *t, struct adl_error *err)
{
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        if (i != ADL_OUTPUT_LOGITS && t->plan->outputs[i] >= 0)
            t->needed[t->plan->outputs[i]] = true;
    for (int i = t->steps - 1; i >= 0; i--) {
        const struct plan_step *step = &t->plan->steps[i];
        int output = step->output, root = t->plan->values[output].slice_of;
        bool needed = t->needed[output];
        for (int whole = root; whole >= 0; whole = t->plan->values[whole].slice_of)
            needed |= t->needed[whole];
        if (step->kind == PLAN_DEAD || !t->differs[output] || !needed)
            continue;
        if (root >= 0 && !t->differs[root])
            return adl_fail(err, ADL_ERR_INTERNAL, "a second end begins inside of a joined map");
        t->copied[i] = true;
        if (step->first)
            t->copied[step->first - t->plan->steps] = true;
        plan_for_inputs(step, tail_need, t);
    }
    return 0;
}

static int tail_value(const struct tail *t, int value)
{
    return value >= 0 && t->differs[value] ? t->values + value : value;
}

/* Appends the copies. A depthwise convolution that is done in the step after it comes before that
 * step, so its copy is found by its position among the copies. */
static int tail_append(struct tail *t, struct adl_error *err)
{
    struct adl_plan *plan = t->plan;
    int *place = adl_malloc((size_t)t->steps, sizeof *place); /* of each copy */
    int result = -1;

    if (!place)
        return adl_fail_nomem(err, "the plan");
    for (int i = 0; i < t->steps; i++) {
        const struct plan_step *from = &plan->steps[i];
        if (!t->copied[i])
            continue;
        place[i] = plan->step_count;
        struct plan_step *to = &plan->steps[plan->step_count++];
        *to = *from;
        to->node = adl_graph_node(t->graph, from->node_index);
        to->input = tail_value(t, from->input);
        to->residual = tail_value(t, from->residual);
        to->vector = tail_value(t, from->vector);
        to->output = tail_value(t, from->output);
        if (from->first)
            to->first = &plan->steps[place[from->first - plan->steps]];
        if (from->pieces) {
            size_t count = (size_t)from->node->input_count;
            to->pieces = adl_arena_alloc(&plan->arena, count, sizeof *to->pieces);
            if (!to->pieces) {
                adl_fail_nomem(err, "the plan");
                goto out;
            }
            for (size_t k = 0; k < count; k++)
                to->pieces[k] = tail_value(t, from->pieces[k]);
        }
        if (to->kind != PLAN_TO_BYTES && to->kind != PLAN_TO_FLOATS)
            plan->macs += adl_node_macs(to->node, t->shapes);
    }
    result = 0;
out:
    adl_free(place);
    return result;
}

static void tail_finish(struct tail *t)
{
    struct adl_plan *plan = t->plan;
    for (int v = 0; v < t->values; v++) {
        const struct plan_value *from = &plan->values[v];
        plan->values[t->values + v] = (struct plan_value){.shape = t->shapes[from->of],
                                                          .slice_of = tail_value(t, from->slice_of),
                                                          .channel = from->channel,
                                                          .of = from->of,
                                                          .bytes = from->bytes,
                                                          .range = from->range};
    }
    plan->value_count = 2 * t->values;
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        if (i != ADL_OUTPUT_LOGITS)
            plan->outputs[i] = tail_value(t, plan->outputs[i]);
}

int plan_add_tail(struct adl_plan *plan, const struct adl_graph *graph,
                  const struct adl_shape *shapes, struct adl_error *err)
{
    size_t values = (size_t)plan->value_count, steps = (size_t)plan->step_count;
    bool *marks = adl_calloc(2 * values + steps, sizeof *marks);
    int result = -1;

    if (!marks)
        return adl_fail_nomem(err, "the plan");
    struct tail t = {.plan = plan,
                     .graph = graph,
                     .shapes = shapes,
                     .values = plan->value_count,
                     .steps = plan->step_count,
                     .differs = marks,
                     .needed = marks + values,
                     .copied = marks + 2 * values};
    tail_compare(&t);
    ADL_TRY(tail_choose(&t, err));
    ADL_TRY(tail_append(&t, err));
    tail_finish(&t);
    result = 0;
out:
    adl_free(marks);
    return result;
}
