/* Runs the passes of a training step node by node.
 *
 * In the forward pass, the nodes run in the order of the graph. In the backward pass, they
 * run in reverse, and each adds to the gradients of its inputs; the first to reach a value
 * writes its gradient instead (has_grad), so gradients are never cleared. Before a node runs
 * backward, the values that it reads and that were discarded after the forward pass are
 * recomputed. A node whose output received no gradient does not run: the loss does not depend
 * on it, or only through inputs that are detached. Nodes that are folded into the one before them
 * run in neither direction. A node that is a copy passes gradients to its inputs only.
 *
 * Of a graph of several whole networks, one is trained. Those before it serve it, with the batch
 * norm and without the dropout of inference. */

#include "train/tape_step.h"

#include "train/tape_layout.h"
#include "train/tape_run.h"

static void begin(struct tape_step *step, struct adl_tape *tape, float *const *params,
                  const struct adl_train_mode *mode)
{
    *step = (struct tape_step){.tape = tape, .params = params, .mode = mode, .serving = *mode};
    step->serving.frozen_batchnorm = true;
    step->serving.dropout = false;
}

void tape_step_forward(struct tape_step *step, struct adl_tape *tape, int batch,
                       float *const *params, const struct adl_train_mode *mode)
{
    tape->batch = batch;
    begin(step, tape, params, mode);
}

void tape_step_backward(struct tape_step *step, struct adl_tape *tape, float *const *params,
                        const struct adl_train_mode *mode, float *const *grads)
{
    begin(step, tape, params, mode);
    step->grads = grads;
    for (int i = 0; i < adl_graph_value_count(tape->graph); i++) {
        tape->values[i].has_grad = i == tape_logits(tape);
        tape->values[i].recomputed = false;
    }
    for (int i = 0; mode->method_layers && i < adl_graph_tap_count(tape->graph); i++)
        tape->values[adl_graph_tap(tape->graph, i)].has_grad = true;
}

/* Returns whether a node takes part in the step: folded nodes do not, and without the method
 * neither do the branches that only training has, nor networks that are not trained. */
static bool takes_part(const struct tape_step *step, int index)
{
    const struct adl_tape *tape = step->tape;
    if (tape->nodes[index].folded || !tape_runs(tape, index))
        return false;
    if (step->mode->method_layers)
        return true;
    return tape->part ? tape_trains(tape, index)
                      : !adl_graph_node(tape->graph, index)->training_only;
}

/* Returns the call of a node with its parameters and saved floats; tape_run() adds the maps. */
static struct adl_train_call make_call(const struct tape_step *step, int index,
                                       struct tape_call_arrays *arrays)
{
    const struct adl_tape *tape = step->tape;
    struct adl_train_call call = tape_shapes(tape, index, tape->batch, arrays);
    for (int i = 0; i < call.node->input_count; i++)
        arrays->grad_in[i] = NULL;
    for (int i = 0; i < call.node->param_count; i++)
        arrays->params[i] = call.node->params[i] < 0 ? NULL : step->params[call.node->params[i]];
    call.mode = tape_trains(tape, index) ? step->mode : &step->serving;
    call.saved = tape->block + tape->nodes[index].saved;
    return call;
}

bool tape_step_enter(struct tape_step *step, int node)
{
    if (!takes_part(step, node))
        return false;
    step->call = make_call(step, node, &step->arrays);
    return true;
}

bool tape_step_return(struct tape_step *step, int node)
{
    struct adl_tape *tape = step->tape;
    struct tape_call_arrays *arrays = &step->arrays;

    if (!tape->values[adl_graph_node(tape->graph, node)->output].has_grad)
        return false;
    step->call = make_call(step, node, arrays);
    const struct adl_node *n = step->call.node;
    for (int j = 0; j < n->input_count; j++) {
        struct tape_value *root = &tape->values[tape->values[n->inputs[j]].root];
        bool passes = tape_passes(tape, node, j);
        arrays->grad_in[j] = passes ? tape->block + root->grad : NULL;
        arrays->add_in[j] = tape->values[n->inputs[j]].has_grad;
        tape->values[n->inputs[j]].has_grad |= passes;
    }
    if (tape->nodes[node].folded)
        return false; /* its input and output share one gradient */
    for (int j = 0; j < n->param_count; j++)
        arrays->grad_params[j] = n->params[j] < 0 || n->copy ? NULL : step->grads[n->params[j]];
    return true;
}

/* Recomputes a value that was discarded after the forward pass, and before it the values that
 * it is computed from. */
static void recompute(void *context, int root)
{
    const struct tape_step *step = context;
    struct adl_tape *tape = step->tape;
    struct tape_value *value = &tape->values[root];
    struct tape_call_arrays arrays;
    if (!value->recompute || value->recomputed)
        return;
    value->recomputed = true;
    int producer = adl_graph_value(tape->graph, root)->node;
    struct adl_train_call call = make_call(step, producer, &arrays);
    for (int j = 0; j < call.node->input_count; j++)
        recompute(context, tape->values[call.node->inputs[j]].root);
    tape_run(tape, producer, TAPE_RUN_RECOMPUTE, &call, &arrays);
}

void tape_step_recompute(struct tape_step *step, int node)
{
    tape_for_read(step->tape, node, recompute, step);
}
