/* Implements the hooks of the HTTP daemon: the processing that is the same for all routes.
 * Before a handler runs, the request gets its id, and is refused if its framing is ambiguous,
 * its host name does not belong to this machine, the server is draining, its token is missing,
 * or its path or method does not exist; after the reply it is counted and logged.
 *
 * The order of the checks matters. Framing comes first, because nothing after an
 * ambiguous request can be trusted. OPTIONS is answered without a token, since browsers
 * send CORS preflights without one. Unknown paths need a token like the others, so that a
 * client without a token cannot find out which paths exist, apart from open routes and
 * preflights. */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "server/api/access_log.h"
#include "server/api/later.h"
#include "server/api/server.h"
#include "server/api/tracing.h"
#include "server/serving/log.h"

/* --- before a handler ------------------------------------------------------------ */

static enum adl_method_index method_of(const char *method)
{
    for (int i = 0; i < ADL_METHOD_OTHER; i++)
        if (!strcmp(method, adl_method_names[i]))
            return (enum adl_method_index)i;
    return ADL_METHOD_OTHER;
}

static bool consists_of(const char *text, size_t length, const char *allowed)
{
    return strspn(text, allowed) >= length;
}

/* Sets the request's id: the one that the client sent if it is short and plain, since it is
 * logged, otherwise 128 random bits. */
static void choose_request_id(struct adl_exchange *exchange)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";
    const char *given = adl_http_header(exchange->http, "X-Request-Id");
    unsigned char bits[16];

    if (given && *given && strlen(given) <= ADL_LIMIT_REQUEST_ID_BYTES &&
        consists_of(given, strlen(given), allowed)) {
        snprintf(exchange->request_id, sizeof exchange->request_id, "%s", given);
        return;
    }
    if (getrandom(bits, sizeof bits, 0) < 0)
        memset(bits, 0, sizeof bits);
    for (size_t i = 0; i < sizeof bits; i++)
        snprintf(exchange->request_id + 2 * i, 3, "%02x", bits[i]);
}

/* Lets pages of the origin set by --cors-origin read the answers (CORS). */
static void allow_origin(struct adl_exchange *exchange)
{
    const char *allowed = exchange->server->cors_origin;
    const char *origin = adl_http_header(exchange->http, "Origin");

    if (!allowed || !origin || (strcmp(allowed, "*") != 0 && strcmp(allowed, origin) != 0))
        return;
    adl_http_add_header(exchange->http, "Access-Control-Allow-Origin", "%s", allowed);
    adl_http_add_header(exchange->http, "Access-Control-Expose-Headers",
                        "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, "
                        "Inference-Header-Content-Length");
    adl_http_add_header(exchange->http, "Vary", "Origin");
}

static void answer_options(struct adl_exchange *exchange, const char *methods)
{
    adl_http_add_header(exchange->http, "Allow", "%s", methods);
    if (adl_http_header(exchange->http, "Access-Control-Request-Method")) {
        adl_http_add_header(exchange->http, "Access-Control-Allow-Methods", "%s", methods);
        adl_http_add_header(exchange->http, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, X-Request-Id, traceparent, "
                            "Inference-Header-Content-Length");
        adl_http_add_header(exchange->http, "Access-Control-Max-Age", "600");
    }
    adl_http_reply(exchange->http, 204, NULL, (struct adl_http_body){0});
}

/* Returns the right that a request needs; 0: none, because its path does not exist. */
static unsigned rights_of(const struct adl_exchange *exchange)
{
    if (!exchange->route)
        return 0;
    if (exchange->route->changed_on_admin && exchange->door->admin &&
        (exchange->method == ADL_METHOD_PUT || exchange->method == ADL_METHOD_DELETE))
        return ADL_RIGHT_ADMIN;
    return exchange->route->right ? (unsigned)exchange->route->right : ADL_RIGHT_LOCALIZE;
}

static const char *name_of(unsigned right)
{
    unsigned bit = 0;

    while (adl_right_names[bit] && !(right & 1U << bit))
        bit++;
    return adl_right_names[bit] ? adl_right_names[bit] : "";
}

