#ifndef ADL_SERVER_TRAINING_TRAIN_STATISTICS_H
#define ADL_SERVER_TRAINING_TRAIN_STATISTICS_H

/* The running statistics of batch norm at the end of an epoch. */

#include "server/training/train_state.h"

/* Replaces the running means and variances of batch norm by those of plain images of the train
 * split, if the method masks maps or mixes images, as far as --batchnorm-batches says so, and
 * unless batch norm is frozen. Returns 0; 1 if the run was stopped before that was done, so that it
 * has to be repeated; or -1. A process that has not trained a batch is not stopped here, because a
 * run that is always stopped at this point would never continue. */
int adl_train_refresh_statistics(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

#endif
