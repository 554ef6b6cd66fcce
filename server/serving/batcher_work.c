/* The workers of the batcher: they decode images before the network, and find boxes and write
 * answers after it. The design is in batcher.c. */

#include <errno.h>

#include "base/size.h"
#include "base/wait.h"
#include "server/serving/batcher_parts.h"

/* How often a thread that waits for small work looks whether its own is still wanted. */
#define PACE_NS 20000000

/* --- pieces of work -------------------------------------------------------------- */

/* Waits until large work may go on, or some milliseconds. Called under the lock. */
static void worker_wait_for_small(struct adl_batcher *b)
{
    b->paced++;
    adl_cond_wait_until(&b->pace, &b->lock, adl_clock_ns() + PACE_NS);
    b->paced--;
}

/* The hook between pieces of a worker's task; see struct adl_pause. */
static int worker_pause(void *context, struct adl_error *err)
{
    struct worker *worker = context;
    struct adl_batcher *b = worker->batcher;
    const struct adl_job *job = worker->job;
    bool aborted, waits;
    int result = 0;

    do {
        pthread_mutex_lock(&b->lock);
        adl_batcher_worker_charge(worker, &job->place);
        waits = job->place.lane == ADL_LANE_LARGE && !b->aborted && adl_fair_large_waits(b->fair);
        if (waits)
            worker_wait_for_small(b);
        worker->since_ns = adl_clock_ns();
        aborted = b->aborted;
        if (worker->pieces)
            result = adl_pieces_check(worker->pieces, err);
        pthread_mutex_unlock(&b->lock);
        if (!worker->pieces)
            result = adl_batcher_wanted(b, job, aborted, err);
    } while (waits && result == 0);
    return result;
}

/* --- stages ----------------------------------------------------------------------- */

static void batcher_decode(struct adl_batcher *b, struct adl_job *job)
{
    const struct adl_model *model = job->served->model;
    struct adl_view_sizes sizes;
    uint64_t begin = adl_clock_ns();

    adl_map_views_sizes(&job->query.map.views, model->input_h, model->input_w, &sizes);
    /* On failure the error is in job->err. */
    if (job->read)
        (void)!job->read(job, &job->err);
    else
        (void)!adl_predict_decode(job->bytes, job->length, &job->decode, &sizes, &job->input,
                                  &job->err);
    job->timing.decode = batcher_stage_done(b, job, ADL_STAGE_DECODE, begin, adl_clock_ns());
}

static void batcher_locate(struct adl_batcher *b, struct adl_job *job)
{
    struct adl_model_metrics *metrics = &job->served->named->metrics;
    const struct adl_prediction *first;
    uint64_t begin = adl_clock_ns();
    const struct adl_image_info *info = &job->input.info;

    if (job->err.kind || adl_predict_locate(&job->predictions, &job->query, info->width,
                                            info->height, job->pause, &job->err) < 0)
        return;
    job->timing.postprocess =
        batcher_stage_done(b, job, ADL_STAGE_POSTPROCESS, begin, adl_clock_ns());
    if (job->predictions.count == 0)
        return;
    first = &job->predictions.items[0];
    adl_histogram_add(&metrics->score, &adl_buckets_unit, (double)first->score);
    if (first->place.box_count > 0) {
        struct adl_box box = first->place.boxes[0].box;
        double area = (double)(box.x1 - box.x0 + 1) * (double)(box.y1 - box.y0 + 1);
        adl_histogram_add(&metrics->box_area, &adl_buckets_unit,
                          area / ((double)info->width * (double)info->height));
    }
}

static void batcher_count_outcome(const struct adl_job *job)
{
    struct adl_model_metrics *metrics = &job->served->named->metrics;

    switch (job->err.kind) {
    case ADL_ERR_NONE:
        batcher_count(&metrics->images[ADL_OUTCOME_OK]);
        batcher_count(&job->served->images);
        break;
    case ADL_ERR_FORMAT: batcher_count(&metrics->images[ADL_OUTCOME_CORRUPT]); break;
    case ADL_ERR_LIMIT: batcher_count(&metrics->images[ADL_OUTCOME_TOO_LARGE]); break;
    case ADL_ERR_UNSUPPORTED: batcher_count(&metrics->images[ADL_OUTCOME_UNSUPPORTED]); break;
    default: break;
    }
}

/* Does the last stage of a job. After finished() the submitter owns the job and its model again,
 * so the values that are needed afterwards are copied first. Once its client may have got the
 * answer and sent the next request, the job must not count against the capacity any more. */
static void batcher_finish(struct adl_batcher *b, struct adl_job *job, struct worker *worker)
{
    const struct adl_fair_place place = job->place;
    const bool background = job->background, given_up = job->pushed_out;

    batcher_locate(b, job);
    batcher_count_outcome(job);
    pthread_mutex_lock(&b->lock);
    if (!given_up) {
        b->admitted[place.lane] -= !background;
        atomic_fetch_sub(&job->served->named->depth, 1);
    }
    pthread_mutex_unlock(&b->lock);
    job->finished(job);
    pthread_mutex_lock(&b->lock);
    adl_batcher_worker_charge(worker, &place);
    adl_fair_leave(b->fair, &place);
    worker->since_ns = 0;
    b->unfinished--;
    b->given_up -= given_up;
    if (!background) {
        b->foreground--;
        b->foreground_ns = adl_clock_ns();
    }
    if (b->paced > 0)
        pthread_cond_broadcast(&b->pace);
    pthread_cond_broadcast(&b->fewer);
    pthread_mutex_unlock(&b->lock);
}

