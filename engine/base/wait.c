/* Waits by the clock that nobody sets, where the library can do that; see wait.h. */

#include "base/wait.h"

#include <time.h>

#define SECOND_NS 1000000000u

static struct timespec time_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
}

void adl_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool adl_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns)
{
    const struct timespec until = time_of(until_ns);

    return pthread_cond_timedwait(cond, lock, &until) == 0;
}

bool adl_thread_join_within(pthread_t thread, unsigned ms)
{
    struct timespec now;

    /* pthread_timedjoin_np() goes by the time of day. */
    clock_gettime(CLOCK_REALTIME, &now);
    const struct timespec until =
        time_of((uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec + (uint64_t)ms * 1000000);
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}
