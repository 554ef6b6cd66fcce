#ifndef ADL_SERVER_TRAINING_MPI_H
#define ADL_SERVER_TRAINING_MPI_H

/* Messages between the processes of a run that mpirun (or srun) has started, by the MPI library
 * that is installed. The library is opened when it is needed, so that the program neither needs nor
 * contains it: Open MPI as libmpi.so.40, and MPICH, and whatever has its ABI, as libmpich.so.12 or
 * libmpi.so.12. */

#include "train/exchange.h"

/* Sets *exchange to that of this process; NULL if it is the only one, and then no library is
 * opened. It is owned by mpi.c and valid until the process ends. To be called once, before other
 * threads are started. Fails with ADL_ERR_NOT_FOUND if mpirun has started several processes and
 * there is no library, and with ADL_ERR_IO if it does not work. */
int adl_mpi_open(const struct adl_exchange **exchange, struct adl_error *err) ADL_MUST_CHECK;

/* Leaves the other processes after a run that has ended well; all of them have to call it. A
 * process that ends without this ends the others, with its exit status `status` if that is set
 * first. */
void adl_mpi_close(void);
void adl_mpi_set_status(int status);

/* Returns the names of the libraries that could be opened, or "none". */
const char *adl_mpi_found(void);

#endif
