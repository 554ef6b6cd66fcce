/* Implements the queues between the threads that decode images and the one that runs the
 * network.
 *
 * DESIGN
 *
 * Threads. An I/O thread submits jobs, one for each image. Workers (batcher_work.c) do the serial
 * work on both sides of the network: they decode and resize the image, and later cut boxes out of
 * the class map and write the reply. One engine thread (batcher_engine.c) runs the network, on the
 * threads of the compute pool.
 *
 * Lanes. A job that takes more than SMALL_MS besides the network, or much memory, is large. Large
 * and small jobs have workers of their own, --decode-threads of each, so that a small one never
 * waits for a thread that decodes a hundred megapixels. The workers of large jobs call a hook
 * about every millisecond, and wait there while small jobs exist and large ones have had their half
 * of the processor time. So together they use no more threads than there is work for. What a large
 * job has many of, boxes of classes and pictures of maps, is done by all workers of its lane that
 * have time (batcher_share.c).
 *
 * Queues. `to_decode` -> worker -> `to_run` -> engine -> `to_finish` -> worker. The lists are
 * linked through the jobs, so that nothing is allocated. From each list the job is taken whose
 * sender has used the least time (fair.h); a list has at most as many jobs as --queue says, so it
 * is searched from one end to the other. When the capacity is used up, a client that has fewer jobs
 * than another takes the place of the last one that the other has sent.
 *
 * Memory. Before anything of a job is done, the memory for its decoding and for its answer,
 * computed from the header of the file, is reserved in a budget; if it is not there, the job waits.
 * Afterwards the reservation is reduced to what is left: the input of the network, the answer until
 * it is sent. A job needs one reservation only, so that two jobs cannot wait for each other.
 *
 * Network. When there are fewer images than compute threads, the one that goes first is run on all
 * of them, without any delay; under load each thread runs an image of its own (batcher_engine.c).
 * There is no timer that holds images back until there are many.
 *
 * Waking. A worker is woken by the lane's condition for the one job that it can take. Whoever
 * passes over a job because its memory is not there leaves a mark, and memory that is freed then
 * wakes all.
 *
 * Lock. `lock` protects everything below it in the struct, the jobs' links and the workers'
 * `since_ns`. It is held for list operations only, never while an image is decoded, a network
 * is run or a callback is called. A job that is in no list belongs to the thread that took it
 * out of the last one.
 * The compute lock of the registry is held during a run, because loading a model uses the
 * same threads; it is never taken with `lock` held.
 *
 * Order. Jobs overtake each other. Each submitted job is finished exactly once,
 * by a worker, also after an error or an abort; after the callback finished() the job and
 * its model belong to the submitter again and are not touched.
 *
 * Abandoned work. libmicrohttpd does not notice that the client of a suspended request
 * disconnects, and does not time the request out (see http.c). So before each expensive stage,
 * and between the pieces of one,
 * the job's deadline and its connection are checked, and the job is dropped if it is late or
 * abandoned. This keeps an overloaded engine from computing answers that are finished after
 * their clients have given up. */

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "base/wait.h"
#include "server/serving/batcher.h"
#include "server/serving/batcher_parts.h"

/* A job that takes longer besides the network is large: about half a megapixel. */
#define SMALL_MS 8
/* So is one that takes more memory than this part of the budget. */
#define SMALL_PART 64

/* --- the interface ----------------------------------------------------------------- */

static int start_threads(struct adl_batcher *b, struct adl_error *err)
{
    const int each = ADL_MIN(b->config.decode_threads, MAX_WORKERS);

    b->engine_started = pthread_create(&b->engine, NULL, adl_batcher_run_engine, b) == 0;
    for (int i = 0; b->engine_started && i < ADL_LANE_COUNT * each; i++) {
        struct worker *worker = &b->workers[i];
        worker->batcher = b;
        worker->lane = (enum adl_lane)(i % ADL_LANE_COUNT);
        adl_decoder_client_init(&worker->decoder, b->config.decoders);
        if (pthread_create(&worker->thread, NULL, adl_batcher_work, worker) != 0)
            break;
        b->worker_count++;
    }
    if (b->worker_count < ADL_LANE_COUNT * each)
        return adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread");
    return 0;
}

