/* Runs the main thread of a server, from the first load of the models to the last reply.
 *
 * DESIGN
 *
 * Threads. The I/O threads and the batcher run already when adl_lifecycle_run() is
 * called, so that health checks are answered while the models load. The main thread then
 * does nothing but wait, in one poll() for three events: a signal, the end of the
 * loader, and a timeout. After each it enforces the deadlines of the connections
 * (adl_http_enforce_deadlines()) and notifies the service manager's watchdog that the server
 * is alive, unless a task of the batcher has taken longer than HANG_MS. A separate thread, the
 * loader, reads tokens and certificate again at a reload, and loads the models one after another.
 * The main thread itself reads no file after the start, so that a file system that hangs does not
 * keep it from a signal. A SIGHUP during a load is remembered and starts
 * another load afterwards, so that a file that changed in between is not missed. The loader also
 * makes the changes of single models (model_changes.h), in runs of its own.
 *
 * Locks. None: `struct lifecycle` belongs to the main thread, except that the loader
 * writes `load_error`, which is read only after the loader was joined. `ready` is written
 * while no loader runs.
 *
 * Order of the shutdown, which libmicrohttpd prescribes in part. (0) For delay_s seconds, only
 * /readyz says no. (1) Nothing is accepted any more, and
 * `draining` is set: new
 * requests get 503 and `Connection: close` (see below for an inherited socket). (2) The
 * requests in flight may finish, for at most drain_s seconds; a second signal ends the
 * process. (3) The batcher finishes the remaining jobs with an error and becomes idle. Now no
 * request is suspended; stopping
 * the daemon while one is would be an error in the use of the library. (4) The replies
 * are written, for at most a second. (5) The daemon stops.
 *
 * The listening socket. One that the server opened itself is closed in (1), and the connections
 * that wait in its queue are accepted first (accept.c): what was ever connected is answered, and
 * what was not is refused, so that clients and balancers may ask another server without a
 * doubt. A socket that the
 * service manager passed (`inherited`) outlives the process. Nothing is accepted from it after
 * (1), nor at the start before the models are loaded: the connections wait in its queue for a
 * process that can answer, and requests on connections that were accepted are answered after
 * (1) as before. So no request is lost in a restart.
 *
 * A client that has just connected, or just received an answer, is likely to send a request.
 * Closing its connection would lose that request, so the server waits for it, for SETTLE_MS. */

#include "server/api/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/plural.h"
#include "base/size.h"
#include "base/wait.h"
#include "io/json_text.h"
#include "server/api/access_log.h"
#include "server/api/folder_jobs.h"
#include "server/api/loading.h"
#include "server/api/model_changes.h"
#include "server/api/reload_requests.h"
#include "server/api/server.h"
#include "server/api/signals.h"
#include "server/http/tls.h"
#include "server/options/service_hint.h"
#include "server/serving/log.h"
#include "server/serving/notify.h"
#include "server/serving/reload_link.h"

#define MAX_CALLERS 16   /* processes that may wait for the end of one reload */
#define HANG_MS 60000.0  /* a task that takes longer is taken for a hang */
#define SETTLE_MS 1000   /* how long to wait for connections that may carry a request soon */
#define RECENT_MS 500    /* connections that are idle for longer are closed */
#define FILES_MS 1000    /* how long a file is waited for in the end */
#define LOADER_S 1       /* how long a load is waited for in the end */
#define DRAIN_POLL_MS 10 /* how often the requests in flight are counted while draining */

/* The processes that wait for the end of one reload. */
struct callers {
    struct adl_reload_caller items[MAX_CALLERS];
    size_t count;
};

struct lifecycle {
    struct adl_server *server;
    const char *token_file;
    int loaded; /* eventfd: the loader has finished */
    pthread_t loader;
    bool loading;  /* the loader runs */
    bool changing; /* it makes changes of some models, and does not reload all */
    bool reload_wanted, ready;
    struct adl_error load_error;    /* the first; belongs to the loader until it is joined */
    struct adl_error reload_error;  /* of the last reload */
    struct callers current_callers; /* of the reload that is in progress */
    struct callers next_callers;    /* of the reload after that */
};

void adl_lifecycle_ask_reload(void)
{
    adl_signals_send(SIGHUP);
}

void adl_lifecycle_ask_changes(void)
{
    adl_signals_send(ADL_SIGNAL_CHANGES);
}

/* --- loading ------------------------------------------------------------------- */

/* Says that the thread that loads has finished. */
static void say_loaded(const struct lifecycle *life)
{
    uint64_t one = 1;

    if (write(life->loaded, &one, sizeof one) < 0) {
        /* The counter cannot be full: it is read before the next loader starts. */
    }
}

