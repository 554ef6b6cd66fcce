/* Memory of a training step, in one block:
 *
 *   values | saved | gradients | scratch
 *
 * Values and what the ops save live from forward to backward. A gradient lives
 * from the last reader of its value back to the op that made it. */

#include "train/tape.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/lifetime.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "kernels/dispatch.h"

#define LINE_FLOATS (ADL_ALIGNMENT / sizeof(float))

struct tape_value {
    struct adl_shape shape;
    int root;      /* the value whose memory this one has */
    int uses;      /* nodes that read it */
    size_t offset; /* of the value, in floats; roots only */
    size_t grad;   /* of its gradient; roots only */
    bool written;  /* during backward: the gradient holds something */
};

struct tape_node {
    size_t saved;
    bool folded;  /* a clamp that the node before does with its own work */
    float lo, hi; /* of the clamp that this node does */
};

struct adl_tape {
    const struct adl_graph *graph;
    struct adl_pool *pool;
    const struct adl_kernels *kernels;
    int max_batch;
    int batch; /* of the last forward */
    struct tape_value *values;
    struct tape_node *nodes;
    size_t scratch;
    float *block;
    size_t floats;
};

static int logits_of(const struct adl_tape *tape)
{
    return adl_graph_output(tape->graph, ADL_OUTPUT_LOGITS);
}

/* The parts of a call that do not change between forward and backward. */
struct call_arrays {
    const float *in[ADL_MAX_OP_INPUTS];
    struct adl_shape in_shape[ADL_MAX_OP_INPUTS];
    float *params[ADL_MAX_OP_PARAMS];
    float *grad_in[ADL_MAX_OP_INPUTS];
    bool add_in[ADL_MAX_OP_INPUTS];
    float *grad_params[ADL_MAX_OP_PARAMS];
};

static float *value_at(const struct adl_tape *tape, int value)
{
    return tape->block + tape->values[tape->values[value].root].offset;
}

static float *grad_at(const struct adl_tape *tape, int value)
{
    return tape->block + tape->values[tape->values[value].root].grad;
}

static struct adl_train_call shapes_of(const struct adl_tape *tape, int index, int batch,
                                       struct call_arrays *arrays)
{
    const struct adl_node *node = adl_graph_node(tape->graph, index);
    for (int i = 0; i < node->input_count; i++)
        arrays->in_shape[i] = tape->values[node->inputs[i]].shape;
    return (struct adl_train_call){
        .node = node,
        .pool = tape->pool,
        .kernels = tape->kernels,
        .batch = batch,
        .in = arrays->in,
        .in_shape = arrays->in_shape,
        .params = arrays->params,
        .out_shape = tape->values[node->output].shape,
        .lo = tape->nodes[index].lo,
        .hi = tape->nodes[index].hi,
        .grad_in = arrays->grad_in,
        .add_in = arrays->add_in,
        .grad_params = arrays->grad_params,
    };
}

static struct adl_train_call make_call(const struct adl_tape *tape, int index, float *const *params,
                                       const struct adl_train_mode *mode,
                                       struct call_arrays *arrays)
{
    struct adl_train_call call = shapes_of(tape, index, tape->batch, arrays);
    for (int i = 0; i < call.node->input_count; i++)
        arrays->in[i] = value_at(tape, call.node->inputs[i]);
    for (int i = 0; i < call.node->param_count; i++)
        arrays->params[i] = call.node->params[i] < 0 ? NULL : params[call.node->params[i]];
    call.mode = mode;
    call.out = value_at(tape, call.node->output);
    call.saved = tape->block + tape->nodes[index].saved;
    call.scratch = tape->block + tape->scratch;
    return call;
}

/* --- creating ------------------------------------------------------------------------ */

/* The node whose output only node `index` reads, -1 where there is none. */
static int sole_maker(const struct adl_tape *tape, int index)
{
    int input = adl_graph_node(tape->graph, index)->inputs[0];
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        if (adl_graph_output(tape->graph, (enum adl_output)i) == input)
            return -1;
    return tape->values[input].uses == 1 ? adl_graph_value(tape->graph, input)->node : -1;
}

static const struct adl_op_train *train_of(const struct adl_tape *tape, int index)
{
    return adl_graph_node(tape->graph, index)->def->train;
}

/* Whether node `index` may write over its input: nobody else reads it, and the
 * op that made it does not need it again. */
static bool takes_input(const struct adl_tape *tape, int index)
{
    int maker = sole_maker(tape, index);
    return train_of(tape, index)->in_place && maker >= 0 && !train_of(tape, maker)->reads_out;
}

