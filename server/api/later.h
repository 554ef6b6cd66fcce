#ifndef ADL_SERVER_API_LATER_H
#define ADL_SERVER_API_LATER_H

/* Answers requests that have to wait for a file system, on a thread of their own: a disk or a
 * network that hangs holds up those who asked for its files and nobody else. The I/O threads hand
 * such a request over suspended, and the thread resumes it with its answer. */

#include <stddef.h>

#include "base/error.h"

struct adl_exchange;

typedef void adl_later_fn(struct adl_exchange *exchange);

struct adl_later;

/* Starts the thread. At most `capacity` requests wait for it. Fails with ADL_ERR_NOMEM and
 * ADL_ERR_IO. */
struct adl_later *adl_later_create(size_t capacity, struct adl_error *err) ADL_MUST_CHECK;
/* Waits for the requests that were handed over, and ends the thread. NULL is ignored. */
void adl_later_free(struct adl_later *later);

/* Suspends the request and has `answer` called on the thread; or answers it with the problem
 * queue-full. To be called in the hook `complete`. */
void adl_later_submit(struct adl_later *later, struct adl_exchange *exchange, adl_later_fn *answer);

/* Waits until no request is suspended here. Those that still wait are answered with the problem
 * draining. NULL is ignored. */
void adl_later_drain(struct adl_later *later);

#endif
