#ifndef ADL_SERVER_TRAINING_TRAIN_OPEN_H
#define ADL_SERVER_TRAINING_TRAIN_OPEN_H

/* Opens the data of a run. */

#include "server/training/train_state.h"

/* Sets run->train, run->val and run->data. The train split is required; val may be missing or
 * empty. Fails as adl_dataset_open() does, and with ADL_ERR_ARG without images. */
int adl_train_open_data(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Pairs the labels of val (data/labels.h), gives them the class ids of train, and removes the
 * images, or labels, of val whose class train lacks, because the network has no output for it.
 * Fails with ADL_ERR_FORMAT if none is left. */
int adl_train_limit_val(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Records the settings of the data that are not the defaults, so that runs of versions without the
 * options can be resumed. Returns -1 if there is not enough memory. */
int adl_train_record_data(json_t *config, const struct adl_train_settings *settings) ADL_MUST_CHECK;

#endif
