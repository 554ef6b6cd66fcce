/* Lays out the memory of a training step. The tape has one block:
 *
 *     | values and gradients, sharing places by lifetime | saved floats of each op | scratch |
 *
 * Time. A graph of N nodes has 2N + 1 points in time: node i runs forward at time i, the loss
 * is computed at time N, and node i runs backward at time 2N - i.
 *
 *     time                     0   1   2 ..  N-2   N-1    N    N+1 ..  2N-2   2N-1   2N
 *     node that runs           0   1   2 ..  N-2   N-1  loss   N-1 ..    2      1     0
 *
 * In a chain of nodes, each of which needs its input in the backward pass, some lifetimes are
 *
 *     value of node 1, kept        |-------------------------------------|
 *     the same, recomputed         |---|                                 |
 *     gradient of node 1                                                 |------|
 *     value of node N-2                       |-----------------|
 *
 * where | marks the points in time at which a lifetime begins and ends.
 *
 * Lifetimes. A value lives from the node that computes it to the last node that reads it,
 * forward or backward. If its op can recompute it cheaply (the output of a batch norm), it
 * lives twice, and may have another offset the second time: from its computation to its last
 * reader in the forward pass, and from its first to its last reader in the backward pass. A
 * gradient lives from the first node that adds to it in the backward pass (the value's last
 * reader) to the node that computed the value. Values or gradients whose lifetimes do not
 * overlap may share memory (base/lifetime.h). In effect the gradients of early layers, which
 * are large, take the place of values of late layers, which are no longer needed by then.
 *
 * With ADL_TAPE_BF16 a value that the backward pass reads, and that is not recomputed, has two
 * places as well: one in float32 until its last reader in the forward pass has run, and then one in
 * bfloat16. In the backward pass it is widened where it is read (tape_run.c). The forward pass so
 * has the bits of float32, and what lives from one pass to the other, most of all memory, is
 * halved; the places in float32 are those that later values take:
 *
 *     value of node 1, float32     |---|
 *     the same, bfloat16               |---------------------------------|
 *
 * Sharing within a lifetime. An op that can work in place (a ReLU) takes the memory of its
 * input if no other op reads that input and if the op that computed it does not need it
 * again. A clamp after an op that can apply clamps itself (batch norm, addition) is folded
 * into that op and never runs. All values that share memory in this way have one root, the
 * first of them, which stands for all: its lifetime covers theirs, and they also share one
 * gradient. */

#include <math.h>

#include "base/cpu.h"
#include "base/lifetime.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "kernels/dispatch.h"
#include "train/tape_layout.h"
#include "train/tape_run.h"

/* Gradients of maps with more floats an image are in bfloat16, if values are: those of VGG at
 * 224x224, two of which would decide how much memory a step takes. */
#define NARROW_GRAD_FLOATS ((size_t)3000000)

/* A root has up to three lifetimes: with LIFE_NARROW never LIFE_RECOMPUTED. */
enum life { LIFE_VALUE, LIFE_NARROW, LIFE_RECOMPUTED, LIFE_GRADIENT, LIVES };

static const struct adl_op_train *train_of(const struct adl_tape *tape, int index)
{
    return adl_graph_node(tape->graph, index)->def->train;
}

/* Returns the node that computes a value, -1 for the input. */
static int producer_of(const struct adl_tape *tape, int value)
{
    return adl_graph_value(tape->graph, value)->node;
}

static bool is_output(const struct adl_tape *tape, int value)
{
    if (value == tape_logits(tape))
        return true;
    for (int i = 0; i < ADL_OUTPUT_COUNT; i++)
        if (adl_graph_output(tape->graph, (enum adl_output)i) == value)
            return true;
    return false;
}

static bool is_tap(const struct adl_tape *tape, int value)
{
    for (int i = 0; i < adl_graph_tap_count(tape->graph); i++)
        if (adl_graph_tap(tape->graph, i) == value)
            return true;
    return false;
}

/* --- roots: which values share memory ---------------------------------------------------- */

static void count_uses(struct adl_tape *tape)
{
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_node *node = adl_graph_node(tape->graph, i);
        for (int j = 0; tape_runs(tape, i) && j < node->input_count; j++)
            tape->values[node->inputs[j]].uses++;
    }
}

