#ifndef ADL_SERVER_SERVING_BATCHER_H
#define ADL_SERVER_SERVING_BATCHER_H

/* The way of an image through the server:
 *
 *     submit ─▶ decode workers ─▶ engine thread ─▶ decode workers ─▶ finished()
 *
 * Decode workers turn bytes into the network's input and class maps into boxes
 * and replies; what is nearer to its answer goes first. The one engine thread
 * takes what waits for the model of the oldest image, at most
 * ADL_LIMIT_SERVE_BATCH of them, and never waits for a batch to fill. Work whose
 * client has left, or whose time is over, is dropped before it is begun. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/serving/metrics.h"
#include "server/serving/registry.h"
#include "server/tasks/predict.h"
#include "server/tasks/reply_json.h"

struct adl_batcher;

/* One image. The submitter fills the first part and keeps the job and what it
 * points to until finished() was called. */
struct adl_job {
    const void *bytes;
    size_t length;
    struct adl_served *served; /* borrowed */
    struct adl_predict_decode decode;
    struct adl_predict_query query;
    uint64_t deadline_ns; /* of adl_clock_ns() */
    bool (*abandoned)(const struct adl_job *job);
    /* On a decode worker, once, for each job that was submitted. */
    void (*finished)(struct adl_job *job);
    void *context;

    /* The result. */
    struct adl_error err;           /* BUSY: the deadline has passed; CANCELLED: abandoned */
    struct adl_predict_input input; /* info, and the picture when it was to be kept */
    struct adl_predictions predictions;
    struct adl_reply_timing timing; /* without its total */

    /* batcher.c only */
    struct adl_job *next;
    uint64_t since_ns;
    size_t decoded_bytes;
    int slot; /* in the session's batch */
};

struct adl_batcher_config {
    int decode_threads;
    size_t capacity; /* jobs that may be in work */
    struct adl_registry *registry;
    struct adl_metrics *metrics;
};

struct adl_batcher *adl_batcher_create(const struct adl_batcher_config *config,
                                       struct adl_error *err) ADL_MUST_CHECK;
/* All jobs have to be finished. */
void adl_batcher_free(struct adl_batcher *batcher);

/* All of them or none: fails with BUSY when there is no room. More jobs than
 * the capacity are taken when nothing else is in work. */
int adl_batcher_submit(struct adl_batcher *batcher, struct adl_job *jobs, size_t number,
                       struct adl_error *err) ADL_MUST_CHECK;

/* In finished(), while its answer is being written: whether to go on, -1 with an
 * error of the kinds BUSY and CANCELLED if not. To be asked now and then, as the
 * watchdog takes a worker that does not for one that hangs. */
int adl_batcher_go_on(struct adl_batcher *batcher, const struct adl_job *job,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Frees a finished job's result. */
void adl_job_release(struct adl_job *job);

/* Whether a single job would be refused now, and the seconds after which it is
 * worth trying again. */
bool adl_batcher_full(struct adl_batcher *batcher);
unsigned adl_batcher_retry_after_s(struct adl_batcher *batcher);

/* Jobs in work for a model. */
size_t adl_batcher_depth(struct adl_batcher *batcher, int model);

/* From now on what has not been begun is finished with BUSY. */
void adl_batcher_abort(struct adl_batcher *batcher);
/* Returns when no job is in work. */
void adl_batcher_wait_idle(struct adl_batcher *batcher);

/* Milliseconds that the engine's present run, or the oldest decoding, takes
 * already; 0 when nothing is running. For the watchdog. */
double adl_batcher_stuck_ms(struct adl_batcher *batcher);

#endif
