/* The engine of the batcher: runs the network on the jobs that are decoded.
 *
 * DESIGN
 *
 * One image on all compute threads takes the least time for that image, but the threads wait for
 * each other after each step, and when the system gives a processor to somebody else (a worker that
 * decodes), all of them wait. So:
 *
 *   spread   fewer jobs than compute threads: the job that goes first is run on all of them
 *   apart    as many jobs that are alike as threads: each thread takes one job after the other and
 *            runs it alone, until the job that goes first is not like them or there is none
 *
 * Apart, no thread waits for another but at the end, an answer leaves as soon as its image is done,
 * and a decoder that takes a processor holds up one image. Both give the same bits. A job that
 * takes several times a plain image's time is always spread, so that nobody waits for it longer
 * than need be.
 *
 * The engine thread is the first of the compute threads. It alone writes `kind`, `run` and
 * `unprepared`, while no job is run. It has the compute lock from the first job to the last of
 * those that run apart; when somebody asks for the lock meanwhile, the threads end after their
 * jobs. */

#include "server/serving/batcher_parts.h"

/* Returns whether a job can be run beside others of the kind: not for long, with the same network,
 * on the same views, and with maps of the same grid. */
static bool engine_alike(const struct engine_kind *kind, const struct adl_job *job)
{
    return job->run_cost <= ADL_BATCHER_SMALL_RUN && kind->served == job->served &&
           kind->map.foreground == job->query.map.foreground &&
           adl_map_views_equal(&kind->map.views, &job->query.map.views);
}

/* Takes the job at a link of `to_run` for the compute thread. Called under the lock. */
static struct adl_job *engine_begin(struct adl_batcher *b, struct adl_job **link, int thread)
{
    struct adl_job *job = queue_take(&b->to_run, link);
    const uint64_t now = adl_clock_ns();

    adl_fair_begin(b->fair, &job->place);
    if (!job->background)
        adl_admission_waited(&b->admission[job->place.lane], adl_clock_ms(job->submitted_ns, now),
                             b->admitted[job->place.lane], now);
    b->running++;
    job->batch = (int)b->running;
    b->run_since_ns[thread] = now;
    return job;
}

/* Charges the processor time of a run, and passes the job on. Called under the lock. */
static void engine_end(struct adl_batcher *b, struct adl_job *job, int thread, double cpu_ms)
{
    const double ms = adl_clock_ms(b->run_since_ns[thread], adl_clock_ns());

    if (job->batch > 0) /* it was not dropped */
        b->stage_ms[STAGE_RUN] = 0.9 * b->stage_ms[STAGE_RUN] + 0.1 * ms / job->batch;
    b->running--;
    b->run_since_ns[thread] = 0;
    adl_batcher_charge(b, &job->place, cpu_ms);
    adl_batcher_pass(b, b->to_finish, job);
}

/* Runs the network on all views of a job, which is image `slot` of the sessions: on this compute
 * thread alone, or on all of them. */
static void engine_run_views(struct adl_batcher *b, struct adl_job *job, int slot, bool spread)
{
    const struct adl_view_run *run = &b->run;

    for (int view = 0; view < run->count && job->err.kind == ADL_ERR_NONE; view++) {
        struct adl_session *session = run->items[view].session;
        /* Asked between views only, since these are as long as a whole run. */
        if (view > 0 && adl_batcher_wanted(b, job, false, &job->err) < 0)
            return;
        adl_predict_load(job->served->model, &job->input, run, view, slot);
        adl_session_ask(session, slot, job->query.class_id);
        if (view == run->count - 1)
            adl_predict_input_loaded(&job->input);
        if (spread)
            adl_session_run(session, 1);
        else
            adl_session_run_image(session, slot, slot);
        (void)!adl_predict_collect(run, view, slot, &job->query, &job->predictions, &job->err);
    }
}

static void engine_run(struct adl_batcher *b, struct adl_job *job, int slot, bool spread,
                       bool aborted)
{
    const uint64_t begin = adl_clock_ns();

    job->timing.queue = batcher_stage_done(b, job, ADL_STAGE_QUEUE, job->since_ns, begin);
    if (job->err.kind == ADL_ERR_NONE && b->unprepared.kind)
        job->err = b->unprepared;
    if (job->err.kind || adl_batcher_wanted(b, job, aborted, &job->err) < 0) {
        job->batch = 0;
        return;
    }
    engine_run_views(b, job, slot, spread);
    job->timing.inference = batcher_stage_done(b, job, ADL_STAGE_INFERENCE, begin, adl_clock_ns());
    adl_histogram_add(&job->served->named->metrics.batch_size, &adl_buckets_batch, job->batch);
}

