/* Included once for each ABI of MPI, after macros have named it: ABI(name) makes a name of this
 * ABI, HANDLE is the C type of communicators, data types and requests, IGNORE the value of
 * MPI_STATUS_IGNORE. The two ABIs differ in these alone for the few functions that are used: in
 * Open MPI handles are pointers to objects of the library, in MPICH they are integers with fixed
 * values, which the MPICH ABI Compatibility Initiative has published. Defines adl_mpi_NAME. */

/* The handles world and byte are those of the including file, and find_handles sets them. */
struct ABI(functions) {
    int (*init)(int *, char ***, int, int *);
    int (*rank)(HANDLE, int *);
    int (*size)(HANDLE, int *);
    int (*isend)(const void *, int, HANDLE, int, int, HANDLE, HANDLE *);
    int (*irecv)(void *, int, HANDLE, int, int, HANDLE, HANDLE *);
    int (*test)(HANDLE *, int *, void *);
    int (*abort)(HANDLE, int);
    int (*finalize)(void);
};

static struct ABI(functions) ABI(call);

static int ABI(start)(void *library, int *rank, int *ranks, bool *threads)
{
    int level = 0;
    LOOK_UP(ABI(call).init, "MPI_Init_thread");
    LOOK_UP(ABI(call).rank, "MPI_Comm_rank");
    LOOK_UP(ABI(call).size, "MPI_Comm_size");
    LOOK_UP(ABI(call).isend, "MPI_Isend");
    LOOK_UP(ABI(call).irecv, "MPI_Irecv");
    LOOK_UP(ABI(call).test, "MPI_Test");
    LOOK_UP(ABI(call).abort, "MPI_Abort");
    LOOK_UP(ABI(call).finalize, "MPI_Finalize");
    if (!ABI(find_handles)(library))
        return -1;
    if (ABI(call).init(NULL, NULL, SERIALIZED, &level) != 0 ||
        ABI(call).rank(ABI(world), rank) != 0 || ABI(call).size(ABI(world), ranks) != 0)
        return -1;
    *threads = level >= SERIALIZED;
    return 0;
}

static int ABI(send)(int to, const void *bytes, int count, struct adl_message *message)
{
    HANDLE request;
    if (ABI(call).isend(bytes, count, ABI(byte), to, TAG, ABI(world), &request) != 0)
        return -1;
    memcpy(&message->request, &request, sizeof request);
    return 0;
}

static int ABI(receive)(int from, void *bytes, int count, struct adl_message *message)
{
    HANDLE request;
    if (ABI(call).irecv(bytes, count, ABI(byte), from, TAG, ABI(world), &request) != 0)
        return -1;
    memcpy(&message->request, &request, sizeof request);
    return 0;
}

static int ABI(test)(struct adl_message *message)
{
    HANDLE request;
    int done = 0;
    memcpy(&request, &message->request, sizeof request);
    if (ABI(call).test(&request, &done, IGNORE) != 0)
        return -1;
    memcpy(&message->request, &request, sizeof request);
    return done != 0;
}

static void ABI(end)(bool well, int status)
{
    if (well)
        (void)ABI(call).finalize();
    else
        (void)ABI(call).abort(ABI(world), status);
}

static const struct abi ABI(abi) = {ABI(start), ABI(send), ABI(receive), ABI(test), ABI(end)};

#undef ABI
#undef HANDLE
#undef IGNORE
