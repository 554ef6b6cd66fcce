#ifndef ADL_SERVER_TRAINING_MPI_START_H
#define ADL_SERVER_TRAINING_MPI_START_H

/* What mpirun (or srun with PMIx) has told this process by its environment, without any MPI
 * library: for commands that share work by files, and need none. */

#include "base/error.h"

/* Returns the number of this process among those that were started together, from 0; 0 if it was
 * started alone. */
int adl_mpi_started_rank(void);

/* Returns the environment without what mpirun has put into it, for a child that is a process of its
 * own. Ends with NULL; the texts are borrowed from the environment, the array is freed by
 * adl_free(). Fails with ADL_ERR_NOMEM. */
char **adl_mpi_environment_alone(struct adl_error *err) ADL_MUST_CHECK;

#endif
