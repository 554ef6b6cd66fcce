#ifndef ADL_TRAIN_SHARDS_H
#define ADL_TRAIN_SHARDS_H

/* A training batch that is computed as K fixed virtual shards, by any number of ranks.
 *
 * Each shard is a small batch of its own: a forward pass, a loss, a backward pass and the
 * statistics of batch norm. What the shards give is joined in pairs, 0 + 1, 2 + 3, ..., then the
 * pairs in pairs; one without a partner goes up as it is. Each rank has a block of shards that is a
 * whole branch of this tree, and the branches are joined by train/exchange.h, so that all sums are
 * the same for any number of ranks. With w the weight of a shard k, m the images in it, g its
 * gradient and r' the running statistics after it, which were r before the batch,
 *
 *     gradient = (sum w[k] g[k]) / (sum w[k])
 *     r <- (sum m[k] r'[k]) / (sum m[k])
 *
 * The second is the mean over the shards with images. Where none of them changes r, as with frozen
 * statistics, it keeps its bits.
 *
 * A batch is
 *
 *     adl_shards_begin; for each own shard adl_shards_open, its passes, adl_shards_close;
 *     adl_shards_join
 *
 * With several ranks the gradients go out in buckets (train/buckets.h) by a thread of their own
 * (train/courier.h) while the backward pass of the last own shard, if it is given
 * adl_shards_watch(), is still at work on the layers below. This changes no bit.
 *
 * Memory: a set of gradients for each level of the tree of the rank's own shards, at most
 * log2(own) + 1 of them, and two buckets of at most 16 MiB if there are several ranks. */

#include <stdbool.h>

#include "train/courier.h"
#include "train/optimizer.h"
#include "train/tape.h"

struct adl_shards;

/* What shards add up besides gradients. */
struct adl_shard_sums {
    double weight; /* of the mean loss and its gradient */
    double loss;   /* weight x the mean loss; of all shards, the weighted mean */
    double images;
    double right;
    double stop; /* above 0: someone asks to stop */
};

/* Returns whether `ranks` ranks can share `shards` shards, and sets the block of `rank`: all of
 * them are one rank's, or each rank has 1, 2, 4, 8, ... of them, which are a branch of the tree. */
bool adl_shards_divide(int shards, int ranks, int rank, int *first, int *own);

/* How shards are joined. */
struct adl_shards_exchange {
    const struct adl_exchange *ranks; /* NULL: there is one */
    /* Gradients are rounded to bfloat16 wherever shards are joined (train/narrow.h), so that the
     * messages are half as long. */
    bool narrow;
    size_t least, most; /* floats of a bucket; 0: ADL_BUCKET_MIN and ADL_BUCKET_MAX */
};

/* Creates the memory for `own` shards of this rank, at least 1. All but the graph and *exchange is
 * borrowed for its life; `pool` may be NULL. A thread of its own uses the ranks from the first call
 * of a watch, or adl_shards_join(), until that returns, and nobody else may meanwhile. Fails with
 * ADL_ERR_NOMEM. */
struct adl_shards *adl_shards_create(const struct adl_graph *graph, struct adl_optimizer *optimizer,
                                     int own, const struct adl_shards_exchange *exchange,
                                     struct adl_pool *pool, struct adl_error *err) ADL_MUST_CHECK;
void adl_shards_free(struct adl_shards *shards);

/* Begins a batch. `params` are the arrays by parameter id that its forward passes will be given,
 * with the running statistics of before the batch. */
void adl_shards_begin(struct adl_shards *shards, float *const *params);

/* Begins a shard, and returns gradients by parameter id, all 0, to which a backward pass may add
 * those of its loss, already multiplied by its weight. NULL where the optimizer has none. */
float *const *adl_shards_open(struct adl_shards *shards);
/* Returns what the backward pass of the shard that is open is to tell how far it has come
 * (adl_tape_backward_watched); NULL unless it is the last own one and there are other ranks. After
 * that pass nothing is added to its gradients. */
const struct adl_tape_watch *adl_shards_watch(const struct adl_shards *shards);
/* Ends it. A shard without images has sums of 0. */
void adl_shards_close(struct adl_shards *shards, const struct adl_shard_sums *sums);

/* Ends the batch: joins all shards of all ranks and, unless there was no image at all, adds the
 * gradient to the optimizer's (if `gradients`) and updates the running statistics in `params`.
 * *sums is the same on all ranks. Fails as the exchange does. */
int adl_shards_join(struct adl_shards *shards, bool gradients, struct adl_shard_sums *sums,
                    struct adl_error *err) ADL_MUST_CHECK;

/* What was exchanged with other ranks so far, and in how many batches; not during a batch. Zeros if
 * there are none, or for NULL. */
struct adl_shards_traffic {
    struct adl_courier_stats sums;
    uint64_t batches; /* with gradients */
};
struct adl_shards_traffic adl_shards_traffic(const struct adl_shards *shards);
/* The same since an earlier call. */
struct adl_shards_traffic adl_shards_traffic_since(const struct adl_shards *shards,
                                                   const struct adl_shards_traffic *before);

/* Returns the bytes of its memory. */
size_t adl_shards_bytes(const struct adl_shards *shards);

#endif
