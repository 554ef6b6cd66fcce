/* Reads the variables of process managers, see mpi_start.h. Open MPI 4 sets OMPI_* and PMIX_*,
 * MPICH's hydra PMI_* and some of its own, Slurm's srun --mpi=pmix PMIX_*. */

#include "server/training/mpi_start.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"

int adl_mpi_started_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"};
    for (size_t i = 0; i < ADL_COUNT(variables); i++) {
        const char *text = getenv(variables[i]);
        if (text)
            return atoi(text);
    }
    return 0;
}

static bool is_of_mpirun(const char *variable)
{
    static const char *const beginnings[] = {"OMPI_",  "PMIX_", "PMI_",     "HYDI_",
                                             "HYDRA_", "MPIR_", "MPI_LOCAL"};
    for (size_t i = 0; i < ADL_COUNT(beginnings); i++)
        if (!strncmp(variable, beginnings[i], strlen(beginnings[i])))
            return true;
    return false;
}

char **adl_mpi_environment_alone(struct adl_error *err)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **alone = adl_malloc(count + 1, sizeof *alone);
    if (!alone) {
        adl_fail_nomem(err, "the environment of a child");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_of_mpirun(environ[i]))
            alone[kept++] = environ[i];
    alone[kept] = NULL;
    return alone;
}
