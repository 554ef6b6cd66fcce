#ifndef ADL_SERVER_TRAINING_TRAIN_STATISTICS_H
#define ADL_SERVER_TRAINING_TRAIN_STATISTICS_H

/* The statistics of batch norm: whether a batch has any, and those at the end of an epoch. */

#include "server/training/train_state.h"

/* Fails with ADL_ERR_ARG if batch norm would have one value a channel: the map of one image of one
 * pixel. Its variance is 0, so that all images give the same, the running variances fall to 0, and
 * at inference the scores grow without bound. Needs the run's tape. */
int adl_train_check_statistics(const struct adl_train_run *run,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Replaces the running means and variances of batch norm by those of plain images of the train
 * split, if the method masks maps or mixes images, as far as --batchnorm-batches says so, and
 * unless batch norm is frozen. Returns 0; 1 if the run was stopped before that was done, so that it
 * has to be repeated; or -1. A process that has not trained a batch is not stopped here, because a
 * run that is always stopped at this point would never continue. */
int adl_train_refresh_statistics(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

#endif
