#ifndef ADL_BASE_POOL_H
#define ADL_BASE_POOL_H

/* The program's one thread pool for computing, and its one parallel loop. */

#include <stddef.h>

#include "base/error.h"

struct adl_pool;

/* `threads` workers including the calling thread, 1..ADL_LIMIT_THREADS. A pool
 * serves one caller at a time. */
struct adl_pool *adl_pool_create(int threads, struct adl_error *err) ADL_MUST_CHECK;
void adl_pool_free(struct adl_pool *pool);

/* NULL counts as one thread. */
int adl_pool_threads(const struct adl_pool *pool);

/* Runs body(context, i, worker) for every i in 0..n-1 and returns when all are
 * done. Which worker (0..threads-1) runs which i is not determined, so a body
 * must give the same result on any; `worker` only picks scratch memory. A NULL
 * pool runs everything here. Does not nest. */
typedef void adl_pool_body(void *context, size_t i, int worker);
void adl_pool_for(struct adl_pool *pool, size_t n, adl_pool_body *body, void *context);

/* A number of threads for this process: the processors of its affinity mask, at most as
 * many as the CPU quota of its control group amounts to, 1 to ADL_LIMIT_THREADS. */
int adl_pool_default_threads(void);

#endif
