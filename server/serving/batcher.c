/* Implements the queues between the threads that decode images and the one that runs the
 * network.
 *
 * DESIGN
 *
 * Threads. An I/O thread submits jobs, one for each image. Decode workers (a few, see
 * --decode-threads) do the serial work on both sides of the network: they decode and
 * resize the image, and later cut boxes out of the class map and write the reply. One
 * engine thread runs the network. There is only one because each run already uses all
 * threads of the compute pool; a second one would only contend with it.
 *
 * Queues. `to_decode` -> worker -> `to_run` -> engine -> `to_finish` -> worker. The lists
 * are linked through the jobs, so that nothing is allocated. Finishing takes precedence
 * over decoding: it releases memory and answers a client, whereas decoding ahead only
 * lengthens the queue before the engine. Decoding pauses while the decoded images hold
 * ADL_LIMIT_DECODED_BYTES; each worker may exceed that by one image.
 *
 * Batches. The engine takes the jobs that wait for the model of the oldest job and never waits
 * for a batch to fill. When the engine is idle, a single image is computed at once, without
 * any delay for batching; under load, the jobs of the next batch arrive while the present one
 * is computed, so batches grow with the load by themselves. A timer that held images back
 * would only add its delay to requests that arrive while the engine is idle.
 *
 * Around a run, the jobs of a batch are loaded into the session and their results are
 * collected from it. These steps are shared with workers that are idle at that moment.
 *
 * Lock. `lock` protects everything below it in the struct, the jobs' links and the workers'
 * `since_ns`. It is held for list operations only, never while an image is decoded, a network
 * is run or a callback is called. A job that is in no list belongs to the thread that took it
 * out of the last one.
 * The compute lock of the registry is held during a run, because loading a model uses the
 * same threads; it is never taken with `lock` held.
 *
 * Order. Decoding begins in the order of submission, but jobs may overtake each other if
 * several workers decode. Each submitted job is finished exactly once,
 * by a worker, also after an error or an abort; after the callback finished() the job and
 * its model belong to the submitter again and are not touched.
 *
 * Abandoned work. libmicrohttpd does not notice that the client of a suspended request
 * disconnects, and does not time the request out (see http.c). So before each expensive stage
 * the job's deadline and its connection are checked, and the job is dropped if it is late or
 * abandoned. This keeps an overloaded engine from computing answers that are finished after
 * their clients have given up. */

#include "server/serving/batcher.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"

#define MAX_WORKERS 16

struct queue {
    struct adl_job *head, **tail;
};

struct worker {
    struct adl_batcher *batcher;
    pthread_t thread;
    uint64_t since_ns; /* start of its present task, under the lock; 0: idle */
};

struct adl_batcher {
    struct adl_batcher_config config;
    pthread_t engine;
    struct worker workers[MAX_WORKERS];
    int worker_count;
    bool engine_started;
    /* The engine's batch; written by the engine while no step of it is being done. */
    struct adl_view_run run;
    int view; /* that runs now */

    pthread_mutex_t lock; /* protects everything below */
    pthread_cond_t worker_wake, engine_wake;
    struct queue to_decode, to_run, to_finish;
    struct queue shared; /* jobs of the engine's batch on which `step` has yet to be done */
    void (*step)(const struct adl_batcher *b, struct adl_job *job);
    size_t unfinished_steps; /* of the batch, waiting or being done */
    size_t unfinished;
    size_t depth[ADL_LIMIT_MODELS]; /* unfinished jobs of each model */
    size_t decoded_bytes;           /* of jobs that are decoded and not finished */
    double job_ms;                  /* engine time for one job, a moving average */
    uint64_t engine_since_ns;       /* start of the present run; 0: idle */
    bool stop, aborted;
};

static void queue_push(struct queue *queue, struct adl_job *job)
{
    job->next = NULL;
    *queue->tail = job;
    queue->tail = &job->next;
}

static struct adl_job *queue_pop(struct queue *queue)
{
    struct adl_job *job = queue->head;
    queue->head = job->next;
    if (!queue->head)
        queue->tail = &queue->head;
    return job;
}

