/* Makes a plan for another input size, or for other strides, from an existing one, without the
 * network's weights, which are gone once they are packed.
 *
 * How weights are packed depends on the algorithm and on the channels and the kernel of a
 * convolution; where it also depends on the sides of the map, the algorithm is told those that the
 * weights were packed for (`packed_p` in kernels/conv.h). Therefore a plan for another size can use
 * the packed weights of the first if each convolution keeps its algorithm. The passes before
 * `place` change the list of steps by the shape of the graph alone, except for `pair`, whose result
 * is right for any size. So the new plan begins with a copy of the list, infers the shapes of the
 * values anew, and runs the rest: place, and the part of select that does not pack.
 *
 * The algorithms are those that are fastest at the first plan's size. At another size others might
 * be a little faster; in return the weights are in memory once, and a new size takes only
 * milliseconds. */

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "plan/ir.h"
#include "plan/plan.h"

/* Returns whether the nodes of both graphs compute the same ops from the same values and
 * parameters; their attributes may differ. */
static bool resize_same_nodes(const struct adl_graph *a, const struct adl_graph *b)
{
    if (adl_graph_node_count(a) != adl_graph_node_count(b) ||
        adl_graph_value_count(a) != adl_graph_value_count(b) ||
        adl_graph_param_count(a) != adl_graph_param_count(b))
        return false;
    for (int i = 0; i < adl_graph_node_count(a); i++) {
        const struct adl_node *x = adl_graph_node(a, i), *y = adl_graph_node(b, i);
        if (x->def != y->def || x->output != y->output || x->input_count != y->input_count ||
            memcmp(x->inputs, y->inputs, (size_t)x->input_count * sizeof *x->inputs) != 0 ||
            memcmp(x->params, y->params, sizeof x->params) != 0)
            return false;
    }
    return true;
}

/* Returns the shapes of all values at this input size; the caller frees them. */
static struct adl_shape *resize_shapes(const struct adl_graph *graph, int input_h, int input_w,
                                       struct adl_error *err)
{
    struct adl_shape *shapes = adl_malloc((size_t)adl_graph_value_count(graph), sizeof *shapes);

    if (!shapes)
        adl_fail_nomem(err, "the plan");
    else if (adl_graph_infer(graph, input_h, input_w, shapes, err) < 0) {
        adl_free(shapes);
        shapes = NULL;
    }
    return shapes;
}

/* Copies the steps; the arrays per channel stay in the arena of `base`. */
static void resize_steps(struct adl_plan *plan, const struct adl_plan *base)
{
    for (int i = 0; i < base->step_count; i++) {
        const struct plan_step *from = &base->steps[i];
        struct plan_step *to = &plan->steps[i];
        *to = *from;
        to->node = adl_graph_node(plan->graph, from->node_index);
        to->prepare_tasks = to->tasks = to->finish_tasks = 0;
        if (from->first)
            to->first = &plan->steps[from->first - base->steps];
    }
}

static void resize_values(struct adl_plan *plan, const struct adl_plan *base,
                          const struct adl_shape *shapes)
{
    for (int i = 0; i < base->value_count; i++)
        plan->values[i] = (struct plan_value){.shape = shapes[base->values[i].of],
                                              .slice_of = base->values[i].slice_of,
                                              .channel = base->values[i].channel,
                                              .of = base->values[i].of,
                                              .bytes = base->values[i].bytes,
                                              .range = base->values[i].range};
}

/* `map_graph`: the network of the second end, or NULL. */
static int resize_make(struct adl_plan *plan, const struct adl_plan *base,
                       const struct adl_graph *map_graph, int input_h, int input_w,
                       struct adl_error *err)
{
    size_t ends = map_graph ? 2 : 1;
    struct adl_shape *shapes = resize_shapes(plan->graph, input_h, input_w, err);
    struct adl_shape *of_map = map_graph ? resize_shapes(map_graph, input_h, input_w, err) : NULL;
    int result = -1;

    if (!shapes || (map_graph && !of_map))
        goto out;
    plan->values =
        adl_arena_alloc(&plan->arena, ends * (size_t)base->value_count, sizeof *plan->values);
    plan->steps =
        adl_arena_alloc(&plan->arena, ends * (size_t)base->step_count, sizeof *plan->steps);
    if (!plan->values || !plan->steps) {
        adl_fail_nomem(err, "the plan");
        goto out;
    }
    plan->value_count = plan->end_values = base->value_count;
    plan->step_count = base->step_count;
    resize_values(plan, base, shapes);
    resize_steps(plan, base);
    plan_count_macs(plan, shapes);
    if (map_graph)
        ADL_TRY(plan_add_tail(plan, map_graph, of_map, err));
    ADL_TRY(plan_place(plan, err));
    result = plan_select_again(plan, err);
out:
    adl_free(shapes);
    adl_free(of_map);
    return result;
}

/* Makes a plan for `graph`, with a second end for `map_graph` if that is not NULL. */
static struct adl_plan *resize(struct adl_plan *base, const struct adl_graph *graph,
                               const struct adl_graph *map_graph, int input_h, int input_w,
                               struct adl_error *err)
{
    if (base->value_count != base->end_values || !resize_same_nodes(graph, base->graph) ||
        (map_graph && !resize_same_nodes(map_graph, base->graph))) {
        adl_fail(err, ADL_ERR_INTERNAL, "a plan cannot be used for a network of another structure");
        return NULL;
    }
    struct adl_plan *plan = adl_calloc(1, sizeof *plan);
    if (!plan) {
        adl_fail_nomem(err, "the plan");
        return NULL;
    }
    atomic_init(&plan->references, 1);
    plan->base = adl_plan_ref(base);
    plan->graph = graph;
    plan->kernels = base->kernels;
    plan->isa = base->isa;
    plan->precision = base->precision;
    plan->disabled = base->disabled;
    plan->conv_rank = base->conv_rank;
    plan->classifier = base->classifier;
    memcpy(plan->outputs, base->outputs, sizeof plan->outputs);
    memcpy(plan->kept, base->kept, sizeof plan->kept);
    memcpy(plan->class_layers, base->class_layers, sizeof plan->class_layers);
    plan->class_layer_count = base->class_layer_count;
    plan->classes = base->classes;
    if (resize_make(plan, base, map_graph, input_h, input_w, err) < 0) {
        adl_plan_unref(plan);
        return NULL;
    }
    return plan;
}

struct adl_plan *adl_plan_resize(struct adl_plan *base, const struct adl_graph *graph, int input_h,
                                 int input_w, struct adl_error *err)
{
    return resize(base, graph, NULL, input_h, input_w, err);
}

struct adl_plan *adl_plan_with_map(struct adl_plan *base, const struct adl_graph *map_graph,
                                   int input_h, int input_w, struct adl_error *err)
{
    return resize(base, base->graph, map_graph, input_h, input_w, err);
}