struct adl_batcher *adl_batcher_create(const struct adl_batcher_config *config,
                                       struct adl_error *err)
{
    struct adl_batcher *b = adl_calloc(1, sizeof *b);

    if (!b) {
        adl_fail_nomem(err, "the queue");
        return NULL;
    }
    b->config = *config;
    for (int lane = 0; lane < ADL_LANE_COUNT; lane++) {
        adl_admission_init(&b->admission[lane], config->capacity, config->most_wait_ms);
        b->to_decode[lane].tail = &b->to_decode[lane].head;
        b->to_finish[lane].tail = &b->to_finish[lane].head;
        pthread_cond_init(&b->wake[lane], NULL);
    }
    b->to_run.tail = &b->to_run.head;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->engine_wake, NULL);
    adl_cond_init(&b->fewer);
    adl_cond_init(&b->pace);
    adl_cond_init(&b->pieces_done);
    /* A form may have more images than the capacity, and background jobs do not count. */
    b->fair = adl_fair_create(adl_admission_with_owed(config->capacity, ADL_OWED_AS_LANE) +
                                  config->capacity /* given up */ + 2 * ADL_LIMIT_MULTIPART_PARTS,
                              err);
    if (!b->fair || start_threads(b, err) < 0) {
        adl_batcher_free(b);
        return NULL;
    }
    return b;
}

void adl_batcher_free(struct adl_batcher *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    adl_batcher_wake_all(b);
    pthread_cond_broadcast(&b->engine_wake);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->worker_count; i++)
        pthread_join(b->workers[i].thread, NULL);
    if (b->engine_started)
        pthread_join(b->engine, NULL);
    for (int lane = 0; lane < ADL_LANE_COUNT; lane++)
        pthread_cond_destroy(&b->wake[lane]);
    pthread_cond_destroy(&b->engine_wake);
    pthread_cond_destroy(&b->fewer);
    pthread_cond_destroy(&b->pace);
    pthread_cond_destroy(&b->pieces_done);
    pthread_mutex_destroy(&b->lock);
    adl_fair_free(b->fair);
    adl_free(b);
}

/* --- admission ----------------------------------------------------------------------- */

/* Reads from the header what the job takes, and decides its lane. A file whose header cannot be
 * read fails again when it is decoded, which takes no memory to speak of. */
static enum adl_lane job_examine(struct adl_batcher *b, struct adl_job *job)
{
    const struct adl_model *model = job->served->model;
    const size_t limit = b->config.memory;
    struct adl_predict_needs needs;
    struct adl_view_sizes sizes;
    struct adl_error ignored = {0};

    adl_map_views_sizes(&job->query.map.views, model->input_h, model->input_w, &sizes);
    /* Whose it is does not matter to the memory. */
    job->decode.decoder = b->config.decoders ? &b->workers[0].decoder.decoder : NULL;
    if (job->read)
        needs = (struct adl_predict_needs){.decode_bytes = job->read_bytes,
                                           .kept_bytes = job->read_bytes,
                                           .decode_ms = job->read_ms};
    else
        (void)!adl_predict_examine(job->bytes, job->length, &job->decode, &sizes, &needs, &ignored);
    const double pixels = (double)needs.width * (double)needs.height;
    const size_t answer = adl_batcher_answer_bytes(b, &job->answer, pixels);
    const double ms = needs.decode_ms + job->answer.ms + job->answer.ns_per_pixel * pixels * 1e-6;
    job->kept_bytes = needs.kept_bytes + (job->answer.in_form ? 0 : answer);
    job->wanted_bytes = ADL_MAX(needs.decode_bytes, job->kept_bytes);
    if (job->wanted_bytes > ADL_BATCHER_LARGEST(limit))
        adl_fail(&job->err, ADL_ERR_LIMIT,
                 "an image of %d x %d pixels and its answer would take %zu MiB of memory; "
                 "--memory leaves %zu MiB for one image",
                 needs.width, needs.height, job->wanted_bytes / ADL_MIB,
                 ADL_BATCHER_LARGEST(limit) / ADL_MIB);
    return ms > SMALL_MS || job->wanted_bytes > limit / SMALL_PART ||
                   job->run_cost > ADL_BATCHER_SMALL_RUN
               ? ADL_LANE_LARGE
               : ADL_LANE_SMALL;
}

