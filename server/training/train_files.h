#ifndef ADL_SERVER_TRAINING_TRAIN_FILES_H
#define ADL_SERVER_TRAINING_TRAIN_FILES_H

/* Writes and reads the files in the directory of a run, for the run itself. The files that other
 * code reads, and run.json, are described in run_record.h. */

#include "server/training/train_state.h"

/* Creates the directory and sets run->lock. Fails with ADL_ERR_BUSY if another run uses it, with
 * ADL_ERR_ARG if it contains another run's state and this run does not resume, with
 * ADL_ERR_NOT_FOUND if there is no state to resume, with ADL_ERR_IO if it cannot be written. */
int adl_train_open_dir(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Fails as adl_train_open_dir() would if the run does not resume although the directory contains
 * a state, or resumes although it does not. Otherwise changes nothing in the directory. */
int adl_train_check_dir(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Writes run.json. run->model, pool and config have to exist. */
int adl_train_save_record(const struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_LIMIT if a weight or a velocity is not finite. */
int adl_train_check_finite(const struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_LIMIT because the run diverges, and returns -1. The message says how this was
 * noticed (`symptom`), what to do about it, and whether the directory still has good weights. */
int adl_train_fail_diverged(const struct adl_train_run *run, const char *symptom,
                            struct adl_error *err);

/* Copies the weights (adl_optimizer_evaluated) into the model and saves it as the file `name`.
 * Fails with ADL_ERR_LIMIT if the weights are not finite, and leaves an existing file unchanged
 * then. */
int adl_train_save_model(struct adl_train_run *run, const char *name,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Writes what the evaluation that has just been made says of each image of val to predictions.csv,
 * but for the boxes. */
int adl_train_save_predictions(const struct adl_train_run *run,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Saves the weights, the state of the optimizer and the position of the run to
 * state.safetensors. */
int adl_train_save_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Reads the description in state.safetensors and sets run->state. Fails with ADL_ERR_ARG if the
 * data of the saved run differs from run->data. To be called before the network is made, because
 * the state describes the network. */
int adl_train_read_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Loads the weights, the optimizer's state and the position from state.safetensors. Fails with
 * ADL_ERR_ARG if a setting that affects the result has changed since it was saved. */
int adl_train_load_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

#endif
