#ifndef ADL_SERVER_TRAINING_RUN_LOCK_H
#define ADL_SERVER_TRAINING_RUN_LOCK_H

/* The lock of a run's directory: two runs in one directory would replace each other's
 * weights, states and metrics. */

#include "base/error.h"

#define ADL_RUN_LOCK ".lock" /* holds the number of the process; removed when the run ends */

/* Takes the lock of the directory and returns its descriptor for adl_run_unlock; -2, with
 * a warning on standard error, where the file system has no locks. Fails with BUSY where
 * another run has it, whose process the message names, and with IO; returns -1. */
int adl_run_lock(const char *dir, struct adl_error *err) ADL_MUST_CHECK;

/* Negative descriptors are fine. */
void adl_run_unlock(const char *dir, int lock);

#endif