static bool is_authorized(struct adl_exchange *exchange)
{
    static const char *const details[] = {
        [ADL_AUTH_MISSING] = "the request carries no bearer token",
        [ADL_AUTH_WRONG] = "the token is not valid",
        [ADL_AUTH_EXPIRED] = "the token has expired",
    };
    struct adl_http_request *http = exchange->http;
    const char *header = adl_http_header(http, "Authorization");
    unsigned rights = rights_of(exchange);
    struct adl_auth_answer answer;
    enum adl_auth_verdict verdict = adl_auth_check(exchange->server->auth, header, rights, &answer);

    snprintf(exchange->token, sizeof exchange->token, "%s", answer.name);
    memcpy(exchange->owner, answer.digest, sizeof exchange->owner);
    if (answer.rate > 0) {
        adl_http_add_header(http, "RateLimit-Policy", "\"token\";q=%u;w=%u", answer.rate,
                            answer.window_s);
        adl_http_add_header(http, "RateLimit", "\"token\";r=%u;t=%u", answer.left, answer.reset_s);
    }
    if (verdict == ADL_AUTH_GRANTED)
        return true;
    if (verdict == ADL_AUTH_LIMITED) {
        adl_answer_problem(exchange, ADL_PROBLEM_RATE_LIMITED, answer.wait_s,
                           "the token may make %u requests in %u second%s", answer.rate,
                           answer.window_s, ADL_S(answer.window_s));
    } else if (verdict == ADL_AUTH_FORBIDDEN) {
        adl_http_add_header(
            http, "WWW-Authenticate",
            "Bearer realm=\"adl-server\", error=\"insufficient_scope\", scope=\"%s\"",
            name_of(rights));
        adl_answer_problem(exchange, ADL_PROBLEM_FORBIDDEN, 0, "the token lacks the right %s",
                           name_of(rights));
    } else {
        adl_http_add_header(http, "WWW-Authenticate", "Bearer realm=\"adl-server\"%s",
                            verdict == ADL_AUTH_MISSING ? "" : ", error=\"invalid_token\"");
        adl_answer_problem(exchange, ADL_PROBLEM_UNAUTHORIZED, 0, "%s", details[verdict]);
    }
    return false;
}

/* Returns whether every program would parse the request in the same way (framing.h). If not,
 * refuses it and has the connection closed, because the start of the next request is unknown
 * as well. */
static bool is_framed(struct adl_exchange *exchange)
{
    static const struct {
        enum adl_problem problem;
        const char *detail;
    } refusals[] = {
        [ADL_HTTP_FRAMING_SYNTAX] = {ADL_PROBLEM_MALFORMED_REQUEST,
                                     "the request line or a header line is malformed"},
        [ADL_HTTP_FRAMING_HOST] = {ADL_PROBLEM_MALFORMED_REQUEST,
                                   "the request does not have exactly one valid Host header"},
        [ADL_HTTP_FRAMING_LENGTHS] = {ADL_PROBLEM_MALFORMED_REQUEST,
                                      "the request has more than one Content-Length header"},
        [ADL_HTTP_FRAMING_LENGTH] = {ADL_PROBLEM_MALFORMED_REQUEST,
                                     "Content-Length is not a decimal number"},
        [ADL_HTTP_FRAMING_TOO_LONG] = {ADL_PROBLEM_BODY_TOO_LARGE,
                                       "the number in Content-Length is too large"},
        [ADL_HTTP_FRAMING_AMBIGUOUS] = {ADL_PROBLEM_MALFORMED_REQUEST,
                                        "Transfer-Encoding excludes Content-Length, a second "
                                        "Transfer-Encoding and HTTP/1.0"},
        [ADL_HTTP_FRAMING_UNKNOWN] = {ADL_PROBLEM_UNKNOWN_CODING,
                                      "a Transfer-Encoding other than \"chunked\" is not "
                                      "supported"},
    };
    enum adl_http_framing framing = exchange->http->framing;

    if (framing == ADL_HTTP_FRAMING_CLEAR)
        return true;
    adl_answer_problem(exchange, refusals[framing].problem, 0, "%s", refusals[framing].detail);
    adl_http_add_header(exchange->http, "Connection", "close");
    return false;
}

/* Returns whether a route exists on the listener of this request, with these options. */
static bool exists(const struct adl_exchange *exchange, const struct adl_route *route)
{
    const struct adl_server *server = exchange->server;
    const bool admin = exchange->door->admin;

    if ((route->web && !server->web) || (route->annotations && !server->annotations) ||
        (route->jobs && !server->jobs))
        return false;
    switch (route->where) {
    case ADL_ON_MAIN: return !admin;
    case ADL_ON_BOTH: return true;
    case ADL_ON_ADMIN: return admin;
    case ADL_ON_ADMIN_IF_ANY: return admin || !server->has_admin;
    }
    return false;
}

