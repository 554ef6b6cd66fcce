#ifndef ADL_SERVER_TRAINING_TRAIN_STEP_LOG_H
#define ADL_SERVER_TRAINING_TRAIN_STEP_LOG_H

/* The losses of single steps in steps.jsonl (--log-steps). */

#include "server/training/train_state.h"

/* Begins the file. Of a run that is resumed, drops the lines of steps after its position, which a
 * process that was killed may have left. Does nothing without --log-steps. */
int adl_train_step_log_open(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
void adl_train_step_log_close(struct adl_train_run *run);

/* Takes the loss of a batch that was trained, at this learning rate, and appends a line if it
 * completes a step whose turn it is. Fails with ADL_ERR_IO. */
int adl_train_step_log_add(struct adl_train_run *run, size_t batch, double loss,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
