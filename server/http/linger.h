#ifndef ADL_SERVER_HTTP_LINGER_H
#define ADL_SERVER_HTTP_LINGER_H

/* Connections that were answered before their request had arrived completely. Closing
 * one at once would reset it, and the client might lose the answer; so what still
 * arrives is read and discarded, for a few seconds. */

#include "base/error.h"

struct adl_linger;

/* Starts the thread. Fails with NOMEM or IO. */
struct adl_linger *adl_linger_create(struct adl_error *err) ADL_MUST_CHECK;
/* Stops the thread and closes the connections that are still open. NULL is fine. */
void adl_linger_free(struct adl_linger *linger);

/* Shuts down the writing side and keeps a duplicate of the socket open until the client
 * closes it, for at most a few seconds and ADL_LIMIT_SWALLOW_BYTES. The caller may close
 * `fd`. If the duplicate cannot be made or there are too many, the connection is simply
 * closed. Thread-safe. */
void adl_linger_add(struct adl_linger *linger, int fd);

#endif