/* Leaves clamps to the nodes before them. */
static void fold_clamps(struct adl_tape *tape)
{
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_op_train *train = train_of(tape, i);
        int maker = sole_maker(tape, i);
        tape->nodes[i].lo = -INFINITY;
        tape->nodes[i].hi = INFINITY;
        if (train->clamp_lo >= train->clamp_hi || maker < 0 || !train_of(tape, maker)->clamps)
            continue;
        tape->nodes[i].folded = true;
        tape->nodes[maker].lo = train->clamp_lo;
        tape->nodes[maker].hi = train->clamp_hi;
    }
}

static int add_floats(size_t *total, size_t count, size_t *offset, struct adl_error *err)
{
    *offset = *total;
    if (adl_size_add(*total, count, total) < 0 || adl_size_round_up(*total, LINE_FLOATS, total) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "a training step of this size does not fit in memory");
    return 0;
}

static int batch_floats(const struct adl_tape *tape, int value, size_t *count,
                        struct adl_error *err)
{
    if (adl_size_mul(adl_shape_count(tape->values[value].shape), (size_t)tape->max_batch, count) <
        0)
        return adl_fail(err, ADL_ERR_LIMIT, "a training step of this size does not fit in memory");
    return 0;
}

static void count_uses(struct adl_tape *tape)
{
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_node *node = adl_graph_node(tape->graph, i);
        for (int j = 0; j < node->input_count; j++)
            tape->values[node->inputs[j]].uses++;
    }
}

static int lay_out_values(struct adl_tape *tape, size_t *total, struct adl_error *err)
{
    for (int id = 0; id < adl_graph_value_count(tape->graph); id++) {
        struct tape_value *value = &tape->values[id];
        int node = adl_graph_value(tape->graph, id)->node;
        size_t count;
        value->root = id;
        if (node >= 0 && takes_input(tape, node)) {
            value->root = tape->values[adl_graph_node(tape->graph, node)->inputs[0]].root;
            continue;
        }
        if (batch_floats(tape, id, &count, err) < 0 ||
            add_floats(total, count, &value->offset, err) < 0)
            return -1;
    }
    return 0;
}

/* What the ops save, and the scratch of the one that needs most. */
static int lay_out_ops(struct adl_tape *tape, size_t *total, size_t *scratch, struct adl_error *err)
{
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        struct call_arrays arrays;
        struct adl_train_call call = shapes_of(tape, i, tape->max_batch, &arrays);
        const struct adl_op_train *train = call.node->def->train;
        size_t saved = 0;
        if (train->saved_floats)
            saved = train->saved_floats(call.node, call.batch, call.in_shape, call.out_shape);
        if (add_floats(total, saved, &tape->nodes[i].saved, err) < 0)
            return -1;
        if (train->scratch_floats)
            *scratch = ADL_MAX(*scratch, train->scratch_floats(&call));
    }
    return 0;
}

static int lay_out_gradients(struct adl_tape *tape, size_t *total, struct adl_error *err)
{
    int count = adl_graph_value_count(tape->graph), nodes = adl_graph_node_count(tape->graph);
    int result = -1, kept = 0;
    size_t floats, start;
    struct adl_lifetime *lives = adl_calloc((size_t)count, sizeof *lives);
    if (!lives)
        return adl_fail_nomem(err, "the training step");
    for (int i = 0; i < count; i++)
        lives[i] = (struct adl_lifetime){.id = i, .first = nodes, .last = -1};
    for (int i = 0; i <= nodes; i++) {
        /* The logits' gradient is written before the last node's backward. */
        const struct adl_node *node = i < nodes ? adl_graph_node(tape->graph, i) : NULL;
        int ids[ADL_MAX_OP_INPUTS + 1], touched = 0;
        for (int j = 0; node && j < node->input_count; j++)
            ids[touched++] = node->inputs[j];
        ids[touched++] = node ? node->output : logits_of(tape);
        for (int j = 0; j < touched; j++) {
            struct adl_lifetime *life = &lives[tape->values[ids[j]].root];
            life->first = ADL_MIN(life->first, i);
            life->last = ADL_MAX(life->last, i);
        }
    }
    for (int i = 1; i < count; i++) {
        if (tape->values[i].root != i)
            continue;
        ADL_TRY(batch_floats(tape, i, &lives[i].size, err));
        if (adl_size_round_up(lives[i].size, LINE_FLOATS, &lives[i].size) < 0)
            goto out;
        lives[kept++] = lives[i];
    }
    ADL_TRY(adl_lifetime_place(lives, (size_t)kept, true, &floats, err));
    ADL_TRY(add_floats(total, floats, &start, err));
    for (int i = 0; i < kept; i++)
        tape->values[lives[i].id].grad = start + lives[i].offset;
    result = 0;
out:
    adl_free(lives);
    return result;
}