/* Returns whether a request that changes something comes from a page of another origin, which a
 * browser lets send some requests to any address that it can reach. Only the listener for
 * administration has such requests without a body that a page could not send. */
static bool is_from_elsewhere(const struct adl_exchange *exchange)
{
    return exchange->door->admin && exchange->method != ADL_METHOD_GET &&
           exchange->method != ADL_METHOD_HEAD && exchange->method != ADL_METHOD_OPTIONS &&
           adl_http_header(exchange->http, "Origin");
}

static void dispatch(struct adl_exchange *exchange)
{
    struct adl_server *server = exchange->server;
    struct adl_http_request *http = exchange->http;
    const char *rest;
    char methods[64];
    bool changes;

    if (!is_framed(exchange))
        return;
    if (exchange->door->loopback &&
        !adl_auth_host_allowed(http->host, server->allowed_hosts, server->allowed_host_count)) {
        adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_HOST, 0,
                           "\"%s\" is not a name of this machine; --allow-host allows it",
                           ADL_SHORT(http->host));
        return;
    }
    exchange->route = adl_route_find(http->path, &rest);
    if (exchange->route && !exists(exchange, exchange->route))
        exchange->route = NULL;
    adl_tracing_begin(exchange);
    if (exchange->method == ADL_METHOD_OPTIONS && (exchange->route || !strcmp(http->path, "*"))) {
        if (exchange->route)
            adl_route_methods(exchange->route, exchange->door, methods);
        else
            snprintf(methods, sizeof methods, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        answer_options(exchange, methods);
        return;
    }
    /* With an inherited socket, requests are still answered while draining, so that clients do
     * not notice the restart. The connections are few and get fewer: each is closed after its
     * answer, and no other is accepted. */
    if (server->draining && (!server->inherited || exchange->door->admin) &&
        !(exchange->route && exchange->route->unattended)) {
        adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "the server is shutting down");
        return;
    }
    if (!(exchange->route && exchange->route->open) && !is_authorized(exchange))
        return;
    if (!exchange->route) {
        adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_PATH, 0,
                           "the path %s does not exist; GET /openapi.json lists the paths",
                           ADL_SHORT(http->path));
        return;
    }
    if (is_from_elsewhere(exchange)) {
        adl_answer_problem(exchange, ADL_PROBLEM_FORBIDDEN, 0,
                           "a page in a browser may not change the server");
        return;
    }
    changes = adl_route_changes(exchange->route, exchange->door);
    if (exchange->method == ADL_METHOD_POST && exchange->route->post) {
        exchange->route->post_begin(exchange);
    } else if ((exchange->method == ADL_METHOD_GET || exchange->method == ADL_METHOD_HEAD) &&
               exchange->route->get) {
        exchange->route->get(exchange, rest);
    } else if (exchange->method == ADL_METHOD_PUT && exchange->route->put && changes) {
        exchange->route->put_begin(exchange, rest);
    } else if (exchange->method == ADL_METHOD_DELETE && exchange->route->delete &&changes) {
        exchange->route->delete_begin(exchange, rest);
    } else {
        adl_route_methods(exchange->route, exchange->door, methods);
        adl_http_add_header(http, "Allow", "%s", methods);
        adl_answer_problem(exchange, ADL_PROBLEM_METHOD_NOT_ALLOWED, 0, "%s supports %s, not %s",
                           exchange->route->path, methods, ADL_SHORT(http->method));
    }
}

static void on_begin(struct adl_http_request *http)
{
    const struct adl_door *door = adl_http_context(http);
    struct adl_server *server = door->server;
    struct adl_exchange *exchange = adl_calloc(1, sizeof *exchange);

    if (!exchange) {
        adl_answer_no_memory(http);
        return;
    }
    http->context = exchange;
    exchange->server = server;
    exchange->door = door;
    exchange->http = http;
    exchange->routes = adl_routes;
    exchange->method = method_of(http->method);
    atomic_fetch_add_explicit(&server->metrics.in_flight, 1, memory_order_relaxed);
    choose_request_id(exchange);
    adl_http_add_header(http, "X-Request-Id", "%s", exchange->request_id);
    adl_http_add_header(http, "X-Content-Type-Options", "nosniff");
    allow_origin(exchange);
    if (server->draining && http->framing == ADL_HTTP_FRAMING_CLEAR)
        adl_http_add_header(http, "Connection", "close");
    dispatch(exchange); /* another thread may own the request after that */
}

