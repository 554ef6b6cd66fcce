#ifndef ADL_SERVER_SERVING_BATCHER_H
#define ADL_SERVER_SERVING_BATCHER_H

/* Computes the results of images, each of which is a job that takes this path:
 *
 *     submit ─▶ workers ─▶ engine thread ─▶ workers ─▶ finished()
 *
 * Workers turn bytes into the network's input, and class maps into boxes and replies. The only
 * engine thread runs the network: one image on all compute threads, or, where as many images wait
 * as there are threads, each on a thread of its own. Senders are served in turn by the processor
 * time that they use (fair.h), and memory is reserved before it is used. A job whose client has
 * disconnected or whose deadline has passed is dropped before its next piece of work.
 * All functions are thread-safe. */

#include "server/serving/job.h"

struct adl_batcher;

/* Starts the threads: twice decode_threads workers (at most 16 each) and the engine thread. The
 * registry and the metrics have to outlive the batcher. Fails with ADL_ERR_NOMEM. */
struct adl_batcher *adl_batcher_create(const struct adl_batcher_config *config,
                                       struct adl_error *err) ADL_MUST_CHECK;
/* Joins the threads. All jobs have to be finished. NULL is ignored. */
void adl_batcher_free(struct adl_batcher *batcher);

/* Queues all of the jobs (at most ADL_LIMIT_MULTIPART_PARTS) or none: fails with ADL_ERR_BUSY if
 * they would exceed the limit (adl_batcher_limit()) and the sender is owed no place beyond it
 * (admission.h), unless the client has fewer jobs than another, whose last one then fails with
 * ADL_ERR_BUSY; or after adl_batcher_abort(). If there are no unfinished jobs, more jobs than the
 * capacity are accepted, so that a form with many images is not refused every time. Background jobs
 * are never refused for that; at most ADL_LIMIT_MULTIPART_PARTS may be there at a time. A job that
 * needs more memory than there can be is finished with ADL_ERR_LIMIT. */
int adl_batcher_submit(struct adl_batcher *batcher, struct adl_job *jobs, size_t number,
                       struct adl_error *err) ADL_MUST_CHECK;

/* To be called in finished() when the answer is made: reduces the memory that the job has reserved
 * to at most `bytes`, those of the answer, and returns how much it is. The caller has to give it
 * back when the answer is sent; without this call, all of it stays reserved for ever. */
size_t adl_batcher_keep(struct adl_batcher *batcher, struct adl_job *job, size_t bytes);
/* Returns the most memory that an answer takes for an image of so many pixels, as displayed. */
size_t adl_batcher_answer_bytes(const struct adl_batcher *batcher,
                                const struct adl_job_answer *answer, double pixels);
/* Reserves `bytes` more, without waiting. Fails with ADL_ERR_NOMEM. */
int adl_batcher_keep_more(struct adl_batcher *batcher, size_t bytes,
                          struct adl_error *err) ADL_MUST_CHECK;
void adl_batcher_give_back(struct adl_batcher *batcher, size_t bytes);
/* Returns the bytes that are reserved now. */
size_t adl_batcher_memory(struct adl_batcher *batcher);

/* Frees the result of a finished job, but not the job. */
void adl_job_release(struct adl_job *job);

/* Returns whether a single job of the sender would be refused now, whatever lane it is for. */
bool adl_batcher_full(struct adl_batcher *batcher, struct adl_sender sender);
/* Returns an estimate of the seconds (1 to 60) until the slowest stage has done all unfinished
 * jobs, for Retry-After. */
unsigned adl_batcher_retry_after_s(struct adl_batcher *batcher);

/* Returns how many jobs of a lane may be queued or in progress now; see admission.h. */
size_t adl_batcher_limit(struct adl_batcher *batcher, enum adl_lane lane);

/* Waits until no job but background ones has been there for `quiet_ms`, or until `until_ns`
 * (base/clock.h), or until adl_batcher_abort(). */
void adl_batcher_wait_quiet(struct adl_batcher *batcher, unsigned quiet_ms, uint64_t until_ns);

/* Drops jobs that wait for memory and are late by now; to be called every second or so. */
void adl_batcher_tick(struct adl_batcher *batcher);

/* Finishes jobs that are not being computed with ADL_ERR_BUSY, and refuses new ones from now
 * on. */
void adl_batcher_abort(struct adl_batcher *batcher);
/* Returns when all submitted jobs are finished. */
void adl_batcher_wait_idle(struct adl_batcher *batcher);

/* Returns the milliseconds since the oldest unfinished task of any thread began (a run of the
 * network, the decoding of an image, a reply); 0 if all threads are idle. For the watchdog. */
double adl_batcher_stuck_ms(struct adl_batcher *batcher);

#endif
