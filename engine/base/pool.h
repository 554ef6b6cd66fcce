#ifndef ADL_BASE_POOL_H
#define ADL_BASE_POOL_H

/* The program's one thread pool for computing, and its one parallel loop. */

#include <stddef.h>

#include "base/error.h"

struct adl_pool;

/* A pool of `threads` workers, 1 to ADL_LIMIT_THREADS, of which the thread that calls
 * adl_pool_for is one. It serves one caller at a time. Fails with ARG, NOMEM, or IO when
 * the system starts no more threads. */
struct adl_pool *adl_pool_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
/* Ends the threads. Not while a loop is running. */
void adl_pool_free(struct adl_pool *pool);

/* Workers of a pool; NULL counts as one. */
int adl_pool_threads(const struct adl_pool *pool);

/* Runs body(context, i, worker) for every i in 0..n-1 and returns when all are
 * done. Which worker (0..threads-1) runs which i is not determined, so a body must give
 * the same result on any of them; `worker` only selects scratch memory. A NULL pool runs
 * everything in the calling thread. Loops of one pool do not nest: a body that starts
 * another one, or a second thread that does, fails an assert. */
typedef void adl_pool_body(void *context, size_t i, int worker);
void adl_pool_for(struct adl_pool *pool, size_t n, adl_pool_body *body, void *context);

/* The default number of threads: the processors in the affinity mask of this process, but
 * no more than the CPU quota of its control group amounts to, 1 to ADL_LIMIT_THREADS. */
int adl_pool_default_threads(void);

#endif
