/* A fork-join thread pool.
 *
 * A network is run as one parallel loop after the other, one or two for each layer, and a
 * small layer takes less time than the kernel needs to start or wake a thread. So the
 * threads are kept, and they wait for the next loop by spinning:
 *
 *   caller                                   worker
 *   writes body, context and the shares
 *   running = workers, generation += 2  ──▶  sees a new generation
 *   does its share, then helps               does its share, then helps
 *   waits until running == 0            ◀──  running -= 1
 *
 * Indices are dealt in equal, contiguous shares, in the order of the workers. So in each
 * layer a worker mostly reads the rows that it wrote in the layer before, which are still
 * in its own cache. Each share is a counter on a cache line of its own; a worker whose
 * share is used up takes indices from the counters of the others, which evens out tasks of
 * unequal cost without a queue.
 *
 * Memory order: the shares are written before the generation is published, and a worker
 * reads them after it saw the generation; what tasks wrote is visible to the caller
 * because it saw `running` drop to 0. Sleeping and waking alone use the lock.
 *
 * The generation counts loops in steps of 2; its low bit tells the workers to end. */

#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

/* How long a thread spins before it sleeps, so that an idle server uses no CPU time.
 * Between two loops of a network the caller needs 0.4 to 0.9 microseconds at the median and
 * 2.6 at the 95th percentile (mobilenet_v1 and resnet50, 2 threads, AVX2), but a worker
 * that has run out of tasks also waits for the last tasks of the others. The figures in
 * docs/performance.md were measured with 4000 pauses, 98 to 172 microseconds. */
#define SPIN_US 100
/* The clock is read once in this many pauses, each of 25 to 43 nanoseconds. */
#define PAUSES_PER_CLOCK 16

/* The indices of one worker that are not taken yet: next to end - 1. `next` may be more
 * than `end`, by one for each worker that found the share used up. */
struct share {
    _Alignas(ADL_ALIGNMENT) _Atomic size_t next;
    size_t end;
};

struct adl_pool {
    int threads;
    pthread_t handles[ADL_LIMIT_THREADS];

    /* Set by the caller before `generation` is published. */
    adl_pool_body *body;
    void *context;
    struct share shares[ADL_LIMIT_THREADS];

    _Alignas(ADL_ALIGNMENT) _Atomic uint32_t generation; /* low bit: end */
    _Alignas(ADL_ALIGNMENT) _Atomic int running;         /* workers still in the loop */

    pthread_mutex_t lock; /* only for sleeping and waking */
    pthread_cond_t wake;  /* workers: a new generation */
    pthread_cond_t done;  /* caller: running is 0 */
    _Atomic int sleepers; /* workers that sleep or are about to */
    _Atomic bool caller_sleeps;

    _Atomic bool busy; /* a loop is running; only for an assert */
};

struct worker_start {
    struct adl_pool *pool;
    int worker;
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    /* YIELD does nothing on most cores; ISB waits for as long as PAUSE does, some ten cycles. */
    __asm__ volatile("isb");
#endif
}

/* Runs the worker's own share, then what is left of the others'. */
static void work(struct adl_pool *pool, int worker)
{
    for (int next = 0; next < pool->threads; next++) {
        struct share *share = &pool->shares[(worker + next) % pool->threads];
        for (;;) {
            size_t i = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (i >= share->end)
                break;
            pool->body(pool->context, i, worker);
        }
    }
}

struct spin {
    unsigned pauses;
    uint64_t since_ns;
};

/* Pauses once; false when SPIN_US have passed since the first call. */
static bool spin(struct spin *spin)
{
    if (spin->pauses % PAUSES_PER_CLOCK == 0) {
        uint64_t now = adl_clock_ns();
        if (spin->pauses == 0)
            spin->since_ns = now;
        else if (now - spin->since_ns >= SPIN_US * UINT64_C(1000))
            return false;
    }
    spin->pauses++;
    relax();
    return true;
}

/* Returns the first generation that is not `seen`.
 *
 * No wake-up is lost: a sleeper first counts itself, then looks at the generation once
 * more; publish() first changes the generation, then looks at the count. */
