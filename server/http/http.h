#ifndef ADL_SERVER_HTTP_HTTP_H
#define ADL_SERVER_HTTP_HTTP_H

/* HTTP/1.1 over libmicrohttpd: connections, bodies, deadlines, draining. This layer is
 * independent of what is served. What a request is, and what the hooks do with it, is in
 * request.h. */

#include "server/http/request.h"

/* Starts the I/O threads, and takes over the listening sockets. No connection is accepted
 * before adl_http_accept(). Fails with NOMEM or IO, and then the caller still owns them. */
struct adl_http *adl_http_start(const struct adl_http_config *config,
                                struct adl_error *err) ADL_MUST_CHECK;

/* From now on connections are accepted; call it once. Fails with NOMEM or IO. */
int adl_http_accept(struct adl_http *http, struct adl_error *err) ADL_MUST_CHECK;
/* Stops accepting and closes the descriptors of the listening sockets, but does not shut the
 * sockets down. With `rest`, the connections that wait in the kernel's queue are accepted
 * first; a socket of this process alone needs it, because closing such a socket resets
 * them. Without it they stay there for the next process that accepts from the socket. */
void adl_http_stop_accepting(struct adl_http *http, bool rest);
/* Number of connections on which an answer is owed or may be owed soon: those that carry a
 * request, those with bytes that were not read yet, and those that were opened, or got an
 * answer, in the last `recent_ms` milliseconds. */
size_t adl_http_unsettled(struct adl_http *http, unsigned recent_ms);

/* Enforces the deadlines that the library does not, since its own timeout covers only
 * clients that are silent; call it every few seconds from one thread. It ends
 * - requests that do not arrive within request_s although bytes keep coming (TOO_SLOW),
 * - connections on which no request has begun for idle_s + request_s,
 * - connections whose client has disconnected between requests or in the middle of one. */
void adl_http_tend(struct adl_http *http);
/* Number of requests that have begun and are not done, and of open connections. */
size_t adl_http_in_flight(const struct adl_http *http);
size_t adl_http_connections(const struct adl_http *http);
/* Closes all connections, joins the I/O threads and frees `http`. No request may be
 * suspended at this point. */
void adl_http_stop(struct adl_http *http);

/* The `context` of the configuration. */
void *adl_http_context(const struct adl_http_request *request);

/* A header of the request, or NULL. Valid until the request is done. */
const char *adl_http_header(const struct adl_http_request *request, const char *name);

/* In complete: another thread will reply and then resume the request. Suspend before
 * handing the request to that thread, and do not touch it afterwards. */
void adl_http_suspend(struct adl_http_request *request);
void adl_http_resume(struct adl_http_request *request);

/* Opens a listening, non-blocking socket at "HOST:PORT", "[ADDRESS]:PORT" or ":PORT" (all
 * addresses); the caller closes *fd. Fails with ARG on a malformed or unknown address,
 * with IO when the address cannot be bound. */
int adl_http_listen(const char *where, int *fd, struct adl_error *err) ADL_MUST_CHECK;
/* Gives what adl_http_listen_name() would for that socket, without opening it. */
int adl_http_listen_check(const char *where, char *text, size_t size, bool *loopback,
                          struct adl_error *err) ADL_MUST_CHECK;
/* Writes the address of a listening socket, such as "127.0.0.1:8080", "unix:/run/adl.sock"
 * or "unix:@abstract", into `text` of `size` bytes; *loopback says whether only this machine
 * can reach it. */
int adl_http_listen_name(int fd, char *text, size_t size, bool *loopback,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
