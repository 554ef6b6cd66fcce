#ifndef ADL_SERVER_SERVING_TRACE_H
#define ADL_SERVER_SERVING_TRACE_H

/* Where a request stands in a trace (W3C Trace Context, https://www.w3.org/TR/trace-context/), and
 * what is told of it to a collector: one span for the request and one for each stage of its images.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/serving/metrics.h"

#define ADL_TRACE_ID_BYTES 33 /* hexadecimal digits and a NUL */
#define ADL_SPAN_ID_BYTES 17

struct adl_trace {
    char trace_id[ADL_TRACE_ID_BYTES]; /* "": the request is in no trace */
    char parent_id[ADL_SPAN_ID_BYTES]; /* the caller's span; "": none */
    char span_id[ADL_SPAN_ID_BYTES];   /* the request's; "": it is not told to a collector */
};

/* Reads a header traceparent, "00-TRACE-PARENT-FLAGS"; versions after 00 may append something. NULL
 * is no header. Returns whether it is valid, and sets *sampled to whether the caller's span is
 * told to a collector. If not, *trace is zero. */
bool adl_trace_parse(const char *header, struct adl_trace *trace, bool *sampled);
/* Begins a trace where the caller gave none. Returns a number from 0 to 1 by which to choose
 * whether it is sampled, the same for all who see its id. */
double adl_trace_begin(struct adl_trace *trace);
/* Gives the request a span of its own. */
void adl_trace_add_span(struct adl_trace *trace);

/* A stage of the images of a request: from the beginning of the first one to the end of the last.
 * Times are those of adl_clock_ns(); 0: it was not reached. */
struct adl_stage_span {
    uint64_t begin_ns, end_ns;
};

/* A request that is done. Strings without a length are static. */
struct adl_request_span {
    struct adl_trace trace;
    uint64_t begin_ns, end_ns;
    const char *method, *route; /* route NULL: its path does not exist */
    char path[128], remote[64], request_id[72], model[72], agent[96];
    bool tls;
    int status;          /* 0: it was not answered */
    const char *problem; /* NULL: none */
    bool sent;           /* the answer was */
    uint64_t bytes_in, bytes_out;
    size_t images;
    struct adl_stage_span stages[ADL_STAGE_COUNT];
    int batch;
    size_t ahead;
};

#endif
