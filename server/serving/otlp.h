#ifndef ADL_SERVER_SERVING_OTLP_H
#define ADL_SERVER_SERVING_OTLP_H

/* Spans as a collector takes them: OTLP over HTTP, encoded as JSON
 * (https://opentelemetry.io/docs/specs/otlp/), with the names of the semantic conventions for HTTP
 * servers. */

#include "server/serving/trace.h"

/* Returns the body of a request to /v1/traces with the spans of `count` requests, which the caller
 * frees with adl_free(); *length does not count its NUL. `unix_offset_ns` is what is added to times
 * of adl_clock_ns() to get those since 1970. Stages become children of their request's span. Fails
 * with ADL_ERR_NOMEM. */
char *adl_otlp_body(const struct adl_request_span *spans, size_t count, const char *instance,
                    int64_t unix_offset_ns, size_t *length, struct adl_error *err) ADL_MUST_CHECK;

#endif
