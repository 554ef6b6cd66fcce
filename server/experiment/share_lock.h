#ifndef ADL_SERVER_EXPERIMENT_SHARE_LOCK_H
#define ADL_SERVER_EXPERIMENT_SHARE_LOCK_H

/* Locks a run of an experiment against other processes, also those of other machines that share the
 * directory. */

#include "base/error.h"

/* Takes the lock of the file `path`, which is created and stays. Returns its descriptor, which
 * children inherit: an experiment that is killed leaves the run locked until its child has ended.
 * Returns -2 if the file system has no locks, and -1 with ADL_ERR_BUSY if another process has it
 * (the message says on which machine, and its id), or with ADL_ERR_IO. */
int adl_share_lock(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Releases the lock; negative descriptors are ignored. */
void adl_share_unlock(int lock);

#endif