static void batcher_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static double batcher_stage_done(struct adl_batcher *b, enum adl_stage stage, uint64_t from_ns,
                                 uint64_t to_ns)
{
    double ms = adl_clock_ms(from_ns, to_ns);
    adl_histogram_add(&b->config.metrics->stage_seconds[stage], &adl_buckets_seconds, ms / 1e3);
    return ms;
}

/* Fails if the job's result is not needed any more, and counts the reason in the metrics. */
static int batcher_check(struct adl_batcher *b, const struct adl_job *job, bool aborted,
                         struct adl_error *err)
{
    if (aborted)
        return adl_fail(err, ADL_ERR_BUSY, "the server is stopping");
    if (adl_clock_ns() > job->deadline_ns) {
        batcher_count(&b->config.metrics->abandoned_deadline);
        return adl_fail(err, ADL_ERR_BUSY,
                        "the image waited longer than the time limit of a request");
    }
    if (job->abandoned && job->abandoned(job)) {
        batcher_count(&b->config.metrics->abandoned_disconnected);
        return adl_fail(err, ADL_ERR_CANCELLED, "the client closed its side of the connection");
    }
    return 0;
}

static bool batcher_wants(struct adl_batcher *b, struct adl_job *job, bool aborted)
{
    return job->err.kind == ADL_ERR_NONE && batcher_check(b, job, aborted, &job->err) == 0;
}

/* --- decode workers ------------------------------------------------------------ */

static void batcher_decode(struct adl_batcher *b, struct adl_job *job)
{
    const struct adl_model *model = job->served->model;
    struct adl_view_sizes sizes;
    uint64_t begin = adl_clock_ns(), end;
    int result;

    adl_map_views_sizes(&job->query.map.views, model->input_h, model->input_w, &sizes);
    result =
        adl_predict_decode(job->bytes, job->length, &job->decode, &sizes, &job->input, &job->err);
    end = adl_clock_ns();
    job->timing.decode = batcher_stage_done(b, ADL_STAGE_DECODE, begin, end);
    if (result < 0)
        return;
    job->decoded_bytes = 3 * (size_t)job->input.image.width * (size_t)job->input.image.height;
    for (int i = 0; i < sizes.count; i++)
        job->decoded_bytes += 3 * (size_t)sizes.items[i].w * (size_t)sizes.items[i].h;
}