/* Notes the first thing that went wrong. */
static void note_error(struct lifecycle *life, const char *text, const struct adl_error *err)
{
    adl_log(ADL_LOG_ERROR, "reload", text,
            json_pack("{s:o}", "error", adl_json_from_text(err->message)));
    if (!life->load_error.kind)
        life->load_error = *err;
}

/* Reads tokens and certificate again. */
static void reload_secrets(struct lifecycle *life)
{
    struct adl_error err = {0};

    if (life->token_file && adl_auth_file_is_open(life->token_file))
        adl_log(ADL_LOG_WARN, "reload", ADL_AUTH_OPEN_FILE,
                json_pack("{s:o}", "file", adl_json_from_text(life->token_file)));
    if (life->token_file && adl_auth_read_tokens(life->server->auth, life->token_file, &err) < 0) {
        adl_service_explain(life->token_file, &err);
        note_error(life, "the tokens could not be reloaded; the old ones stay valid", &err);
    }
    adl_error_clear(&err);
    if (life->server->tls && adl_tls_reload(life->server->tls, &err) < 0)
        note_error(life, "the certificate could not be reloaded; the old one stays in use", &err);
}

/* Reads everything again at a reload, or makes the changes that wait; runs in the loader thread,
 * because a file may be on a file system that hangs. */
static void *load_models(void *argument)
{
    struct lifecycle *life = argument;

    if (life->changing) {
        adl_model_changes_run(life->server->model_changes);
    } else {
        if (life->ready)
            reload_secrets(life);
        adl_loading_all(life->server, life->ready, &life->load_error);
    }
    say_loaded(life);
    return NULL;
}

static void start_reload(struct lifecycle *life);

static int start_loading(struct lifecycle *life, bool changing, struct adl_error *err)
{
    adl_error_clear(&life->load_error);
    life->changing = changing;
    if (pthread_create(&life->loader, NULL, load_models, life) != 0)
        return adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread to load the models");
    life->loading = true;
    return 0;
}

/* Notifies the service manager that the server is ready. Until the next reload, the status
 * says whether the last one failed. Control characters are replaced, because a line break in a
 * file name would begin another assignment of the protocol. */
