/* Fills in the spans of requests; see tracing.h. */

#include "server/api/tracing.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "server/api/server.h"

void adl_tracing_begin(struct adl_exchange *exchange)
{
    const struct adl_route *route = exchange->route;

    adl_tracer_begin(exchange->server->tracer, adl_http_header(exchange->http, "traceparent"),
                     !route || !route->unattended, &exchange->trace);
}

void adl_tracing_end(const struct adl_exchange *exchange, bool sent)
{
    const struct adl_http_request *http = exchange->http;
    struct adl_request_span span = {
        .trace = exchange->trace,
        .begin_ns = http->start_ns,
        .end_ns = adl_clock_ns(),
        .method = adl_method_names[exchange->method],
        .route = exchange->route ? exchange->route->path : NULL,
        .tls = exchange->server->tls && !exchange->door->admin,
        .status = http->status,
        .problem = exchange->problem ? adl_problem_row(exchange->problem)->name : NULL,
        .sent = sent,
        .bytes_in = http->body_bytes,
        .bytes_out = adl_exchange_bytes_out(exchange),
        .images = exchange->images,
        .batch = exchange->times.batch,
        .ahead = exchange->times.ahead,
    };
    const char *agent = NULL;

    if (!*exchange->trace.span_id)
        return;
    agent = adl_http_header(exchange->http, "User-Agent");
    snprintf(span.path, sizeof span.path, "%s", http->path);
    snprintf(span.remote, sizeof span.remote, "%s", http->remote);
    snprintf(span.request_id, sizeof span.request_id, "%s", exchange->request_id);
    snprintf(span.model, sizeof span.model, "%s", exchange->model);
    snprintf(span.agent, sizeof span.agent, "%s", agent ? agent : "");
    memcpy(span.stages, exchange->times.spans, sizeof span.stages);
    adl_tracer_end(exchange->server->tracer, &span);
}

void adl_tracing_join(struct adl_stage_span *all, const struct adl_stage_span *one)
{
    if (one->begin_ns == 0)
        return;
    all->begin_ns = all->begin_ns ? ADL_MIN(all->begin_ns, one->begin_ns) : one->begin_ns;
    all->end_ns = ADL_MAX(all->end_ns, one->end_ns);
}