static void batcher_locate(struct adl_batcher *b, struct adl_job *job)
{
    struct adl_model_metrics *metrics = &b->config.metrics->models[job->served->index];
    const struct adl_prediction *first;
    uint64_t begin = adl_clock_ns();
    const struct adl_image_info *info = &job->input.info;

    if (job->err.kind || adl_predict_locate(&job->predictions, &job->query, info->width,
                                            info->height, &job->err) < 0)
        return;
    job->timing.postprocess = batcher_stage_done(b, ADL_STAGE_POSTPROCESS, begin, adl_clock_ns());
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

static void batcher_count_outcome(struct adl_batcher *b, const struct adl_job *job)
{
    struct adl_model_metrics *metrics = &b->config.metrics->models[job->served->index];

    switch (job->err.kind) {
    case ADL_ERR_NONE: batcher_count(&metrics->images[ADL_OUTCOME_OK]); break;
    case ADL_ERR_FORMAT: batcher_count(&metrics->images[ADL_OUTCOME_CORRUPT]); break;
    case ADL_ERR_LIMIT: batcher_count(&metrics->images[ADL_OUTCOME_TOO_LARGE]); break;
    case ADL_ERR_UNSUPPORTED: batcher_count(&metrics->images[ADL_OUTCOME_UNSUPPORTED]); break;
    default: break;
    }
}

/* Does the last stage of a job. After finished() the submitter owns the job and its model
 * again, so the values that are needed afterwards are copied first. */
static void batcher_finish(struct adl_batcher *b, struct adl_job *job, struct worker *worker)
{
    size_t bytes = job->decoded_bytes;
    int model = job->served->index;

    batcher_locate(b, job);
    batcher_count_outcome(b, job);
    job->finished(job);
    pthread_mutex_lock(&b->lock);
    worker->since_ns = 0;
    b->decoded_bytes -= bytes;
    b->unfinished--;
    b->depth[model]--;
    pthread_cond_broadcast(&b->worker_wake);
    pthread_mutex_unlock(&b->lock);
}

/* Does one step of the engine's batch. Called under the lock, which is released during the
 * step. */
static void batcher_do_step(struct adl_batcher *b)
{
    struct adl_job *job = queue_pop(&b->shared);
    void (*step)(const struct adl_batcher *, struct adl_job *) = b->step;

    pthread_mutex_unlock(&b->lock);
    step(b, job);
    pthread_mutex_lock(&b->lock);
    if (--b->unfinished_steps == 0)
        pthread_cond_signal(&b->engine_wake);
}

/* Returns the job that a worker should take next, NULL if it has to wait. Called under the
 * lock. Before that, does the steps of the engine's batch that are left, because the engine
 * waits for them. */
static struct adl_job *batcher_next_task(struct adl_batcher *b, struct worker *worker,
                                         bool *is_finish)
{
    while (b->shared.head) {
        worker->since_ns = adl_clock_ns();
        batcher_do_step(b);
        worker->since_ns = 0;
    }
    *is_finish = b->to_finish.head != NULL;
    if (*is_finish)
        return queue_pop(&b->to_finish);
    if (b->to_decode.head && b->decoded_bytes < ADL_LIMIT_DECODED_BYTES)
        return queue_pop(&b->to_decode);
    return NULL;
}

/* The worker whose thread this is. */
static _Thread_local struct worker *this_worker;

static void *batcher_worker(void *argument)
{
    struct worker *worker = argument;
    struct adl_batcher *b = worker->batcher;

    this_worker = worker;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        bool is_finish = false, aborted;
        struct adl_job *job = NULL;
        while (!b->stop && !(job = batcher_next_task(b, worker, &is_finish)))
            pthread_cond_wait(&b->worker_wake, &b->lock);
        if (!job)
            break;
        aborted = b->aborted;
        worker->since_ns = adl_clock_ns();
        pthread_mutex_unlock(&b->lock);
        if (!is_finish) {
            if (batcher_wants(b, job, aborted))
                batcher_decode(b, job);
            is_finish = job->err.kind != ADL_ERR_NONE;
            if (!is_finish) {
                pthread_mutex_lock(&b->lock);
                job->since_ns = adl_clock_ns();
                b->decoded_bytes += job->decoded_bytes;
                queue_push(&b->to_run, job);
                pthread_cond_signal(&b->engine_wake);
                worker->since_ns = 0;
                continue;
            }
        }
        batcher_finish(b, job, worker);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- the engine ------------------------------------------------------------------ */

/* Returns whether two jobs can be run together: with the same network, on the same views, and with
 * maps of the same grid. */
static bool batcher_alike(const struct adl_job *a, const struct adl_job *b)
{
    return a->served == b->served && a->query.map.foreground == b->query.map.foreground &&
           adl_map_views_equal(&a->query.map.views, &b->query.map.views);
}

/* Moves up to ADL_LIMIT_SERVE_BATCH jobs that are like the oldest one from the queue to `batch`,
 * in their order; others stay. Called under the lock. */
static size_t batcher_take_batch(struct adl_batcher *b, struct adl_job **batch)
{
    const struct adl_job *oldest = b->to_run.head;
    size_t taken = 0;

    for (struct adl_job **link = &b->to_run.head; *link && taken < ADL_LIMIT_SERVE_BATCH;) {
        struct adl_job *job = *link;
        if (!batcher_alike(job, oldest)) {
            link = &job->next;
            continue;
        }
        *link = job->next;
        batch[taken++] = job;
    }
    b->to_run.tail = &b->to_run.head;
    while (*b->to_run.tail)
        b->to_run.tail = &(*b->to_run.tail)->next;
    return taken;
}

static void batcher_load(const struct adl_batcher *b, struct adl_job *job)
{
    if (job->err.kind)
        return;
    adl_predict_load(job->served->model, &job->input, &b->run, b->view, job->slot);
    adl_session_ask(b->run.items[b->view].session, job->slot, job->query.class_id);
    if (b->view == b->run.count - 1)
        adl_view_images_release(&job->input.resized);
}

static void batcher_collect(const struct adl_batcher *b, struct adl_job *job)
{
    if (!job->err.kind)
        (void)!adl_predict_collect(&b->run, b->view, job->slot, &job->query, &job->predictions,
                                   &job->err);
}

/* Does a step for each job of the batch, on this thread and on idle workers. The engine does
 * not wait for a worker that is decoding: it does the steps that no worker takes itself. */
static void batcher_distribute(struct adl_batcher *b, struct adl_job **batch, size_t n,
                               void (*step)(const struct adl_batcher *b, struct adl_job *job))
{
    pthread_mutex_lock(&b->lock);
    b->step = step;
    b->unfinished_steps = n;
    for (size_t i = 0; i < n; i++)
        queue_push(&b->shared, batch[i]);
    if (n > 1)
        pthread_cond_broadcast(&b->worker_wake);
    while (b->shared.head)
        batcher_do_step(b);
    while (b->unfinished_steps > 0)
        pthread_cond_wait(&b->engine_wake, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

/* Returns whether the result of at least one job is still needed. Asked between views only, since
 * these are as long as a whole run. */
static bool batcher_any_wanted(struct adl_batcher *b, struct adl_job **jobs, size_t n)
{
    bool any = b->view == 0;
    for (size_t i = 0; b->view > 0 && i < n; i++)
        any |= batcher_wants(b, jobs[i], false);
    return any;
}

/* Runs the network on all views of the jobs. */
static void batcher_run_views(struct adl_batcher *b, struct adl_job **jobs, size_t n)
{
    struct adl_error err = {0};

    if (adl_views_prepare(jobs[0]->served->views, &jobs[0]->query.map, false, &b->run, &err) < 0) {
        for (size_t i = 0; i < n; i++)
            jobs[i]->err = err;
        return;
    }
    for (b->view = 0; b->view < b->run.count && batcher_any_wanted(b, jobs, n); b->view++) {
        batcher_distribute(b, jobs, n, batcher_load);
        adl_session_run(b->run.items[b->view].session, (int)n);
        batcher_distribute(b, jobs, n, batcher_collect);
    }
}

static void batcher_run_batch(struct adl_batcher *b, struct adl_job **batch, size_t taken,
                              bool aborted)
{
    struct adl_job *running[ADL_LIMIT_SERVE_BATCH];
    uint64_t begin, end;
    size_t n = 0;

    adl_registry_compute_lock(b->config.registry);
    begin = adl_clock_ns();
    for (size_t i = 0; i < taken; i++) {
        batch[i]->timing.queue = batcher_stage_done(b, ADL_STAGE_QUEUE, batch[i]->since_ns, begin);
        if (!batcher_wants(b, batch[i], aborted))
            continue;
        batch[i]->slot = (int)n;
        running[n++] = batch[i];
    }
    if (n > 0) {
        const struct adl_served *served = running[0]->served;
        batcher_run_views(b, running, n);
        end = adl_clock_ns();
        for (size_t i = 0; i < n; i++)
            running[i]->timing.inference = batcher_stage_done(b, ADL_STAGE_INFERENCE, begin, end);
        adl_histogram_add(&b->config.metrics->models[served->index].batch_size, &adl_buckets_batch,
                          (double)n);
    }
    adl_registry_compute_unlock(b->config.registry);
}

static void *batcher_engine(void *argument)
{
    struct adl_batcher *b = argument;
    struct adl_job *batch[ADL_LIMIT_SERVE_BATCH];

    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && !b->to_run.head)
            pthread_cond_wait(&b->engine_wake, &b->lock);
        if (!b->to_run.head)
            break;
        uint64_t begin = adl_clock_ns();
        bool aborted = b->aborted;
        size_t taken = batcher_take_batch(b, batch);
        b->engine_since_ns = begin;
        pthread_mutex_unlock(&b->lock);
        batcher_run_batch(b, batch, taken, aborted);
        pthread_mutex_lock(&b->lock);
        b->job_ms = 0.9 * b->job_ms + 0.1 * adl_clock_ms(begin, adl_clock_ns()) / (double)taken;
        b->engine_since_ns = 0;
        for (size_t i = 0; i < taken; i++)
            queue_push(&b->to_finish, batch[i]);
        pthread_cond_broadcast(&b->worker_wake);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- the interface ----------------------------------------------------------------- */

struct adl_batcher *adl_batcher_create(const struct adl_batcher_config *config,
                                       struct adl_error *err)
{
    struct adl_batcher *b = adl_calloc(1, sizeof *b);

    if (!b) {
        adl_fail_nomem(err, "the queue");
        return NULL;
    }
    b->config = *config;
    b->to_decode.tail = &b->to_decode.head;
    b->to_run.tail = &b->to_run.head;
    b->to_finish.tail = &b->to_finish.head;
    b->shared.tail = &b->shared.head;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->worker_wake, NULL);
    pthread_cond_init(&b->engine_wake, NULL);
    b->engine_started = pthread_create(&b->engine, NULL, batcher_engine, b) == 0;
    for (int i = 0; b->engine_started && i < ADL_MIN(config->decode_threads, MAX_WORKERS); i++) {
        b->workers[i].batcher = b;
        if (pthread_create(&b->workers[i].thread, NULL, batcher_worker, &b->workers[i]) != 0)
            break;
        b->worker_count++;
    }
    if (b->worker_count < ADL_MIN(config->decode_threads, MAX_WORKERS)) {
        adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread");
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
    pthread_cond_broadcast(&b->worker_wake);
    pthread_cond_broadcast(&b->engine_wake);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->worker_count; i++)
        pthread_join(b->workers[i].thread, NULL);
    if (b->engine_started)
        pthread_join(b->engine, NULL);
    pthread_cond_destroy(&b->worker_wake);
    pthread_cond_destroy(&b->engine_wake);
    pthread_mutex_destroy(&b->lock);
    adl_free(b);
}

int adl_batcher_submit(struct adl_batcher *b, struct adl_job *jobs, size_t number,
                       struct adl_error *err)
{
    int result = 0;

    pthread_mutex_lock(&b->lock);
    if (b->aborted)
        result = adl_fail(err, ADL_ERR_BUSY, "the server is stopping");
    else if (b->unfinished > 0 && b->unfinished + number > b->config.capacity)
        result = adl_fail(err, ADL_ERR_BUSY, "%zu image%s queued or in progress; the limit is %zu",
                          b->unfinished, b->unfinished == 1 ? " is" : "s are", b->config.capacity);
    for (size_t i = 0; result == 0 && i < number; i++) {
        queue_push(&b->to_decode, &jobs[i]);
        b->depth[jobs[i].served->index]++;
        b->unfinished++;
    }
    if (result == 0)
        pthread_cond_broadcast(&b->worker_wake);
    pthread_mutex_unlock(&b->lock);
    return result;
}

int adl_batcher_check(struct adl_batcher *b, const struct adl_job *job, struct adl_error *err)
{
    pthread_mutex_lock(&b->lock);
    bool aborted = b->aborted;
    this_worker->since_ns = adl_clock_ns();
    pthread_mutex_unlock(&b->lock);
    return batcher_check(b, job, aborted, err);
}

void adl_job_release(struct adl_job *job)
{
    adl_predict_input_release(&job->input);
    adl_predictions_release(&job->predictions);
}

bool adl_batcher_full(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    bool full = b->unfinished >= b->config.capacity;
    pthread_mutex_unlock(&b->lock);
    return full;
}

unsigned adl_batcher_retry_after_s(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    double s = (double)b->unfinished * b->job_ms / 1e3;
    pthread_mutex_unlock(&b->lock);
    return s < 1 ? 1 : s > 60 ? 60 : (unsigned)(s + 1);
}

size_t adl_batcher_depth(struct adl_batcher *b, int model)
{
    pthread_mutex_lock(&b->lock);
    size_t depth = b->depth[model];
    pthread_mutex_unlock(&b->lock);
    return depth;
}

void adl_batcher_abort(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    b->aborted = true;
    pthread_mutex_unlock(&b->lock);
}

void adl_batcher_wait_idle(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->unfinished > 0)
        pthread_cond_wait(&b->worker_wake, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

double adl_batcher_stuck_ms(struct adl_batcher *b)
{
    uint64_t now = adl_clock_ns(), oldest = now;

    pthread_mutex_lock(&b->lock);
    if (b->engine_since_ns)
        oldest = ADL_MIN(oldest, b->engine_since_ns);
    for (int i = 0; i < b->worker_count; i++)
        if (b->workers[i].since_ns)
            oldest = ADL_MIN(oldest, b->workers[i].since_ns);
    pthread_mutex_unlock(&b->lock);
    return adl_clock_ms(oldest, now);
}
