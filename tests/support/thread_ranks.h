#ifndef TESTS_SUPPORT_THREAD_RANKS_H
#define TESTS_SUPPORT_THREAD_RANKS_H

/* Ranks of train/exchange.h that are threads of one process. */

#include "train/exchange.h"

enum { THREAD_RANKS = 8 }; /* at most */

/* To be called before the threads begin. */
void thread_ranks_begin(void);
/* From now on messages are on their way for a while, each for another time, so that they arrive in
 * another order than they were sent; until thread_ranks_begin(). */
void thread_ranks_delay(void);
/* From now on all tests of messages fail; until thread_ranks_begin(). */
void thread_ranks_break(void);

/* Returns the exchange of a rank, which any thread may use. `number` is read as long as it is used.
 */
struct adl_exchange thread_exchange(int *number, int ranks);

#endif
