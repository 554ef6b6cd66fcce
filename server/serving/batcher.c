/* Queues between decode workers and the engine thread, all under one lock that
 * is never held while working. */

#include "server/serving/batcher.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

#define MAX_WORKERS 16

struct queue {
    struct adl_job *head, **tail;
};

struct worker {
    struct adl_batcher *batcher;
    pthread_t thread;
    uint64_t since_ns; /* of its present task, under the lock; 0: idle */
};

struct adl_batcher {
    struct adl_batcher_config config;
    pthread_t engine;
    struct worker workers[MAX_WORKERS];
    int worker_count;
    bool engine_started;

    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t work_wake, engine_wake;
    struct queue raw, ready, run; /* to decode, to run, to finish */
    struct queue shared;          /* jobs of the engine's batch that wait for `step` */
    void (*step)(struct adl_job *job);
    size_t unfinished_steps; /* of the batch, waiting or being done */
    size_t in_work;
    size_t depth[ADL_LIMIT_MODELS];
    size_t decoded_bytes;
    double job_ms;            /* what one job takes of the slowest stage, a moving average */
    uint64_t engine_since_ns; /* of the present run; 0: idle */
    bool stop, aborted;
};

static void push(struct queue *queue, struct adl_job *job)
{
    job->next = NULL;
    *queue->tail = job;
    queue->tail = &job->next;
}

