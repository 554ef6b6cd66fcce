#ifndef ADL_SERVER_API_LATER_H
#define ADL_SERVER_API_LATER_H

/* Answers requests that have to wait for a file system on a thread for errands: a disk or a network
 * that hangs holds up those who asked for its files and nobody else. */

#include "server/serving/errands.h"

struct adl_exchange;

typedef void adl_later_fn(struct adl_exchange *exchange);

/* Suspends the request, has `answer` called on the thread, and resumes the request; or answers it
 * with the problem queue-full. To be called in the hook `complete`. */
void adl_later_submit(struct adl_errands *thread, struct adl_exchange *exchange,
                      adl_later_fn *answer);

#endif
