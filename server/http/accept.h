#ifndef ADL_SERVER_HTTP_ACCEPT_H
#define ADL_SERVER_HTTP_ACCEPT_H

/* A thread that accepts the connections of one listening socket and passes them on. The socket
 * may be shared with other processes: the thread polls it and accepts from it, and in the end
 * closes this process's descriptor. It does not shut the socket down. */

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

struct adl_acceptor;

struct adl_acceptor_config {
    int fd; /* listening, blocking or not; the acceptor owns this descriptor */
    /* Takes over an accepted connection, which does not block. */
    void (*take)(void *context, int fd, const struct sockaddr *address, socklen_t length);
    /* Returns whether the maximum number of connections is reached; while it is, further ones
     * wait in the kernel's queue. */
    bool (*full)(void *context);
    void *context;
};

/* Starts accepting. Fails with ADL_ERR_IO or ADL_ERR_NOMEM, and then the caller still owns the
 * descriptor. */
struct adl_acceptor *adl_acceptor_start(const struct adl_acceptor_config *config,
                                        struct adl_error *err) ADL_MUST_CHECK;

/* Stops accepting, closes the descriptor and frees the acceptor (NULL: does nothing). With
 * `rest`, the connections that wait in the kernel's queue are accepted first, unless the
 * socket blocks; a socket that no other process has needs this, because closing it resets
 * them. Without `rest` they stay for the process that accepts from the socket next. */
void adl_acceptor_stop(struct adl_acceptor *acceptor, bool rest);

#endif