static struct adl_job *pop(struct queue *queue)
{
    struct adl_job *job = queue->head;
    queue->head = job->next;
    if (!queue->head)
        queue->tail = &queue->head;
    return job;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static double stage_done(struct adl_batcher *b, enum adl_stage stage, uint64_t from_ns,
                         uint64_t to_ns)
{
    double ms = adl_clock_ms(from_ns, to_ns);
    adl_histogram_add(&b->config.metrics->stage_seconds[stage], &adl_buckets_seconds, ms / 1e3);
    return ms;
}

/* Fails when the job is not worth going on with. */
static int go_on(struct adl_batcher *b, const struct adl_job *job, bool aborted,
                 struct adl_error *err)
{
    if (aborted)
        return adl_fail(err, ADL_ERR_BUSY, "the server is stopping");
    if (adl_clock_ns() > job->deadline_ns) {
        count(&b->config.metrics->abandoned_deadline);
        return adl_fail(err, ADL_ERR_BUSY, "the image waited longer than a request may take");
    }
    if (job->abandoned && job->abandoned(job)) {
        count(&b->config.metrics->abandoned_disconnected);
        return adl_fail(err, ADL_ERR_CANCELLED, "the client closed its side of the connection");
    }
    return 0;
}

static bool wanted(struct adl_batcher *b, struct adl_job *job, bool aborted)
{
    return job->err.kind == ADL_ERR_NONE && go_on(b, job, aborted, &job->err) == 0;
}

/* --- decode workers ------------------------------------------------------------ */

static void decode(struct adl_batcher *b, struct adl_job *job)
{
    const struct adl_model *model = job->served->model;
    uint64_t begin = adl_clock_ns(), end;
    int result;

    result = adl_predict_decode(job->bytes, job->length, &job->decode, model->input_w,
                                model->input_h, &job->input, &job->err);
    end = adl_clock_ns();
    job->timing.decode = stage_done(b, ADL_STAGE_DECODE, begin, end);
    if (result == 0)
        job->decoded_bytes = 3 * ((size_t)job->input.image.width * (size_t)job->input.image.height +
                                  (size_t)model->input_w * (size_t)model->input_h);
}

static void locate(struct adl_batcher *b, struct adl_job *job)
{
    struct adl_model_metrics *metrics = &b->config.metrics->models[job->served->index];
    const struct adl_prediction *first;
    uint64_t begin = adl_clock_ns();
    const struct adl_image_info *info = &job->input.info;

    if (job->err.kind || adl_predict_locate(&job->predictions, &job->query, info->width,
                                            info->height, &job->err) < 0)
        return;
    job->timing.postprocess = stage_done(b, ADL_STAGE_POSTPROCESS, begin, adl_clock_ns());
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

static void count_outcome(struct adl_batcher *b, const struct adl_job *job)
{
    struct adl_model_metrics *metrics = &b->config.metrics->models[job->served->index];

    switch (job->err.kind) {
    case ADL_ERR_NONE: count(&metrics->images[ADL_OUTCOME_OK]); break;
    case ADL_ERR_FORMAT: count(&metrics->images[ADL_OUTCOME_CORRUPT]); break;
    case ADL_ERR_LIMIT: count(&metrics->images[ADL_OUTCOME_TOO_LARGE]); break;
    case ADL_ERR_UNSUPPORTED: count(&metrics->images[ADL_OUTCOME_UNSUPPORTED]); break;
    default: break;
    }
}

/* The job is not ours any more after finished(), nor is its model. */
static void finish(struct adl_batcher *b, struct adl_job *job, struct worker *worker)
{
    size_t bytes = job->decoded_bytes;
    int model = job->served->index;

    locate(b, job);
    count_outcome(b, job);
    job->finished(job);
    pthread_mutex_lock(&b->lock);
    worker->since_ns = 0;
    b->decoded_bytes -= bytes;
    b->in_work--;
    b->depth[model]--;
    pthread_cond_broadcast(&b->work_wake);
    pthread_mutex_unlock(&b->lock);
}

/* Under the lock, which is released meanwhile: a step of the engine's batch. */
static void do_step(struct adl_batcher *b)
{
    struct adl_job *job = pop(&b->shared);
    void (*step)(struct adl_job * job) = b->step;

    pthread_mutex_unlock(&b->lock);
    step(job);
    pthread_mutex_lock(&b->lock);
    if (--b->unfinished_steps == 0)
        pthread_cond_signal(&b->engine_wake);
}

/* Under the lock: what a worker may do next, or NULL. A step comes first, for the engine
 * waits for it. */
static struct adl_job *next_task(struct adl_batcher *b, struct worker *worker, bool *is_finish)
{
    while (b->shared.head) {
        worker->since_ns = adl_clock_ns();
        do_step(b);
        worker->since_ns = 0;
    }
    *is_finish = b->run.head != NULL;
    if (*is_finish)
        return pop(&b->run);
    if (b->raw.head && b->decoded_bytes < ADL_LIMIT_DECODED_BYTES)
        return pop(&b->raw);
    return NULL;
}

/* The worker that the running thread is. */
static _Thread_local struct worker *this_worker;

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct adl_batcher *b = worker->batcher;

    this_worker = worker;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        bool is_finish = false, aborted;
        struct adl_job *job = NULL;
        while (!b->stop && !(job = next_task(b, worker, &is_finish)))
            pthread_cond_wait(&b->work_wake, &b->lock);
        if (!job)
            break;
        aborted = b->aborted;
        worker->since_ns = adl_clock_ns();
        pthread_mutex_unlock(&b->lock);
        if (!is_finish) {
            if (wanted(b, job, aborted))
                decode(b, job);
            is_finish = job->err.kind != ADL_ERR_NONE;
            if (!is_finish) {
                pthread_mutex_lock(&b->lock);
                job->since_ns = adl_clock_ns();
                b->decoded_bytes += job->decoded_bytes;
                push(&b->ready, job);
                pthread_cond_signal(&b->engine_wake);
                worker->since_ns = 0;
                continue;
            }
        }
        finish(b, job, worker);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- the engine ------------------------------------------------------------------ */

/* Under the lock: jobs of the oldest one's model, in order. */
static size_t take_batch(struct adl_batcher *b, struct adl_job **batch)
{
    struct adl_served *served = b->ready.head->served;
    size_t taken = 0;

    for (struct adl_job **at = &b->ready.head; *at && taken < ADL_LIMIT_SERVE_BATCH;) {
        struct adl_job *job = *at;
        if (job->served != served) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        batch[taken++] = job;
    }
    b->ready.tail = &b->ready.head;
    while (*b->ready.tail)
        b->ready.tail = &(*b->ready.tail)->next;
    return taken;
}

static void load(struct adl_job *job)
{
    adl_predict_load(job->served->model, &job->input, job->served->session, job->slot);
    adl_image_release(&job->input.resized);
}

static void collect(struct adl_job *job)
{
    (void)!adl_predict_collect(job->served->session, job->slot, &job->query, &job->predictions,
                               &job->err);
}

/* Takes a step for each job of the batch, on this thread and on workers that are idle. The
 * engine does not wait for a worker that is decoding: what no one takes it does itself. */
static void share(struct adl_batcher *b, struct adl_job **batch, size_t n,
                  void (*step)(struct adl_job *job))
{
    pthread_mutex_lock(&b->lock);
    b->step = step;
    b->unfinished_steps = n;
    for (size_t i = 0; i < n; i++)
        push(&b->shared, batch[i]);
    if (n > 1)
        pthread_cond_broadcast(&b->work_wake);
    while (b->shared.head)
        do_step(b);
    while (b->unfinished_steps > 0)
        pthread_cond_wait(&b->engine_wake, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void run_batch(struct adl_batcher *b, struct adl_job **batch, size_t taken, bool aborted)
{
    struct adl_served *served = batch[0]->served;
    struct adl_job *running[ADL_LIMIT_SERVE_BATCH];
    uint64_t begin, end;
    size_t n = 0;

    adl_registry_compute_lock(b->config.registry);
    begin = adl_clock_ns();
    for (size_t i = 0; i < taken; i++) {
        batch[i]->timing.queue = stage_done(b, ADL_STAGE_QUEUE, batch[i]->since_ns, begin);
        if (!wanted(b, batch[i], aborted))
            continue;
        batch[i]->slot = (int)n;
        running[n++] = batch[i];
    }
    if (n > 0) {
        share(b, running, n, load);
        adl_session_run(served->session, (int)n);
        share(b, running, n, collect);
        end = adl_clock_ns();
        for (size_t i = 0; i < n; i++)
            running[i]->timing.inference = stage_done(b, ADL_STAGE_INFERENCE, begin, end);
        adl_histogram_add(&b->config.metrics->models[served->index].batch_size, &adl_buckets_batch,
                          (double)n);
    }
    adl_registry_compute_unlock(b->config.registry);
}

static void *engine_main(void *argument)
{
    struct adl_batcher *b = argument;
    struct adl_job *batch[ADL_LIMIT_SERVE_BATCH];

    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && !b->ready.head)
            pthread_cond_wait(&b->engine_wake, &b->lock);
        if (!b->ready.head)
            break;
        uint64_t begin = adl_clock_ns();
        bool aborted = b->aborted;
        size_t taken = take_batch(b, batch);
        b->engine_since_ns = begin;
        pthread_mutex_unlock(&b->lock);
        run_batch(b, batch, taken, aborted);
        pthread_mutex_lock(&b->lock);
        b->job_ms = 0.9 * b->job_ms + 0.1 * adl_clock_ms(begin, adl_clock_ns()) / (double)taken;
        b->engine_since_ns = 0;
        for (size_t i = 0; i < taken; i++)
            push(&b->run, batch[i]);
        pthread_cond_broadcast(&b->work_wake);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- from outside ------------------------------------------------------------------ */

struct adl_batcher *adl_batcher_create(const struct adl_batcher_config *config,
                                       struct adl_error *err)
{
    struct adl_batcher *b = adl_calloc(1, sizeof *b);

    if (!b) {
        adl_fail_nomem(err, "the queue");
        return NULL;
    }
    b->config = *config;
    b->raw.tail = &b->raw.head;
    b->ready.tail = &b->ready.head;
    b->run.tail = &b->run.head;
    b->shared.tail = &b->shared.head;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work_wake, NULL);
    pthread_cond_init(&b->engine_wake, NULL);
    b->engine_started = pthread_create(&b->engine, NULL, engine_main, b) == 0;
    for (int i = 0; b->engine_started && i < ADL_MIN(config->decode_threads, MAX_WORKERS); i++) {
        b->workers[i].batcher = b;
        if (pthread_create(&b->workers[i].thread, NULL, worker_main, &b->workers[i]) != 0)
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
    pthread_cond_broadcast(&b->work_wake);
    pthread_cond_broadcast(&b->engine_wake);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < b->worker_count; i++)
        pthread_join(b->workers[i].thread, NULL);
    if (b->engine_started)
        pthread_join(b->engine, NULL);
    pthread_cond_destroy(&b->work_wake);
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
    else if (b->in_work > 0 && b->in_work + number > b->config.capacity)
        result = adl_fail(err, ADL_ERR_BUSY, "%zu images are in work, and %zu may be", b->in_work,
                          b->config.capacity);
    for (size_t i = 0; result == 0 && i < number; i++) {
        push(&b->raw, &jobs[i]);
        b->depth[jobs[i].served->index]++;
        b->in_work++;
    }
    if (result == 0)
        pthread_cond_broadcast(&b->work_wake);
    pthread_mutex_unlock(&b->lock);
    return result;
}

int adl_batcher_go_on(struct adl_batcher *b, const struct adl_job *job, struct adl_error *err)
{
    pthread_mutex_lock(&b->lock);
    bool aborted = b->aborted;
    this_worker->since_ns = adl_clock_ns();
    pthread_mutex_unlock(&b->lock);
    return go_on(b, job, aborted, err);
}

void adl_job_release(struct adl_job *job)
{
    adl_predict_input_release(&job->input);
    adl_predictions_release(&job->predictions);
}

bool adl_batcher_full(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    bool full = b->in_work >= b->config.capacity;
    pthread_mutex_unlock(&b->lock);
    return full;
}

unsigned adl_batcher_retry_after_s(struct adl_batcher *b)
{
    pthread_mutex_lock(&b->lock);
    double s = (double)b->in_work * b->job_ms / 1e3;
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
    while (b->in_work > 0)
        pthread_cond_wait(&b->work_wake, &b->lock);
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