/* A gradient is of no use for the input unless it is asked for, and where the op has no parameters
 * and passes none on. */
static void find_needed_gradients(struct adl_tape *tape)
{
    tape->values[0].needs_grad = tape->input_grad;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_node *node = adl_graph_node(tape->graph, i);
        bool needed = node->param_count > 0;
        for (int j = 0; j < node->input_count; j++)
            needed |= !(train_of(tape, i)->detached >> j & 1);
        tape->values[node->output].needs_grad = needed;
    }
}

/* Returns the node that computes the first input of node `index`, if that input has no other
 * reader and is neither an output nor a tap of the graph; else -1. */
static int sole_producer(const struct adl_tape *tape, int index)
{
    int input = adl_graph_node(tape->graph, index)->inputs[0];
    if (is_output(tape, input) || is_tap(tape, input) || tape->values[input].uses != 1)
        return -1;
    return producer_of(tape, input);
}

/* Folds clamps into the nodes before them. */
static void fold_clamps(struct adl_tape *tape)
{
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_op_train *train = train_of(tape, i);
        int producer = sole_producer(tape, i);
        tape->nodes[i].lo = -INFINITY;
        tape->nodes[i].hi = INFINITY;
        if (train->clamp_lo >= train->clamp_hi || producer < 0 || !train_of(tape, producer)->clamps)
            continue;
        tape->nodes[i].folded = true;
        tape->nodes[producer].lo = train->clamp_lo;
        tape->nodes[producer].hi = train->clamp_hi;
    }
}

/* Returns whether node `index` may write over its input. */
static bool takes_input(const struct adl_tape *tape, int index)
{
    int producer = sole_producer(tape, index);
    return train_of(tape, index)->in_place && producer >= 0 && !train_of(tape, producer)->reads_out;
}

static void find_roots(struct adl_tape *tape)
{
    for (int id = 0; id < adl_graph_value_count(tape->graph); id++) {
        int node = producer_of(tape, id);
        struct tape_value *value = &tape->values[id];
        value->root = id;
        value->recompute = !tape->keep_all && node >= 0 && train_of(tape, node)->recompute;
        if (node < 0 || !(tape->nodes[node].folded || takes_input(tape, node)))
            continue;
        value->root = tape->values[adl_graph_node(tape->graph, node)->inputs[0]].root;
        /* Recomputing the root would bring back its value before this node wrote over it,
         * so it has to be kept. A folded clamp is applied when recomputing, too. */
        if (!tape->nodes[node].folded)
            tape->values[value->root].recompute = false;
    }
}

/* Returns whether the backward pass of a node compares its output with its inputs, as that of a
 * maximum does to find it again. */
static bool compares(const struct adl_tape *tape, int node)
{
    return train_of(tape, node)->reads_out && !train_of(tape, node)->drops_in;
}

/* Both sides of a comparison have to be rounded, or neither. Returns whether that changed
 * anything. */
static bool match_compared(struct adl_tape *tape)
{
    bool changed = false;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_node *node = adl_graph_node(tape->graph, i);
        struct tape_value *out = &tape->values[tape->values[node->output].root];
        for (int j = 0; compares(tape, i) && j < node->input_count; j++) {
            struct tape_value *in = &tape->values[tape->values[node->inputs[j]].root];
            changed |= in->narrow != out->narrow;
            in->narrow = out->narrow = in->narrow && out->narrow;
        }
    }
    return changed;
}

/* In bfloat16 are all maps but those that the caller reads or writes, and those of one pixel, which
 * are small and belong to the classifier. */
static void find_narrow(struct adl_tape *tape)
{
    int count = adl_graph_value_count(tape->graph);
    for (int id = 0; id < count; id++) {
        struct tape_value *value = &tape->values[id];
        value->narrow_after = -1;
        value->narrow = tape->bf16 && id > 0 && value->root == id && !value->recompute &&
                        value->shape.h * value->shape.w > 1;
        value->narrow_grad = tape->bf16 && id > 0 && value->root == id &&
                             adl_shape_count(value->shape) > NARROW_GRAD_FLOATS;
    }
    for (int id = 0; id < count; id++)
        if (is_output(tape, id) || is_tap(tape, id)) {
            struct tape_value *root = &tape->values[tape->values[id].root];
            root->narrow = root->narrow_grad = false;
        }
    while (match_compared(tape))
        continue;
    /* An op that takes the whole batch would have the gradient in float32 in its scratch. */
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_node *node = adl_graph_node(tape->graph, i);
        if (node->def->train->by_image)
            continue;
        tape->values[tape->values[node->output].root].narrow_grad = false;
        for (int j = 0; j < node->input_count; j++)
            tape->values[tape->values[node->inputs[j]].root].narrow_grad = false;
    }
}

