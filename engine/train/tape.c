/* Tapes: creates them in the memory that tape_layout.c lays out, and runs steps of them node by
 * node, in the order of the graph and back (tape_step.c).
 */

#include "train/tape.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kernels/blas.h"
#include "train/tape_layout.h"
#include "train/tape_run.h"
#include "train/tape_step.h"

static float *value_at(const struct adl_tape *tape, int value, enum tape_phase phase)
{
    return tape->block + tape->values[tape->values[value].root].offset[phase];
}

static float *grad_at(const struct adl_tape *tape, int value)
{
    return tape->block + tape->values[tape->values[value].root].grad;
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
    struct tape_step step;
    tape_step_forward(&step, tape, batch, params, mode);
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        if (tape_step_enter(&step, i))
            tape_run(tape, i, TAPE_RUN_FORWARD, &step.call, &step.arrays);
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

void adl_tape_backward(struct adl_tape *tape, float *const *params,
                       const struct adl_train_mode *mode, float *const *grads)
{
    adl_tape_backward_watched(tape, params, mode, grads, NULL);
}

void adl_tape_backward_watched(struct adl_tape *tape, float *const *params,
                               const struct adl_train_mode *mode, float *const *grads,
                               const struct adl_tape_watch *watch)
{
    struct tape_step step;
    tape_step_backward(&step, tape, params, mode, grads);
    for (int i = adl_graph_node_count(tape->graph) - 1; i >= 0; i--) {
        if (tape_step_return(&step, i)) {
            tape_step_recompute(&step, i);
            tape_run(tape, i, TAPE_RUN_BACKWARD, &step.call, &step.arrays);
        }
        if (watch)
            watch->passed(watch->context, i);
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
