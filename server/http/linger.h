#ifndef ADL_SERVER_HTTP_LINGER_H
#define ADL_SERVER_HTTP_LINGER_H

/* Connections that were answered before their request had arrived. Closing one
 * at once would reset it, and the reset may overtake the answer; so what still
 * arrives is read and thrown away, for a few seconds. */

#include "base/error.h"

struct adl_linger;

struct adl_linger *adl_linger_create(struct adl_error *err) ADL_MUST_CHECK;
/* Closes what is still open. */
void adl_linger_free(struct adl_linger *linger);

/* Keeps a duplicate of the socket open until the client closes, at most a few
 * seconds and ADL_LIMIT_SWALLOW_BYTES. Does nothing where it cannot. */
void adl_linger_add(struct adl_linger *linger, int fd);

#endif