/* Computed again from a rounded value, an input would no longer be what the output was computed
 * from. */
static void keep_compared(struct adl_tape *tape)
{
    for (int i = 0; tape->bf16 && i < adl_graph_node_count(tape->graph); i++) {
        const struct adl_node *node = adl_graph_node(tape->graph, i);
        for (int j = 0; j < node->input_count; j++)
            if (compares(tape, i))
                tape->values[tape->values[node->inputs[j]].root].recompute = false;
    }
}

/* --- lifetimes ----------------------------------------------------------------------------- */

struct lives {
    const struct adl_tape *tape;
    struct adl_lifetime *of; /* LIVES for each value id; filled in for roots only */
    int now;                 /* point of time */
};

static void extend(struct lives *lives, int root, enum life which)
{
    struct adl_lifetime *life = &lives->of[root * LIVES + (int)which];
    life->first = ADL_MIN(life->first, lives->now);
    life->last = ADL_MAX(life->last, lives->now);
}

void tape_for_read(const struct adl_tape *tape, int node, void (*visit)(void *context, int root),
                   void *context)
{
    const struct adl_node *n = adl_graph_node(tape->graph, node);
    if (tape->nodes[node].folded)
        return;
    for (int j = 0; !n->def->train->drops_in && j < n->input_count; j++)
        visit(context, tape->values[n->inputs[j]].root);
    if (n->def->train->reads_out)
        visit(context, tape->values[n->output].root);
}

/* Extends the lifetime of a value that a node reads in its backward pass, now. If the value
 * is to be recomputed, this happens for its first reader and reads the values that it is
 * computed from. */
static void read_back(void *context, int root)
{
    struct lives *lives = context;
    const struct adl_tape *tape = lives->tape;
    if (!tape->values[root].recompute) {
        extend(lives, root, tape->values[root].narrow ? LIFE_NARROW : LIFE_VALUE);
        return;
    }
    bool first = lives->of[root * LIVES + LIFE_RECOMPUTED].last < 0;
    extend(lives, root, LIFE_RECOMPUTED);
    const struct adl_node *producer = adl_graph_node(tape->graph, producer_of(tape, root));
    for (int j = 0; first && j < producer->input_count; j++)
        read_back(lives, tape->values[producer->inputs[j]].root);
}

/* Extends the lifetimes of the inputs and the output of a node that runs now, forward or
 * backward. */
static void touch(struct lives *lives, int node, enum life which)
{
    const struct adl_tape *tape = lives->tape;
    const struct adl_node *n = adl_graph_node(tape->graph, node);
    for (int j = 0; j < n->input_count; j++)
        if (which != LIFE_GRADIENT || tape_passes(tape, node, j))
            extend(lives, tape->values[n->inputs[j]].root, which);
    if (which != LIFE_GRADIENT || tape->values[n->output].needs_grad)
        extend(lives, tape->values[n->output].root, which);
}

