/* Classes: where the classifier has several layers, makes the class map of a class when it is asked
 * for, in place of those of all classes in every run.
 *
 * Such a network's graph computes its class map from the features f layer by layer: at each pixel
 * it is J f, with J = J_n ... J_1 the derivatives of the layers at the pooled vector. That costs as
 * much as the classifier itself at each pixel of the map, for a thousand classes of which one is
 * looked at. The map of class k is the sum of the features weighted by row k of J, as with one
 * linear layer. This pass takes the steps of the class map out of the plan; what J depends on,
 * such as the slopes of an activation, stays an output, and a row is computed from them where it
 * is asked for (class_weights.c).
 *
 * The derivatives that there are: of a linear layer, its weights, which are those of the layer's
 * own step; of weights for each channel, these; of an activation, its slopes; of a layer norm, a
 * matrix that is symmetric (ops/channels.c). If a step is anything else, or has other readers, the
 * plan stays as it is. */

#include <string.h>

#include "base/limits.h"
#include "kernels/zeros.h"
#include "plan/ir.h"

/* Returns whether a linear layer that computes one pixel has these weights, which will be packed as
 * they are. */
static bool classes_is_kept(const struct adl_plan *plan, int param)
{
    int found = -1;

    for (int i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kind == PLAN_LINEAR && plan->steps[i].node->params[0] == param)
            found = i;
    for (int i = 0; found >= 0 && i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->kind == PLAN_POINTWISE && step->scale && step->vector < 0 &&
            step->input == plan->steps[found].output)
            return false; /* fold would multiply the weights */
    }
    return found >= 0;
}

/* Describes a step as a layer; returns the value of the map that it reads, or -1. */
static int classes_describe(const struct adl_plan *plan, const struct plan_step *step,
                            struct plan_class_layer *layer)
{
    size_t channels = (size_t)plan->values[step->output].shape.c;
    int input = step->input;

    *layer = (struct plan_class_layer){.param = -1, .vector = -1};
    switch (step->kind) {
    case PLAN_CONV:
        if (!step->linear || !classes_is_kept(plan, step->node->params[0]) ||
            !adl_zeros_only(step->bias, channels))
            return -1;
        layer->param = step->node->params[0];
        break;
    case PLAN_POINTWISE:
        if (!plan_is_open(step) || (step->bias && !adl_zeros_only(step->bias, channels)))
            return -1;
        layer->vector = step->vector;
        layer->factors = step->vector < 0 ? step->scale : NULL;
        if (step->vector < 0 && !step->scale)
            return -1;
        break;
    case PLAN_PLAIN:
        if (step->node->def != &adl_op_layernorm_slope)
            return -1;
        input = step->pieces[0];
        layer->vector = step->pieces[1];
        layer->norm = step->node->attr;
        break;
    default: return -1;
    }
    layer->channels = (size_t)plan->values[input].shape.c;
    return layer->channels <= ADL_LIMIT_CLASS_CHANNELS ? input : -1;
}

/* Lists the layers between the features and the class map, the last one first, and their steps;
 * returns their number, 0 if there is anything else between them. */
static int classes_find(const struct adl_plan *plan, struct plan_class_layer *layers, int *steps)
{
    int value = plan->outputs[ADL_OUTPUT_CLASS_MAP], features = plan->outputs[ADL_OUTPUT_FEATURES];
    int count = 0;

    while (value != features) {
        int producer = plan_producer(plan, value);
        if (producer < 0 || count == ADL_LIMIT_CLASS_LAYERS || plan_uses(plan, value) != 1)
            return 0;
        steps[count] = producer;
        value = classes_describe(plan, &plan->steps[producer], &layers[count++]);
        if (value < 0)
            return 0;
    }
    return count;
}

int plan_classes(struct adl_plan *plan, struct adl_error *err)
{
    struct plan_class_layer layers[ADL_LIMIT_CLASS_LAYERS];
    int steps[ADL_LIMIT_CLASS_LAYERS], vectors = 0;
    (void)err;

    if (plan->outputs[ADL_OUTPUT_CLASS_MAP] < 0 ||
        adl_graph_classifier(plan->graph) >=
            0) /* the class map is one convolution of the features */
        return 0;
    int count = classes_find(plan, layers, steps);
    for (int i = 0; i < count; i++) {
        if (layers[i].vector >= 0) {
            layers[i].output = ADL_OUTPUT_SLOPES + vectors++;
            plan->outputs[layers[i].output] = layers[i].vector;
        }
        plan->macs -= plan_step_macs(plan, &plan->steps[steps[i]]);
        plan->steps[steps[i]].kind = PLAN_DEAD;
        plan->steps[steps[i]].for_classes = true;
    }
    if (count > 0) {
        memcpy(plan->class_layers, layers, sizeof layers);
        plan->class_layer_count = count;
        plan->classes = (size_t)plan->values[plan->outputs[ADL_OUTPUT_CLASS_MAP]].shape.c;
        plan->outputs[ADL_OUTPUT_CLASS_MAP] = -1;
    }
    return 0;
}