static void notify_ready(struct lifecycle *life)
{
    size_t count = adl_registry_count(life->server->registry);
    char *why = life->reload_error.message;

    for (char *c = why; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = '?';
    adl_notify("READY=1\nSTATUS=ready: %zu model%s%s%.300s", count, ADL_S(count),
               *why ? "; the last reload failed: " : "", why);
}

static void answer_callers(struct callers *callers, const char *error)
{
    for (size_t i = 0; i < callers->count; i++)
        adl_reload_answer(callers->items[i], error);
    callers->count = 0;
}

/* Reports the end of a reload to the service manager and to all who wait for it. */
static void end_reload(struct lifecycle *life)
{
    notify_ready(life);
    answer_callers(&life->current_callers,
                   life->reload_error.kind ? life->reload_error.message : NULL);
    adl_reload_requests_answer(life->server->reload_requests, &life->reload_error);
}

/* Joins the loader if it has finished. After the first load the server becomes ready, or
 * fails. */
static int end_loading(struct lifecycle *life, struct adl_error *err)
{
    uint64_t value;

    if (read(life->loaded, &value, sizeof value) < 0)
        return 0;
    pthread_join(life->loader, NULL);
    life->loading = false;
    if (life->changing) {
        notify_ready(life);
        if (life->reload_wanted)
            start_reload(life);
        return 0;
    }
    if (!life->ready && life->load_error.kind) {
        *err = life->load_error;
        return -1;
    }
    if (!life->ready) {
        if (life->server->inherited && adl_http_accept(life->server->http, err) < 0)
            return -1;
        adl_log(ADL_LOG_INFO, "ready", "ready", NULL);
    }
    life->ready = true;
    life->reload_error = life->load_error;
    end_reload(life);
    if (life->reload_wanted)
        start_reload(life);
    return 0;
}

/* Starts the loader, which must not be running, for a reload. */
static void start_reload(struct lifecycle *life)
{
    struct adl_error *err = &life->reload_error;

    life->reload_wanted = false;
    life->current_callers = life->next_callers;
    life->next_callers.count = 0;
    adl_reload_requests_begin(life->server->reload_requests);
    adl_error_clear(err);
    adl_log(ADL_LOG_INFO, "reload", "reloading the models", NULL);
    adl_notify_reloading();
    if (start_loading(life, false, err) < 0) {
        adl_log(ADL_LOG_ERROR, "reload", err->message, NULL);
        end_reload(life);
    }
}

/* Starts the loader for the changes that wait; if that fails, they wait on. */
static void make_changes(struct lifecycle *life)
{
    struct adl_error err = {0};

    if (start_loading(life, true, &err) < 0)
        adl_log(ADL_LOG_ERROR, "models", err.message, NULL);
}

static bool is_among(const struct callers *callers, struct adl_reload_caller caller)
{
    for (size_t i = 0; i < callers->count; i++)
        if (callers->items[i].pid == caller.pid && callers->items[i].cookie == caller.cookie)
            return true;
    return false;
}

/* Reloads now, or after the load that is in progress. A caller that was not answered soon
 * enough repeats its signal, which starts no further reload. */
static void reload(struct lifecycle *life, struct adl_reload_caller caller)
{
    bool known = is_among(&life->current_callers, caller) || is_among(&life->next_callers, caller);

    if (caller.pid > 0 && !known && life->next_callers.count == MAX_CALLERS) {
        adl_reload_answer(caller, "too many callers wait for a reload");
        return;
    }
    adl_reload_acknowledge(caller);
    if (known)
        return;
    if (caller.pid > 0)
        life->next_callers.items[life->next_callers.count++] = caller;
    if (life->loading)
        life->reload_wanted = true;
    else
        start_reload(life);
}

/* --- waiting ---------------------------------------------------------------------- */

/* Returns the next signal, or none after `timeout_ms` or when the loader has finished. While
 * draining, the end of the loader is not waited for: its event is not read any more, so poll()
 * would always return at once. */
static struct adl_signal_event wait_for_signal(struct lifecycle *life, int timeout_ms)
{
    struct pollfd polls[2] = {{.fd = adl_signals_fd(), .events = POLLIN},
                              {.fd = life->server->draining ? -1 : life->loaded, .events = POLLIN}};

    if (poll(polls, 2, timeout_ms) > 0 && polls[0].revents)
        return adl_signals_next();
    return (struct adl_signal_event){0};
}

static void check_deadlines(struct lifecycle *life)
{
    adl_http_enforce_deadlines(life->server->http);
    if (life->server->admin)
        adl_http_enforce_deadlines(life->server->admin);
    adl_batcher_tick(life->server->batcher);
}

static int serve(struct lifecycle *life, struct adl_error *err)
{
    uint64_t watchdog = adl_notify_watchdog_ns();
    int pause_ms = 1000; /* how often connections are checked for deadlines */

    if (watchdog)
        pause_ms = (int)ADL_MIN(watchdog / 2000000, (uint64_t)pause_ms);
    for (;;) {
        struct adl_signal_event event = wait_for_signal(life, pause_ms);
        check_deadlines(life);
        if (event.signal == SIGHUP)
            reload(life, event.caller);
        else if (event.signal == SIGUSR1)
            adl_access_log_reopen();
        else if (event.signal && event.signal != ADL_SIGNAL_CHANGES)
            return 0;
        if (life->loading && end_loading(life, err) < 0)
            return -1;
        if (!life->loading && adl_model_changes_wait(life->server->model_changes))
            make_changes(life);
        if (watchdog && adl_batcher_stuck_ms(life->server->batcher) < HANG_MS)
            adl_notify("WATCHDOG=1");
    }
}

/* Waits until no request is in flight and, before the time `settle_ns`, none is to be expected.
 * Returns false if this has not happened by the time `until_ns`. */
static bool wait_for_requests(struct lifecycle *life, uint64_t settle_ns, uint64_t until_ns)
{
    struct adl_http *http = life->server->http;

    while (adl_http_in_flight(http) > 0 ||
           (adl_clock_ns() < settle_ns && adl_http_unsettled(http, RECENT_MS) > 0)) {
        wait_for_signal(life, DRAIN_POLL_MS); /* SIGHUP has no effect any more */
        check_deadlines(life);
        if (adl_clock_ns() > until_ns)
            return false;
    }
    return true;
}

/* Lets the I/O threads write the last answers, also to the last connections that were accepted,
 * before they are stopped. */
static void write_last(struct adl_http *http)
{
    for (int i = 0; i < SETTLE_MS / DRAIN_POLL_MS && adl_http_unsettled(http, RECENT_MS) > 0; i++)
        poll(NULL, 0, DRAIN_POLL_MS);
}

/* Waits for what is done with files, unless a disk hangs. Then requests stay suspended for ever,
 * and the daemons, which cannot be stopped with them, end with the process. */
static void finish_files(struct adl_server *server)
{
    bool read = adl_errands_finish(server->reader, FILES_MS);
    bool written = adl_errands_finish(server->writer, FILES_MS);

    bool worked = adl_folder_jobs_finish(server->jobs, FILES_MS);

    server->files_hang = !read || !written || !worked;
    if (server->files_hang)
        adl_log(ADL_LOG_WARN, "stop", "a file system hangs, which is not waited for",
                json_pack("{s:s}", "directory",
                          !written  ? "--annotations"
                          : !worked ? "--jobs"
                                    : "--runs"));
}

static void drain(struct lifecycle *life, int drain_s)
{
    struct adl_server *server = life->server;
    uint64_t begin = adl_clock_ns(), until = begin + (uint64_t)drain_s * 1000000000;
    uint64_t settle = ADL_MIN(begin + (uint64_t)SETTLE_MS * 1000000, until);

    server->draining = true;
    adl_http_hurry(server->http);
    adl_http_stop_accepting(server->http, !server->inherited);
    adl_registry_stop_loading(server->registry);
    answer_callers(&life->current_callers, "the server is shutting down");
    answer_callers(&life->next_callers, "the server is shutting down");
    adl_reload_requests_close(server->reload_requests);
    adl_model_changes_close(server->model_changes);
    adl_folder_jobs_stop(server->jobs);
    size_t requests = adl_http_in_flight(server->http);
    adl_notify("STOPPING=1\nSTATUS=finishing %zu request%s", requests, ADL_S(requests));
    adl_log(ADL_LOG_INFO, "drain", "shutting down: new requests are refused",
            json_pack("{s:I}", "in_flight", (json_int_t)adl_http_in_flight(server->http)));
    if (!wait_for_requests(life, settle, until))
        adl_log(ADL_LOG_WARN, "drain", "the remaining requests are cut off",
                json_pack("{s:I}", "in_flight", (json_int_t)adl_http_in_flight(server->http)));
    /* Queued images are answered with an error at once; those being computed are finished within
     * one run of the engine. After this no request is suspended. */
    adl_batcher_abort(server->batcher);
    adl_batcher_wait_idle(server->batcher);
    finish_files(server);
    write_last(server->http);
    /* Until here the second listener says how far the end is. */
    if (server->admin) {
        adl_http_stop_accepting(server->admin, true);
        write_last(server->admin);
    }
    if (server->files_hang)
        return;
    adl_http_stop(server->http);
    if (server->admin)
        adl_http_stop(server->admin);
    server->http = server->admin = NULL;
}

/* Goes on serving while /readyz says no, so that load balancers send their requests elsewhere
 * before any is refused. */
static void leave(struct lifecycle *life, int delay_s)
{
    uint64_t until = adl_clock_ns() + (uint64_t)delay_s * 1000000000;

    if (delay_s == 0)
        return;
    life->server->leaving = true;
    adl_log(ADL_LOG_INFO, "drain", "/readyz answers 503 from now on",
            json_pack("{s:i}", "drain_delay_s", delay_s));
    while (adl_clock_ns() < until) {
        adl_notify("STOPPING=1\nSTATUS=leaving\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
        poll(NULL, 0, (int)ADL_MIN((until - adl_clock_ns()) / 1000000 + 1, (uint64_t)500));
        check_deadlines(life);
    }
}

/* Joins the loader, unless it hangs: opening a file may take for ever, if that is a FIFO without a
 * writer or on a file server that is gone. */
static void join_loader(struct lifecycle *life)
{
    if (adl_thread_join_within(life->loader, 1000 * LOADER_S))
        return;
    life->server->stuck = true;
    adl_log(ADL_LOG_WARN, "stop", "a model is still being read, which is not waited for", NULL);
}

int adl_lifecycle_run(struct adl_server *server, const char *token_file, int drain_s, int delay_s,
                      struct adl_error *err)
{
    /* Static, since a loader that hangs keeps a pointer to it. */
    static struct lifecycle life;
    int result = -1;

    adl_signals_started();
    life = (struct lifecycle){.server = server, .token_file = token_file};
    life.loaded = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (life.loaded < 0)
        adl_fail(err, ADL_ERR_IO, "cannot create an event for loading the models: %s",
                 strerror(errno));
    else if (start_loading(&life, false, err) == 0)
        result = serve(&life, err);
    if (result == 0)
        leave(&life, delay_s);
    drain(&life, drain_s);
    if (life.loading)
        join_loader(&life);
    if (life.loaded >= 0 && !server->stuck)
        close(life.loaded);
    if (result == 0)
        adl_log(ADL_LOG_INFO, "stop", "stopped", NULL);
    return result;
}
