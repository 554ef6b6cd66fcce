#ifndef ADL_SERVER_TRAINING_RUN_LOCK_H
#define ADL_SERVER_TRAINING_RUN_LOCK_H

/* Locks a run's directory: two runs in one directory would replace each other's weights, states
 * and metrics. */

#include "base/error.h"

#define ADL_RUN_LOCK ".lock" /* contains the id of the process; removed when the run ends */

/* Takes the lock of the directory and returns its descriptor for adl_run_unlock(); -2, with a
 * warning on standard error, if the file system has no locks. Returns -1 and fails with
 * ADL_ERR_BUSY if another run holds the lock, with a message that names its process, and with
 * ADL_ERR_IO or ADL_ERR_NOMEM. */
int adl_run_lock(const char *dir, struct adl_error *err) ADL_MUST_CHECK;

/* Releases the lock and removes its file. Negative descriptors are ignored. */
void adl_run_unlock(const char *dir, int lock);

#endif
