#ifndef ADL_SERVER_SERVING_BATCHER_PARTS_H
#define ADL_SERVER_SERVING_BATCHER_PARTS_H

/* The structs and functions that the files of the batcher share; the design is in batcher.c, which
 * uses batcher_work.c and batcher_engine.c; the former uses batcher_share.c, and all use
 * batcher_queue.c. */

#include <pthread.h>

#include "base/clock.h"
#include "server/serving/admission.h"
#include "server/serving/job.h"

#define MAX_WORKERS 16 /* of each lane */

#define ADL_BATCHER_TOO_LATE "the image waited longer than the time limit of a request"

/* A job that takes more of the network's time than so many plain images is large. */
#define ADL_BATCHER_SMALL_RUN 2
/* Of the memory, the part that large work may use. */
#define ADL_BATCHER_LARGEST(bytes) ((bytes) - (bytes) / 8)

struct queue {
    struct adl_job *head, **tail;
};

struct adl_pieces;

/* A thread that decodes and finishes the jobs of one lane. */
struct worker {
    struct adl_batcher *batcher;
    pthread_t thread;
    enum adl_lane lane;
    struct adl_pause pause;    /* calls worker_pause() and, of large work, adl_batcher_share() */
    const struct adl_job *job; /* of its present task; only this thread uses it */
    struct adl_pieces *pieces; /* its task is a piece of these, which another worker shares */
    uint64_t since_ns;         /* start of its present piece of work, under the lock; 0: idle */
    double charged_ms;         /* processor time of the thread that was charged so far */
    struct adl_decoder_client decoder; /* of a batcher with decoders; their time is the thread's */
};

struct adl_batcher {
    struct adl_batcher_config config;
    pthread_t engine;
    struct worker workers[ADL_LANE_COUNT * MAX_WORKERS];
    int worker_count;
    bool engine_started;
    /* What the engine runs now, and whether that cannot be run at all; written by the engine
     * thread while no job is being run. */
    struct engine_kind {
        struct adl_served *served;
        struct adl_map_rule map;
    } kind;
    struct adl_view_run run;
    struct adl_error unprepared;

    pthread_mutex_t lock;                /* protects everything below */
    pthread_cond_t wake[ADL_LANE_COUNT]; /* the workers of a lane */
    pthread_cond_t engine_wake, pace, pieces_done, fewer;
    struct adl_fair *fair;
    struct queue to_decode[ADL_LANE_COUNT], to_run, to_finish[ADL_LANE_COUNT];
    struct adl_pieces *pieces; /* of large work, which have yet to be begun */
    /* Jobs that count against the capacity: until their answer is made. */
    size_t admitted[ADL_LANE_COUNT];
    size_t unfinished;      /* jobs whose finished() has not returned */
    size_t foreground;      /* of these, the ones that are no background jobs */
    uint64_t foreground_ns; /* when the last of them was finished */
    size_t memory;          /* reserved bytes */
    size_t given_up;        /* jobs that lost their place and are not finished yet */
    size_t paced;           /* threads that wait for small work to go first */
    struct adl_admission admission[ADL_LANE_COUNT]; /* how many jobs may be there now */
    double stage_ms[3];                       /* of one job: decode, run, finish; moving averages */
    size_t running;                           /* jobs that the engine runs now */
    uint64_t run_since_ns[ADL_LIMIT_THREADS]; /* start of each compute thread's run; 0: idle */
    bool want_memory; /* a worker has passed over a job whose memory was not there */
    bool stop, aborted;
};

enum { STAGE_DECODE, STAGE_RUN, STAGE_FINISH }; /* indices of stage_ms */

static inline void queue_push(struct queue *queue, struct adl_job *job)
{
    job->next = NULL;
    *queue->tail = job;
    queue->tail = &job->next;
}

/* Takes the job at a link of the queue out of it. */
static inline struct adl_job *queue_take(struct queue *queue, struct adl_job **link)
{
    struct adl_job *job = *link;

    *link = job->next;
    if (queue->tail == &job->next)
        queue->tail = link;
    return job;
}

/* Returns how many jobs count against the capacity. Called under the lock. */
static inline size_t batcher_admitted(const struct adl_batcher *b)
{
    return b->admitted[ADL_LANE_SMALL] + b->admitted[ADL_LANE_LARGE];
}

static inline void batcher_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline double batcher_stage_done(struct adl_batcher *b, struct adl_job *job,
                                        enum adl_stage stage, uint64_t from_ns, uint64_t to_ns)
{
    double ms = adl_clock_ms(from_ns, to_ns);
    job->stages[stage] = (struct adl_stage_span){from_ns, to_ns};
    adl_histogram_add(&b->config.metrics->stage_seconds[stage], &adl_buckets_seconds, ms / 1e3);
    return ms;
}

/* --- batcher_queue.c --------------------------------------------------------------- */

/* Returns the processor time of this thread in milliseconds. */
double adl_batcher_thread_ms(void);

/* Returns the link of the job in the queue that goes first, NULL if the queue is empty. Called
 * under the lock. */
struct adl_job **adl_batcher_first(const struct adl_batcher *b, struct queue *queue);

/* Charges a job's sender, and wakes large work that may go on. Called under the lock. */
void adl_batcher_charge(struct adl_batcher *b, const struct adl_fair_place *place, double ms);

/* Fails if the job's result is not needed any more, and counts the reason in the metrics. */
int adl_batcher_wanted(struct adl_batcher *b, const struct adl_job *job, bool aborted,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Changes the memory that a job has reserved. Called under the lock. */
void adl_batcher_reserve(struct adl_batcher *b, struct adl_job *job, size_t bytes);

/* Notes what the worker begins with, and from when on its time is charged; `pieces` is NULL where
 * the job is its own. Called under the lock. */
void adl_batcher_worker_begin(struct worker *worker, const struct adl_job *job,
                              struct adl_pieces *pieces);
/* Charges what the worker has done since the last call. Called under the lock. */
void adl_batcher_worker_charge(struct worker *worker, const struct adl_fair_place *place);

/* Puts the job into that one of the queues that is its lane's, and wakes a worker for it. Called
 * under the lock. */
void adl_batcher_pass(struct adl_batcher *b, struct queue queues[ADL_LANE_COUNT],
                      struct adl_job *job);
/* Makes all workers look for a task again. Called under the lock. */
void adl_batcher_wake_all(struct adl_batcher *b);
/* Returns memory to the budget. Called under the lock. */
void adl_batcher_free_memory(struct adl_batcher *b, size_t bytes);

/* --- batcher_work.c --------------------------------------------------------------- */

void *adl_batcher_work(void *argument);

/* --- batcher_share.c -------------------------------------------------------------- */

/* Does pieces of the present job of a worker, the context, on all workers of its lane that have
 * time; see struct adl_pause. */
int adl_batcher_share(void *context, size_t n, adl_pause_body *body, void *of_body,
                      struct adl_error *err);
/* Fails as the first piece did that failed. Called under the lock. */
int adl_pieces_check(const struct adl_pieces *pieces, struct adl_error *err) ADL_MUST_CHECK;
/* Returns the pieces of which one should be done next, before the jobs at two links (NULL: none);
 * NULL: none should. Called under the lock. */
struct adl_pieces *adl_batcher_first_pieces(const struct adl_batcher *b, struct adl_job **first,
                                            struct adl_job **second);
/* Does one piece. Called under the lock, which is released meanwhile. */
void adl_batcher_do_piece(struct worker *worker, struct adl_pieces *pieces);

/* --- batcher_engine.c ------------------------------------------------------------- */

void *adl_batcher_run_engine(void *batcher);

#endif
