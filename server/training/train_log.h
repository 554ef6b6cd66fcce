#ifndef ADL_SERVER_TRAINING_TRAIN_LOG_H
#define ADL_SERVER_TRAINING_TRAIN_LOG_H

/* Prints the messages of a training run to standard error. Remarks are collected in run->remarks
 * and printed when it is certain that the run begins, so that an error message is not lost among
 * them. */

#include "server/training/train_metrics.h"

/* Report an image that cannot be read, and a class of which no image can be read. Callbacks of the
 * loader; `context` is the run. */
void adl_train_log_skipped(void *context, size_t index, const char *reason);
void adl_train_log_broken_class(void *context, int class_id);
/* Reports an image of val that cannot be read. A callback of the evaluation; `progress` is a
 * struct adl_progress. */
void adl_train_log_unreadable_val(void *progress, const char *reason);

/* Names the classes of val of which no image could be read. To be called after each evaluation;
 * only the first call prints. */
void adl_train_log_broken_val(struct adl_train_run *run, const struct adl_evaluate_report *report);

/* Prints the remarks on the data and the weights, and a line about the network and the data. */
void adl_train_log_start(const struct adl_train_run *run);
/* Prints the line of an epoch; without `pace`, of the evaluation before the first. */
void adl_train_print_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                           const struct adl_evaluate_report *report, bool best);
/* Prints how the run ended. */
void adl_train_log_end(const struct adl_train_run *run);

#endif
