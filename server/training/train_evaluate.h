#ifndef ADL_SERVER_TRAINING_TRAIN_EVALUATE_H
#define ADL_SERVER_TRAINING_TRAIN_EVALUATE_H

/* The evaluation of a run on val. */

#include "server/training/train_state.h"

/* Evaluates the current weights (adl_optimizer_evaluated) on val; *loss becomes the mean
 * cross-entropy of the images that could be read, or NAN. The caller releases the report. The
 * evaluation can be aborted (ADL_ERR_CANCELLED) only if this process has trained a batch before.
 * Otherwise a run that is resumed before the evaluation and always stopped during it would never
 * continue. */
int adl_train_evaluate(struct adl_train_run *run, struct adl_evaluate_report *report, double *loss,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether the processes of the run share the evaluation: all of them then have to call
 * adl_train_evaluate(), which gives process 0 the report and the loss of all images and the others
 * those of their part, and -1 to all if it fails in one. */
bool adl_train_divides_val(struct adl_train_run *run);

/* Returns the measure by which the best epoch is chosen: of localization by boxes or else by masks,
 * or of classification if val has neither. */
double adl_train_measure(const struct adl_evaluate_report *report);

/* Replaces the figures at the threshold that the evaluation used, which is that of the previous
 * epoch, by those at the best threshold, which the model gets now. */
void adl_train_use_best_threshold(struct adl_evaluation *figures);

#endif
