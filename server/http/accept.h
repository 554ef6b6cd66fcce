#ifndef ADL_SERVER_HTTP_ACCEPT_H
#define ADL_SERVER_HTTP_ACCEPT_H

/* The thread that accepts connections and hands them on. The listening socket may be
 * shared with other processes: it is polled and accepted from, and in the end this
 * process's descriptor is closed. Nothing is done to the socket itself. */

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

struct adl_acceptor;

struct adl_acceptor_config {
    int fd; /* listening, blocking or not; the acceptor owns this descriptor */
    /* Takes over an accepted connection, which does not block. */
    void (*take)(void *context, int fd, const struct sockaddr *address, socklen_t length);
    /* Whether there are as many connections as there may be; further ones wait in the
     * kernel's queue meanwhile. */
    bool (*full)(void *context);
    void *context;
};

/* Starts accepting. Fails with IO, and then the caller still owns the descriptor. */
struct adl_acceptor *adl_acceptor_start(const struct adl_acceptor_config *config,
                                        struct adl_error *err) ADL_MUST_CHECK;

/* Stops accepting, closes the descriptor and frees the acceptor (NULL: nothing happens).
 * With `rest`, which a socket of this process alone needs, the connections that wait in
 * the kernel's queue are accepted first; without it they stay for the process that accepts
 * from the socket next. */
void adl_acceptor_stop(struct adl_acceptor *acceptor, bool rest);

#endif
