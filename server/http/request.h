#ifndef ADL_SERVER_HTTP_REQUEST_H
#define ADL_SERVER_HTTP_REQUEST_H

/* A request: its head, its body, its reply, and the hooks that are called for it.
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
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "server/http/framing.h"
#include "server/http/proxies.h"

#define ADL_HTTP_HEADERS 16 /* the most headers that a reply may add */

struct adl_http;
struct adl_tls;

/* Bytes of a reply. `release` (NULL for static data) frees `data` after it was sent. */
struct adl_http_body {
    const void *data;
    size_t length;
    void (*release)(void *data);
};

struct adl_http_header {
    const char *name; /* static */
    char value[400];  /* a Content-Security-Policy with digests takes most */
};

/* A request. Its I/O thread owns it, except between adl_http_suspend() and
 * adl_http_resume(), when the thread that will resume it owns it. */
struct adl_http_request {
    struct adl_http *http;
    struct MHD_Connection *connection;
    const char *method;
    const char *version; /* "HTTP/1.1" */
    const char *path;    /* decoded, without the query */
    const char *host;    /* requested host: from a target "http://HOST/PATH", otherwise from the
                            Host header; NULL: the request has neither */
    uint64_t start_ns;
    char remote[ADL_PROXIES_TEXT]; /* the client's address, behind trusted proxies too */

    enum adl_http_framing framing; /* begin has to refuse the request unless this is
                                      ADL_HTTP_FRAMING_CLEAR */

    long long content_length; /* as announced; -1: chunked, or no body */
    bool has_body;            /* the headers announce a body */
    char *body;               /* the bytes received so far; owned */
    size_t body_length;
    size_t body_bytes; /* bytes that arrived, including discarded ones */
    size_t body_limit; /* of adl_http_take_body() */

    void *context; /* free for the hooks */

    /* The reply; status 0: none yet. */
    int status;
    const char *content_type;
    struct adl_http_body reply;
    bool from_file; /* the reply is at `offset` of the file `fd`, which is owned */
    int fd;
    uint64_t offset;
    struct adl_http_header headers[ADL_HTTP_HEADERS];
    size_t header_count;

    /* for the files of server/http only */
    char target_host[256];
    size_t body_capacity;
    unsigned bucket; /* of `remote`, among the addresses whose bodies are counted */
    bool discard, received, completed, queued, early, suspended;
    bool late;           /* it did not arrive in time; under the lock while it is arriving */
    bool held;           /* its refusal was held back */
    uint64_t release_ns; /* until when */
    struct adl_http_request *next, **link; /* of those that are arriving, or held back */
    struct adl_http_peer *peer;            /* its connection */
};

enum adl_http_refusal {
    ADL_HTTP_TOO_LARGE, /* the body exceeds its limit */
    ADL_HTTP_TOO_SLOW,  /* the request did not arrive in time */
    ADL_HTTP_MALFORMED, /* the framing of the body is malformed */
    ADL_HTTP_NO_MEMORY  /* out of memory, or the bodies of all requests exceed their budget */
};

struct adl_http_hooks {
    void (*begin)(struct adl_http_request *request);
    void (*complete)(struct adl_http_request *request);
    void (*refuse)(struct adl_http_request *request, enum adl_http_refusal why);
    /* `sent` is false if the reply could not be sent completely, because the client
     * disconnected or its connection was closed. */
    void (*done)(struct adl_http_request *request, bool sent);
    void (*log)(const char *message); /* a message of libmicrohttpd, one line */
    /* Called once a second at most: so many connections were closed, or refused, for a limit. */
    void (*crowded)(size_t closed, size_t refused);
    /* Called once a minute at most, on a daemon without TLS: a client has sent what is no HTTP, and
     * `tls` is set if that certainly was the beginning of a TLS handshake. */
    void (*stranger)(bool tls);
};

struct adl_http_config {
    int listen_fds[ADL_LIMIT_LISTENERS]; /* may be shared with other processes and may block */
    size_t listen_count;
    unsigned io_threads;
    unsigned connections;      /* maximum; for further ones others that are not busy are
                                  closed, or they wait in the kernel's backlog */
    unsigned connections_each; /* maximum of one address; 0: as many as there are */
    unsigned header_s;         /* seconds within which the head of a request has to arrive */
    unsigned idle_s;           /* seconds after which a silent connection is closed */
    unsigned request_s;        /* seconds within which a request has to arrive */
    size_t bodies_bytes;       /* maximum bytes of all bodies in memory together */
    _Atomic size_t *open;      /* counts open connections, of several daemons together; NULL: nobody
                                  asks. Has to outlive them */
    struct adl_tls *tls;       /* must outlive the server; NULL: plain HTTP */
    const struct adl_proxies *proxies; /* trusted ones; must outlive the server; NULL: none */
    struct adl_http_hooks hooks;
    void *context; /* returned by adl_http_context() */
};

/* Keeps the body, up to `limit` bytes; to be called in `begin`. Without this call the body is
 * discarded. */
void adl_http_take_body(struct adl_http_request *request, size_t limit);

/* Sets the reply of a request; a second call replaces the first. Takes ownership of the
 * body. A reply to HEAD may have a body, which is not sent. `content_type` is static;
 * NULL: no such header. */
void adl_http_reply(struct adl_http_request *request, int status, const char *content_type,
                    struct adl_http_body body);
/* As adl_http_reply(), with `length` bytes at `offset` of an open regular file, which are read as
 * they are sent. Takes ownership of the descriptor. */
void adl_http_reply_file(struct adl_http_request *request, int status, const char *content_type,
                         int fd, uint64_t offset, size_t length);
/* Adds a header to the reply. `name` is static. Headers beyond ADL_HTTP_HEADERS are
 * dropped, and values are truncated to the size of struct adl_http_header. */
void adl_http_add_header(struct adl_http_request *request, const char *name, const char *fmt, ...)
    ADL_PRINTF(3, 4);

/* Returns whether the client of a suspended request can no longer receive the answer, because
 * it has reset the connection. A client that has only closed its writing side still waits. */
bool adl_http_client_gone(const struct adl_http_request *request);

#endif
