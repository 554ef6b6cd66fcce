#ifndef ADL_BASE_POOL_H
#define ADL_BASE_POOL_H

/* The program's one thread pool for computing, and its one parallel loop. */

#include <stddef.h>

#include "base/error.h"

struct adl_pool;

/* Creates a pool of `threads` workers, 1 to ADL_LIMIT_THREADS, one of which is the thread
 * that calls adl_pool_for. It serves one caller at a time. Fails with ADL_ERR_ARG,
 * ADL_ERR_NOMEM, or ADL_ERR_IO when the system starts no more threads. */
struct adl_pool *adl_pool_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
/* Ends the threads and frees the pool (may be NULL). Must not be called while a loop is
 * running. */
void adl_pool_free(struct adl_pool *pool);

/* Returns the number of workers; 1 for a NULL pool. */
int adl_pool_threads(const struct adl_pool *pool);

/* Runs body(context, i, worker) for every i in 0..n-1 and returns when all are done. Which
 * worker (0..threads-1) runs which i is not determined, so a body must give the same result
 * on any of them; `worker` only selects scratch memory. A NULL pool runs everything in the
 * calling thread. Loops of one pool do not nest: if a body or a second thread starts another
 * one, an assert fails. */
typedef void adl_pool_body(void *context, size_t i, int worker);
void adl_pool_for(struct adl_pool *pool, size_t n, adl_pool_body *body, void *context);

/* Returns the default number of threads: the processors in the affinity mask of this process,
 * but no more than the CPU quota of its control group amounts to, 1 to ADL_LIMIT_THREADS. */
int adl_pool_default_threads(void);

#endif
