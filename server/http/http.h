#ifndef ADL_SERVER_HTTP_HTTP_H
#define ADL_SERVER_HTTP_HTTP_H

/* HTTP/1.1 over libmicrohttpd: connections, bodies, deadlines, draining. Knows
 * nothing of what is served.
 *
 * A request goes through the hooks in this order, all on an I/O thread:
 *
 *     begin     its headers are there. May reply at once: then a body that was
 *               announced is not read. May call adl_http_take_body().
 *     complete  its body is there. Replies, or suspends and lets another thread
 *               reply and resume.
 *     done      the answer is sent, or the connection is gone.
 *
 * `refuse` is asked for a reply when reading the body has to stop. */

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

#define ADL_HTTP_HEADERS 12 /* that a reply may add */

struct adl_http;

/* Bytes of a reply. `release` (may be NULL) frees `data` when it was sent. */
struct adl_http_body {
    const void *data;
    size_t length;
    void (*release)(void *data);
};

struct adl_http_header {
    const char *name; /* static */
    char value[200];
};

/* What of the headers leaves it open where a body ends. */
enum adl_http_framing {
    ADL_HTTP_FRAMING_CLEAR,
    ADL_HTTP_FRAMING_LENGTHS,   /* two of Content-Length that differ */
    ADL_HTTP_FRAMING_AMBIGUOUS, /* Content-Length and Transfer-Encoding */
    ADL_HTTP_FRAMING_UNKNOWN    /* a Transfer-Encoding that is not "chunked" */
};

/* One request. I/O threads own it but between adl_http_suspend() and
 * adl_http_resume(), when it is the resuming thread's. */
struct adl_http_request {
    struct adl_http *http;
    struct MHD_Connection *connection;
    const char *method;
    const char *path; /* decoded, without the query */
    const char *host; /* that is asked: of a target "http://HOST/PATH", or the Host header; NULL:
                         neither */
    uint64_t start_ns;
    char remote[64]; /* the client's address */

    enum adl_http_framing framing; /* CLEAR, or begin has to refuse the request */

    long long content_length; /* announced; -1: chunked, or none */
    bool has_body;            /* any was announced */
    char *body;               /* taken; owned */
    size_t body_length;
    size_t body_bytes; /* that arrived, taken or not */

    void *context; /* of the hooks */

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
    bool discard, completed, queued, early, suspended;
    bool late; /* it did not arrive in time; under the lock while it arrives */
    struct adl_http_request *next, **link;
    struct adl_http_peer *peer; /* NULL: there was no memory for one */
};

enum adl_http_refusal {
    ADL_HTTP_TOO_LARGE, /* the body passed its limit */
    ADL_HTTP_TOO_SLOW,  /* it did not arrive in time */
    ADL_HTTP_NO_MEMORY  /* for it, or the bodies of all requests are too many bytes */
};

struct adl_http_hooks {
    void (*begin)(struct adl_http_request *request);
    void (*complete)(struct adl_http_request *request);
    void (*refuse)(struct adl_http_request *request, enum adl_http_refusal why);
    /* `sent` is false when the client left or was cut off. */
    void (*done)(struct adl_http_request *request, bool sent);
    void (*log)(const char *message); /* of the library */
};

struct adl_http_config {
    int listen_fd; /* listening and non-blocking; closed by adl_http_stop() */
    unsigned io_threads;
    unsigned connections;
    unsigned idle_s;    /* a silent connection is closed */
    unsigned request_s; /* a request has to arrive within this */
    size_t bodies_bytes;
    struct adl_http_hooks hooks;
    void *context; /* of the server, see adl_http_context() */
};

struct adl_http *adl_http_start(const struct adl_http_config *config,
                                struct adl_error *err) ADL_MUST_CHECK;

/* To be called now and then: the library's own timeout is only for clients that
 * are silent. Ends requests that do not arrive in time although bytes come, as
 * TOO_SLOW; connections that have begun no request for idle_s and request_s
 * together; and those whose client left between or in the middle of requests. */
void adl_http_tend(struct adl_http *http);
/* Requests begun and not done. */
size_t adl_http_in_flight(const struct adl_http *http);
size_t adl_http_connections(const struct adl_http *http);
/* Cuts all connections. No request may be suspended any more. */
void adl_http_stop(struct adl_http *http);

void *adl_http_context(const struct adl_http_request *request);

/* A header of the request, or NULL. Valid until the request is done. */
const char *adl_http_header(const struct adl_http_request *request, const char *name);

/* In begin: the body is wanted, up to `limit` bytes. */
void adl_http_take_body(struct adl_http_request *request, size_t limit);

/* The reply, once per request; takes the body over. A reply to HEAD may have one:
 * it is not sent. `content_type` is static; NULL: none. */
void adl_http_reply(struct adl_http_request *request, int status, const char *content_type,
                    struct adl_http_body body);
/* One more header of the reply; too many are dropped, long ones cut. */
void adl_http_add_header(struct adl_http_request *request, const char *name, const char *fmt, ...)
    ADL_PRINTF(3, 4);

/* In complete: another thread will reply, then resume. Call it before handing
 * the request over. */
void adl_http_suspend(struct adl_http_request *request);
void adl_http_resume(struct adl_http_request *request);

/* Whether the client of a suspended request has closed its side. */
bool adl_http_client_gone(const struct adl_http_request *request);

/* A listening socket at "HOST:PORT", "[ADDRESS]:PORT" or ":PORT". */
int adl_http_listen(const char *where, int *fd, struct adl_error *err) ADL_MUST_CHECK;
/* What adl_http_listen_name() would say of that socket, without opening it. */
int adl_http_listen_check(const char *where, char *text, size_t size, bool *loopback,
                          struct adl_error *err) ADL_MUST_CHECK;
/* "127.0.0.1:8080" of a listening socket, and whether only this machine can
 * reach it. */
int adl_http_listen_name(int fd, char *text, size_t size, bool *loopback,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
