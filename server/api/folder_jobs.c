/* Keeps the jobs in a list, in the order in which they came, and does them in a thread.
 *
 * LOCKS. `lock` protects the list and the state of each job; it is never held while a folder or a
 * picture is read or a network runs. How far a running job is, is in atomics that its pictures
 * count (job_pictures.c), and its results have a lock of their own. A job is freed when neither the
 * list nor the thread has it: `references` is under the lock.
 *
 * A job that is cancelled while it runs has ended for its client at once: the state is changed
 * here, and the thread, which looks at `stop` between pictures, finds it changed. */

#include "server/api/folder_jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/wait.h"
#include "io/json_text.h"
#include "server/api/job_pictures.h"
#include "server/api/server.h"
#include "server/serving/log.h"
#include "server/tasks/directory.h"

#define WAIT_S 10 /* Retry-After, where nothing is known */
#define MOST_WAIT_S 600

struct folder_job {
    char id[ADL_FOLDER_JOB_ID_BYTES + 1];
    char owner[65];
    char folder[ADL_LIMIT_JOB_FOLDER_BYTES + 1];
    struct adl_params params;
    json_t *parameters;
    struct adl_job_progress progress;
    struct adl_job_results *results; /* NULL before it begins */
    enum adl_job_state state;
    char error[512]; /* of a failed job; "": none */
    struct timespec created, started, ended;
    uint64_t started_ns, ended_ns; /* base/clock.h; 0: not yet */
    int references;
    struct folder_job *next;
};

struct adl_folder_jobs {
    struct adl_server *server;
    int root;
    size_t most;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* protects the rest */
    pthread_cond_t changed;
    struct folder_job *first;
    size_t count;
    bool stopping;
};

/* --- one job; all under the lock ----------------------------------------------------- */

static void job_release(struct folder_job *job)
{
    if (--job->references > 0)
        return;
    json_decref(job->parameters);
    adl_job_results_free(job->results);
    adl_free(job);
}

static bool has_ended(const struct folder_job *job)
{
    return job->state != ADL_JOB_QUEUED && job->state != ADL_JOB_RUNNING;
}

static void job_end(struct folder_job *job, enum adl_job_state state, const char *error)
{
    job->state = state;
    snprintf(job->error, sizeof job->error, "%s", error);
    clock_gettime(CLOCK_REALTIME, &job->ended);
    job->ended_ns = adl_clock_ns();
}

/* Returns a time as in the log, null if it has not come. */
static json_t *time_json(struct timespec time)
{
    char text[40];
    struct tm parts;

    if (time.tv_sec == 0)
        return json_null();
    gmtime_r(&time.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

/* Returns the seconds that a running job will still take, as it went so far; negative: not
 * known. */
static double seconds_left(const struct folder_job *job)
{
    const size_t done = atomic_load(&job->progress.done);
    const long images = atomic_load(&job->progress.images);

    if (job->state != ADL_JOB_RUNNING || done == 0 || images < (long)done)
        return -1;
    return adl_clock_ms(job->started_ns, adl_clock_ns()) / 1e3 / (double)done *
           (double)(images - (long)done);
}

static json_t *job_json(const struct folder_job *job)
{
    const long images = atomic_load(&job->progress.images);
    const double left = seconds_left(job);
    char results[ADL_FOLDER_JOB_ID_BYTES + 20];

    snprintf(results, sizeof results, "/jobs/%s/results", job->id);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:s}", "id", job->id, "state",
        adl_job_state_names[job->state], "folder", job->folder, "parameters",
        json_deep_copy(job->parameters), "images",
        images < 0 ? json_null() : json_integer((json_int_t)images), "done",
        (json_int_t)atomic_load(&job->progress.done), "failed",
        (json_int_t)atomic_load(&job->progress.failed), "created", time_json(job->created),
        "started", time_json(job->started), "ended", time_json(job->ended), "seconds_left",
        left < 0 ? json_null() : json_real((double)(long)(left * 10 + 0.5) / 10), "error",
        *job->error ? adl_json_from_text(job->error) : json_null(), "results", results);
}

