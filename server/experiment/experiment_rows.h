#ifndef ADL_SERVER_EXPERIMENT_EXPERIMENT_ROWS_H
#define ADL_SERVER_EXPERIMENT_EXPERIMENT_ROWS_H

#include "server/experiment/experiment.h"

/* Reads "rows" and "common" into the experiment, as the command line chooses and changes them.
 * Fails as adl_experiment_read(). */
int adl_experiment_read_rows(struct adl_experiment *experiment, const char *dir,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
