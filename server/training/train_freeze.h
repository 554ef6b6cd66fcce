#ifndef ADL_SERVER_TRAINING_TRAIN_FREEZE_H
#define ADL_SERVER_TRAINING_TRAIN_FREEZE_H

#include "server/training/train_state.h"

/* Sets run->frozen from --freeze and the model; it stays NULL without the option. Fails with
 * ADL_ERR_ARG if a name is of no layer, or nothing is left to train. */
int adl_train_find_frozen(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Makes the optimizer leave the parameters of run->frozen as they are. */
void adl_train_freeze(struct adl_train_run *run);

#endif
