/* Speaks to MPI libraries without their headers.
 *
 * The two ABIs in use have the same functions with other types; mpi_abi.h makes an adapter for
 * each. Which library belongs to the mpirun that started this process follows from what it puts
 * into the environment.
 *
 * Only messages between two processes are used, and no arithmetic: the order of the sums is
 * train/exchange.c's, where MPI_Allreduce would have another one for each number of processes.
 * Processes that wait sleep after a while instead of turning, because others may need the
 * processor: rank 0 evaluates while the others wait. */

#include "server/training/mpi.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/size.h"

#define TAG 104
#define SERIALIZED 2 /* MPI_THREAD_SERIALIZED in both: any thread, one at a time */

/* What an adapter offers. Functions return -1 if the library reports an error; send and receive
 * only begin a message, and test returns whether it has gone. */
struct abi {
    int (*start)(void *library, int *rank, int *ranks, bool *threads);
    int (*send)(int to, const void *bytes, int count, struct adl_message *message);
    int (*receive)(int from, void *bytes, int count, struct adl_message *message);
    int (*test)(struct adl_message *message);
    void (*end)(bool well, int status);
};

/* A wait: turns at first, since most messages are on their way, and then sleeps between looks. */
struct nap {
    uint64_t since_ns;
};
#define TURN_MS 2.0
#define LONG_WAIT_MS 200.0
#define SHORT_NAP_NS 50000L
#define LONG_NAP_NS 2000000L

static void take_nap(struct nap *nap)
{
    uint64_t now = adl_clock_ns();
    if (!nap->since_ns)
        nap->since_ns = now;
    double waited = adl_clock_ms(nap->since_ns, now);
    if (waited < TURN_MS)
        return;
    const struct timespec pause = {0, waited < LONG_WAIT_MS ? SHORT_NAP_NS : LONG_NAP_NS};
    nanosleep(&pause, NULL);
}

/* Sets a function pointer, which ISO C cannot convert from an object pointer. */
#define LOOK_UP(function, name)                                                                    \
    do {                                                                                           \
        void *symbol_ = dlsym(library, name);                                                      \
        if (!symbol_)                                                                              \
            return -1;                                                                             \
        memcpy(&(function), &symbol_, sizeof symbol_);                                             \
    } while (0)

#define ABI(name) openmpi_##name
#define HANDLE void *
#define IGNORE NULL
static void *openmpi_world, *openmpi_byte;
static bool openmpi_find_handles(void *library)
{
    openmpi_world = dlsym(library, "ompi_mpi_comm_world");
    openmpi_byte = dlsym(library, "ompi_mpi_byte");
    return openmpi_world && openmpi_byte;
}
#include "server/training/mpi_abi.h"

#define ABI(name) mpich_##name
#define HANDLE int
#define IGNORE ((void *)1)
static int mpich_world, mpich_byte;
static bool mpich_find_handles(void *library)
{
    (void)library;
    mpich_world = 0x44000000;
    mpich_byte = 0x4c00010d;
    return true;
}
#include "server/training/mpi_abi.h"

static const struct library {
    const char *name, *file;
    const struct abi *abi;
} libraries[] = {
    {"Open MPI", "libmpi.so.40", &openmpi_abi},
    {"MPICH", "libmpich.so.12", &mpich_abi},
    {"MPICH", "libmpi.so.12", &mpich_abi},
};

/* The one connection of the process. */
static struct {
    const struct abi *abi; /* NULL: not begun, or ended */
    struct adl_exchange exchange;
    int status;
} mpi = {.status = 1};

const char *adl_mpi_found(void)
{
    static char found[96];
    found[0] = '\0';
    for (size_t i = 0; i < ADL_COUNT(libraries); i++) {
        size_t length = strlen(found);
        if (!strstr(found, libraries[i].name) && dlopen(libraries[i].file, RTLD_LAZY | RTLD_LOCAL))
            snprintf(found + length, sizeof found - length, "%s%s (%s)", length ? ", " : "",
                     libraries[i].name, libraries[i].file);
    }
    return *found ? found : "none";
}

/* Returns a number of the environment; 0 if there is none. */
static int number_of(const char *variable)
{
    const char *text = getenv(variable);
    return text ? atoi(text) : 0;
}

