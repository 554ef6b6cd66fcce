/* The engine thread of the batcher: takes jobs that are alike as one batch and runs the network on
 * them. The design is in batcher.c. */

#include "base/size.h"
#include "server/serving/batcher_parts.h"

/* Returns whether two jobs can be run together: with the same network, on the same views, and with
 * maps of the same grid. */
static bool batcher_alike(const struct adl_job *a, const struct adl_job *b)
{
    return a->served == b->served && a->query.map.foreground == b->query.map.foreground &&
           adl_map_views_equal(&a->query.map.views, &b->query.map.views);
}

/* Moves the job that goes first, and up to ADL_LIMIT_SERVE_BATCH in all that are like it, from the
 * queue to `batch`. What takes several times a plain image's time counts as several. Called under
 * the lock. */
static size_t batcher_take_batch(struct adl_batcher *b, struct adl_job **batch)
{
    struct adl_job **link = adl_batcher_first(b, &b->to_run);
    double cost = (*link)->run_cost;
    size_t taken = 0;

    batch[taken++] = queue_take(&b->to_run, link);
    adl_fair_begin(b->fair, &batch[0]->place);
    for (link = &b->to_run.head; *link && taken < ADL_LIMIT_SERVE_BATCH;) {
        if (!batcher_alike(*link, batch[0]) || (*link)->place.lane != batch[0]->place.lane ||
            cost + (*link)->run_cost > ADL_LIMIT_SERVE_BATCH) {
            link = &(*link)->next;
            continue;
        }
        cost += (*link)->run_cost;
        batch[taken++] = queue_take(&b->to_run, link);
    }
    return taken;
}

static void batcher_load(const struct adl_batcher *b, struct adl_job *job)
{
    if (job->err.kind)
        return;
    adl_predict_load(job->served->model, &job->input, &b->run, b->view, job->slot);
    adl_session_ask(b->run.items[b->view].session, job->slot, job->query.class_id);
    if (b->view == b->run.count - 1)
        adl_predict_input_loaded(&job->input);
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
        adl_batcher_do_step(b);
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
        any |= (jobs[i]->err.kind == ADL_ERR_NONE &&
                adl_batcher_wanted(b, jobs[i], false, &jobs[i]->err) == 0);
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
        batch[i]->timing.queue =
            batcher_stage_done(b, batch[i], ADL_STAGE_QUEUE, batch[i]->since_ns, begin);
        if (batch[i]->err.kind || adl_batcher_wanted(b, batch[i], aborted, &batch[i]->err) < 0)
            continue;
        batch[i]->slot = (int)n;
        running[n++] = batch[i];
    }
    if (n > 0) {
        const struct adl_served *served = running[0]->served;
        batcher_run_views(b, running, n);
        end = adl_clock_ns();
        for (size_t i = 0; i < n; i++) {
            running[i]->timing.inference =
                batcher_stage_done(b, running[i], ADL_STAGE_INFERENCE, begin, end);
            running[i]->batch = (int)n;
        }
        adl_histogram_add(&served->named->metrics.batch_size, &adl_buckets_batch, (double)n);
    }
    adl_registry_compute_unlock(b->config.registry);
}

/* Charges each job of a batch its part, as if all compute threads had been busy, and passes it on.
 * Called under the lock. */
static void batcher_pass_on(struct adl_batcher *b, struct adl_job **batch, size_t taken,
                            uint64_t begin_ns, double cpu_ms, double ms)
{
    const double part = cpu_ms * adl_registry_threads(b->config.registry) / (double)taken;

    b->stage_ms[STAGE_RUN] = 0.9 * b->stage_ms[STAGE_RUN] + 0.1 * ms / (double)taken;
    for (size_t i = 0; i < taken; i++) {
        if (!batch[i]->background)
            adl_admission_waited(&b->admission, adl_clock_ms(batch[i]->submitted_ns, begin_ns),
                                 b->admitted, begin_ns);
        adl_batcher_charge(b, &batch[i]->place, part);
        queue_push(&b->to_finish[batch[i]->place.lane], batch[i]);
    }
    pthread_cond_broadcast(&b->worker_wake);
}

void *adl_batcher_run_engine(void *batcher)
{
    struct adl_batcher *b = batcher;
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
        double cpu_ms = adl_batcher_thread_ms();
        batcher_run_batch(b, batch, taken, aborted);
        cpu_ms = adl_batcher_thread_ms() - cpu_ms;
        pthread_mutex_lock(&b->lock);
        b->engine_since_ns = 0;
        batcher_pass_on(b, batch, taken, begin, cpu_ms, adl_clock_ms(begin, adl_clock_ns()));
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}
