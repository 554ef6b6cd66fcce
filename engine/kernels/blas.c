/* Loads and calls OpenBLAS, which no other file does: for matrix products of training, and for
 * convolutions on machines for which there are no kernels of our own.
 *
 * OpenBLAS is opened when it is first needed, not linked, for two reasons
 * (docs/decisions/012-openblas-opened-late.md):
 *
 * - The builds with threads start them in the library's constructor, before main() and
 *   before a constructor of ours, unless the environment holds OPENBLAS_NUM_THREADS=1.
 * - If a buffer cannot be mapped, OpenBLAS's allocator tries again for ever, in those threads
 *   and in a product. So the address space is tried first, with a mapping that may fail,
 *   and then OpenBLAS is made to map its buffers. It never unmaps them, and each product takes
 *   the first that is free.
 *
 * A static program (ADL_STATIC) can open nothing and has OpenBLAS in it, in a build without
 * threads: see docs/decisions/052-a-static-program-with-musl.md. */

#include "kernels/blas.h"

#include <assert.h>
#include <cblas.h>
#ifndef ADL_STATIC
#include <dlfcn.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/limits.h"
#include "base/size.h"

/* Size of a buffer on x86-64 and ARM64, where it is largest ("BUFFER_SIZE" of OpenBLAS). */
#define BUFFER_BYTES (128 * ADL_MIB)
/* The library itself, with code for some twenty processors, and one buffer that the build
 * with OpenMP allocates in its constructor. */
#define LIBRARY_BYTES (BUFFER_BYTES + 64 * ADL_MIB)

static struct {
    bool loaded;
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(openblas_set_num_threads) *set_num_threads;
    __typeof__(openblas_get_config) *get_config;
    __typeof__(openblas_get_corename) *get_corename;
    __typeof__(openblas_get_parallel) *get_parallel;
    /* NULL if the library does not export them. */
    void *(*memory_alloc)(int position);
    void (*memory_free)(void *buffer);
    int buffers; /* number of buffers mapped */
    char version[160];
} blas;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Keeps OpenBLAS to one thread through the environment, which it reads when it is loaded. A
 * constructor sets the variables because no other thread runs yet. The build with OpenMP takes
 * the number of threads from the OpenMP runtime, which has one for each calling thread and
 * initialises all of them from OMP_NUM_THREADS. */
__attribute__((constructor)) static void hold_to_one_thread(void)
{
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
}

static int try_address_space(size_t bytes, struct adl_error *err)
{
    void *space = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (space == MAP_FAILED)
        return adl_fail(err, ADL_ERR_NOMEM,
                        "out of memory: matrix products take %zu MiB of address space, more than "
                        "`ulimit -v` or the system allows; fewer --threads need less",
                        bytes / ADL_MIB);
    munmap(space, bytes);
    return 0;
}

#ifdef ADL_STATIC

/* As the library has them; its header does not declare the two. */
void *blas_memory_alloc(int position);
void blas_memory_free(void *buffer);

static int open_library(struct adl_error *err)
{
    (void)err;
    blas.sgemm = cblas_sgemm;
    blas.set_num_threads = openblas_set_num_threads;
    blas.get_config = openblas_get_config;
    blas.get_corename = openblas_get_corename;
    blas.get_parallel = openblas_get_parallel;
    blas.memory_alloc = blas_memory_alloc;
    blas.memory_free = blas_memory_free;
    return 0;
}

#else

static int find_functions(void *handle, struct adl_error *err)
{
    const struct {
        const char *name;
        void *pointer; /* where to store the function */
        bool optional;
    } wanted[] = {
        {"cblas_sgemm", &blas.sgemm, false},
        {"openblas_set_num_threads", &blas.set_num_threads, false},
        {"openblas_get_config", &blas.get_config, false},
        {"openblas_get_corename", &blas.get_corename, false},
        {"openblas_get_parallel", &blas.get_parallel, false},
        {"blas_memory_alloc", &blas.memory_alloc, true},
        {"blas_memory_free", &blas.memory_free, true},
    };

    for (size_t i = 0; i < ADL_COUNT(wanted); i++) {
        void *function = dlsym(handle, wanted[i].name);
        if (!function && !wanted[i].optional)
            return adl_fail(err, ADL_ERR_IO, "the OpenBLAS found here has no function %s",
                            wanted[i].name);
        memcpy(wanted[i].pointer, &function, sizeof function);
    }
    return 0;
}

static int open_library(struct adl_error *err)
{
    void *handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return adl_fail(err, ADL_ERR_IO,
                        "OpenBLAS cannot be loaded (on Debian it is the package libopenblas0): %s",
                        dlerror());
    if (find_functions(handle, err) < 0) {
        dlclose(handle);
        return -1;
    }
    return 0;
}

#endif

/* Loads OpenBLAS if it is not loaded; the caller holds the lock. A call after a failure tries
 * again, since there may be more memory then. */
static int load(struct adl_error *err)
{
    if (blas.loaded)
        return 0;
    if (try_address_space(LIBRARY_BYTES, err) < 0 || open_library(err) < 0)
        return -1;
    blas.set_num_threads(1);
    snprintf(blas.version, sizeof blas.version, "%s, core %s", blas.get_config(),
             blas.get_corename());
    blas.loaded = true;
    return 0;
}

static int map_buffers(int count, struct adl_error *err)
{
    void *buffers[ADL_LIMIT_THREADS];

    assert(count <= ADL_LIMIT_THREADS);
    if (!blas.memory_alloc || !blas.memory_free || count <= blas.buffers)
        return 0;
    if (try_address_space((size_t)count * BUFFER_BYTES, err) < 0)
        return -1;
    for (int i = 0; i < count; i++)
        buffers[i] = blas.memory_alloc(0);
    for (int i = 0; i < count; i++)
        blas.memory_free(buffers[i]);
    blas.buffers = count;
    return 0;
}

int adl_blas_reserve(int callers, struct adl_error *err)
{
    pthread_mutex_lock(&lock);
    int result = load(err) < 0 ? -1 : map_buffers(callers, err);
    pthread_mutex_unlock(&lock);
    return result;
}

void adl_sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t depth, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    assert(blas.sgemm);
    blas.sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
               transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)depth,
               1.0f, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

const char *adl_blas_version(void)
{
    struct adl_error err = {0};
    return adl_blas_reserve(0, &err) < 0 ? "OpenBLAS cannot be loaded" : blas.version;
}

const char *adl_blas_threading(void)
{
    static const char *const names[] = {"serial", "pthread", "openmp"};
    struct adl_error err = {0};
    int parallel = adl_blas_reserve(0, &err) < 0 ? -1 : blas.get_parallel();
    return parallel >= 0 && parallel <= 2 ? names[parallel] : "unknown";
}
