#ifndef ADL_SERVER_SERVING_METRICS_H
#define ADL_SERVER_SERVING_METRICS_H

/* Counts the server's metrics and renders them in Prometheus's text format (version 0.0.4).
 * All counters are relaxed atomics: neither counting nor rendering takes a lock. The rendered
 * text may therefore include a request in one metric family and not yet in another. */

#include <stdatomic.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/str.h"
#include "server/http/problem.h"
#include "server/serving/fair.h"

/* Maximum number of routes by which requests are counted, including the one that stands for
 * unknown paths. */
#define ADL_METRICS_ROUTES 48

enum adl_method_index {
    ADL_METHOD_GET,
    ADL_METHOD_HEAD,
    ADL_METHOD_POST,
    ADL_METHOD_PUT,
    ADL_METHOD_DELETE,
    ADL_METHOD_OPTIONS,
    ADL_METHOD_OTHER,
    ADL_METHOD_COUNT
};
extern const char *const adl_method_names[]; /* "GET", ..., "other" */

enum adl_stage {
    ADL_STAGE_DECODE,
    ADL_STAGE_QUEUE,
    ADL_STAGE_INFERENCE,
    ADL_STAGE_POSTPROCESS,
    ADL_STAGE_ENCODE,
    ADL_STAGE_COUNT
};
extern const char *const adl_stage_names[ADL_STAGE_COUNT]; /* "decode", ... */

enum adl_outcome {
    ADL_OUTCOME_OK,
    ADL_OUTCOME_CORRUPT,
    ADL_OUTCOME_TOO_LARGE,
    ADL_OUTCOME_UNSUPPORTED,
    ADL_OUTCOME_COUNT
};

/* Why a process that decodes images was replaced. */
enum adl_decoder_reason {
    ADL_DECODER_CRASHED,
    ADL_DECODER_KILLED,
    ADL_DECODER_LATE,
    ADL_DECODER_REFUSED,
    ADL_DECODER_REASONS
};
extern const char *const adl_decoder_reason_names[ADL_DECODER_REASONS]; /* "crashed", ... */

#define ADL_METRICS_BUCKETS 16

/* A histogram. Each bucket counts the values that fall into it; the cumulative counts of
 * Prometheus are computed when rendering. The sum is kept in millionths of the unit, because
 * there is no atomic addition of doubles. */
struct adl_histogram {
    _Atomic uint64_t buckets[ADL_METRICS_BUCKETS + 1]; /* the last is for values above all bounds */
    _Atomic uint64_t micro_sum;
};

/* Upper bounds (inclusive, ascending) of the buckets of a kind of histogram. */
struct adl_buckets {
    size_t count;
    double bounds[ADL_METRICS_BUCKETS];
};
extern const struct adl_buckets adl_buckets_seconds, adl_buckets_batch, adl_buckets_unit;

/* Counts one value, in the unit of the bounds (seconds, images, or a fraction); negative
 * values add nothing to the sum. */
void adl_histogram_add(struct adl_histogram *histogram, const struct adl_buckets *buckets,
                       double value);

/* What is counted for one name of a model. */
struct adl_model_metrics {
    _Atomic uint64_t images[ADL_OUTCOME_COUNT];
    _Atomic uint64_t reloads_ok, reloads_failed;
    struct adl_histogram batch_size;
    struct adl_histogram score;    /* of the first prediction */
    struct adl_histogram box_area; /* of its first box, as a fraction of the image */
};

/* Number of columns for status codes; the last one is for codes without their own column. */
#define ADL_METRICS_STATUSES 24

struct adl_metrics {
    _Atomic uint64_t requests[ADL_METRICS_ROUTES][ADL_METHOD_COUNT][ADL_METRICS_STATUSES];
    struct adl_histogram request_seconds[ADL_METRICS_ROUTES];
    struct adl_histogram stage_seconds[ADL_STAGE_COUNT];
    _Atomic uint64_t body_bytes_in, body_bytes_out;
    _Atomic int64_t in_flight;
    _Atomic uint64_t problems[ADL_PROBLEM_COUNT];
    _Atomic uint64_t abandoned_disconnected, abandoned_deadline;
    _Atomic uint64_t decoder_restarts[ADL_DECODER_REASONS];
    _Atomic uint64_t job_images_ok, job_images_failed;
};

/* Counts an answered request. `route` is below ADL_METRICS_ROUTES; `seconds` is the time
 * from the arrival of the headers to the end of the response. */
void adl_metrics_request(struct adl_metrics *metrics, int route, enum adl_method_index method,
                         int status, double seconds);

/* The states of a job (server/api/folder_jobs.h). */
enum adl_job_state {
    ADL_JOB_QUEUED,
    ADL_JOB_RUNNING,
    ADL_JOB_DONE,
    ADL_JOB_FAILED,
    ADL_JOB_CANCELLED,
    ADL_JOB_STATES
};
extern const char *const adl_job_state_names[ADL_JOB_STATES]; /* "queued", ... */

/* Values that other parts of the server keep, at the time of rendering. */
struct adl_metrics_version_state {
    const char *version;
    uint64_t images; /* answered */
    size_t memory_bytes;
    double loaded_at; /* Unix time */
    double load_s;
};
struct adl_metrics_model_state {
    const char *name;
    struct adl_model_metrics *metrics;
    size_t queue_depth;
    const struct adl_metrics_version_state *versions; /* the current one first */
    size_t version_count;                             /* 0: not loaded */
};
struct adl_metrics_state {
    const char *const *routes; /* patterns, by the index given to adl_metrics_request() */
    int route_count;
    const struct adl_metrics_model_state *models;
    size_t model_count;
    size_t queue_capacity, queue_limit[ADL_LANE_COUNT];
    size_t memory, memory_limit; /* bytes reserved for images and answers */
    size_t connections;
    int decoders;                               /* processes that decode images */
    const size_t *jobs;                         /* in each state; NULL: there are none */
    uint64_t log_dropped, access_dropped;       /* lines */
    const uint64_t *spans_sent, *spans_dropped; /* requests; NULL: there is no collector */
    int64_t certificate_expires;                /* Unix time; 0: no TLS */
    const char *version, *cpu, *blas;
};

/* Appends all metric families to `out`. */
void adl_metrics_render(struct adl_metrics *metrics, const struct adl_metrics_state *state,
                        struct adl_str *out);

/* Appends a label's value with \, " and line feed escaped. */
void adl_metrics_escape(struct adl_str *out, const char *text);

#endif