static void job_log(const struct folder_job *job, const char *message)
{
    adl_log(job->state == ADL_JOB_FAILED ? ADL_LOG_WARN : ADL_LOG_INFO, "job", message,
            json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:o*}", "job", job->id, "state",
                      adl_job_state_names[job->state], "folder", adl_json_from_text(job->folder),
                      "images", (json_int_t)ADL_MAX(0, atomic_load(&job->progress.images)), "done",
                      (json_int_t)atomic_load(&job->progress.done), "failed",
                      (json_int_t)atomic_load(&job->progress.failed), "error",
                      *job->error ? adl_json_from_text(job->error) : NULL));
}

/* The thread logs the end of a job that runs. */
static void job_cancel(struct folder_job *job)
{
    const bool queued = job->state == ADL_JOB_QUEUED;

    atomic_store(&job->progress.stop, true);
    job_end(job, ADL_JOB_CANCELLED, "");
    if (queued)
        job_log(job, "a job has ended");
}

/* --- the list; all under the lock ----------------------------------------------------- */

/* Returns the link to a job; one to NULL: the owner has none of this id. */
static struct folder_job **find(struct adl_folder_jobs *jobs, const char *owner, const char *id)
{
    struct folder_job **link = &jobs->first;

    while (*link && (strcmp((*link)->id, id) != 0 || strcmp((*link)->owner, owner) != 0))
        link = &(*link)->next;
    return link;
}

static void forget(struct adl_folder_jobs *jobs, struct folder_job **link)
{
    struct folder_job *job = *link;

    *link = job->next;
    jobs->count--;
    job_release(job);
}

/* Makes a job go that has ended, the oldest, one of the owner's first. Returns false if there is
 * none. */
static bool make_room(struct adl_folder_jobs *jobs, const char *owner)
{
    struct folder_job **oldest = NULL, **own = NULL;

    for (struct folder_job **link = &jobs->first; *link; link = &(*link)->next) {
        if (!has_ended(*link))
            continue;
        oldest = oldest ? oldest : link;
        own = own || strcmp((*link)->owner, owner) != 0 ? own : link;
    }
    if (oldest)
        forget(jobs, own ? own : oldest);
    return oldest != NULL;
}

static struct folder_job *next_job(struct adl_folder_jobs *jobs)
{
    struct folder_job *job = jobs->first;

    while (job && job->state != ADL_JOB_QUEUED)
        job = job->next;
    return job;
}

/* --- the thread ------------------------------------------------------------------------ */

/* Does a job whose state is ADL_JOB_RUNNING. Called under the lock, which is released
 * meanwhile. */
static void run_job(struct adl_folder_jobs *jobs, struct folder_job *job)
{
    struct adl_error err = {0};
    struct adl_job_results *results;
    int result = -1;

    job->references++;
    job->started_ns = adl_clock_ns();
    clock_gettime(CLOCK_REALTIME, &job->started);
    job_log(job, "a job has begun");
    pthread_mutex_unlock(&jobs->lock);
    results = adl_job_results_create(&err);
    pthread_mutex_lock(&jobs->lock);
    job->results = results;
    pthread_mutex_unlock(&jobs->lock);
    if (results) {
        const struct adl_job_task task = {.server = jobs->server,
                                          .root = jobs->root,
                                          .folder = job->folder,
                                          .params = &job->params,
                                          .results = results,
                                          .progress = &job->progress};
        result = adl_job_pictures_run(&task, &err);
    }
    pthread_mutex_lock(&jobs->lock);
    if (job->state == ADL_JOB_RUNNING)
        job_end(job,
                result == 0                     ? ADL_JOB_DONE
                : err.kind == ADL_ERR_CANCELLED ? ADL_JOB_CANCELLED
                                                : ADL_JOB_FAILED,
                result == 0 || err.kind == ADL_ERR_CANCELLED ? "" : err.message);
    job_log(job, "a job has ended");
    job_release(job);
}

