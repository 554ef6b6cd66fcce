/* What the workers, the engine and the submitters of the batcher have in common: queues, charges,
 * reservations. The design is in batcher.c. */

#include <time.h>

#include "server/serving/batcher_parts.h"

double adl_batcher_thread_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

struct adl_job **adl_batcher_first(const struct adl_batcher *b, struct queue *queue)
{
    struct adl_job **first = queue->head ? &queue->head : NULL;

    for (struct adl_job **link = first; link && *link; link = &(*link)->next)
        if (adl_fair_before(b->fair, &(*link)->place, &(*first)->place))
            first = link;
    return first;
}

void adl_batcher_charge(struct adl_batcher *b, const struct adl_fair_place *place, double ms)
{
    adl_fair_charge(b->fair, place, ms);
    if (b->paced > 0 && place->lane == ADL_LANE_SMALL)
        pthread_cond_broadcast(&b->pace);
}

/* Returns the processor time that the worker has spent, and helpers for it, in milliseconds. */
static double worker_ms(const struct worker *worker)
{
    return adl_batcher_thread_ms() + worker->decoder.cpu_ms;
}

void adl_batcher_worker_begin(struct worker *worker, const struct adl_job *job,
                              struct adl_pieces *pieces)
{
    worker->since_ns = adl_clock_ns();
    worker->charged_ms = worker_ms(worker);
    worker->job = job;
    worker->pieces = pieces;
}

void adl_batcher_worker_charge(struct worker *worker, const struct adl_fair_place *place)
{
    double now_ms = worker_ms(worker);

    adl_batcher_charge(worker->batcher, place, now_ms - worker->charged_ms);
    worker->charged_ms = now_ms;
}

void adl_batcher_reserve(struct adl_batcher *b, struct adl_job *job, size_t bytes)
{
    if (bytes < job->reserved)
        adl_batcher_free_memory(b, job->reserved - bytes);
    else
        b->memory += bytes - job->reserved;
    job->reserved = bytes;
}

void adl_batcher_free_memory(struct adl_batcher *b, size_t bytes)
{
    b->memory -= bytes;
    if (b->want_memory)
        adl_batcher_wake_all(b);
    b->want_memory = false;
}

void adl_batcher_pass(struct adl_batcher *b, struct queue queues[ADL_LANE_COUNT],
                      struct adl_job *job)
{
    queue_push(&queues[job->place.lane], job);
    pthread_cond_signal(&b->wake[job->place.lane]);
}

void adl_batcher_wake_all(struct adl_batcher *b)
{
    for (int lane = 0; lane < ADL_LANE_COUNT; lane++)
        pthread_cond_broadcast(&b->wake[lane]);
}

int adl_batcher_wanted(struct adl_batcher *b, const struct adl_job *job, bool aborted,
                       struct adl_error *err)
{
    if (aborted)
        return adl_fail(err, ADL_ERR_BUSY, "the server is stopping");
    if (adl_clock_ns() > job->deadline_ns) {
        batcher_count(&b->config.metrics->abandoned_deadline);
        return adl_fail(err, ADL_ERR_BUSY, ADL_BATCHER_TOO_LATE);
    }
    if (job->abandoned && job->abandoned(job)) {
        if (!job->background)
            batcher_count(&b->config.metrics->abandoned_disconnected);
        return adl_fail(err, ADL_ERR_CANCELLED, "the client closed its side of the connection");
    }
    return 0;
}
