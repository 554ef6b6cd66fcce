#ifndef ADL_BASE_WAIT_H
#define ADL_BASE_WAIT_H

/* Waiting for other threads, but not for ever. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Creates a condition for adl_cond_wait_until(), to be destroyed by pthread_cond_destroy(). */
void adl_cond_init(pthread_cond_t *cond);

/* Waits for a condition of adl_cond_init(), under the lock, until a time of adl_clock_ns(). Returns
 * false once that has come; true may be returned for no reason, as by pthread_cond_wait(). */
bool adl_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ns);

/* Joins a thread if it ends within so many milliseconds. Returns whether it has; if not, it may be
 * joined again. */
bool adl_thread_join_within(pthread_t thread, unsigned ms);

#endif
