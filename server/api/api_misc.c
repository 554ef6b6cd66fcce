/* Handles requests for health, metrics, the pages about problems, and the built-in files. The
 * I/O threads answer them at once, however busy the engine is: nothing here runs the network or
 * waits for it. */

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/name.h"
#include "kernels/blas.h"
#include "server/api/access_log.h"
#include "server/api/assets.h"
#include "server/api/folder_jobs.h"
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

bool adl_check_ready(struct adl_exchange *exchange)
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
    if (adl_check_ready(exchange))
        answer_word(exchange, "ready\n");
}

void adl_api_health(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    if (adl_check_ready(exchange))
        adl_answer_json(exchange, json_pack("{s:s}", "status", "ok"));
}

static double seconds(struct timespec time)
{
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct adl_metrics_version_state version_state(struct adl_served *served)
{
    return (struct adl_metrics_version_state){
        .version = served->version,
        .images = atomic_load_explicit(&served->images, memory_order_relaxed),
        .memory_bytes = served->memory_bytes,
        .loaded_at = seconds(served->loaded_at),
        .load_s = served->load_s,
    };
}

/* Fills in the models of a table, each with its loaded versions, of which `versions` holds all. */
static size_t model_states(const struct adl_registry_table *table,
                           struct adl_metrics_model_state *models,
                           struct adl_metrics_version_state *versions)
{
    size_t count = 0;

    for (size_t i = 0; i < table->count; i++) {
        const struct adl_registry_entry *entry = &table->entries[i];
        if (adl_registry_is_alias(entry))
            continue;
        models[count] = (struct adl_metrics_model_state){
            .name = entry->named->name,
            .metrics = &entry->named->metrics,
            .queue_depth = atomic_load(&entry->named->depth),
            .versions = versions,
        };
        if (entry->current)
            *versions++ = version_state(entry->current);
        for (size_t k = 0; k < entry->kept_count; k++)
            *versions++ = version_state(entry->kept[k]);
        models[count].version_count = (size_t)(versions - models[count].versions);
        count++;
    }
    return count;
}

static size_t version_count(const struct adl_registry_table *table)
{
    size_t count = 0;

    for (size_t i = 0; i < table->count; i++)
        count += 1 + table->entries[i].kept_count;
    return count;
}

void adl_api_metrics(struct adl_exchange *exchange, const char *rest)
{
    struct adl_server *server = exchange->server;
    struct adl_registry_table *table = adl_registry_table(server->registry);
    struct adl_metrics_version_state *versions = adl_calloc(version_count(table), sizeof *versions);
    struct adl_metrics_model_state models[ADL_LIMIT_MODELS];
    const char *routes[ADL_METRICS_ROUTES];
    const struct adl_tracer_counts spans = adl_tracer_counts(server->tracer);
    struct adl_metrics_state state = {
        .routes = routes,
        .models = models,
        .queue_capacity = server->queue_capacity,
        .queue_limit = {[ADL_LANE_SMALL] = adl_batcher_limit(server->batcher, ADL_LANE_SMALL),
                        [ADL_LANE_LARGE] = adl_batcher_limit(server->batcher, ADL_LANE_LARGE)},
        .memory = adl_batcher_memory(server->batcher),
        .memory_limit = server->memory,
        .connections = atomic_load(&server->connections),
        .decoders = server->decoders ? adl_decoders_count(server->decoders) : 0,
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
    size_t jobs[ADL_JOB_STATES];

    (void)rest;
    if (server->jobs) {
        adl_folder_jobs_count(server->jobs, jobs);
        state.jobs = jobs;
    }
    for (const struct adl_route *route = exchange->routes; route->path; route++)
        routes[state.route_count++] = route->path;
    routes[state.route_count++] = "unknown";
    if (versions) {
        state.model_count = model_states(table, models, versions);
        adl_metrics_render(&server->metrics, &state, &text);
        adl_answer_text(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
    } else {
        adl_answer_problem(exchange, ADL_PROBLEM_OUT_OF_MEMORY, 1, "there is not enough memory");
    }
    adl_str_release(&text);
    adl_free(versions);
    adl_registry_table_release(table);
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
        /* The library sends no body then, but the length that 200 would have (RFC 9110, 8.6). */
        adl_http_reply(exchange->http, 304, NULL,
                       (struct adl_http_body){bytes->data, adl_asset_length(asset, coding), NULL});
        return;
    }
    if (coding != ADL_CODING_IDENTITY)
        adl_http_add_header(exchange->http, "Content-Encoding", "%s", adl_coding_names[coding]);
    adl_http_reply(exchange->http, 200, asset->type,
                   (struct adl_http_body){bytes->data, adl_asset_length(asset, coding), NULL});
}
