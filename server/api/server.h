#ifndef ADL_SERVER_API_SERVER_H
#define ADL_SERVER_API_SERVER_H

/* The types and functions that the HTTP handlers share: the server, an exchange (a request and
 * its answer), the functions that answer, the routes, and the handlers. */

#include <jansson.h>
#include <stdatomic.h>

#include "server/api/auth.h"
#include "server/http/http.h"
#include "server/http/problem.h"
#include "server/serving/annotations.h"
#include "server/serving/batcher.h"
#include "server/serving/decoders.h"
#include "server/serving/errands.h"
#include "server/serving/metrics.h"
#include "server/serving/registry.h"
#include "server/serving/tracer.h"

struct adl_folder_jobs;
struct adl_model_changes;
struct adl_runs;
struct adl_server;
struct adl_watch;

/* Where requests come in: an HTTP daemon with its listening sockets. Immutable after the start. */
struct adl_door {
    struct adl_server *server;
    bool admin;    /* that of --admin-listen */
    bool loopback; /* only this machine can reach it: host names are checked */
};

/* Immutable after the start, except for `draining`; the parts have their own locks. */
struct adl_server {
    size_t max_body;
    size_t max_pixels;
    double max_map_cost; /* of the views that a request asks for; see adl_map_views_cost() */
    int timeout_s;
    bool reduced_decode;
    bool web;
    /* The service manager holds the listening socket: connections that this process does not
     * accept wait there for the next one. */
    bool inherited;
    const char *const *allowed_hosts;
    size_t allowed_host_count;
    const char *cors_origin; /* "*" for all; NULL: none */
    size_t queue_capacity;
    size_t memory;      /* bytes of decoded images and answers */
    uint64_t hash_seed; /* random: no client can choose names whose hashes are equal */

    const struct adl_runs *runs;  /* training runs to be watched; NULL: none */
    struct adl_folder_jobs *jobs; /* NULL without --jobs, and then its paths do not exist */
    /* The thread that reads files of runs and looks for folders; NULL without both. */
    struct adl_errands *reader;

    struct adl_registry *registry;
    struct adl_watch *watch;       /* of the models' files; NULL without --watch */
    struct adl_decoders *decoders; /* processes that decode images; NULL: this one does */
    struct adl_batcher *batcher;
    /* What --annotations writes; NULL without it, and then its paths do not exist. */
    struct adl_annotations *annotations;
    struct adl_errands *writer;               /* the thread that writes it */
    struct adl_decoder_client writer_decoder; /* what it decodes pictures with */
    struct adl_auth *auth;
    struct adl_metrics metrics;
    struct adl_door door, admin_door; /* the contexts of the two daemons */
    struct adl_http *http;
    struct adl_http *admin; /* NULL without --admin-listen */
    bool has_admin;
    struct adl_tls *tls;        /* NULL: plain HTTP */
    struct adl_tracer *tracer;  /* NULL: no collector is told of requests */
    _Atomic size_t connections; /* open ones, of both */
    struct adl_reload_requests *reload_requests;
    struct adl_model_changes *model_changes;
    _Atomic bool draining;
    _Atomic bool leaving; /* /readyz says no, and everything else is answered as before */
    bool files_hang;      /* at the end a thread still hangs in a file, and requests with it */
    bool stuck;           /* at the end a thread still hangs in a load, and uses the registry */
};

struct adl_route;

/* How long the images of a request took in each stage, together. */
struct adl_stage_times {
    bool known; /* it had images, which went through the stages */
    double ms[ADL_STAGE_COUNT];
    struct adl_stage_span spans[ADL_STAGE_COUNT]; /* from the first image to the last */
    int batch;    /* most images that the network ran on at a time, with one of them; 0: on none */
    size_t ahead; /* images queued or in progress when they came */
};

/* A request and its answer. The owner of its HTTP request (request.h) owns it. */
struct adl_exchange {
    struct adl_server *server;
    const struct adl_door *door;
    struct adl_http_request *http;
    const struct adl_route *routes; /* adl_routes, for handlers that list them */
    const struct adl_route *route;  /* of this request; NULL: its path does not exist */
    enum adl_method_index method;
    char request_id[ADL_LIMIT_REQUEST_ID_BYTES + 1];
    char token[ADL_TOKEN_NAME_BYTES + 1]; /* its name, for the log; "": none */
    char owner[65];                       /* the digest of the token; "": none is needed */
    struct adl_trace trace;
    enum adl_problem problem;     /* the answer; ADL_PROBLEM_NONE if it is not an error */
    struct adl_stage_times times; /* for the log */
    char model[ADL_LIMIT_MODEL_NAME_BYTES + 1]; /* for the log; "": none */
    size_t images;                              /* for the log */
    void *work;                                 /* data of the handler, freed by `release` */
    void (*release)(void *work);
    struct adl_errand errand;         /* for later.c only, as the next one */
    struct adl_exchange *next_reload; /* for reload_requests.c only */
    void (*answer_later)(struct adl_exchange *exchange);
};

/* Returns whether the request is one of the Open Inference Protocol, whose paths begin with /v2:
 * its errors have the form {"error": "..."}. */
bool adl_exchange_is_inference(const struct adl_http_request *http);

/* Returns how many bytes of body the answer has; those of HEAD and 304 have none, whatever they say
 * of its length. */
size_t adl_exchange_bytes_out(const struct adl_exchange *exchange);

/* --- answers; all set Cache-Control: no-store -------------------------------- */

/* Answers with a problem document, or with the form of errors of the protocol, whose detail is
 * formatted as by printf(). If `retry_after_s` is 0, there is no Retry-After header. */