static void find_lives(struct lives *lives)
{
    const struct adl_tape *tape = lives->tape;
    int nodes = adl_graph_node_count(tape->graph), end = 2 * nodes;

    for (int i = 0; i < adl_graph_value_count(tape->graph) * LIVES; i++)
        lives->of[i] = (struct adl_lifetime){.id = i, .first = end, .last = -1};
    lives->now = 0;
    extend(lives, 0, LIFE_VALUE);
    for (; lives->now < nodes; lives->now++)
        if (tape_runs(tape, lives->now))
            touch(lives, lives->now, LIFE_VALUE);
    /* Between forward and backward the caller reads the logits and the taps and writes their
     * gradients. */
    extend(lives, tape->values[tape_logits(tape)].root, LIFE_GRADIENT);
    for (int i = 0; i < adl_graph_tap_count(tape->graph); i++) {
        extend(lives, tape->values[adl_graph_tap(tape->graph, i)].root, LIFE_VALUE);
        extend(lives, tape->values[adl_graph_tap(tape->graph, i)].root, LIFE_GRADIENT);
    }
    for (int i = nodes - 1; i >= 0; i--) {
        lives->now = end - i;
        if (!tape_trains(tape, i))
            continue;
        tape_for_read(tape, i, read_back, lives);
        touch(lives, i, LIFE_GRADIENT);
    }
    lives->now = end;
    if (tape->input_grad)
        extend(lives, 0, LIFE_GRADIENT);
    for (int i = 0; i < adl_graph_value_count(tape->graph); i++)
        if (is_output(tape, i) && tape_runs(tape, producer_of(tape, i)))
            extend(lives, tape->values[i].root, LIFE_VALUE);
    for (int i = 0; i < adl_graph_value_count(tape->graph); i++) {
        struct adl_lifetime *narrow = &lives->of[i * LIVES + LIFE_NARROW];
        narrow->first = narrow->last < 0 ? end : lives->of[i * LIVES + LIFE_VALUE].last;
    }
    for (int i = 0; i < adl_graph_value_count(tape->graph) * LIVES; i++)
        if (tape->keep_all && lives->of[i].last >= 0)
            lives->of[i].last = end;
}

/* --- offsets ---------------------------------------------------------------------------- */

/* Reserves `count` floats at the end of the block, rounded up to whole cache lines. */
static int add_floats(size_t *total, size_t count, size_t *offset, struct adl_error *err)
{
    *offset = *total;
    if (adl_size_add(*total, count, total) < 0 ||
        adl_size_round_up(*total, ADL_LINE_FLOATS, total) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "a training step of this size does not fit in memory");
    return 0;
}

/* Returns whether a value is in bfloat16 during one of its lifetimes. */
static bool is_narrow(const struct adl_tape *tape, int value, enum life life)
{
    return life == LIFE_NARROW || (life == LIFE_GRADIENT && tape->values[value].narrow_grad);
}

/* Sets *count to the floats that a value takes for the largest batch, in whole cache lines. */
static int batch_floats(const struct adl_tape *tape, int value, enum life life, size_t *count,
                        struct adl_error *err)
{
    if (adl_size_mul(adl_shape_count(tape->values[value].shape), (size_t)tape->max_batch, count) <
        0)
        return adl_fail(err, ADL_ERR_LIMIT, "a training step of this size does not fit in memory");
    if (is_narrow(tape, value, life))
        *count = *count / 2 + *count % 2;
    if (adl_size_round_up(*count, ADL_LINE_FLOATS, count) < 0)
        return adl_fail(err, ADL_ERR_LIMIT, "a training step of this size does not fit in memory");
    return 0;
}

/* Places the values and gradients at the start of the block; *total becomes their floats. */
static int place_maps(struct adl_tape *tape, size_t *total, struct adl_error *err)
{
    int count = adl_graph_value_count(tape->graph), result = -1;
    size_t kept = 0;
    struct lives lives = {.tape = tape};

    lives.of = adl_calloc((size_t)count * LIVES, sizeof *lives.of);
    if (!lives.of)
        return adl_fail_nomem(err, "the training step");
    find_lives(&lives);
    for (int i = 0; i < count * LIVES; i++) {
        if (lives.of[i].last < 0)
            continue;
        ADL_TRY(batch_floats(tape, i / LIVES, (enum life)(i % LIVES), &lives.of[i].size, err));
        lives.of[kept++] = lives.of[i];
    }
    ADL_TRY(adl_lifetime_place(lives.of, kept, true, total, err));
    for (size_t i = 0; i < kept; i++) {
        struct tape_value *value = &tape->values[lives.of[i].id / LIVES];
        size_t offset = lives.of[i].offset;
        switch ((enum life)(lives.of[i].id % LIVES)) {
        case LIFE_VALUE:
            value->offset[TAPE_FORWARD] = offset;
            if (!value->recompute && !value->narrow)
                value->offset[TAPE_BACKWARD] = offset;
            break;
        case LIFE_NARROW:
            value->offset[TAPE_BACKWARD] = offset;
            value->narrow_after = lives.of[i].first;
            break;
        case LIFE_RECOMPUTED: value->offset[TAPE_BACKWARD] = offset; break;
        default: value->grad = offset; break;
        }
    }
    result = 0;
out:
    adl_free(lives.of);
    return result;
}