static int lay_out(struct adl_tape *tape, int input_h, int input_w, struct adl_error *err)
{
    const struct adl_graph *graph = tape->graph;
    int values = adl_graph_value_count(graph), nodes = adl_graph_node_count(graph);
    int result = -1;
    size_t total = 0, scratch = 0;
    enum adl_isa isa;
    struct adl_shape *shapes = adl_malloc((size_t)values, sizeof *shapes);

    tape->values = adl_calloc((size_t)values, sizeof *tape->values);
    tape->nodes = adl_calloc((size_t)nodes, sizeof *tape->nodes);
    if (!shapes || !tape->values || !tape->nodes) {
        adl_fail_nomem(err, "the training step");
        goto out;
    }
    for (int i = 0; i < nodes; i++)
        if (!adl_graph_node(graph, i)->def->train) {
            adl_fail(err, ADL_ERR_UNSUPPORTED, "op %s cannot be trained",
                     adl_graph_node(graph, i)->def->name);
            goto out;
        }
    ADL_TRY(adl_isa_choose(ADL_ISA_AUTO, &isa, err));
    tape->kernels = adl_kernels_for(isa);
    ADL_TRY(adl_graph_infer(graph, input_h, input_w, shapes, err));
    for (int i = 0; i < values; i++)
        tape->values[i].shape = shapes[i];
    count_uses(tape);
    fold_clamps(tape);
    ADL_TRY(lay_out_values(tape, &total, err));
    ADL_TRY(lay_out_ops(tape, &total, &scratch, err));
    ADL_TRY(lay_out_gradients(tape, &total, err));
    ADL_TRY(add_floats(&total, scratch, &tape->scratch, err));
    tape->floats = total;
    tape->block = adl_malloc(total, sizeof *tape->block);
    if (!tape->block) {
        adl_fail(err, ADL_ERR_NOMEM,
                 "a training step of %d images needs %.1f GiB; use a smaller --batch-size",
                 tape->max_batch, (double)total * sizeof(float) / 1073741824);
        goto out;
    }
    result = 0;
out:
    adl_free(shapes);
    return result;
}

struct adl_tape *adl_tape_create(const struct adl_graph *graph, int input_h, int input_w,
                                 int max_batch, struct adl_pool *pool, struct adl_error *err)
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
    tape->pool = pool;
    tape->max_batch = max_batch;
    if (lay_out(tape, input_h, input_w, err) < 0) {
        adl_tape_free(tape);
        return NULL;
    }
    return tape;
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
    return value_at(tape, 0);
}

void adl_tape_forward(struct adl_tape *tape, int batch, float *const *params,
                      const struct adl_train_mode *mode)
{
    tape->batch = batch;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        struct call_arrays arrays;
        struct adl_train_call call = make_call(tape, i, params, mode, &arrays);
        if (tape->nodes[i].folded)
            continue;
        call.node->def->train->forward(&call);
    }
}

const float *adl_tape_logits(const struct adl_tape *tape)
{
    return value_at(tape, logits_of(tape));
}

float *adl_tape_logits_grad(struct adl_tape *tape)
{
    return grad_at(tape, logits_of(tape));
}

void adl_tape_backward(struct adl_tape *tape, float *const *params,
                       const struct adl_train_mode *mode, float *const *grads)
{
    for (int i = 0; i < adl_graph_value_count(tape->graph); i++)
        tape->values[i].written = i == logits_of(tape);
    for (int i = adl_graph_node_count(tape->graph) - 1; i >= 0; i--) {
        struct call_arrays arrays;
        struct adl_train_call call = make_call(tape, i, params, mode, &arrays);
        if (!tape->values[call.node->output].written)
            continue; /* the loss does not depend on it */
        for (int j = 0; j < call.node->input_count; j++) {
            int input = call.node->inputs[j];
            arrays.grad_in[j] = input == 0 ? NULL : grad_at(tape, input);
            arrays.add_in[j] = tape->values[input].written;
            tape->values[input].written = true;
        }
        if (tape->nodes[i].folded)
            continue; /* both gradients have the same place */
        for (int j = 0; j < call.node->param_count; j++)
            arrays.grad_params[j] = call.node->params[j] < 0 ? NULL : grads[call.node->params[j]];
        call.grad_out = grad_at(tape, call.node->output);
        call.node->def->train->backward(&call);
    }
}

const float *adl_tape_value(const struct adl_tape *tape, int value)
{
    return value_at(tape, value);
}

const float *adl_tape_grad(const struct adl_tape *tape, int value)
{
    return grad_at(tape, value);
}

const float *adl_tape_saved(const struct adl_tape *tape, int node)
{
    return tape->block + tape->nodes[node].saved;
}

struct adl_shape adl_tape_shape(const struct adl_tape *tape, int value)
{
    return tape->values[value].shape;
}

size_t adl_tape_bytes(const struct adl_tape *tape)
{
    return tape->floats * sizeof *tape->block;
}