void adl_answer_problem(struct adl_exchange *exchange, enum adl_problem problem,
                        unsigned retry_after_s, const char *fmt, ...) ADL_PRINTF(4, 5);
/* Answers with the problem out-of-memory without allocating anything. */
void adl_answer_no_memory(struct adl_http_request *http);
/* Answers 200 with the JSON and a newline. Takes ownership of the JSON; NULL is answered with
 * the problem out-of-memory. */
void adl_answer_json(struct adl_exchange *exchange, json_t *json);
/* Answers with the buffer's text and empties the buffer; if an allocation of the buffer has
 * failed, answers with the problem out-of-memory. */
void adl_answer_text(struct adl_exchange *exchange, int status, const char *type,
                     struct adl_str *text);
/* As adl_answer_text, and compresses what is long enough by gzip for a client that takes it: for
 * answers that hold nothing that another site could have put there and nothing secret. */
void adl_answer_packed(struct adl_exchange *exchange, int status, const char *type,
                       struct adl_str *text);
/* Answers 200 with these bytes. Takes ownership of them; they were allocated by adl_malloc. */
void adl_answer_bytes(struct adl_exchange *exchange, const char *type, void *bytes, size_t length);

/* Returns whether the server accepts requests; if not, answers the request with the reason. */
bool adl_check_ready(struct adl_exchange *exchange);

/* Returns who the request counts for when work is shared out. */
struct adl_sender adl_sender_of(const struct adl_exchange *exchange);

/* --- routes.c and exchange.c ----------------------------------------------------------------- */

/* On which listener a route exists, where --admin-listen opens a second one. */
enum adl_where {
    ADL_ON_MAIN,
    ADL_ON_BOTH,
    ADL_ON_ADMIN,       /* absent without --admin-listen */
    ADL_ON_ADMIN_IF_ANY /* on the main one without --admin-listen */
};

struct adl_route {
    const char *path; /* in "/models/{name}", {name} stands for any segment */
    enum adl_where where;
    enum adl_right right; /* that a token has to have; 0: ADL_RIGHT_LOCALIZE */
    bool open;            /* needs no token */
    bool unattended;      /* polled by machines: answered while draining, logged as debug */
    bool web;             /* a file of the web page; absent with --no-web */
    bool annotations;     /* absent without --annotations */
    bool jobs;            /* absent without --jobs */
    /* PUT and DELETE exist on the listener of --admin-listen only, and need ADL_RIGHT_ADMIN. */
    bool changed_on_admin;
    bool slash; /* a slash after the path makes no difference */
    /* Handlers; NULL: the method is not supported. `rest` is the segment in place of {name}, with
     * all that follows.
     * post_begin is called with the headers and may refuse the request; `post` is called when
     * the body has arrived. The same holds for the other methods that have two handlers. */
    void (*get)(struct adl_exchange *exchange, const char *rest);
    void (*post_begin)(struct adl_exchange *exchange);
    void (*post)(struct adl_exchange *exchange);
    /* Answers a GET that `get` has not answered, on a thread that may wait for files (later.h). */
    void (*later)(struct adl_exchange *exchange);
    void (*put_begin)(struct adl_exchange *exchange, const char *rest);
    void (*put)(struct adl_exchange *exchange);
    void (*delete_begin)(struct adl_exchange *exchange, const char *rest);
    void (*delete)(struct adl_exchange *exchange);
};

/* The routes. The last row has no path; its index stands for unknown paths in the metrics. */
extern const struct adl_route adl_routes[];
/* Returns the number of routes, without that last row. */
size_t adl_route_count(void);

/* Returns the route of a path and sets *rest to the segment in place of the first {...} and to all
 * that follows it ("" if there is none); NULL: no route. */
const struct adl_route *adl_route_find(const char *path, const char **rest);
/* Writes the methods of a route, such as "GET, HEAD, OPTIONS", on a listener into `text`. */
void adl_route_methods(const struct adl_route *route, const struct adl_door *door, char text[64]);
/* Returns whether what the route keeps can be changed on a listener. */
bool adl_route_changes(const struct adl_route *route, const struct adl_door *door);

/* The hooks of the HTTP daemon. */
extern const struct adl_http_hooks adl_route_hooks;

/* --- handlers ------------------------------------------------------------------ */

/* Those of routes that are answered later. */
void adl_api_training_runs(struct adl_exchange *exchange);
void adl_api_training_lines(struct adl_exchange *exchange);
void adl_api_training_pictures(struct adl_exchange *exchange);
void adl_api_training_picture(struct adl_exchange *exchange);

/* Those of routes that have two methods. */
void adl_api_jobs(struct adl_exchange *exchange, const char *rest);
void adl_api_job_delete_begin(struct adl_exchange *exchange, const char *id);
void adl_api_job_delete(struct adl_exchange *exchange);

#define GET_ROUTE(path, handler, ...) void handler(struct adl_exchange *exchange, const char *rest);
#define POST_ROUTE(path, begin, handler, ...)                                                      \
    void begin(struct adl_exchange *exchange);                                                     \
    void handler(struct adl_exchange *exchange);
#define KEPT_ROUTE(path, name, ...)                                                                \
    void name(struct adl_exchange *exchange, const char *rest);                                    \
    void name##_put_begin(struct adl_exchange *exchange, const char *rest);                        \
    void name##_put(struct adl_exchange *exchange);                                                \
    void name##_delete_begin(struct adl_exchange *exchange, const char *rest);                     \
    void name##_delete(struct adl_exchange *exchange);
#include "server/api/route_list.h"
#undef GET_ROUTE
#undef POST_ROUTE
#undef KEPT_ROUTE

#endif
