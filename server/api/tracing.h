#ifndef ADL_SERVER_API_TRACING_H
#define ADL_SERVER_API_TRACING_H

/* Ties requests to their spans (serving/trace.h). */

#include "server/serving/trace.h"

struct adl_exchange;

/* Chooses the trace of a request whose route is known: that of its header traceparent, or a new one
 * where a collector is told of requests. What machines poll, such as /healthz, begins none. */
void adl_tracing_begin(struct adl_exchange *exchange);
/* Gives the spans of a request that is done to the tracer; `sent` if its answer was sent. */
void adl_tracing_end(const struct adl_exchange *exchange, bool sent);

/* Extends a stage of a request by that of one of its images. */
void adl_tracing_join(struct adl_stage_span *all, const struct adl_stage_span *one);

#endif
