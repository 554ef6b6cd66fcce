#ifndef ADL_SERVER_TRAINING_TRAIN_PREPARE_H
#define ADL_SERVER_TRAINING_TRAIN_PREPARE_H

/* What comes before the first step of a run and after the last one. */

#include "server/training/train_state.h"

/* Opens the data, the directory, the saved state, the network, the optimizer and the loader of a
 * run, and fits its settings to them. Fails as these do. Whatever happens, the caller releases the
 * run. */
int adl_train_prepare(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Prepares what --augment-preview needs, and does it. */
int adl_train_prepare_preview(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Frees all that a run has, and its lock. */
void adl_train_release(struct adl_train_run *run);

#endif
