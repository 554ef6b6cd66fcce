#ifndef ADL_SERVER_EXPERIMENT_RUNS_H
#define ADL_SERVER_EXPERIMENT_RUNS_H

/* Runs what is missing of an experiment: trainings, calibrations and evaluations. */

#include "server/experiment/experiment.h"

/* The files of a run beside those of `train`. */
#define ADL_RUNS_TRAINED "trained" /* empty; the training has ended */
#define ADL_RUNS_INFO "info.json"  /* what `info` says of the model */
#define ADL_RUNS_SECONDS "seconds" /* a line for each time that it was worked on */

/* Runs all rows with all seeds, one after the other. What is done is not repeated, what was begun
 * is resumed, and what another process works on is left to it and waited for. A run that fails is
 * reported on standard error and counted in *failures. Fails with ADL_ERR_ARG or ADL_ERR_NOT_FOUND
 * if data or weights are missing, with ADL_ERR_FORMAT if a run was begun with other settings, with
 * ADL_ERR_CANCELLED after SIGINT, SIGTERM or SIGHUP, upon which the training has saved, and with
 * ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_experiment_run(const struct adl_experiment *experiment, size_t *failures,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Returns the path of a measure's result, as adl_experiment_path(). */
const char *adl_experiment_result(const struct adl_experiment *experiment, size_t row, size_t seed,
                                  size_t measure, struct adl_arena *arena,
                                  struct adl_error *err) ADL_MUST_CHECK;

#endif
