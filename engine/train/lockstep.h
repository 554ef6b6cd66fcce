#ifndef ADL_TRAIN_LOCKSTEP_H
#define ADL_TRAIN_LOCKSTEP_H

/* A training step of the shards of a batch as one batch: batch norm has the statistics of all
 * images of all shards of all ranks ("synchronised"), where shards that are computed one after the
 * other (train/shards.h) have their own.
 *
 * Each shard of this rank has a tape of its own. All tapes go through the graph together, a node at
 * a time. At a node that needs sums over the whole batch (struct adl_op_train, joint_doubles) each
 * shard has its own sums, which are joined in the tree of train/shards.h, first here and then among
 * the ranks, in double; so the bits are those of any other number of ranks. Forward a batch norm
 * has n and two sums for each channel, and backward again two: a message of 16 bytes a channel up
 * the tree of ranks and down.
 *
 * Memory: a tape for each shard of this rank, together about that of one for all their images, and
 * a set of gradients for each, because all of them are in the backward pass at the same time. */

#include "train/exchange.h"
#include "train/optimizer.h"
#include "train/tape.h"

struct adl_lockstep;

/* Creates tapes for `own` shards, at least 1, of up to max_batch images each; part, input and
 * memory are those of adl_tape_create_part(), which says how it fails. All but the numbers is
 * borrowed for its life; `exchange` and `pool` may be NULL. */
struct adl_lockstep *adl_lockstep_create(const struct adl_optimizer *optimizer,
                                         const struct adl_graph *graph, int part, int input_h,
                                         int input_w, int max_batch, int own,
                                         enum adl_tape_memory memory,
                                         const struct adl_exchange *exchange, struct adl_pool *pool,
                                         struct adl_error *err) ADL_MUST_CHECK;
void adl_lockstep_free(struct adl_lockstep *lockstep);

/* Returns the tape of own shard `shard`, from 0: its input, logits and gradients of them. */
struct adl_tape *adl_lockstep_tape(const struct adl_lockstep *lockstep, int shard);

/* Runs batches[shard] images of each own shard forward, which may be 0: the rank takes part in the
 * sums all the same. All ranks have to call it. params is as in adl_tape_forward(); running
 * statistics become the same on all ranks. modes[shard] differ in labels and key alone. Fails as
 * the exchange does. */
int adl_lockstep_forward(struct adl_lockstep *lockstep, const int *batches, float *const *params,
                         const struct adl_train_mode *modes, struct adl_error *err) ADL_MUST_CHECK;

/* Runs all shards backward after a forward pass, with the same params and modes. */
int adl_lockstep_backward(struct adl_lockstep *lockstep, float *const *params,
                          const struct adl_train_mode *modes, struct adl_error *err) ADL_MUST_CHECK;

/* Adds the gradients of the last backward pass of own shard `shard` to grads, by parameter id. */
void adl_lockstep_add_grads(const struct adl_lockstep *lockstep, int shard, float *const *grads);

/* Returns the bytes of its memory. */
size_t adl_lockstep_bytes(const struct adl_lockstep *lockstep);

#endif
