#ifndef ADL_SERVER_SERVING_TRACER_H
#define ADL_SERVER_SERVING_TRACER_H

/* Sends spans of requests to a collector, from a thread of its own: neither a slow collector nor
 * none holds a request. See the design in tracer.c. */

#include "base/error.h"
#include "server/http/post.h"
#include "server/serving/trace.h"

struct adl_tracer;

struct adl_tracer_config {
    struct adl_http_endpoint to;
    double share; /* of the requests without a traceparent: 0 to 1 */
};

/* Starts the thread. Fails with ADL_ERR_NOMEM. */
struct adl_tracer *adl_tracer_start(const struct adl_tracer_config *config,
                                    struct adl_error *err) ADL_MUST_CHECK;
/* Sends what waits, for at most a few seconds, and ends. A thread that hangs in looking up a name
 * is left behind with the tracer. NULL is ignored. */
void adl_tracer_stop(struct adl_tracer *tracer);

/* Chooses the trace of a request: that of its header traceparent (NULL: none), or, if `may_begin`,
 * a new one for a share of the requests. Works for NULL, which begins none and gives no span.
 * Thread-safe. */
void adl_tracer_begin(const struct adl_tracer *tracer, const char *traceparent, bool may_begin,
                      struct adl_trace *trace);
/* Takes over a copy of the span, or drops and counts it if too many wait. Thread-safe. */
void adl_tracer_end(struct adl_tracer *tracer, const struct adl_request_span *span);

/* Counts of requests whose spans were sent, and were dropped. Thread-safe; NULL: zeros. */
struct adl_tracer_counts {
    uint64_t sent, dropped;
};
struct adl_tracer_counts adl_tracer_counts(struct adl_tracer *tracer);

#endif
