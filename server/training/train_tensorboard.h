#ifndef ADL_SERVER_TRAINING_TRAIN_TENSORBOARD_H
#define ADL_SERVER_TRAINING_TRAIN_TENSORBOARD_H

/* Writes the figures of a run as event files for TensorBoard, if --tensorboard asks for it. */

#include "server/training/train_state.h"

/* Opens the directory and finds out which epochs the files of earlier processes have. To be called
 * when the position of the run is known. Does nothing without the option. */
int adl_train_tensorboard_open(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Writes the epochs up to run->epoch that no file has yet, as metrics.jsonl has them. */
int adl_train_tensorboard_follow(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
void adl_train_tensorboard_close(struct adl_train_run *run);

#endif