/* --- one job on all threads --------------------------------------------------------- */

static void engine_spread(struct adl_batcher *b, struct adl_job *job, bool aborted)
{
    double cpu_ms = adl_batcher_thread_ms();

    engine_run(b, job, 0, true, aborted);
    cpu_ms = adl_batcher_thread_ms() - cpu_ms;
    pthread_mutex_lock(&b->lock);
    /* As if all compute threads had been busy. */
    engine_end(b, job, 0, cpu_ms * adl_registry_threads(b->config.registry));
    pthread_mutex_unlock(&b->lock);
}

/* --- a job on each thread ----------------------------------------------------------- */

/* Returns the next job to be run apart; NULL: none. Called under the lock. */
static struct adl_job *engine_next(struct adl_batcher *b, int thread)
{
    struct adl_job **first = adl_batcher_first(b, &b->to_run);

    return first && engine_alike(&b->kind, *first) ? engine_begin(b, first, thread) : NULL;
}

/* What one compute thread does; if another one begins late, it may be done again in its place. Even
 * if somebody waits for the compute lock, it runs one job, so that the queue moves. */
static void engine_apart(void *context, size_t index, int thread)
{
    struct adl_batcher *b = context;
    struct adl_job *job;

    (void)index;
    pthread_mutex_lock(&b->lock);
    for (bool wanted = false; !wanted && (job = engine_next(b, thread));
         wanted = adl_registry_compute_wanted(b->config.registry)) {
        const bool aborted = b->aborted;
        pthread_mutex_unlock(&b->lock);
        double cpu_ms = adl_batcher_thread_ms();
        engine_run(b, job, thread, false, aborted);
        cpu_ms = adl_batcher_thread_ms() - cpu_ms;
        pthread_mutex_lock(&b->lock);
        engine_end(b, job, thread, cpu_ms);
    }
    pthread_mutex_unlock(&b->lock);
}

/* Returns whether there are enough jobs like the first one for every thread to have one. Called
 * under the lock. */
static bool engine_has_enough(const struct adl_batcher *b, const struct adl_job *first)
{
    const int threads = adl_registry_threads(b->config.registry);
    int alike = 0;

    if (threads < 2 || first->run_cost > ADL_BATCHER_SMALL_RUN)
        return false;
    for (const struct adl_job *job = b->to_run.head; job && alike < threads; job = job->next)
        alike += engine_alike(&b->kind, job);
    return alike >= threads;
}

/* --- the thread ---------------------------------------------------------------------- */

/* Runs the job that goes first, or many if they are there. Called under the lock, which is released
 * meanwhile. */
static void engine_run_some(struct adl_batcher *b)
{
    struct adl_registry *registry = b->config.registry;
    struct adl_job **first = adl_batcher_first(b, &b->to_run), *job = *first;
    struct adl_served *served = job->served;
    const bool aborted = b->aborted;

    b->kind = (struct engine_kind){served, job->query.map};
    const bool apart = engine_has_enough(b, job);
    if (!apart)
        job = engine_begin(b, first, 0);
    /* The sessions may be needed for longer than the last job that names the model. */
    adl_served_hold(served);
    pthread_mutex_unlock(&b->lock);
    adl_registry_compute_lock(registry);
    b->unprepared = (struct adl_error){0};
    (void)!adl_views_prepare(served->views, &b->kind.map, false, &b->run, &b->unprepared);
    if (apart)
        adl_pool_for(adl_registry_pool(registry), (size_t)adl_registry_threads(registry),
                     engine_apart, b);
    else
        engine_spread(b, job, aborted);
    adl_registry_compute_unlock(registry);
    adl_served_release(served);
    pthread_mutex_lock(&b->lock);
}

void *adl_batcher_run_engine(void *batcher)
{
    struct adl_batcher *b = batcher;

    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && !b->to_run.head)
            pthread_cond_wait(&b->engine_wake, &b->lock);
        if (!b->to_run.head)
            break;
        engine_run_some(b);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}
