/* Localizes the pictures of a folder.
 *
 * Each picture is a job of the batcher like that of a request: it waits in the same queues, for the
 * same decoders and the same memory. All of them are those of one client, whoever asked, and are in
 * the background (serving/job.h). Before a picture is handed over, the thread waits until no
 * request has been there for QUIET_MS, so that the gap between two requests of one client is not
 * taken; but not longer than PATIENCE_MS, so that a job goes on, slowly, beside requests that never
 * end. IN_FLIGHT pictures are there at a time, so that one is decoded while the network sees
 * another.
 *
 * The line is made by the worker that finishes the picture, which is charged for it, and written by
 * this thread, in order. `lock` is held for the flag `finished` alone. */

#include "server/api/job_pictures.h"

#include <pthread.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wait.h"
#include "io/json_text.h"
#include "server/api/localize_query.h"
#include "server/serving/job_folder.h"

#define IN_FLIGHT 2
#define QUIET_MS 20
#define PATIENCE_MS 500
#define RETRY_MS 100 /* while a model is loading */

struct run;

struct picture {
    struct run *run;
    const char *path; /* NULL: the place is free */
    struct adl_localize_query query;
    struct adl_job job;
    char *bytes;
    uint64_t begin_ns;
    bool finished; /* under the lock */
    char *line;    /* NULL: there was not enough memory for it */
    size_t length;
    bool failed;
    size_t kept; /* bytes that the line has reserved */
};

struct run {
    const struct adl_job_task *task;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    struct picture pictures[IN_FLIGHT];
};

static bool stopped(const struct run *run)
{
    return atomic_load(&run->task->progress->stop);
}

static int fail_stopped(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_CANCELLED, "the job was cancelled");
}

/* --- a line ----------------------------------------------------------------------- */

/* Makes the line of `members`, which it releases; NULL: there was not enough memory. */
static void make_line(struct picture *p, json_t *members)
{
    struct adl_error ignored = {0};
    json_t *line = json_pack("{s:o}", "file", adl_json_from_text(p->path));

    if (line && members && json_object_update(line, members) == 0)
        p->line = adl_json_to_text(line, ADL_REPLY_JSON_FLAGS, &p->length, &ignored);
    json_decref(line);
    json_decref(members);
}

static void make_error(struct picture *p, enum adl_problem problem, const char *detail)
{
    p->failed = true;
    make_line(p, json_pack("{s:o}", "error", adl_problem_json(problem, detail, NULL)));
}

/* What was wrong with a file, as far as a client should know. */
static enum adl_problem problem_of(enum adl_error_kind kind)
{
    return kind == ADL_ERR_NOT_FOUND ? ADL_PROBLEM_UNKNOWN_PICTURE : adl_problem_of(kind);
}

static void make_reply(struct picture *p)
{
    struct adl_job *job = &p->job;
    const struct adl_reply reply = {
        .model = p->query.served->model,
        .model_name = p->query.served->name,
        .model_version = p->query.served->version,
        .image_width = job->input.info.width,
        .image_height = job->input.info.height,
        .predictions = &job->predictions,
        .heatmap = p->query.params.heatmap,
        .timing = &job->timing,
        .pause = job->pause,
    };
    json_t *json;

    job->timing.total = adl_clock_ms(p->begin_ns, adl_clock_ns());
    json = job->err.kind ? NULL : adl_reply_to_json(&reply, &job->err);
    if (json)
        make_line(p, json);
    else
        make_error(p, problem_of(job->err.kind), job->err.message);
}

/* --- on a worker ------------------------------------------------------------------- */

static bool is_abandoned(const struct adl_job *job)
{
    const struct picture *p = job->context;
    return stopped(p->run);
}

static void on_finished(struct adl_job *job)
{
    struct picture *p = job->context;
    struct run *run = p->run;

    adl_predict_input_drop(&job->input);
    make_reply(p);
    adl_job_release(job);
    p->kept = adl_batcher_keep(run->task->server->batcher, job, p->length);
    /* The thread of the job may free all of it once it sees the flag, so it is told under the
     * lock. */
    pthread_mutex_lock(&run->lock);
    p->finished = true;
    pthread_cond_signal(&run->finished);
    pthread_mutex_unlock(&run->lock);
}

/* --- on the thread of the job ------------------------------------------------------- */

/* Takes the model as it is now, so that one that was reloaded answers from the next picture on;
 * waits for one that is being loaded. */
