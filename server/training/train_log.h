#ifndef ADL_SERVER_TRAINING_TRAIN_LOG_H
#define ADL_SERVER_TRAINING_TRAIN_LOG_H

/* What a training run says on standard error, in lines for a person. Nothing is said before the
 * run is known to begin, so that an error is not lost among remarks. */

#include "server/training/train_files.h"

/* Callbacks of the loader; the context is the run. */
void adl_train_log_skipped(void *context, size_t index, const char *reason);
void adl_train_log_broken_class(void *context, int class_id);
/* A callback of the evaluation; `progress` is a struct adl_progress. */
void adl_train_log_unreadable_val(void *progress, const char *reason);

/* After an evaluation of val: names the classes of which no image could be read, the first time. */
void adl_train_log_broken_val(struct adl_train_run *run, const struct adl_evaluate_report *report);

/* The remarks on the data and the weights, and what is about to be trained. */
void adl_train_log_start(const struct adl_train_run *run);
void adl_train_print_epoch(const struct adl_train_run *run, const struct adl_train_pace *pace,
                           const struct adl_evaluate_report *report, bool best);
void adl_train_log_end(const struct adl_train_run *run);

#endif
