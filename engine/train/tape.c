/* Runs training steps in the memory that tape_layout.c has laid out.
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

#include "train/tape.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernels/blas.h"
#include "train/tape_layout.h"
#include "train/tape_run.h"

static float *value_at(const struct adl_tape *tape, int value, enum tape_phase phase)
{
    return tape->block + tape->values[tape->values[value].root].offset[phase];
}

static float *grad_at(const struct adl_tape *tape, int value)
{
    return tape->block + tape->values[tape->values[value].root].grad;
}

/* A step in progress. */
struct step {
    struct adl_tape *tape;
    float *const *params;
    const struct adl_train_mode *mode;
    struct adl_train_mode serving; /* the mode of networks that are not trained */
};

static struct step make_step(struct adl_tape *tape, float *const *params,
                             const struct adl_train_mode *mode)
{
    struct step step = {tape, params, mode, *mode};
    step.serving.frozen_batchnorm = true;
    step.serving.dropout = false;
    return step;
}

/* Returns whether a node takes part in the step: folded nodes do not, and without the method
 * neither do the branches that only training has, nor networks that are not trained. */
static bool takes_part(const struct step *step, int index)
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
static struct adl_train_call make_call(const struct step *step, int index,
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

/* --- creating and freeing ---------------------------------------------------------------- */

static struct adl_tape *create(const struct adl_graph *graph, int part, int input_h, int input_w,
                               int max_batch, enum adl_tape_memory memory, bool input_grad,
                               struct adl_pool *pool, struct adl_error *err)
{
    if (max_batch < 1 || max_batch > ADL_LIMIT_BATCH) {
        adl_fail(err, ADL_ERR_ARG, "a batch is 1 to %d images, not %d", ADL_LIMIT_BATCH, max_batch);
        return NULL;
    }
    struct adl_tape *tape = adl_calloc(1, sizeof *tape);
    if (!tape) {
        adl_fail_nomem(err, "the training step");
        return NULL;
    }
    tape->graph = graph;
    tape->part = adl_graph_part_count(graph) ? part : 0;
    tape->pool = pool;
    tape->input_grad = input_grad;
    tape->keep_all = memory == ADL_TAPE_KEPT;
    tape->bf16 = memory == ADL_TAPE_BF16;
    tape->max_batch = max_batch;
    if (adl_blas_reserve(adl_pool_threads(pool), err) < 0 ||
        tape_lay_out(tape, input_h, input_w, err) < 0) {
        adl_tape_free(tape);
        return NULL;
    }
    return tape;
}

struct adl_tape *adl_tape_create(const struct adl_graph *graph, int input_h, int input_w,
                                 int max_batch, enum adl_tape_memory memory, struct adl_pool *pool,
                                 struct adl_error *err)
{
    return adl_tape_create_part(graph, 1, input_h, input_w, max_batch, memory, pool, err);
}

struct adl_tape *adl_tape_create_part(const struct adl_graph *graph, int part, int input_h,
                                      int input_w, int max_batch, enum adl_tape_memory memory,
                                      struct adl_pool *pool, struct adl_error *err)
{
    return create(graph, part, input_h, input_w, max_batch, memory, false, pool, err);
}

struct adl_tape *adl_tape_create_for_input(const struct adl_graph *graph, int input_h, int input_w,
                                           int max_batch, struct adl_pool *pool,
                                           struct adl_error *err)
{
    return create(graph, 1, input_h, input_w, max_batch, ADL_TAPE_SHARED, true, pool, err);
}

void adl_tape_free(struct adl_tape *tape)
{
    if (!tape)
        return;
    adl_free(tape->block);
    adl_free(tape->nodes);
    adl_free(tape->values);
    adl_free(tape);
}

/* --- a step -------------------------------------------------------------------------- */

float *adl_tape_input(struct adl_tape *tape)
{
    return value_at(tape, 0, TAPE_FORWARD);
}

void adl_tape_forward(struct adl_tape *tape, int batch, float *const *params,
                      const struct adl_train_mode *mode)
{
    struct step step = make_step(tape, params, mode);
    tape->batch = batch;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        struct tape_call_arrays arrays;
        if (takes_part(&step, i)) {
            struct adl_train_call call = make_call(&step, i, &arrays);
            tape_run(tape, i, TAPE_RUN_FORWARD, &call, &arrays);
        }
        tape_run_narrow(tape, i);
    }
}

const float *adl_tape_logits(const struct adl_tape *tape)
{
    return value_at(tape, tape_logits(tape), TAPE_FORWARD);
}

float *adl_tape_logits_grad(struct adl_tape *tape)
{
    return grad_at(tape, tape_logits(tape));
}

const float *adl_tape_tap(const struct adl_tape *tape, int tap)
{
    return value_at(tape, adl_graph_tap(tape->graph, tap), TAPE_FORWARD);
}

float *adl_tape_tap_grad(struct adl_tape *tape, int tap)
{
    return grad_at(tape, adl_graph_tap(tape->graph, tap));
}

const float *adl_tape_input_grad(const struct adl_tape *tape)
{
    return grad_at(tape, 0);
}

/* Recomputes a value that was discarded after the forward pass, and before it the values that
 * it is computed from. */
static void recompute(void *context, int root)
{
    const struct step *step = context;
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

void adl_tape_backward(struct adl_tape *tape, float *const *params,
                       const struct adl_train_mode *mode, float *const *grads)
{
    struct step step = make_step(tape, params, mode);
    for (int i = 0; i < adl_graph_value_count(tape->graph); i++) {
        tape->values[i].has_grad = i == tape_logits(tape);
        tape->values[i].recomputed = false;
    }
    for (int i = 0; mode->method_layers && i < adl_graph_tap_count(tape->graph); i++)
        tape->values[adl_graph_tap(tape->graph, i)].has_grad = true;
    for (int i = adl_graph_node_count(tape->graph) - 1; i >= 0; i--) {
        struct tape_call_arrays arrays;
        struct adl_train_call call = make_call(&step, i, &arrays);
        if (!tape->values[call.node->output].has_grad)
            continue;
        for (int j = 0; j < call.node->input_count; j++) {
            int input = call.node->inputs[j];
            bool passes = tape_passes(tape, i, j);
            arrays.grad_in[j] = passes ? grad_at(tape, input) : NULL;
            arrays.add_in[j] = tape->values[input].has_grad;
            tape->values[input].has_grad |= passes;
        }
        if (tape->nodes[i].folded)
            continue; /* its input and output share one gradient */
        tape_for_read(tape, i, recompute, &step);
        for (int j = 0; j < call.node->param_count; j++)
            arrays.grad_params[j] =
                call.node->params[j] < 0 || call.node->copy ? NULL : grads[call.node->params[j]];
        tape_run(tape, i, TAPE_RUN_BACKWARD, &call, &arrays);
    }
}

const float *adl_tape_value(const struct adl_tape *tape, int value)
{
    return value_at(tape, value, TAPE_FORWARD);
}

const float *adl_tape_grad(const struct adl_tape *tape, int value)
{
    return grad_at(tape, value);
}

const float *adl_tape_saved(const struct adl_tape *tape, int node)
{
    return tape->block + tape->nodes[node].saved;
}

const struct adl_graph *adl_tape_graph(const struct adl_tape *tape)
{
    return tape->graph;
}

int adl_tape_batch(const struct adl_tape *tape)
{
    return tape->batch;
}

struct adl_shape adl_tape_shape(const struct adl_tape *tape, int value)
{
    return tape->values[value].shape;
}

size_t adl_tape_bytes(const struct adl_tape *tape)
{
    return tape->floats * sizeof *tape->block;
}