static uint32_t wait_for_generation(struct adl_pool *pool, uint32_t seen)
{
    uint32_t now = seen;
    struct spin waiting = {0};
    do {
        now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen)
            return now;
    } while (spin(&waiting));
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while ((now = atomic_load(&pool->generation)) == seen)
        pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
    return now;
}

static void *worker_main(void *argument)
{
    struct worker_start start = *(struct worker_start *)argument;
    struct adl_pool *pool = start.pool;
    uint32_t seen = 0;

    adl_free(argument);
    for (;;) {
        seen = wait_for_generation(pool, seen);
        if (seen & 1)
            return NULL;
        work(pool, start.worker);
        if (atomic_fetch_sub(&pool->running, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

/* Publishes a new generation and wakes the sleepers. */
static void publish(struct adl_pool *pool, uint32_t add)
{
    atomic_fetch_add(&pool->generation, add);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}

/* Returns when no worker is in the loop any more. caller_sleeps and `running` are ordered
 * as sleepers and the generation are above. */
static void wait_for_workers(struct adl_pool *pool)
{
    struct spin waiting = {0};
    do {
        if (atomic_load_explicit(&pool->running, memory_order_acquire) == 0)
            return;
    } while (spin(&waiting));
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->running) > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

struct adl_pool *adl_pool_create(int threads, struct adl_error *err)
{
    if (threads < 1 || threads > ADL_LIMIT_THREADS) {
        adl_fail(err, ADL_ERR_ARG, "threads must be 1 to %d, not %d", ADL_LIMIT_THREADS, threads);
        return NULL;
    }
    struct adl_pool *pool = adl_calloc(1, sizeof *pool);
    if (!pool) {
        adl_fail_nomem(err, "the thread pool");
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (pool->threads = 1; pool->threads < threads; pool->threads++) {
        struct worker_start *start = adl_malloc(1, sizeof *start);
        if (!start) {
            adl_fail_nomem(err, "the thread pool");
            adl_pool_free(pool);
            return NULL;
        }
        *start = (struct worker_start){pool, pool->threads};
        if (pthread_create(&pool->handles[pool->threads], NULL, worker_main, start) != 0) {
            adl_free(start);
            adl_fail(err, ADL_ERR_IO, "cannot start thread %d of %d; ask for fewer with --threads",
                     pool->threads + 1, threads);
            adl_pool_free(pool);
            return NULL;
        }
    }
    return pool;
}

void adl_pool_free(struct adl_pool *pool)
{
    if (!pool)
        return;
    publish(pool, 1);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->handles[i], NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    adl_free(pool);
}

int adl_pool_threads(const struct adl_pool *pool)
{
    return pool ? pool->threads : 1;
}

static void run_here(size_t n, adl_pool_body *body, void *context)
{
    for (size_t i = 0; i < n; i++)
        body(context, i, 0);
}

static void run_shared(struct adl_pool *pool, size_t n, adl_pool_body *body, void *context)
{
    pool->body = body;
    pool->context = context;
    for (size_t i = 0, threads = (size_t)pool->threads; i < threads; i++) {
        atomic_store_explicit(&pool->shares[i].next, n * i / threads, memory_order_relaxed);
        pool->shares[i].end = n * (i + 1) / threads;
    }
    atomic_store(&pool->running, pool->threads - 1);
    publish(pool, 2);
    work(pool, 0);
    wait_for_workers(pool);
}

void adl_pool_for(struct adl_pool *pool, size_t n, adl_pool_body *body, void *context)
{
    if (!pool) {
        run_here(n, body, context);
        return;
    }
    bool busy = atomic_exchange_explicit(&pool->busy, true, memory_order_acquire);
    assert(!busy && "adl_pool_for: a task or a second thread started a loop in a busy pool");
    (void)busy; /* without asserts */
    if (pool->threads == 1 || n < 2)
        run_here(n, body, context);
    else
        run_shared(pool, n, body, context);
    atomic_store_explicit(&pool->busy, false, memory_order_release);
}

int adl_pool_default_threads(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int quota = adl_cgroup_cpus("");
    if (quota)
        count = ADL_MIN(count, quota);
    return count < 1 ? 1 : count > ADL_LIMIT_THREADS ? ADL_LIMIT_THREADS : count;
}
