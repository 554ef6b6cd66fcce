#ifndef ADL_SERVER_HTTP_LINGER_H
#define ADL_SERVER_HTTP_LINGER_H

/* Closes connections that were answered before their request had arrived completely. Closing
 * one at once would reset it, and the client might lose the answer; so the bytes that still
 * arrive are read and discarded, for a few seconds. */

#include "base/error.h"

struct adl_linger;

/* Starts the thread. Fails with ADL_ERR_NOMEM or ADL_ERR_IO. */
struct adl_linger *adl_linger_create(struct adl_error *err) ADL_MUST_CHECK;
/* Stops the thread and closes the connections that are still open. NULL is ignored. */
void adl_linger_free(struct adl_linger *linger);

/* Shuts down the writing side and keeps a duplicate of the socket open until the client
 * closes it, for at most a few seconds and ADL_LIMIT_SWALLOW_BYTES. The caller may close
 * `fd`. If the duplicate cannot be made or there are too many, the connection ends when the
 * caller closes `fd`. Thread-safe. */
void adl_linger_add(struct adl_linger *linger, int fd);

#endif