/* Returns the jobs of the client of a waiting job that may be given up; 0: it may not. */
static size_t entries_of(const struct adl_batcher *b, const struct adl_job *job)
{
    return job->alone ? adl_fair_entries(b->fair, job->sender.client) : 0;
}

/* Returns the link to the last waiting job of a lane (ADL_LANE_COUNT: of any), alone in its
 * request, of the client that has the most jobs, if these are at least two more than `own`; NULL:
 * there is none. Called under the lock. */
static struct adl_job **find_victim(struct adl_batcher *b, enum adl_lane of, size_t own,
                                    struct queue **queue)
{
    struct adl_job **victim = NULL;
    size_t most = own + 1;

    for (int lane = 0; lane < ADL_LANE_COUNT; lane++)
        for (struct adl_job **link = &b->to_decode[lane].head;
             *link && (of == ADL_LANE_COUNT || lane == (int)of); link = &(*link)->next) {
            size_t entries = entries_of(b, *link);
            if (entries > most || (entries == most && victim)) {
                most = entries;
                victim = link;
                *queue = &b->to_decode[lane];
            }
        }
    return victim;
}

/* Returns how many jobs find_victim() would give up, one after the other. */
static size_t count_victims(const struct adl_batcher *b, enum adl_lane of, size_t own)
{
    size_t count = 0;

    for (int lane = 0; lane < ADL_LANE_COUNT; lane++)
        if (of == ADL_LANE_COUNT || lane == (int)of)
            for (const struct adl_job *job = b->to_decode[lane].head; job; job = job->next)
                count += entries_of(b, job) > own + 1;
    return count;
}

static int fail_full(const struct adl_batcher *b, enum adl_lane lane, struct adl_error *err)
{
    const size_t there = batcher_admitted(b), limit = adl_admission_limit(&b->admission[lane]);

    if (there < b->config.capacity)
        return adl_fail(err, ADL_ERR_BUSY,
                        "%zu %s image%s queued or in progress; at present the limit is %zu",
                        b->admitted[lane], adl_lane_names[lane],
                        b->admitted[lane] == 1 ? " is" : "s are", limit);
    return adl_fail(err, ADL_ERR_BUSY, "%zu image%s queued or in progress; the limit is %zu", there,
                    there == 1 ? " is" : "s are", b->config.capacity);
}

/* Returns by how many `number` more jobs would be too many of a lane, for somebody who is owed so
 * much. Called under the lock. */
static size_t own_excess(const struct adl_batcher *b, enum adl_lane lane, size_t number,
                         enum adl_owed owed)
{
    const size_t own = b->admitted[lane] + number;
    const size_t most = adl_admission_limit_with_owed(&b->admission[lane], owed);

    return own > most ? own - most : 0;
}

/* Returns by how many they would be too many of the lane, or of both together. */
static size_t excess(const struct adl_batcher *b, enum adl_lane lane, size_t number,
                     enum adl_owed owed)
{
    const size_t all = batcher_admitted(b) + number;
    const size_t most = adl_admission_with_owed(b->config.capacity, owed);

    return ADL_MAX(all > most ? all - most : 0, own_excess(b, lane, number, owed));
}

static enum adl_owed owed_to(enum adl_fair_lag lag)
{
    switch (lag) {
    case ADL_FAIR_BEHIND_CONNECTION: return ADL_OWED_AS_CONNECTION;
    case ADL_FAIR_BEHIND_CLIENT: return ADL_OWED_AS_CLIENT;
    case ADL_FAIR_LEVEL: break;
    }
    return ADL_OWED_NOTHING;
}

/* Returns by how many `number` more jobs of a sender would be too many, and sets *owed to what he
 * is owed then. Called under the lock. */
static size_t excess_of(struct adl_batcher *b, enum adl_lane lane, struct adl_sender sender,
                        size_t number, enum adl_owed *owed)
{
    *owed = ADL_OWED_NOTHING;
    if (batcher_admitted(b) == 0 || excess(b, lane, number, ADL_OWED_NOTHING) == 0)
        return 0;
    if (lane == ADL_LANE_SMALL &&
        b->admitted[lane] + number <= adl_admission_few(b->config.capacity))
        *owed = ADL_OWED_AS_LANE;
    else
        *owed = owed_to(adl_fair_lag(b->fair, lane, sender));
    return excess(b, lane, number, *owed);
}

