#ifndef ADL_SERVER_HTTP_HTTP_H
#define ADL_SERVER_HTTP_HTTP_H

/* HTTP/1.1 over libmicrohttpd: connections, bodies, deadlines, draining. This layer is
 * independent of what is served.
 *
 * A request goes through the hooks in this order, all on an I/O thread:
 *
 *     begin     The headers have arrived. The hook may reply at once, in which case the
 *               body is not read, or call adl_http_take_body().
 *     complete  The body has arrived. The hook replies, or suspends the request so that
 *               another thread can reply and resume it.
 *     done      The reply has been sent, or the connection is gone.
 *
 * `refuse` is called instead of `complete` when reading the body has to stop; the hook
 * replies. */

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "server/http/framing.h"
#include "server/http/proxies.h"

#define ADL_HTTP_HEADERS 12 /* the most headers that a reply may add */

struct adl_http;

/* Bytes of a reply. `release` (NULL for static data) frees `data` after it was sent. */
struct adl_http_body {
    const void *data;
    size_t length;
    void (*release)(void *data);
};

struct adl_http_header {
    const char *name; /* static */
    char value[200];
};

/* One request. Its I/O thread owns it, except between adl_http_suspend() and
 * adl_http_resume(), when the thread that will resume it does. */
struct adl_http_request {
    struct adl_http *http;
    struct MHD_Connection *connection;
    const char *method;
    const char *path; /* decoded, without the query */
    const char *host; /* requested host: from a target "http://HOST/PATH", otherwise from the
                         Host header; NULL: neither */
    uint64_t start_ns;
    char remote[ADL_PROXIES_TEXT]; /* the client's address, behind trusted proxies too */

    enum adl_http_framing framing; /* begin has to refuse the request unless this is CLEAR */

    long long content_length; /* as announced; -1: chunked, or no body */
    bool has_body;            /* the headers announce a body */
    char *body;               /* the bytes received so far; owned */
    size_t body_length;
    size_t body_bytes; /* bytes that arrived, including discarded ones */

    void *context; /* free for the hooks */

    /* The reply; status 0: none yet. */
    int status;
    const char *content_type;
    struct adl_http_body reply;
    struct adl_http_header headers[ADL_HTTP_HEADERS];
    size_t header_count;

    /* http.c only */
    char target_host[256];
    size_t body_limit;
    size_t body_capacity;
    bool discard, received, completed, queued, early, suspended;
    bool late; /* it did not arrive in time; under the lock while it is arriving */
    struct adl_http_request *next, **link;
    struct adl_http_peer *peer; /* its connection */
};

enum adl_http_refusal {
    ADL_HTTP_TOO_LARGE, /* the body exceeds its limit */
    ADL_HTTP_TOO_SLOW,  /* the request did not arrive in time */
    ADL_HTTP_NO_MEMORY  /* out of memory, or the bodies of all requests exceed their budget */
};

struct adl_http_hooks {
    void (*begin)(struct adl_http_request *request);
    void (*complete)(struct adl_http_request *request);
    void (*refuse)(struct adl_http_request *request, enum adl_http_refusal why);
    /* `sent` is false when the client disconnected or was cut off. */
    void (*done)(struct adl_http_request *request, bool sent);
    void (*log)(const char *message); /* a message of libmicrohttpd, one line */
};

struct adl_http_config {
    int listen_fds[ADL_LIMIT_LISTENERS]; /* may be shared with other processes and may block */
    size_t listen_count;
    unsigned io_threads;
    unsigned connections;              /* maximum; further clients wait in the kernel's backlog */
    unsigned idle_s;                   /* seconds after which a silent connection is closed */
    unsigned request_s;                /* seconds within which a request has to arrive */
    size_t bodies_bytes;               /* maximum bytes of all bodies in memory together */
    const struct adl_proxies *proxies; /* trusted ones; outlive the server; NULL: none */
    struct adl_http_hooks hooks;
    void *context; /* returned by adl_http_context() */
};

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

/* In begin: keeps the body, up to `limit` bytes; without this call it is discarded. */
void adl_http_take_body(struct adl_http_request *request, size_t limit);

/* Sets the reply of a request; a second call replaces the first. Takes ownership of the
 * body. A reply to HEAD may have a body, which is not sent. `content_type` is static;
 * NULL: no such header. */
void adl_http_reply(struct adl_http_request *request, int status, const char *content_type,
                    struct adl_http_body body);
/* Adds a header to the reply. `name` is static. Headers beyond ADL_HTTP_HEADERS are
 * dropped, and values are truncated to the size of struct adl_http_header. */
void adl_http_add_header(struct adl_http_request *request, const char *name, const char *fmt, ...)
    ADL_PRINTF(3, 4);

/* In complete: another thread will reply and then resume the request. Suspend before
 * handing the request to that thread, and do not touch it afterwards. */
void adl_http_suspend(struct adl_http_request *request);
void adl_http_resume(struct adl_http_request *request);

/* Whether the client of a suspended request can no longer receive the answer: it has reset
 * the connection. One that has only closed its writing side still waits. */
bool adl_http_client_gone(const struct adl_http_request *request);

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
