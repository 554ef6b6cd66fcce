/* Writes spans as OTLP's JSON; see otlp.h. Ids are hexadecimal there, 64-bit numbers are strings,
 * and kinds and codes are the numbers of the protocol's enumerations. */

#include "server/serving/otlp.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "io/json_text.h"

enum { KIND_INTERNAL = 1, KIND_SERVER = 2, STATUS_ERROR = 2 };

/* --- attributes; a value that is not given is left out ---------------------------------------- */

static void put(json_t *list, const char *key, json_t *value)
{
    /* json_pack() consumes the value. */
    if (value)
        json_array_append_new(list, json_pack("{s:s, s:o}", "key", key, "value", value));
}

static void put_text(json_t *list, const char *key, const char *text)
{
    if (text && *text)
        put(list, key, json_pack("{s:o}", "stringValue", adl_json_from_text(text)));
}

static json_t *whole(uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return json_string(text);
}

static void put_whole(json_t *list, const char *key, uint64_t value)
{
    put(list, key, json_pack("{s:o}", "intValue", whole(value)));
}

/* --- spans -------------------------------------------------------------------------------------
 */

static json_t *span_json(const char *name, const char *trace_id, const char *span_id,
                         const char *parent_id, int kind, uint64_t begin_ns, uint64_t end_ns)
{
    return json_pack("{s:s, s:s, s:s*, s:s, s:i, s:o, s:o, s:[]}", "traceId", trace_id, "spanId",
                     span_id, "parentSpanId", *parent_id ? parent_id : NULL, "name", name, "kind",
                     kind, "startTimeUnixNano", whole(begin_ns), "endTimeUnixNano", whole(end_ns),
                     "attributes");
}

static json_t *request_json(const struct adl_request_span *span, uint64_t offset)
{
    /* A method that is not known is called so by OpenTelemetry's conventions for HTTP. */
    const bool known = strcmp(span->method, "other") != 0;
    char name[160];
    snprintf(name, sizeof name, "%s%s%s", known ? span->method : "HTTP", span->route ? " " : "",
             span->route ? span->route : "");
    json_t *json = span_json(name, span->trace.trace_id, span->trace.span_id, span->trace.parent_id,
                             KIND_SERVER, span->begin_ns + offset, span->end_ns + offset);
    json_t *list = json_object_get(json, "attributes");

    put_text(list, "http.request.method", known ? span->method : "_OTHER");
    put_text(list, "url.path", span->path);
    put_text(list, "url.scheme", span->tls ? "https" : "http");
    put_text(list, "http.route", span->route);
    put_text(list, "client.address", span->remote);
    put_text(list, "user_agent.original", span->agent);
    if (span->status)
        put_whole(list, "http.response.status_code", (uint64_t)span->status);
    put_whole(list, "http.request.body.size", span->bytes_in);
    put_whole(list, "http.response.body.size", span->bytes_out);
    put_text(list, "error.type", span->problem);
    put_text(list, "adl.request_id", span->request_id);
    put_text(list, "adl.model", span->model);
    if (span->images > 0)
        put_whole(list, "adl.images", span->images);
    if (span->status >= 500 || span->status == 0)
        json_object_set_new(json, "status", json_pack("{s:i}", "code", STATUS_ERROR));
    return json;
}

static void add_stages(json_t *all, const struct adl_request_span *span, uint64_t offset)
{
    for (int i = 0; i < ADL_STAGE_COUNT; i++) {
        const struct adl_stage_span *stage = &span->stages[i];
        struct adl_trace own;
        if (stage->begin_ns == 0)
            continue;
        adl_trace_add_span(&own);
        json_t *json =
            span_json(adl_stage_names[i], span->trace.trace_id, own.span_id, span->trace.span_id,
                      KIND_INTERNAL, stage->begin_ns + offset, stage->end_ns + offset);
        json_t *list = json_object_get(json, "attributes");
        if (i == ADL_STAGE_QUEUE)
            put_whole(list, "adl.queue.ahead", span->ahead);
        if (i == ADL_STAGE_INFERENCE && span->batch > 0)
            put_whole(list, "adl.batch.size", (uint64_t)span->batch);
        json_array_append_new(all, json);
    }
}

char *adl_otlp_body(const struct adl_request_span *spans, size_t count, const char *instance,
                    int64_t unix_offset_ns, size_t *length, struct adl_error *err)
{
    json_t *all = json_array(), *about = json_array();

    for (size_t i = 0; i < count; i++) {
        json_array_append_new(all, request_json(&spans[i], (uint64_t)unix_offset_ns));
        add_stages(all, &spans[i], (uint64_t)unix_offset_ns);
    }
    put_text(about, "service.name", "adl-server");
    put_text(about, "service.version", ADL_VERSION);
    put_text(about, "service.instance.id", instance);
    json_t *body = json_pack("{s:[{s:{s:o}, s:[{s:{s:s, s:s}, s:o}]}]}", "resourceSpans",
                             "resource", "attributes", about, "scopeSpans", "scope", "name",
                             "adl-server", "version", ADL_VERSION, "spans", all);
    char *text = adl_json_to_text(body, JSON_COMPACT, length, err);
    json_decref(body);
    return text;
}
