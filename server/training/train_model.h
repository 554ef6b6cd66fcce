#ifndef ADL_SERVER_TRAINING_TRAIN_MODEL_H
#define ADL_SERVER_TRAINING_TRAIN_MODEL_H

#include "server/training/train_state.h"

/* Makes run->model from run->settings for the classes of run->train. Sets run->origin if the file
 * of --init says how its weights were trained. */
int adl_train_make_model(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

#endif
