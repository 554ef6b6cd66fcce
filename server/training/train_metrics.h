#ifndef ADL_SERVER_TRAINING_TRAIN_METRICS_H
#define ADL_SERVER_TRAINING_TRAIN_METRICS_H

/* The figures of a run in metrics.jsonl. */

#include "server/training/train_state.h"

struct adl_train_pace {
    double lr;                         /* of the epoch's last step */
    double seconds, images_per_second; /* of the part that this process trained */
    struct adl_shards_traffic traffic; /* of it, with other processes */
};
/* Appends the line of epoch run->epoch + 1 to metrics.jsonl, replacing lines of this and later
 * epochs that an interrupted run may have left. Without a val split, `report` is NULL and
 * `val_loss` NAN. */
int adl_train_log_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                        const struct adl_evaluate_report *report, double val_loss, bool best,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Begins metrics.jsonl with the line of epoch 0, the evaluation before the first step. */
int adl_train_log_first(const struct adl_train_run *run, const struct adl_evaluate_report *report,
                        double val_loss, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the figures of an evaluation under the names that `eval --json` uses; NULL if there is
 * not enough memory. */
json_t *adl_train_figures(const struct adl_evaluate_report *report) ADL_MUST_CHECK;

#endif