/* --- the choice of the next task ------------------------------------------------------ */

/* Returns whether the memory that the job asks for is there. Large work leaves an eighth to small
 * work, so that this never waits for it. Called under the lock. */
static bool batcher_has_memory(const struct adl_batcher *b, const struct adl_job *job)
{
    const size_t limit = job->place.lane == ADL_LANE_LARGE ? ADL_BATCHER_LARGEST(b->config.memory)
                                                           : b->config.memory;

    return job->wanted_bytes <= limit && b->memory <= limit - job->wanted_bytes;
}

/* Returns the link of a job that will not be decoded any more, and needs no memory; NULL: there is
 * none. Called under the lock. */
static struct adl_job **batcher_find_late(const struct adl_batcher *b, struct queue *queue)
{
    const uint64_t now = adl_clock_ns();
    struct adl_job **link = &queue->head;

    while (*link && !b->aborted && now <= (*link)->deadline_ns)
        link = &(*link)->next;
    return *link ? link : NULL;
}

/* Returns the job that a worker should take next, NULL if it has to wait. Called under the
 * lock. Before that, does pieces of what another worker shares. Of the same sender, finishing goes
 * before decoding: it releases memory and answers a client. If the job that should be decoded next
 * does not get its memory, no other one of the lane takes it away. */
static struct adl_job *batcher_next_task(struct adl_batcher *b, struct worker *worker,
                                         bool *is_finish)
{
    struct queue *decode = &b->to_decode[worker->lane], *finish = &b->to_finish[worker->lane];
    struct adl_job **first, **ready;
    struct adl_pieces *pieces;

    for (;;) {
        ready = adl_batcher_first(b, finish);
        first = adl_batcher_first(b, decode);
        if (first && !batcher_has_memory(b, *first)) {
            b->want_memory = true;
            first = batcher_find_late(b, decode);
        }
        if (worker->lane != ADL_LANE_LARGE || !(pieces = adl_batcher_first_pieces(b, first, ready)))
            break;
        adl_batcher_do_piece(worker, pieces);
    }
    if (!first && !ready)
        return NULL;
    *is_finish = ready && !(first && adl_fair_before(b->fair, &(*first)->place, &(*ready)->place));
    return *is_finish ? queue_take(finish, ready) : queue_take(decode, first);
}

/* Decodes a job and passes it on. Returns false if it has to be finished at once. */
static bool worker_decode(struct worker *worker, struct adl_job *job, bool aborted)
{
    struct adl_batcher *b = worker->batcher;
    uint64_t begin = adl_clock_ns();

    /* Without its memory a job was only taken because it is late; see batcher_find_late(). */
    if (job->err.kind == ADL_ERR_NONE && job->reserved < job->wanted_bytes)
        adl_fail(&job->err, ADL_ERR_BUSY, "%s",
                 aborted ? "the server is stopping" : ADL_BATCHER_TOO_LATE);
    if (job->err.kind == ADL_ERR_NONE && adl_batcher_wanted(b, job, aborted, &job->err) == 0)
        batcher_decode(b, job);
    if (job->err.kind)
        return false;
    pthread_mutex_lock(&b->lock);
    job->since_ns = adl_clock_ns();
    b->stage_ms[STAGE_DECODE] =
        0.9 * b->stage_ms[STAGE_DECODE] + 0.1 * adl_clock_ms(begin, job->since_ns);
    adl_batcher_worker_charge(worker, &job->place);
    adl_batcher_reserve(b, job, job->kept_bytes);
    queue_push(&b->to_run, job);
    pthread_cond_signal(&b->engine_wake);
    worker->since_ns = 0;
    return true;
}

void *adl_batcher_work(void *argument)
{
    struct worker *worker = argument;
    struct adl_batcher *b = worker->batcher;

    worker->pause =
        (struct adl_pause){.call = worker_pause,
                           .share = worker->lane == ADL_LANE_LARGE ? adl_batcher_share : NULL,
                           .context = worker};
    pthread_mutex_lock(&b->lock);
    for (;;) {
        bool is_finish = false, aborted;
        struct adl_job *job = NULL;
        while (!b->stop && !(job = batcher_next_task(b, worker, &is_finish)))
            pthread_cond_wait(&b->wake[worker->lane], &b->lock);
        if (!job)
            break;
        adl_fair_begin(b->fair, &job->place);
        if (!is_finish && batcher_has_memory(b, job))
            adl_batcher_reserve(b, job, job->wanted_bytes);
        aborted = b->aborted;
        adl_batcher_worker_begin(worker, job, NULL);
        pthread_mutex_unlock(&b->lock);
        job->pause = &worker->pause;
        job->decode.pause = &worker->pause;
        job->decode.decoder = b->config.decoders ? &worker->decoder.decoder : NULL;
        if (!is_finish && worker_decode(worker, job, aborted))
            continue;
        uint64_t begin = adl_clock_ns();
        batcher_finish(b, job, worker);
        pthread_mutex_lock(&b->lock);
        b->stage_ms[STAGE_FINISH] =
            0.9 * b->stage_ms[STAGE_FINISH] + 0.1 * adl_clock_ms(begin, adl_clock_ns());
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}