/* Makes room for `number` jobs of a sender by giving up others' jobs. Called under the lock. */
static int make_room(struct adl_batcher *b, enum adl_lane lane, struct adl_sender sender,
                     size_t number, struct adl_error *err)
{
    const size_t own = adl_fair_entries(b->fair, sender.client) + number - 1;
    enum adl_owed owed;
    size_t over;

    for (int i = 0; i < ADL_LANE_COUNT; i++)
        if (batcher_admitted(b) == 0 || (i == (int)lane && b->admitted[i] == 0))
            adl_admission_idle(&b->admission[i]);
    over = excess_of(b, lane, sender, number, &owed);
    if (over == 0)
        return 0;
    /* All or none: nobody loses a place for work that is refused then. Those that lose one are
     * bounded, since each is an entry of the accounts until it is finished. */
    if (over > number || b->given_up + over > b->config.capacity ||
        count_victims(b, lane, own) < own_excess(b, lane, number, owed) ||
        count_victims(b, ADL_LANE_COUNT, own) < over)
        return fail_full(b, lane, err);
    for (; over > 0; over--) {
        struct queue *queue;
        /* Only work of the lane makes room below the lane's own limit. */
        const enum adl_lane of = own_excess(b, lane, number, owed) > 0 ? lane : ADL_LANE_COUNT;
        struct adl_job **link = find_victim(b, of, own, &queue);
        if (!link)
            return fail_full(b, lane, err); /* does not happen, as they were counted */
        struct adl_job *job = queue_take(queue, link);
        (void)!fail_full(b, job->place.lane, &job->err);
        job->pushed_out = true;
        b->given_up++;
        b->admitted[job->place.lane]--;
        atomic_fetch_sub(&job->served->named->depth, 1);
        adl_batcher_pass(b, b->to_finish, job);
    }
    return 0;
}

int adl_batcher_submit(struct adl_batcher *b, struct adl_job *jobs, size_t number,
                       struct adl_error *err)
{
    enum adl_lane lanes[ADL_LIMIT_MULTIPART_PARTS], lane = ADL_LANE_SMALL;
    uint64_t now = adl_clock_ns();
    int result = 0;

    for (size_t i = 0; i < number; i++)
        if ((lanes[i] = job_examine(b, &jobs[i])) == ADL_LANE_LARGE)
            lane = ADL_LANE_LARGE; /* a form with a large picture is large work */
    pthread_mutex_lock(&b->lock);
    if (b->aborted)
        result = adl_fail(err, ADL_ERR_BUSY, "the server is stopping");
    else if (!jobs[0].background)
        result = make_room(b, lane, jobs[0].sender, number, err);
    for (size_t i = 0; result == 0 && i < number; i++) {
        struct adl_job *job = &jobs[i];
        adl_fair_enter(b->fair, lanes[i], job->sender, &job->place);
        job->reserved = 0;
        job->ahead = batcher_admitted(b) - i;
        job->submitted_ns = now;
        adl_batcher_pass(b, job->err.kind ? b->to_finish : b->to_decode, job);
        atomic_fetch_add(&job->served->named->depth, 1);
        b->admitted[lanes[i]] += !job->background;
        b->foreground += !job->background;
        b->unfinished++;
    }
    pthread_mutex_unlock(&b->lock);
    return result;
}

/* --- memory of answers ----------------------------------------------------------------- */

size_t adl_batcher_keep(struct adl_batcher *b, struct adl_job *job, size_t bytes)
{
    pthread_mutex_lock(&b->lock);
    adl_batcher_reserve(b, job, ADL_MIN(bytes, job->reserved));
    bytes = job->reserved;
    job->reserved = 0;
    pthread_mutex_unlock(&b->lock);
    return bytes;
}

size_t adl_batcher_answer_bytes(const struct adl_batcher *b, const struct adl_job_answer *answer,
                                double pixels)
{
    const size_t workers = (size_t)b->worker_count / ADL_LANE_COUNT;
    const double pieces = (double)ADL_MIN(answer->pieces, workers);

    return answer->bytes +
           (size_t)((answer->bytes_per_pixel + answer->piece_bytes_per_pixel * pieces) * pixels);
}

