#ifndef ADL_SERVER_API_SERVER_H
#define ADL_SERVER_API_SERVER_H

/* What the HTTP handlers share: the server, one exchange (a request and its
 * answer), and the ways to answer. */

#include <jansson.h>
#include <stdatomic.h>

#include "server/api/auth.h"
#include "server/http/http.h"
#include "server/http/problem.h"
#include "server/serving/batcher.h"
#include "server/serving/metrics.h"
#include "server/serving/registry.h"

/* Immutable after the start but for `draining`; the parts lock themselves. */
struct adl_server {
    size_t max_body;
    size_t max_pixels;
    int timeout_s;
    bool reduced_decode;
    bool web;
    bool loopback; /* only this machine can reach it: host names are checked */
    const char *const *allowed_hosts;
    size_t allowed_host_count;
    const char *cors_origin; /* NULL: none */
    size_t queue_capacity;

    struct adl_registry *registry;
    struct adl_batcher *batcher;
    struct adl_auth *auth;
    struct adl_metrics metrics;
    struct adl_http *http;
    _Atomic bool draining;
};

struct adl_route;

struct adl_exchange {
    struct adl_server *server;
    struct adl_http_request *http;
    const struct adl_route *routes; /* adl_routes, for handlers that list them */
    const struct adl_route *route;  /* of this request; NULL: its path has none */
    enum adl_method_index method;
    char request_id[ADL_LIMIT_REQUEST_ID_BYTES + 1];
    char trace_id[33];        /* of traceparent; "": none */
    enum adl_problem problem; /* that was answered */
    const char *model;        /* for the log; NULL: none */
    size_t images;            /* the same */
    void *work;               /* of the handler */
    void (*release)(void *work);
};

/* --- answers; all set Cache-Control: no-store -------------------------------- */

/* A problem document. `retry_after_s` 0: no Retry-After. */
void adl_answer_problem(struct adl_exchange *exchange, enum adl_problem problem,
                        unsigned retry_after_s, const char *fmt, ...) ADL_PRINTF(4, 5);
/* Takes the JSON over; NULL is out of memory. A newline is added. */
void adl_answer_json(struct adl_exchange *exchange, json_t *json);
/* Takes the buffer's text. */
void adl_answer_text(struct adl_exchange *exchange, int status, const char *type,
                     struct adl_str *text);
/* Takes bytes of adl_malloc. */
void adl_answer_bytes(struct adl_exchange *exchange, const char *type, void *bytes, size_t length);

/* --- routes.c ----------------------------------------------------------------- */

struct adl_route {
    const char *path; /* "/models/{name}": the last segment may be anything */
    bool open;        /* answers without a token */
    bool unattended;  /* answers while the server drains */
    bool web;         /* a file of the page: --no-web takes it away */
    /* `rest` is what stands in place of {name}. NULL: no such method. */
    void (*get)(struct adl_exchange *exchange, const char *rest);
    void (*post_begin)(struct adl_exchange *exchange);
    void (*post)(struct adl_exchange *exchange);
};

/* Ends with a row without a path; its index stands for unknown paths. */
extern const struct adl_route adl_routes[];
size_t adl_route_count(void);

/* The route of a path and what its {name} stands for; NULL: there is none. */
const struct adl_route *adl_route_find(const char *path, const char **rest);
/* "GET, HEAD, OPTIONS" into `text`. */
void adl_route_methods(const struct adl_route *route, char text[64]);

/* The hooks of the HTTP daemon. */
extern const struct adl_http_hooks adl_route_hooks;

/* --- handlers ------------------------------------------------------------------ */

#define GET_ROUTE(path, handler, ...) void handler(struct adl_exchange *exchange, const char *rest);
#define POST_ROUTE(path, begin, handler, ...)                                                      \
    void begin(struct adl_exchange *exchange);                                                     \
    void handler(struct adl_exchange *exchange);
#include "server/api/route_list.h"
#undef GET_ROUTE
#undef POST_ROUTE

#endif
