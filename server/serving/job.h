#ifndef ADL_SERVER_SERVING_JOB_H
#define ADL_SERVER_SERVING_JOB_H

/* The job of computing one image, which batcher.h takes through its stages, and what the batcher is
 * made of. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/serving/decoders.h"
#include "server/serving/fair.h"
#include "server/serving/metrics.h"
#include "server/serving/registry.h"
#include "server/serving/trace.h"
#include "server/tasks/predict.h"
#include "server/tasks/reply_json.h"

/* What the answer to an image takes, from the end of the network to when it is sent. */
struct adl_job_answer {
    size_t bytes; /* upper bounds of the memory, which is reserved with that of the decoding */
    double bytes_per_pixel; /* of the image as displayed */
    /* What a piece of it takes besides, while it is made, and of how many pieces it is made, by one
     * or several workers. */
    double piece_bytes_per_pixel;
    size_t pieces;
    double ms, ns_per_pixel; /* estimates of the time */
    bool in_form; /* the memory is not reserved with the decoding, but by adl_batcher_keep_more() */
};

/* The job of computing one image. The submitter fills the first part, and keeps the job and
 * everything that it points to valid until finished() is called. */
struct adl_job {
    const void *bytes;
    size_t length;
    struct adl_served *served; /* borrowed */
    struct adl_predict_decode decode;
    struct adl_predict_query query;
    struct adl_sender sender;
    bool alone; /* the only job of its request: its place may be taken by another client */
    /* Of no request that waits: it does not count against the capacity, and nothing that is
     * measured to adapt that to the clients sees it. */
    bool background;
    double run_cost; /* time of the network, in times that of one plain image; at least 1 */
    struct adl_job_answer answer;
    /* A job without an image file: called by a worker in place of decoding one. Fills `input`, as
     * adl_predict_decode() does; fails with a reason for the client. NULL: `bytes` are a file. */
    int (*read)(struct adl_job *job, struct adl_error *err);
    size_t read_bytes;    /* of the memory that `input` then takes */
    double read_ms;       /* an estimate of the time */
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
    struct adl_stage_span stages[ADL_STAGE_COUNT];

    /* The hook for long work in finished(). It fails if the answer is not needed any more. */
    const struct adl_pause *pause;
    int batch;       /* images that the network ran on at a time, with it; 0: on it not */
    size_t ahead;    /* jobs queued or in progress when it was submitted */
    bool pushed_out; /* err: another client took its place in the queue */

    /* for the files of the batcher only */
    struct adl_job *next;
    struct adl_fair_place place;
    uint64_t since_ns, submitted_ns;
    size_t wanted_bytes, kept_bytes; /* while it is decoded, and after that */
    size_t reserved;
    int slot; /* in the session's batch */
};

struct adl_batcher_config {
    int decode_threads; /* for small jobs, and as many for large ones */
    size_t capacity;    /* maximum jobs queued or in progress */
    double
        most_wait_ms; /* while all wait longer for the network, fewer are admitted; 0: any time */
    size_t memory;    /* maximum bytes of decoded images and answers */
    struct adl_registry *registry;
    struct adl_metrics *metrics;
    struct adl_decoders *decoders; /* decode the images; NULL: the batcher's threads do. Borrowed */
};

#endif
