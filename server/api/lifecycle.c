/* The main thread of a server: it waits for signals, for the thread that loads
 * models, and for the watchdog's time. */

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
#include "base/size.h"
#include "io/json_text.h"
#include "server/api/assets.h"
#include "server/serving/log.h"
#include "server/serving/notify.h"

/* A run of the engine that takes longer is a hang. */
#define HANG_MS 60000.0
/* While draining, how often is looked. */
#define DRAIN_POLL_MS 10

struct lifecycle {
    struct adl_server *server;
    const char *token_file;
    int loaded; /* eventfd: the loader is done */
    pthread_t loader;
    bool loading, reload_wanted, ready;
    struct adl_error load_error; /* the loader's, until it is joined */
};

/* Signals come through a pipe. They cannot be blocked and read by signalfd(2):
 * OpenBLAS starts threads before main, and a thread that does not block a signal
 * would die of it for all. */
static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    char byte = (char)number;
    if (write(signal_pipe[1], &byte, 1) < 0) {
        /* A full pipe has signals enough in it. */
    }
    errno = saved;
}

int adl_lifecycle_take_signals(struct adl_error *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction take = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    bool taken = pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0;

    sigfillset(&take.sa_mask);
    for (size_t i = 0; taken && i < ADL_COUNT(numbers); i++)
        taken = sigaction(numbers[i], &take, NULL) == 0;
    if (!taken || sigaction(SIGPIPE, &ignore, NULL) < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot take signals: %s", strerror(errno));
    return 0;
}

/* --- loading ------------------------------------------------------------------- */

static void count_reload(struct lifecycle *life, size_t index, bool ok)
{
    struct adl_model_metrics *metrics = &life->server->metrics.models[index];
    atomic_fetch_add_explicit(ok ? &metrics->reloads_ok : &metrics->reloads_failed, 1,
                              memory_order_relaxed);
}

static void log_load(struct lifecycle *life, size_t index, double ms, const struct adl_error *err)
{
    struct adl_registry *registry = life->server->registry;
    struct adl_served *served = adl_registry_acquire_index(registry, index);

    if (err->kind)
        adl_log(ADL_LOG_ERROR, life->ready ? "reload" : "load",
                life->ready ? "a model could not be loaded anew; the old one stays"
                            : "a model could not be loaded",
                json_pack("{s:s, s:o}", "model", adl_registry_name(registry, index), "error",
                          adl_json_from_text(err->message)));
    else if (served)
        adl_log(ADL_LOG_INFO, life->ready ? "reload" : "load", "model loaded",
                json_pack("{s:s, s:o, s:s, s:I, s:f}", "model", served->name, "file",
                          adl_json_from_text(adl_registry_path(registry, index)), "digest",
                          served->model->digest, "memory_bytes", (json_int_t)served->memory_bytes,
                          "load_ms", ms));
    adl_served_release(served);
}

/* Loads every model; goes on after a failure. */
static void *load_models(void *argument)
{
    struct lifecycle *life = argument;
    struct adl_registry *registry = life->server->registry;
    size_t count = adl_registry_count(registry);
    uint64_t one = 1;

    for (size_t i = 0; i < count; i++) {
        struct adl_error err = {0};
        uint64_t begin = adl_clock_ns();
        adl_notify("STATUS=loading %s (%zu/%zu)\nEXTEND_TIMEOUT_USEC=60000000",
                   adl_registry_name(registry, i), i + 1, count);
        int result = adl_registry_load(registry, i, &err);
        log_load(life, i, adl_clock_ms(begin, adl_clock_ns()), &err);
        if (life->ready)
            count_reload(life, i, result == 0);
        if (result < 0 && !life->load_error.kind)
            life->load_error = err;
    }
    if (write(life->loaded, &one, sizeof one) < 0) {
        /* It cannot be full: it is read before the next loader starts. */
    }
    return NULL;
}

static int start_loading(struct lifecycle *life, struct adl_error *err)
{
    adl_error_clear(&life->load_error);
    if (pthread_create(&life->loader, NULL, load_models, life) != 0)
        return adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread to load the models");
    life->loading = true;
    return 0;
}

static void tell_ready(struct lifecycle *life)
{
    size_t count = adl_registry_count(life->server->registry);
    adl_notify("READY=1\nSTATUS=ready: %zu model%s", count, count == 1 ? "" : "s");
}

/* The loader is done: the first time the server becomes ready, or it fails. */
static int end_loading(struct lifecycle *life, struct adl_error *err)
{
    uint64_t value;

    if (read(life->loaded, &value, sizeof value) < 0)
        return 0;
    pthread_join(life->loader, NULL);
    life->loading = false;
    if (!life->ready && life->load_error.kind) {
        *err = life->load_error;
        return -1;
    }
    if (!life->ready)
        adl_log(ADL_LOG_INFO, "ready", "ready", NULL);
    life->ready = true;
    tell_ready(life);
    if (life->reload_wanted) {
        life->reload_wanted = false;
        return start_loading(life, err);
    }
    return 0;
}

static void reload(struct lifecycle *life)
{
    struct adl_error err = {0};

    adl_log(ADL_LOG_INFO, "reload", "loading models anew", NULL);
    if (life->token_file && adl_auth_read_tokens(life->server->auth, life->token_file, &err) < 0)
        adl_log(ADL_LOG_ERROR, "reload", "the tokens could not be read anew; the old ones stay",
                json_pack("{s:o}", "error", adl_json_from_text(err.message)));
    if (life->loading) {
        life->reload_wanted = true;
        return;
    }
    adl_notify_reloading();
    adl_error_clear(&err);
    if (start_loading(life, &err) < 0)
        adl_log(ADL_LOG_ERROR, "reload", err.message, NULL);
}

/* --- waiting ---------------------------------------------------------------------- */

/* The next signal, or 0 after `timeout_ms` or when the loader is done: that is of
 * no interest while draining, and would be told again at once. */
static int wait_for_signal(struct lifecycle *life, int timeout_ms)
{
    struct pollfd polls[2] = {{.fd = signal_pipe[0], .events = POLLIN},
                              {.fd = life->server->draining ? -1 : life->loaded, .events = POLLIN}};
    char number;

    if (poll(polls, 2, timeout_ms) > 0 && polls[0].revents && read(signal_pipe[0], &number, 1) == 1)
        return number;
    return 0;
}

static int serve(struct lifecycle *life, struct adl_error *err)
{
    uint64_t watchdog = adl_notify_watchdog_ns();
    /* How late slow clients are noticed: a quarter of what they may take, and no
     * oftener than every second. */
    int pause_ms = ADL_MAX(1000, life->server->timeout_s * 250);

    if (watchdog)
        pause_ms = (int)ADL_MIN(watchdog / 2000000, (uint64_t)pause_ms);
    for (;;) {
        int signal = wait_for_signal(life, pause_ms);
        adl_http_tend(life->server->http);
        if (signal == SIGHUP)
            reload(life);
        else if (signal)
            return 0;
        if (life->loading && end_loading(life, err) < 0)
            return -1;
        if (watchdog && adl_batcher_stuck_ms(life->server->batcher) < HANG_MS)
            adl_notify("WATCHDOG=1");
    }
}

/* Waits until nothing is in flight, until `until_ns`, or for a second signal. */
static bool wait_for_requests(struct lifecycle *life, uint64_t until_ns)
{
    while (adl_http_in_flight(life->server->http) > 0) {
        int signal = wait_for_signal(life, DRAIN_POLL_MS);
        adl_http_tend(life->server->http);
        if (signal == SIGTERM || signal == SIGINT || adl_clock_ns() > until_ns)
            return false;
    }
    return true;
}

static void drain(struct lifecycle *life, int drain_s)
{
    struct adl_server *server = life->server;

    server->draining = true;
    adl_notify("STOPPING=1\nSTATUS=finishing %zu requests", adl_http_in_flight(server->http));
    adl_log(ADL_LOG_INFO, "drain", "stopping: new requests are refused",
            json_pack("{s:I}", "in_flight", (json_int_t)adl_http_in_flight(server->http)));
    /* Connections are still taken, and answered 503: MHD_quiesce_daemon() of
     * libmicrohttpd 0.9.75 may abort, as its threads and the caller both take
     * the socket out of the same epoll set. */
    if (!wait_for_requests(life, adl_clock_ns() + (uint64_t)drain_s * 1000000000))
        adl_log(ADL_LOG_WARN, "drain", "requests are cut off",
                json_pack("{s:I}", "in_flight", (json_int_t)adl_http_in_flight(server->http)));
    /* What is in the queue is answered at once; what is being computed ends
     * within a run of the engine. No request may stay suspended. */
    adl_batcher_abort(server->batcher);
    adl_batcher_wait_idle(server->batcher);
    /* Their answers are written by the I/O threads, which are about to stop. */
    for (int i = 0; i < 100 && adl_http_in_flight(server->http) > 0; i++)
        poll(NULL, 0, DRAIN_POLL_MS);
    adl_http_stop(server->http);
}

int adl_lifecycle_run(struct adl_server *server, const char *token_file, int drain_s,
                      struct adl_error *err)
{
    struct lifecycle life = {.server = server, .token_file = token_file};
    int result = -1;

    adl_assets_hash();
    life.loaded = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (life.loaded < 0)
        adl_fail(err, ADL_ERR_IO, "cannot wait for the models: %s", strerror(errno));
    else if (start_loading(&life, err) == 0)
        result = serve(&life, err);
    drain(&life, drain_s);
    if (life.loading)
        pthread_join(life.loader, NULL);
    if (life.loaded >= 0)
        close(life.loaded);
    if (result == 0)
        adl_log(ADL_LOG_INFO, "stop", "stopped", NULL);
    return result;
}
