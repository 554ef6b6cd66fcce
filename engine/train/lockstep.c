/* Takes several tapes through a graph, a node at a time; see train/lockstep.h.
 *
 * Whether a node runs, and whether it joins sums, follows from graph and mode, so that all shards
 * and all ranks come to the same exchanges in the same order. A shard without images has sums of 0,
 * and runs no op. */

#include "train/lockstep.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "train/tape_run.h"
#include "train/tape_step.h"

struct shard {
    struct adl_tape *tape;
    struct tape_step step;
    float *block;  /* all gradients, as the optimizer has them in one block */
    float **grads; /* by parameter id, in `block`; NULL where the optimizer has none */
};

struct adl_lockstep {
    const struct adl_graph *graph;
    const struct adl_exchange *exchange;
    struct adl_pool *pool;
    struct shard *shards;
    int own;
    size_t *sizes;  /* floats of each parameter */
    size_t floats;  /* of all gradients of a shard */
    double *sums;   /* [own][most]; the first one has those that are joined */
    double *bucket; /* [most] */
    size_t most;    /* sums of a node */
};

/* Returns the most sums that a node joins. */
static size_t most_sums(const struct adl_tape *tape)
{
    const struct adl_train_mode mode = {0};
    size_t most = 0;
    for (int i = 0; i < adl_graph_node_count(tape->graph); i++) {
        struct tape_call_arrays arrays;
        struct adl_train_call call = tape_shapes(tape, i, 1, &arrays);
        call.mode = &mode;
        if (call.node->def->train->joint_doubles)
            most = ADL_MAX(most, call.node->def->train->joint_doubles(&call));
    }
    return most;
}

static int make_grads(struct adl_lockstep *lockstep, struct shard *shard,
                      const struct adl_optimizer *optimizer, struct adl_error *err)
{
    int count = adl_graph_param_count(lockstep->graph);
    float *const *grads = adl_optimizer_grads(optimizer);
    const float *block = adl_optimizer_all_grads(optimizer, &lockstep->floats);

    shard->grads = adl_calloc((size_t)count, sizeof *shard->grads);
    shard->block = adl_calloc(lockstep->floats, sizeof *shard->block);
    if (!shard->grads || !shard->block)
        return adl_fail_nomem(err, "the gradients of a shard");
    for (int i = 0; i < count; i++)
        shard->grads[i] = grads[i] ? shard->block + (grads[i] - block) : NULL;
    return 0;
}

static int make_sums(struct adl_lockstep *lockstep, struct adl_error *err)
{
    int count = adl_graph_param_count(lockstep->graph);
    lockstep->most = ADL_MAX(most_sums(lockstep->shards[0].tape), (size_t)1);
    lockstep->sums = adl_calloc((size_t)lockstep->own * lockstep->most, sizeof *lockstep->sums);
    lockstep->bucket = adl_calloc(lockstep->most, sizeof *lockstep->bucket);
    lockstep->sizes = adl_calloc((size_t)count, sizeof *lockstep->sizes);
    if (!lockstep->sums || !lockstep->bucket || !lockstep->sizes)
        return adl_fail_nomem(err, "the shards of a batch");
    for (int i = 0; i < count; i++)
        lockstep->sizes[i] = adl_graph_param(lockstep->graph, i)->count;
    return 0;
}

struct adl_lockstep *adl_lockstep_create(const struct adl_optimizer *optimizer,
                                         const struct adl_graph *graph, int part, int input_h,
                                         int input_w, int max_batch, int own,
                                         enum adl_tape_memory memory,
                                         const struct adl_exchange *exchange, struct adl_pool *pool,
                                         struct adl_error *err)
{
    struct adl_lockstep *lockstep = adl_calloc(1, sizeof *lockstep);
    if (lockstep)
        lockstep->shards = adl_calloc((size_t)own, sizeof *lockstep->shards);
    if (!lockstep || !lockstep->shards) {
        adl_lockstep_free(lockstep);
        adl_fail_nomem(err, "the shards of a batch");
        return NULL;
    }
    lockstep->graph = graph;
    lockstep->exchange = exchange;
    lockstep->pool = pool;
    lockstep->own = own;
    for (int k = 0; k < own; k++) {
        struct shard *shard = &lockstep->shards[k];
        shard->tape =
            adl_tape_create_part(graph, part, input_h, input_w, max_batch, memory, pool, err);
        if (!shard->tape || make_grads(lockstep, shard, optimizer, err) < 0) {
            adl_lockstep_free(lockstep);
            return NULL;
        }
    }
    if (make_sums(lockstep, err) < 0) {
        adl_lockstep_free(lockstep);
        return NULL;
    }
    return lockstep;
}

void adl_lockstep_free(struct adl_lockstep *lockstep)
{
    if (!lockstep)
        return;
    for (int k = 0; k < lockstep->own; k++) {
        adl_tape_free(lockstep->shards[k].tape);
        adl_free(lockstep->shards[k].block);
        adl_free(lockstep->shards[k].grads);
    }
    adl_free(lockstep->shards);
    adl_free(lockstep->sums);
    adl_free(lockstep->bucket);
    adl_free(lockstep->sizes);
    adl_free(lockstep);
}