static void on_complete(struct adl_http_request *http)
{
    struct adl_exchange *exchange = http->context;
    const struct adl_route *route = exchange->route;

    if (exchange->method == ADL_METHOD_PUT)
        route->put(exchange);
    else if (exchange->method == ADL_METHOD_DELETE)
        route->delete (exchange);
    else if (route->later)
        adl_later_submit(exchange->server->reader, exchange, route->later);
    else
        route->post(exchange);
}

static void on_refuse(struct adl_http_request *http, enum adl_http_refusal why)
{
    struct adl_exchange *exchange = http->context;

    if (!exchange)
        return;
    switch (why) {
    case ADL_HTTP_TOO_LARGE:
        adl_answer_problem(
            exchange, ADL_PROBLEM_BODY_TOO_LARGE, 0, "the body is larger than %zu bytes%s",
            http->body_limit,
            http->body_limit == exchange->server->max_body ? ", the limit set by --max-body" : "");
        break;
    case ADL_HTTP_TOO_SLOW:
        adl_answer_problem(exchange, ADL_PROBLEM_CLIENT_TOO_SLOW, 0,
                           "the body did not arrive within %d second%s",
                           exchange->server->timeout_s, ADL_S(exchange->server->timeout_s));
        break;
    case ADL_HTTP_MALFORMED:
        adl_answer_problem(exchange, ADL_PROBLEM_MALFORMED_REQUEST, 0,
                           "the line of a chunk's size is too long");
        break;
    case ADL_HTTP_NO_MEMORY:
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1,
                           "there is not enough memory for the body at present");
        break;
    }
}

/* --- after the reply --------------------------------------------------------------- */

static void on_done(struct adl_http_request *http, bool sent)
{
    struct adl_exchange *exchange = http->context;
    struct adl_server *server = ((const struct adl_door *)adl_http_context(http))->server;
    size_t route = adl_route_count();
    double ms = adl_clock_ms(http->start_ns, adl_clock_ns());

    if (!exchange)
        return;
    if (exchange->route)
        route = (size_t)(exchange->route - adl_routes);
    if (http->status)
        adl_metrics_request(&server->metrics, (int)route, exchange->method, http->status, ms / 1e3);
    atomic_fetch_add_explicit(&server->metrics.problems[exchange->problem], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&server->metrics.body_bytes_in, http->body_bytes,
                              memory_order_relaxed);
    if (sent)
        atomic_fetch_add_explicit(&server->metrics.body_bytes_out, adl_exchange_bytes_out(exchange),
                                  memory_order_relaxed);
    atomic_fetch_sub_explicit(&server->metrics.in_flight, 1, memory_order_relaxed);
    adl_access_log(exchange, sent, ms);
    adl_tracing_end(exchange, sent);
    if (exchange->release)
        exchange->release(exchange->work);
    adl_free(exchange);
}

static void on_log(const char *message)
{
    adl_log(ADL_LOG_DEBUG, "http", message, NULL);
}

static void on_crowded(size_t closed, size_t refused)
{
    adl_log(ADL_LOG_WARN, "connections",
            "there are too many connections; some that carried no request were closed, or new ones "
            "refused (--max-connections, --max-connections-per-address)",
            json_pack("{s:I, s:I}", "closed", (json_int_t)closed, "refused", (json_int_t)refused));
}

static void on_stranger(bool tls)
{
    adl_log(ADL_LOG_WARN, "connections",
            tls ? "a client began a TLS handshake, but this server speaks plain HTTP: use http://, "
                  "or start it with --tls-cert and --tls-key"
                : "a client sent something that is not HTTP, perhaps a TLS handshake; this server "
                  "speaks plain HTTP: use http://, or start it with --tls-cert and --tls-key",
            NULL);
}

const struct adl_http_hooks adl_route_hooks = {
    .begin = on_begin,
    .complete = on_complete,
    .refuse = on_refuse,
    .done = on_done,
    .log = on_log,
    .crowded = on_crowded,
    .stranger = on_stranger,
};
