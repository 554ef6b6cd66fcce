#ifndef ADL_SERVER_SERVING_BATCHER_H
#define ADL_SERVER_SERVING_BATCHER_H

/* Computes the results of images, each of which is a job that takes this path:
 *
 *     submit ─▶ decode workers ─▶ engine thread ─▶ decode workers ─▶ finished()
 *
 * Decode workers turn bytes into the network's input, and class maps into boxes and
 * replies; jobs that are closer to their reply go first. The only engine thread takes the
 * jobs that wait for the model of the oldest job, at most ADL_LIMIT_SERVE_BATCH, and never
 * waits for a batch to fill. A job whose client has disconnected or whose deadline has
 * passed is dropped before its next stage. All functions are thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/serving/metrics.h"
#include "server/serving/registry.h"
#include "server/tasks/predict.h"
#include "server/tasks/reply_json.h"

struct adl_batcher;

/* The job of computing one image. The submitter fills the first part, and keeps the job and
 * everything that it points to valid until finished() is called. */
struct adl_job {
    const void *bytes;
    size_t length;
    struct adl_served *served; /* borrowed */
    struct adl_predict_decode decode;
    struct adl_predict_query query;
    uint64_t deadline_ns; /* in the time of adl_clock_ns() */
    /* Returns whether the result is not needed any more; NULL: it is always needed. Called by
     * any thread of the batcher. */
    bool (*abandoned)(const struct adl_job *job);
    /* Called exactly once for each submitted job, by a decode worker. */
    void (*finished)(struct adl_job *job);
    void *context;

    /* The result. */
    struct adl_error err; /* ADL_ERR_BUSY: the deadline has passed, or adl_batcher_abort() was
                             called; ADL_ERR_CANCELLED: abandoned */
    struct adl_predict_input input; /* info, and the image if decode.keep_image */
    struct adl_predictions predictions;
    struct adl_reply_timing timing; /* milliseconds; the submitter sets `total` */

    /* for batcher.c only */
    struct adl_job *next;
    uint64_t since_ns;
    size_t decoded_bytes;
    int slot; /* in the session's batch */
};

struct adl_batcher_config {
    int decode_threads;
    size_t capacity; /* maximum jobs queued or in progress */
    struct adl_registry *registry;
    struct adl_metrics *metrics;
};

/* Starts the threads: decode_threads workers (at most 16) and the engine thread. The
 * registry and the metrics have to outlive the batcher. Fails with ADL_ERR_NOMEM. */
struct adl_batcher *adl_batcher_create(const struct adl_batcher_config *config,
                                       struct adl_error *err) ADL_MUST_CHECK;
/* Joins the threads. All jobs have to be finished. NULL is ignored. */
void adl_batcher_free(struct adl_batcher *batcher);

/* Queues all of the jobs or none: fails with ADL_ERR_BUSY if they would exceed the capacity,
 * or after adl_batcher_abort(). If there are no unfinished jobs, more jobs than the capacity
 * are accepted, so that a form with many images is not refused every time. */
int adl_batcher_submit(struct adl_batcher *batcher, struct adl_job *jobs, size_t number,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_BUSY or ADL_ERR_CANCELLED if the reply is not needed any more. To be
 * called by finished() between the parts of a long reply: it also restarts the time that
 * adl_batcher_stuck_ms() measures for the worker. */
int adl_batcher_check(struct adl_batcher *batcher, const struct adl_job *job,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Frees the result of a finished job, but not the job. */
void adl_job_release(struct adl_job *job);

/* Returns whether a single job would be refused now. */
bool adl_batcher_full(struct adl_batcher *batcher);
/* Returns an estimate of the seconds (1 to 60) until all unfinished jobs are done, for
 * Retry-After. */
unsigned adl_batcher_retry_after_s(struct adl_batcher *batcher);

/* Returns the number of jobs of a model that are queued or in progress. */
size_t adl_batcher_depth(struct adl_batcher *batcher, int model);

/* Finishes jobs that are not being computed with ADL_ERR_BUSY, and refuses new ones from now
 * on. */
void adl_batcher_abort(struct adl_batcher *batcher);
/* Returns when all submitted jobs are finished. */
void adl_batcher_wait_idle(struct adl_batcher *batcher);

/* Returns the milliseconds since the oldest unfinished task of any thread began (a run of the
 * network, the decoding of an image, a reply); 0 if all threads are idle. For the watchdog. */
double adl_batcher_stuck_ms(struct adl_batcher *batcher);

#endif
