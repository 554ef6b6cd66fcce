#ifndef ADL_SERVER_TRAINING_TRAIN_RANKS_H
#define ADL_SERVER_TRAINING_TRAIN_RANKS_H

/* The shards of a batch, and the processes ("ranks") that share them. Rank 0 alone writes files,
 * prints and judges epochs; the others compute their shards and their parts of val, and follow. */

#include "server/training/train_state.h"

/* Sets how many shards a batch has, and which are this process's: those of --shards, of the run
 * that is resumed, or one for each rank. To be called when the state of a resumed run has been
 * read. Fails with ADL_ERR_ARG if there are more than images in a batch, or if the ranks cannot
 * share them. */
int adl_train_choose_shards(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Records the number of shards, unless it is 1, and how batch norm sees them. */
int adl_train_record_shards(json_t *config, const struct adl_train_run *run);
/* Creates what shards need, if there are several. */
int adl_train_make_shards(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the most images that have a forward pass together. */
int adl_train_part_images(const struct adl_train_run *run);

/* The images of a shard in a batch of the loader, without broken ones. */
struct adl_train_range {
    size_t first, count;
};
struct adl_train_range adl_train_shard_range(const struct adl_train_run *run,
                                             const struct adl_batch *batch, int shard);

/* Fails with ADL_ERR_ARG unless all ranks have the same program, processor path, settings, data and
 * position. */
int adl_train_compare_ranks(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Takes note of what the ranks have agreed on: whether one of them was asked to stop. */
void adl_train_heed(struct adl_train_run *run, const struct adl_shard_sums *sums);

/* Gives all ranks what rank 0 found after an epoch: `result`, which all return, and the best
 * epoch. */
int adl_train_share_epoch(struct adl_train_run *run, int result,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