static void *run_jobs(void *argument)
{
    struct adl_folder_jobs *jobs = argument;

    pthread_mutex_lock(&jobs->lock);
    while (!jobs->stopping) {
        struct folder_job *job = next_job(jobs);
        if (job) {
            job->state = ADL_JOB_RUNNING;
            run_job(jobs, job);
        } else {
            pthread_cond_wait(&jobs->changed, &jobs->lock);
        }
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------- */

struct adl_folder_jobs *adl_folder_jobs_open(struct adl_server *server, const char *dir,
                                             size_t most, struct adl_error *err)
{
    struct adl_folder_jobs *jobs = adl_calloc(1, sizeof *jobs);

    if (!jobs) {
        adl_fail_nomem(err, "the jobs");
        return NULL;
    }
    *jobs = (struct adl_folder_jobs){.server = server, .most = most};
    jobs->root = adl_open_directory("--jobs", dir, err);
    if (jobs->root < 0) {
        adl_free(jobs);
        return NULL;
    }
    pthread_mutex_init(&jobs->lock, NULL);
    adl_cond_init(&jobs->changed);
    return jobs;
}

int adl_folder_jobs_start(struct adl_folder_jobs *jobs, struct adl_error *err)
{
    jobs->has_thread = pthread_create(&jobs->thread, NULL, run_jobs, jobs) == 0;
    return jobs->has_thread ? 0 : adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread for jobs");
}

void adl_folder_jobs_stop(struct adl_folder_jobs *jobs)
{
    if (!jobs)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    for (struct folder_job *job = jobs->first; job; job = job->next)
        if (!has_ended(job))
            job_cancel(job);
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
}

bool adl_folder_jobs_finish(struct adl_folder_jobs *jobs, unsigned ms)
{
    if (!jobs || !jobs->has_thread)
        return true;
    jobs->has_thread = !adl_thread_join_within(jobs->thread, ms);
    return !jobs->has_thread;
}

void adl_folder_jobs_free(struct adl_folder_jobs *jobs)
{
    if (!jobs)
        return;
    if (jobs->has_thread) {
        adl_folder_jobs_stop(jobs);
        pthread_join(jobs->thread, NULL);
    }
    while (jobs->first)
        forget(jobs, &jobs->first);
    close(jobs->root);
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    adl_free(jobs);
}

int adl_folder_jobs_root(const struct adl_folder_jobs *jobs)
{
    return jobs->root;
}

/* --- what clients ask ------------------------------------------------------------------- */

static struct folder_job *make_job(const struct adl_folder_job_request *request,
                                   struct adl_error *err)
{
    struct folder_job *job = adl_calloc(1, sizeof *job);
    unsigned char bits[ADL_FOLDER_JOB_ID_BYTES / 2];

    if (!job || !(job->parameters = json_deep_copy(request->parameters))) {
        adl_fail_nomem(err, "a job");
        adl_free(job);
        return NULL;
    }
    /* An id that could be guessed would show one client's results to another. */
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits) {
        adl_fail(err, ADL_ERR_INTERNAL, "the system has no random numbers");
        json_decref(job->parameters);
        adl_free(job);
        return NULL;
    }
    for (size_t i = 0; i < sizeof bits; i++)
        snprintf(job->id + 2 * i, 3, "%02x", bits[i]);
    snprintf(job->owner, sizeof job->owner, "%s", request->owner);
    snprintf(job->folder, sizeof job->folder, "%s", request->folder);
    job->params = *request->params;
    atomic_store(&job->progress.images, -1);
    clock_gettime(CLOCK_REALTIME, &job->created);
    job->references = 1;
    return job;
}

/* Returns the seconds after which there may be room. Called under the lock. */
static unsigned wait_of(const struct adl_folder_jobs *jobs)
{
    for (const struct folder_job *job = jobs->first; job; job = job->next) {
        double left = seconds_left(job);
        if (left >= 0)
            return (unsigned)ADL_MIN(left + 1, MOST_WAIT_S);
    }
    return WAIT_S;
}

enum adl_problem adl_folder_jobs_add(struct adl_folder_jobs *jobs,
                                     const struct adl_folder_job_request *request, json_t **job,
                                     char id[ADL_FOLDER_JOB_ID_BYTES + 1], unsigned *wait_s,
                                     struct adl_error *err)
{
    struct folder_job *added = make_job(request, err), **end = &jobs->first;
    enum adl_problem problem = ADL_PROBLEM_NONE;

    *job = NULL;
    *wait_s = 1;
    if (!added)
        return adl_problem_of(err->kind);
    pthread_mutex_lock(&jobs->lock);
    if (jobs->stopping) {
        adl_fail(err, ADL_ERR_BUSY, "the server is shutting down");
        problem = ADL_PROBLEM_DRAINING;
    } else if (jobs->count >= jobs->most && !make_room(jobs, request->owner)) {
        *wait_s = wait_of(jobs);
        adl_fail(err, ADL_ERR_BUSY, "%zu jobs wait or run, as many as --max-jobs allows",
                 jobs->count);
        problem = ADL_PROBLEM_TOO_MANY_JOBS;
    } else if (!(*job = job_json(added))) {
        adl_fail_nomem(err, "a job");
        problem = ADL_PROBLEM_OUT_OF_MEMORY;
    }
    if (problem == ADL_PROBLEM_NONE) {
        memcpy(id, added->id, sizeof added->id);
        while (*end)
            end = &(*end)->next;
        *end = added;
        jobs->count++;
        pthread_cond_broadcast(&jobs->changed);
    } else {
        job_release(added);
    }
    pthread_mutex_unlock(&jobs->lock);
    return problem;
}

json_t *adl_folder_jobs_list(struct adl_folder_jobs *jobs, const char *owner)
{
    json_t *list = json_array();
    bool failed = !list;

    pthread_mutex_lock(&jobs->lock);
    for (struct folder_job *job = jobs->first; job && !failed; job = job->next)
        if (!strcmp(job->owner, owner))
            failed = json_array_append_new(list, job_json(job)) < 0;
    pthread_mutex_unlock(&jobs->lock);
    if (!failed)
        return json_pack("{s:o}", "jobs", list);
    json_decref(list);
    return NULL;
}

json_t *adl_folder_jobs_describe(struct adl_folder_jobs *jobs, const char *owner, const char *id,
                                 bool *found)
{
    pthread_mutex_lock(&jobs->lock);
    struct folder_job *job = *find(jobs, owner, id);
    json_t *json = job ? job_json(job) : NULL;
    pthread_mutex_unlock(&jobs->lock);
    *found = job != NULL;
    return json;
}

bool adl_folder_jobs_delete(struct adl_folder_jobs *jobs, const char *owner, const char *id,
                            bool *forgotten, json_t **json)
{
    *forgotten = false;
    *json = NULL;
    pthread_mutex_lock(&jobs->lock);
    struct folder_job **link = find(jobs, owner, id), *job = *link;
    if (job) {
        *forgotten = has_ended(job);
        if (*forgotten) {
            forget(jobs, link);
        } else {
            job_cancel(job);
            *json = job_json(job);
        }
    }
    pthread_mutex_unlock(&jobs->lock);
    return job != NULL;
}

int adl_folder_jobs_results(struct adl_folder_jobs *jobs, const char *owner, const char *id,
                            size_t from, int *fd, uint64_t *offset, size_t *length,
                            struct adl_error *err)
{
    int result = 0;

    *fd = -1;
    *offset = 0;
    *length = 0;
    pthread_mutex_lock(&jobs->lock);
    struct folder_job *job = *find(jobs, owner, id);
    if (!job)
        result = adl_fail(err, ADL_ERR_NOT_FOUND, "there is no such job");
    else if (job->results)
        result = adl_job_results_open(job->results, from, fd, offset, length, err);
    pthread_mutex_unlock(&jobs->lock);
    return result;
}

void adl_folder_jobs_count(struct adl_folder_jobs *jobs, size_t counts[ADL_JOB_STATES])
{
    memset(counts, 0, ADL_JOB_STATES * sizeof *counts);
    pthread_mutex_lock(&jobs->lock);
    for (const struct folder_job *job = jobs->first; job; job = job->next)
        counts[job->state]++;
    pthread_mutex_unlock(&jobs->lock);
}