/* Returns the most scratch floats that a node needs for any batch: a smaller batch may use
 * another algorithm or divide its work differently, and so need more than the largest. */
static size_t scratch_of(struct adl_tape *tape, int node)
{
    size_t most = 0;
    for (int batch = 1; batch <= tape->max_batch; batch++) {
        size_t floats = tape_run_scratch(tape, node, batch);
        most = ADL_MAX(most, floats);
    }
    return most;
}

/* Places what each op saves, and the scratch, which has the size of the largest and is used
 * by all in turn. So is what is saved by nodes that do not run backward. */
static int place_ops(struct adl_tape *tape, size_t *total, struct adl_error *err)
{
    size_t scratch = 0, unread = 0;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        struct tape_call_arrays arrays;
        struct adl_train_call call = tape_shapes(tape, i, tape->max_batch, &arrays);
        const struct adl_op_train *train = call.node->def->train;
        size_t saved = 0;
        if (!tape_runs(tape, i))
            continue;
        if (train->saved_floats)
            saved = train->saved_floats(call.node, call.batch, call.in_shape, call.out_shape);
        if (!tape_trains(tape, i))
            unread = ADL_MAX(unread, saved);
        else if (add_floats(total, saved, &tape->nodes[i].saved, err) < 0)
            return -1;
        size_t floats = scratch_of(tape, i);
        scratch = ADL_MAX(scratch, floats);
    }
    size_t first = *total;
    if (add_floats(total, unread, &first, err) < 0)
        return -1;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++)
        if (tape_runs(tape, i) && !tape_trains(tape, i))
            tape->nodes[i].saved = first;
    return add_floats(total, scratch, &tape->scratch, err);
}

static int check_ops(const struct adl_tape *tape, struct adl_error *err)
{
    const struct adl_graph *graph = tape->graph;
    if (tape_logits(tape) < 0)
        return adl_fail(err, ADL_ERR_INTERNAL, "there is no network %d to train", tape->part);
    for (int i = 0; i < adl_graph_node_count(graph); i++)
        if (tape_runs(tape, i) && !adl_graph_node(graph, i)->def->train)
            return adl_fail(err, ADL_ERR_UNSUPPORTED, "op %s cannot be trained",
                            adl_graph_node(graph, i)->def->name);
    return 0;
}

int tape_lay_out(struct adl_tape *tape, int input_h, int input_w, struct adl_error *err)
{
    const struct adl_graph *graph = tape->graph;
    int values = adl_graph_value_count(graph), nodes = adl_graph_node_count(graph);
    int result = -1;
    size_t total = 0;
    enum adl_isa isa;
    struct adl_shape *shapes = adl_malloc((size_t)values, sizeof *shapes);

    tape->values = adl_calloc((size_t)values, sizeof *tape->values);
    tape->nodes = adl_calloc((size_t)nodes, sizeof *tape->nodes);
    if (!shapes || !tape->values || !tape->nodes) {
        adl_fail_nomem(err, "the training step");
        goto out;
    }
    ADL_TRY(check_ops(tape, err));
    ADL_TRY(adl_isa_choose(ADL_ISA_AUTO, &isa, err));
    tape->kernels = adl_kernels_for(isa);
    ADL_TRY(adl_graph_infer(graph, input_h, input_w, shapes, err));
    for (int i = 0; i < values; i++)
        tape->values[i].shape = shapes[i];
    count_uses(tape);
    find_needed_gradients(tape);
    fold_clamps(tape);
    find_roots(tape);
    keep_compared(tape);
    find_narrow(tape);
    ADL_TRY(place_maps(tape, &total, err));
    ADL_TRY(place_ops(tape, &total, err));
    tape->floats = total;
    tape->block = adl_malloc(total, sizeof *tape->block);
    if (!tape->block) {
        adl_fail(err, ADL_ERR_NOMEM,
                 "a training step of %d image%s needs %.1f GiB; use a smaller --batch-size",
                 tape->max_batch, ADL_S(tape->max_batch),
                 (double)total * sizeof(float) / 1073741824);
        goto out;
    }
    result = 0;
out:
    adl_free(shapes);
    return result;
}