struct adl_tape *adl_lockstep_tape(const struct adl_lockstep *lockstep, int shard)
{
    return lockstep->shards[shard].tape;
}

/* Runs a node of all shards that have images. */
static void run_all(const struct adl_lockstep *lockstep, int node, enum tape_pass pass)
{
    for (int k = 0; k < lockstep->own; k++) {
        struct tape_step *step = &lockstep->shards[k].step;
        if (step->tape->batch > 0)
            tape_run(step->tape, node, pass, &step->call, &step->arrays);
    }
}

/* Adds up `count` sums of all shards in pairs, then in pairs of pairs, so that all ranks have them
 * in lockstep->sums. */
static int join_sums(const struct adl_lockstep *lockstep, size_t count, struct adl_error *err)
{
    double *sums = lockstep->sums;
    for (int step = 1; step < lockstep->own; step *= 2)
        for (int k = 0; k + step < lockstep->own; k += 2 * step)
            for (size_t i = 0; i < count; i++)
                sums[(size_t)k * count + i] += sums[(size_t)(k + step) * count + i];
    if (adl_exchange_sum_doubles(lockstep->exchange, sums, count, lockstep->bucket, err) < 0)
        return -1;
    return adl_exchange_copy(lockstep->exchange, sums, count * sizeof *sums, err);
}

/* Joins what a node needs of the whole batch in a pass, if anything. */
static int join(const struct adl_lockstep *lockstep, int node, enum tape_pass sums_pass,
                struct adl_error *err)
{
    const struct adl_op_train *train = adl_graph_node(lockstep->graph, node)->def->train;
    struct adl_train_call *first = &lockstep->shards[0].step.call;
    size_t count = train->joint_doubles ? train->joint_doubles(first) : 0;

    if (count == 0)
        return 0;
    memset(lockstep->sums, 0, (size_t)lockstep->own * count * sizeof *lockstep->sums);
    for (int k = 0; k < lockstep->own; k++)
        lockstep->shards[k].step.call.joint = lockstep->sums + (size_t)k * count;
    run_all(lockstep, node, sums_pass);
    if (join_sums(lockstep, count, err) < 0)
        return -1;
    for (int k = 0; k < lockstep->own; k++)
        lockstep->shards[k].step.call.joint = lockstep->sums;
    if (sums_pass == TAPE_RUN_FORWARD_SUMS)
        train->forward_joined(first);
    return 0;
}

int adl_lockstep_forward(struct adl_lockstep *lockstep, const int *batches, float *const *params,
                         const struct adl_train_mode *modes, struct adl_error *err)
{
    for (int k = 0; k < lockstep->own; k++)
        tape_step_forward(&lockstep->shards[k].step, lockstep->shards[k].tape, batches[k], params,
                          &modes[k]);
    for (int i = 0; i < adl_graph_node_count(lockstep->graph); i++) {
        bool runs = false;
        for (int k = 0; k < lockstep->own; k++)
            runs = tape_step_enter(&lockstep->shards[k].step, i);
        if (runs && join(lockstep, i, TAPE_RUN_FORWARD_SUMS, err) < 0)
            return -1;
        if (runs)
            run_all(lockstep, i, TAPE_RUN_FORWARD);
        for (int k = 0; k < lockstep->own; k++)
            tape_run_narrow(lockstep->shards[k].tape, i);
    }
    return 0;
}

int adl_lockstep_backward(struct adl_lockstep *lockstep, float *const *params,
                          const struct adl_train_mode *modes, struct adl_error *err)
{
    for (int k = 0; k < lockstep->own; k++) {
        struct shard *shard = &lockstep->shards[k];
        memset(shard->block, 0, lockstep->floats * sizeof *shard->block);
        tape_step_backward(&shard->step, shard->tape, params, &modes[k], shard->grads);
    }
    for (int i = adl_graph_node_count(lockstep->graph) - 1; i >= 0; i--) {
        bool runs = false;
        for (int k = 0; k < lockstep->own; k++) {
            struct tape_step *step = &lockstep->shards[k].step;
            runs = tape_step_return(step, i);
            if (runs && step->tape->batch > 0)
                tape_step_recompute(step, i);
        }
        if (!runs)
            continue;
        if (join(lockstep, i, TAPE_RUN_BACKWARD_SUMS, err) < 0)
            return -1;
        run_all(lockstep, i, TAPE_RUN_BACKWARD);
    }
    return 0;
}

void adl_lockstep_add_grads(const struct adl_lockstep *lockstep, int shard, float *const *grads)
{
    const struct shard *own = &lockstep->shards[shard];
    for (int i = 0; i < adl_graph_param_count(lockstep->graph); i++)
        if (own->grads[i] && grads[i])
            adl_exchange_add(grads[i], own->grads[i], lockstep->sizes[i], lockstep->pool);
}

size_t adl_lockstep_bytes(const struct adl_lockstep *lockstep)
{
    size_t bytes = ((size_t)lockstep->own + 1) * lockstep->most * sizeof *lockstep->sums;
    for (int k = 0; k < lockstep->own; k++)
        bytes += adl_tape_bytes(lockstep->shards[k].tape) + lockstep->floats * sizeof(float);
    return bytes;
}