int adl_batcher_keep_more(struct adl_batcher *b, size_t bytes, struct adl_error *err)
{
    const size_t limit = b->config.memory;
    int result = 0;

    pthread_mutex_lock(&b->lock);
    if (bytes > limit || b->memory > limit - bytes)
        result =
            adl_fail(err, ADL_ERR_NOMEM, "there is not enough memory for the answer at present");
    else
        b->memory += bytes;
    pthread_mutex_unlock(&b->lock);
    return result;
}

void adl_batcher_give_back(struct adl_batcher *b, size_t bytes)
{
    if (bytes == 0)
        return;
    pthread_mutex_lock(&b->lock);
    adl_batcher_free_memory(b, bytes);
    pthread_mutex_unlock(&b->lock);
}

size_t adl_batcher_memory(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    size_t bytes = b->memory;
    pthread_mutex_unlock(&b->lock);
    return bytes;
}

/* --- state ------------------------------------------------------------------------------ */

void adl_job_release(struct adl_job *job)
{
    adl_predict_input_release(&job->input);
    adl_predictions_release(&job->predictions);
}

bool adl_batcher_full(struct adl_batcher *b, struct adl_sender sender)
{
    struct queue *queue;
    enum adl_owed owed;
    bool full = true;

    pthread_mutex_lock(&b->lock);
    for (int lane = 0; full && lane < ADL_LANE_COUNT; lane++)
        full = excess_of(b, (enum adl_lane)lane, sender, 1, &owed) > 0;
    full =
        full && !find_victim(b, ADL_LANE_COUNT, adl_fair_entries(b->fair, sender.client), &queue);
    pthread_mutex_unlock(&b->lock);
    return full;
}

unsigned adl_batcher_retry_after_s(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    /* The slowest stage decides. */
    const double threads = (double)b->worker_count / ADL_LANE_COUNT;
    double ms = ADL_MAX(b->stage_ms[STAGE_DECODE], b->stage_ms[STAGE_FINISH]) / threads;
    double s = (double)batcher_admitted(b) * ADL_MAX(ms, b->stage_ms[STAGE_RUN]) / 1e3;
    pthread_mutex_unlock(&b->lock);
    return s < 1 ? 1 : s > 60 ? 60 : (unsigned)(s + 1);
}

size_t adl_batcher_limit(struct adl_batcher *b, enum adl_lane lane)
{
    pthread_mutex_lock(&b->lock);
    size_t limit = adl_admission_limit(&b->admission[lane]);
    pthread_mutex_unlock(&b->lock);
    return limit;
}

void adl_batcher_wait_quiet(struct adl_batcher *b, unsigned quiet_ms, uint64_t until_ns)
{
    pthread_mutex_lock(&b->lock);
    while (!b->aborted) {
        uint64_t quiet_ns = b->foreground_ns + (uint64_t)quiet_ms * 1000000;
        uint64_t wake_ns = b->foreground > 0 ? until_ns : ADL_MIN(quiet_ns, until_ns);
        if (adl_clock_ns() >= wake_ns)
            break;
        adl_cond_wait_until(&b->fewer, &b->lock, wake_ns);
    }
    pthread_mutex_unlock(&b->lock);
}

void adl_batcher_tick(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    adl_batcher_wake_all(b);
    pthread_mutex_unlock(&b->lock);
}

void adl_batcher_abort(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    b->aborted = true;
    adl_batcher_wake_all(b);
    pthread_cond_broadcast(&b->fewer);
    pthread_cond_broadcast(&b->pace);
    pthread_mutex_unlock(&b->lock);
}

void adl_batcher_wait_idle(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->unfinished > 0)
        pthread_cond_wait(&b->fewer, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

double adl_batcher_stuck_ms(struct adl_batcher *b)
{
    uint64_t now = adl_clock_ns(), oldest = now;

    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < ADL_LIMIT_THREADS; i++)
        if (b->run_since_ns[i])
            oldest = ADL_MIN(oldest, b->run_since_ns[i]);
    for (int i = 0; i < b->worker_count; i++)
        if (b->workers[i].since_ns)
            oldest = ADL_MIN(oldest, b->workers[i].since_ns);
    pthread_mutex_unlock(&b->lock);
    return adl_clock_ms(oldest, now);
}