static int choose_model(struct run *run, struct picture *p, struct adl_error *err)
{
    for (;;) {
        struct adl_error own = {0};
        enum adl_problem problem = adl_localize_choose(run->task->server, &p->query, &own);
        if (problem == ADL_PROBLEM_NONE)
            return 0;
        adl_served_release(p->query.served);
        p->query.served = NULL;
        if (problem != ADL_PROBLEM_LOADING) {
            *err = own;
            return -1;
        }
        if (stopped(run))
            return fail_stopped(err);
        adl_batcher_wait_quiet(run->task->server->batcher, UINT32_MAX,
                               adl_clock_ns() + (uint64_t)RETRY_MS * 1000000);
    }
}

/* Hands a picture to the batcher, or makes the line that says why that cannot be. */
static int begin_picture(struct run *run, struct picture *p, const char *path,
                         struct adl_error *err)
{
    struct adl_server *server = run->task->server;
    struct adl_error own = {0};
    size_t length;

    *p = (struct picture){.run = run, .query.params = *run->task->params};
    adl_batcher_wait_quiet(server->batcher, QUIET_MS,
                           adl_clock_ns() + (uint64_t)PATIENCE_MS * 1000000);
    if (stopped(run))
        return fail_stopped(err);
    if (choose_model(run, p, err) < 0)
        return -1;
    p->path = path;
    p->bytes = adl_job_folder_read(run->task->root, path, server->max_body, &length, &own);
    if (!p->bytes) {
        make_error(p, problem_of(own.kind), own.message);
        p->finished = true;
        return 0;
    }
    p->begin_ns = adl_clock_ns();
    p->job = (struct adl_job){
        .bytes = p->bytes,
        .length = length,
        .sender = {.client = ~server->hash_seed},
        .background = true,
        .deadline_ns = UINT64_MAX,
        .abandoned = is_abandoned,
        .finished = on_finished,
        .context = p,
    };
    adl_localize_fill(server, &p->query, false, &p->job);
    if (adl_batcher_submit(server->batcher, &p->job, 1, &own) < 0) {
        p->finished = true;
        return fail_stopped(err); /* the server is stopping */
    }
    return 0;
}

static void wait_for(struct run *run, struct picture *p)
{
    pthread_mutex_lock(&run->lock);
    while (!p->finished)
        pthread_cond_wait(&run->finished, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

static void release(struct run *run, struct picture *p)
{
    adl_batcher_give_back(run->task->server->batcher, p->kept);
    adl_served_release(p->query.served);
    adl_free(p->bytes);
    adl_free(p->line);
    *p = (struct picture){0};
}

/* Writes the line of a picture and frees its place. */
static int end_picture(struct run *run, struct picture *p, struct adl_error *err)
{
    struct adl_job_progress *progress = run->task->progress;
    struct adl_metrics *metrics = &run->task->server->metrics;
    int result;

    if (!p->path)
        return 0;
    wait_for(run, p);
    if (stopped(run) || p->job.err.kind == ADL_ERR_BUSY)
        result = fail_stopped(err);
    else if (!p->line)
        result = adl_fail_nomem(err, "the results");
    else
        result = adl_job_results_add(run->task->results, p->line, p->length, err);
    if (result == 0) {
        atomic_fetch_add(p->failed ? &metrics->job_images_failed : &metrics->job_images_ok, 1);
        atomic_fetch_add(&progress->failed, p->failed);
        atomic_fetch_add(&progress->done, 1);
    }
    release(run, p);
    return result;
}

static int run_all(struct run *run, const struct adl_job_folder *folder, struct adl_error *err)
{
    for (size_t i = 0; i < folder->count + IN_FLIGHT; i++) {
        struct picture *p = &run->pictures[i % IN_FLIGHT];
        if (end_picture(run, p, err) < 0)
            return -1;
        if (i < folder->count && begin_picture(run, p, folder->paths[i], err) < 0)
            return -1;
    }
    return 0;
}

int adl_job_pictures_run(const struct adl_job_task *task, struct adl_error *err)
{
    struct run run = {.task = task};
    struct adl_job_folder folder = {0};
    int result = -1;

    if (adl_job_folder_list(task->root, task->folder, &task->progress->stop, &folder, err) == 0) {
        atomic_store(&task->progress->images, (long)folder.count);
        pthread_mutex_init(&run.lock, NULL);
        adl_cond_init(&run.finished);
        result = run_all(&run, &folder, err);
        /* After a failure the others are still in the batcher. */
        for (int i = 0; i < IN_FLIGHT; i++) {
            struct picture *p = &run.pictures[i];
            if (p->path)
                wait_for(&run, p);
            if (p->run)
                release(&run, p);
        }
        pthread_cond_destroy(&run.finished);
        pthread_mutex_destroy(&run.lock);
    }
    adl_job_folder_release(&folder);
    return result;
}
