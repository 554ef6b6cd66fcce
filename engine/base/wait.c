/* Waits by the clock that nobody sets, where the library can do that; see wait.h. */

#include "base/wait.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

#define SECOND_NS 1000000000u
#define LOOK_NS 2000000 /* how often to look whether a thread has ended */

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
    const uint64_t until_ns = adl_clock_ns() + (uint64_t)ms * 1000000;
    int result;

    /* pthread_timedjoin_np() goes by the time of day, which may be set meanwhile. */
    while ((result = pthread_tryjoin_np(thread, NULL)) == EBUSY && adl_clock_ns() < until_ns)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    return result == 0;
}
