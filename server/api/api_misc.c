/* Handles requests for health, metrics, the pages about problems, and the built-in files. The
 * I/O threads answer them at once, however busy the engine is: nothing here runs the network or
 * waits for it. */

#include <string.h>

#include "base/cpu.h"
#include "base/name.h"
#include "kernels/blas.h"
#include "server/api/access_log.h"
#include "server/api/assets.h"
#include "server/api/server.h"
#include "server/http/tls.h"
#include "server/serving/log.h"

/* Scripts, styles and images come from this server only, and no page may be framed. */
#define PAGE_POLICY                                                                                \
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "         \
    "form-action 'none'; frame-ancestors 'none'"

static void answer_word(struct adl_exchange *exchange, const char *word)
{
    adl_http_add_header(exchange->http, "Cache-Control", "no-store");
    adl_http_reply(exchange->http, 200, "text/plain; charset=utf-8",
                   (struct adl_http_body){word, strlen(word), NULL});
}

/* Returns whether the server accepts requests; if not, answers the request with the reason. */
static bool is_ready(struct adl_exchange *exchange)
{
    if (exchange->server->draining || exchange->server->leaving)
        adl_answer_problem(exchange, ADL_PROBLEM_DRAINING, 1, "the server is shutting down");
    else if (!adl_registry_ready(exchange->server->registry))
        adl_answer_problem(exchange, ADL_PROBLEM_LOADING, 1, "a model is still loading");
    else
        return true;
    return false;
}

void adl_api_healthz(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    answer_word(exchange, "ok\n");
}

void adl_api_readyz(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    if (is_ready(exchange))
        answer_word(exchange, "ready\n");
}

void adl_api_health(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    if (is_ready(exchange))
        adl_answer_json(exchange, json_pack("{s:s}", "status", "ok"));
}

void adl_api_metrics(struct adl_exchange *exchange, const char *rest)
{
    struct adl_server *server = exchange->server;
    struct adl_metrics_model_state models[ADL_LIMIT_MODELS];
    const char *routes[ADL_METRICS_ROUTES];
    const struct adl_tracer_counts spans = adl_tracer_counts(server->tracer);
    struct adl_metrics_state state = {
        .routes = routes,
        .models = models,
        .model_count = adl_registry_count(server->registry),
        .queue_capacity = server->queue_capacity,
        .queue_limit = adl_batcher_limit(server->batcher),
        .memory = adl_batcher_memory(server->batcher),
        .memory_limit = server->memory,
        .connections = atomic_load(&server->connections),
        .log_dropped = adl_log_dropped(),
        .access_dropped = adl_access_log_dropped(),
        .spans_sent = server->tracer ? &spans.sent : NULL,
        .spans_dropped = server->tracer ? &spans.dropped : NULL,
        .certificate_expires = server->tls ? adl_tls_expires(server->tls) : 0,
        .version = ADL_VERSION,
        .cpu = adl_cpu_name(),
        .blas = adl_blas_version(),
    };
    struct adl_str text = {0};

    (void)rest;
    for (const struct adl_route *route = exchange->routes; route->path; route++)
        routes[state.route_count++] = route->path;
    routes[state.route_count++] = "unknown";
    for (size_t i = 0; i < state.model_count; i++) {
        struct adl_served *served = adl_registry_acquire_index(server->registry, i);
        models[i] = (struct adl_metrics_model_state){
            .name = adl_registry_name(server->registry, i),
            .queue_depth = adl_batcher_depth(server->batcher, (int)i),
        };
        if (served) {
            models[i].memory_bytes = served->memory_bytes;
            models[i].loaded_at =
                (double)served->loaded_at.tv_sec + (double)served->loaded_at.tv_nsec / 1e9;
        }
        adl_served_release(served);
    }
    adl_metrics_render(&server->metrics, &state, &text);
    adl_answer_text(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
    adl_str_release(&text);
}

void adl_api_problems(struct adl_exchange *exchange, const char *name)
{
    enum adl_problem problem = adl_problem_find(name, strlen(name));
    struct adl_str text = {0};

    if (*name && problem == ADL_PROBLEM_NONE) {
        adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_PATH, 0,
                           "the problem \"%s\" does not exist; GET /problems lists them",
                           ADL_SHORT(name));
        return;
    }
    adl_problem_page(problem, &text);
    adl_http_add_header(exchange->http, "Content-Security-Policy", "%s", PAGE_POLICY);
    adl_answer_text(exchange, 200, "text/html; charset=utf-8", &text);
    adl_str_release(&text);
}

/* Returns whether a header If-None-Match names an ETag; "W/" before it makes no difference there
 * (RFC 9110, 13.1.2). An ETag contains no quotes, so it cannot begin in the middle of another. */
static bool is_known(const char *header, const char *etag)
{
    return header && (strstr(header, etag) || !strcmp(header, "*"));
}

void adl_api_asset(struct adl_exchange *exchange, const char *rest)
{
    const struct adl_asset *asset = adl_asset_find(exchange->http->path);
    enum adl_coding coding =
        adl_asset_choose(asset, adl_http_header(exchange->http, "Accept-Encoding"));
    const struct adl_asset_bytes *bytes = &asset->codings[coding];

    (void)rest;
    adl_http_add_header(exchange->http, "ETag", "%s", bytes->etag);
    adl_http_add_header(exchange->http, "Cache-Control", "no-cache");
    if (adl_asset_length(asset, ADL_CODING_GZIP) > 0)
        adl_http_add_header(exchange->http, "Vary", "Accept-Encoding");
    if (*asset->policy) {
        adl_http_add_header(exchange->http, "Content-Security-Policy", "%s; %s", PAGE_POLICY,
                            asset->policy);
        adl_http_add_header(exchange->http, "Referrer-Policy", "no-referrer");
    }
    if (is_known(adl_http_header(exchange->http, "If-None-Match"), bytes->etag)) {
        adl_http_reply(exchange->http, 304, NULL, (struct adl_http_body){0});
        return;
    }
    if (coding != ADL_CODING_IDENTITY)
        adl_http_add_header(exchange->http, "Content-Encoding", "%s", adl_coding_names[coding]);
    adl_http_reply(exchange->http, 200, asset->type,
                   (struct adl_http_body){bytes->data, adl_asset_length(asset, coding), NULL});
}
