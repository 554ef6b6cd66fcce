#ifndef ADL_SERVER_TRAINING_TRAIN_FILES_H
#define ADL_SERVER_TRAINING_TRAIN_FILES_H

/* The run's directory as the run itself writes and reads it. run_record.h has
 * the part that others read. */

#include "server/training/train_state.h"

/* Creates the directory and sets run->lock. Fails with BUSY where another run uses it, with ARG
 * where it holds another run's state and this one does not resume, with NOT_FOUND where there is
 * nothing to resume. */
int adl_train_open_dir(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
/* Fails as adl_train_open_dir() would where the directory exists already and shows that the run
 * cannot begin; otherwise leaves it as it is. */
int adl_train_check_dir(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* run.json; run->model, pool and config have to be there. */
int adl_train_save_record(const struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Fails with LIMIT where a weight or a velocity is not finite. */
int adl_train_check_finite(const struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* The failure of a run that diverges, LIMIT: `what` was seen, what to do about it, and
 * whether the directory still has good weights. Returns -1. */
int adl_train_fail_diverged(const struct adl_train_run *run, const char *what,
                            struct adl_error *err);

/* Copies the optimizer's weights into the model and saves it as NAME. Fails with LIMIT
 * where they are not finite; a file of that name is then still there. */
int adl_train_save_model(struct adl_train_run *run, const char *name,
                         struct adl_error *err) ADL_MUST_CHECK;

/* state.safetensors: the optimizer, and the position of the run. Reading sets run->state,
 * and fails with ARG when run->data is not what the run was started with; it comes before
 * the network is made, because the state says which network that is. Loading fails with
 * ARG when a setting that affects the bits has changed since. */
int adl_train_save_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
int adl_train_read_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;
int adl_train_load_state(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

struct adl_train_pace {
    double lr;                         /* of the epoch's last step */
    double seconds, images_per_second; /* of the part that this process trained */
};
/* Appends the line of epoch run->epoch + 1 to metrics.jsonl, replacing lines of
 * this and later epochs that an interrupted run may have left. `report` is NULL and
 * `val_loss` NAN where there is no val split. */
int adl_train_log_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                        const struct adl_evaluate_report *report, double val_loss, bool best,
                        struct adl_error *err) ADL_MUST_CHECK;

/* The figures of an evaluation under the names that `eval --json` uses; NULL is
 * out of memory. */
json_t *adl_train_figures(const struct adl_evaluate_report *report) ADL_MUST_CHECK;

#endif
