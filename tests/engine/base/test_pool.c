/* base/pool: every index once, on any number of threads, and no loop inside a loop. */

#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/pool.h"
#include "base/size.h"

#define MOST 1000

struct tally {
    struct adl_pool *pool;
    _Atomic int runs[MOST];
    _Atomic int wrong_workers;
};

static void count_index(void *context, size_t i, int worker)
{
    struct tally *tally = context;
    atomic_fetch_add(&tally->runs[i], 1);
    if (worker < 0 || worker >= adl_pool_threads(tally->pool))
        atomic_fetch_add(&tally->wrong_workers, 1);
}

static void every_index_runs_once(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, MOST};
    struct adl_error err = {0};
    for (int threads = 0; threads <= 5; threads++) {
        struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
        CU_ASSERT(!threads || pool);
        for (size_t c = 0; c < ADL_COUNT(counts); c++) {
            static struct tally tally;
            memset(&tally, 0, sizeof tally);
            tally.pool = pool;
            adl_pool_for(pool, counts[c], count_index, &tally);
            for (size_t i = 0; i < MOST; i++)
                if (tally.runs[i] != (i < counts[c]))
                    TEST_FAIL("%d threads: index %zu of %zu ran %d times", threads, i, counts[c],
                              tally.runs[i]);
            CU_ASSERT_EQUAL(tally.wrong_workers, 0);
        }
        adl_pool_free(pool);
    }
}

/* Workers that have gone to sleep are woken by the next loop. */
static void sleepers_wake(void)
{
    struct adl_error err = {0};
    struct adl_pool *pool = adl_pool_create(3, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
    for (int round = 0; round < 5; round++) {
        static struct tally tally;
        memset(&tally, 0, sizeof tally);
        tally.pool = pool;
        usleep(2000);
        adl_pool_for(pool, 10, count_index, &tally);
        for (size_t i = 0; i < 10; i++)
            CU_ASSERT_EQUAL(tally.runs[i], 1);
    }
    adl_pool_free(pool);
}

static void sizes_are_checked(void)
{
    static const int wrong[] = {0, -1, ADL_LIMIT_THREADS + 1};
    for (size_t i = 0; i < ADL_COUNT(wrong); i++) {
        struct adl_error err = {0};
        CU_ASSERT_PTR_NULL(adl_pool_create(wrong[i], &err));
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
    int threads = adl_pool_default_threads();
    CU_ASSERT(threads >= 1 && threads <= ADL_LIMIT_THREADS);
}

/* --- loops inside loops ------------------------------------------------------------ */

static void nothing(void *context, size_t i, int worker)
{
    (void)context;
    (void)i;
    (void)worker;
}

static void nest(void *context, size_t i, int worker)
{
    (void)i;
    (void)worker;
    adl_pool_for(context, 2, nothing, NULL);
}

/* The signal that ended a child which starts a loop inside a loop; 0: none did. */
static int end_of_nesting(int threads, size_t n)
{
    pid_t child = fork();
    if (child == 0) {
        struct adl_error err = {0};
        int null = open("/dev/null", O_WRONLY);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        dup2(null, STDERR_FILENO);
        alarm(20); /* so that a deadlock ends, with another signal */
        struct adl_pool *pool = adl_pool_create(threads, &err);
        if (pool)
            adl_pool_for(pool, n, nest, pool);
        _exit(0);
    }
    int status = 0;
    CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_loop_inside_a_loop_aborts(void)
{
    CU_ASSERT_EQUAL(end_of_nesting(3, 8), SIGABRT);
    CU_ASSERT_EQUAL(end_of_nesting(3, 1), SIGABRT);
    CU_ASSERT_EQUAL(end_of_nesting(1, 1), SIGABRT);
    CU_ASSERT_EQUAL(end_of_nesting(3, 0), 0);
}

TEST_SUITE(pool, {"every index runs once", every_index_runs_once}, {"sleepers wake", sleepers_wake},
           {"sizes are checked", sizes_are_checked},
           {"a loop inside a loop aborts", a_loop_inside_a_loop_aborts});
