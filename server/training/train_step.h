#ifndef ADL_SERVER_TRAINING_TRAIN_STEP_H
#define ADL_SERVER_TRAINING_TRAIN_STEP_H

/* One step of a run. */

#include "server/training/train_state.h"

/* Adds the gradients of one batch, as the method changes its images, and updates the weights if
 * the batch is the last one of its group of --accumulate batches. Adds to run->sums and returns
 * the mean loss of the batch. */
double adl_train_batch(struct adl_train_run *run, const struct adl_batch *batch);

#endif