/* Returns how many processes were started together, as far as the environment says. */
static int started(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < ADL_COUNT(variables); i++)
        if (getenv(variables[i]))
            return number_of(variables[i]);
    return getenv("PMIX_RANK") ? number_of("SLURM_STEP_NUM_TASKS") : 1;
}

/* Opens the library, that of the mpirun at work first. */
static const struct abi *open_library(void **library)
{
    size_t count = ADL_COUNT(libraries);
    size_t first = getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") ? 0 : 1;
    for (size_t i = 0; i < count; i++) {
        const struct library *candidate = &libraries[(first + i) % count];
        *library = dlopen(candidate->file, RTLD_NOW | RTLD_GLOBAL);
        if (*library)
            return candidate->abi;
    }
    return NULL;
}

static int begin_send(void *context, int to, const void *bytes, size_t count,
                      struct adl_message *message, struct adl_error *err)
{
    (void)context;
    if (mpi.abi->send(to, bytes, (int)count, message) == 0)
        return 0;
    return adl_fail(err, ADL_ERR_IO, "cannot send to process %d by MPI", to);
}

static int begin_receive(void *context, int from, void *bytes, size_t count,
                         struct adl_message *message, struct adl_error *err)
{
    (void)context;
    if (mpi.abi->receive(from, bytes, (int)count, message) == 0)
        return 0;
    return adl_fail(err, ADL_ERR_IO, "cannot receive from process %d by MPI", from);
}

static int test_message(void *context, struct adl_message *message, struct adl_error *err)
{
    (void)context;
    int gone = mpi.abi->test(message);
    return gone < 0 ? adl_fail(err, ADL_ERR_IO, "a message between processes failed in MPI") : gone;
}

static int wait_for(struct adl_message *message, struct adl_error *err)
{
    struct nap nap = {0};
    for (;;) {
        int gone = test_message(NULL, message, err);
        if (gone != 0)
            return gone < 0 ? -1 : 0;
        take_nap(&nap);
    }
}

static int send_bytes(void *context, int to, const void *bytes, size_t count, struct adl_error *err)
{
    struct adl_message message;
    return begin_send(context, to, bytes, count, &message, err) < 0 ? -1 : wait_for(&message, err);
}

static int receive_bytes(void *context, int from, void *bytes, size_t count, struct adl_error *err)
{
    struct adl_message message;
    return begin_receive(context, from, bytes, count, &message, err) < 0 ? -1
                                                                         : wait_for(&message, err);
}

/* A process that ends while others wait for its messages ends them too. By the time it exits it has
 * said why. */
static void end_others(void)
{
    if (mpi.abi)
        mpi.abi->end(false, mpi.status);
}

int adl_mpi_open(const struct adl_exchange **exchange, struct adl_error *err)
{
    void *library = NULL;
    int rank = 0, ranks = 1;
    bool threads = false;

    *exchange = NULL;
    if (started() == 1)
        return 0;
    const struct abi *abi = open_library(&library);
    if (!abi)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "mpirun has started several processes, but neither libmpi.so.40 (Open MPI) "
                        "nor libmpich.so.12 (MPICH) can be opened; install one of them");
    if (abi->start(library, &rank, &ranks, &threads) < 0)
        return adl_fail(err, ADL_ERR_IO, "the MPI library cannot be started");
    mpi.abi = abi;
    if (ranks == 1) {
        if (number_of("OMPI_COMM_WORLD_SIZE") > 1 || number_of("PMI_SIZE") > 1) {
            adl_mpi_close();
            return adl_fail(err, ADL_ERR_IO,
                            "mpirun has started several processes, but the MPI library that was "
                            "found is another one than mpirun's and sees one; install that");
        }
        adl_mpi_close();
        return 0;
    }
    if (atexit(end_others) != 0)
        return adl_fail(err, ADL_ERR_IO, "cannot register the end of the process");
    mpi.exchange = (struct adl_exchange){.rank = rank,
                                         .ranks = ranks,
                                         .threads = threads,
                                         .send = send_bytes,
                                         .receive = receive_bytes,
                                         .begin_send = begin_send,
                                         .begin_receive = begin_receive,
                                         .test = test_message};
    *exchange = &mpi.exchange;
    return 0;
}

void adl_mpi_set_status(int status)
{
    mpi.status = status;
}

void adl_mpi_close(void)
{
    if (mpi.abi)
        mpi.abi->end(true, 0);
    mpi.abi = NULL;
}
