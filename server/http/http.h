#ifndef ADL_SERVER_HTTP_HTTP_H
#define ADL_SERVER_HTTP_HTTP_H

/* HTTP/1.1 over libmicrohttpd: connections, bodies, deadlines, draining. This layer does not
 * depend on the content that is served. Requests and the hooks that handle them are defined in
 * request.h. */

#include "server/http/request.h"

/* Starts the I/O threads and takes ownership of the listening sockets. No connection is
 * accepted before adl_http_accept(). Fails with ADL_ERR_NOMEM or ADL_ERR_IO, and then the
 * caller still owns the sockets. */
struct adl_http *adl_http_start(const struct adl_http_config *config,
                                struct adl_error *err) ADL_MUST_CHECK;

/* Begins to accept connections; to be called once. Fails with ADL_ERR_NOMEM or ADL_ERR_IO. */
int adl_http_accept(struct adl_http *http, struct adl_error *err) ADL_MUST_CHECK;
/* Stops accepting and closes the descriptors of the listening sockets, but does not shut the
 * sockets down. With `rest`, the connections that wait in the kernel's queue are accepted
 * first; a socket that no other process has needs this, because closing it resets them.
 * Without `rest` they stay there for the next process that accepts from the socket. */
void adl_http_stop_accepting(struct adl_http *http, bool rest);
/* Returns the number of connections that carry a request or may carry one soon: those with a
 * request in progress, those with unread bytes, and those that were opened, or got an answer,
 * in the last `recent_ms` milliseconds. */
size_t adl_http_unsettled(struct adl_http *http, unsigned recent_ms);

/* Enforces the deadlines that the library does not, since the library's timeout covers only
 * clients that are silent; to be called every few seconds from one thread. It ends
 * - requests that do not arrive within request_s although bytes keep coming, with
 *   ADL_HTTP_TOO_SLOW,
 * - connections on which no request has begun for idle_s + request_s,
 * - connections whose client has disconnected between requests or in the middle of one. */
void adl_http_enforce_deadlines(struct adl_http *http);
/* Returns the number of requests that have begun and are not done. */
size_t adl_http_in_flight(const struct adl_http *http);
/* Returns the number of open connections. */
size_t adl_http_connections(const struct adl_http *http);
/* Sends all refusals that are held back, and holds none back from now on. */
void adl_http_hurry(struct adl_http *http);
/* Closes all connections, joins the I/O threads and frees `http`. No request may be
 * suspended at this point. */
void adl_http_stop(struct adl_http *http);

/* Returns the `context` of the configuration. */
void *adl_http_context(const struct adl_http_request *request);

/* Returns the value of a header of the request, or NULL. It is valid until the request is
 * done. */
const char *adl_http_header(const struct adl_http_request *request, const char *name);

/* Suspends a request from the hook `complete`, so that another thread can reply and then
 * resume it. The request has to be suspended before it is passed to that thread, and must not
 * be used afterwards. */
void adl_http_suspend(struct adl_http_request *request);
void adl_http_resume(struct adl_http_request *request);

/* Opens a listening, non-blocking socket at "HOST:PORT", "[ADDRESS]:PORT", ":PORT" (all
 * addresses) or "unix:PATH" (a socket file of mode 660, in place of one that nobody listens on);
 * the caller closes *fd. `option` is the name in messages, such as "--listen". Fails with
 * ADL_ERR_ARG on a malformed or unknown address, with ADL_ERR_IO if the address cannot be bound. */
int adl_http_listen(const char *option, const char *where, int *fd,
                    struct adl_error *err) ADL_MUST_CHECK;
/* Writes the address that adl_http_listen_name() would write for a socket opened at `where`,
 * without opening it. Fails with ADL_ERR_ARG as adl_http_listen() does. */
int adl_http_listen_check(const char *option, const char *where, char *text, size_t size,
                          bool *loopback, struct adl_error *err) ADL_MUST_CHECK;
/* Removes the file of a socket that adl_http_listen() has opened at "unix:PATH"; does nothing for
 * other addresses. */
void adl_http_listen_remove(const char *where);
/* Writes the address of a listening socket, such as "127.0.0.1:8080", "unix:/run/adl.sock"
 * or "unix:@abstract", into `text` of `size` bytes, and sets *loopback if only this machine
 * can reach it. Fails with ADL_ERR_IO. */
int adl_http_listen_name(int fd, char *text, size_t size, bool *loopback,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
