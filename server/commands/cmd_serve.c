/* Implements `serve`: the options of the HTTP server, and the assembly of its parts: sockets,
 * tokens, models, batcher, HTTP daemon. lifecycle.h runs the server until a signal. */

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/size.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/api/access_log.h"
#include "server/api/folder_jobs.h"
#include "server/api/lifecycle.h"
#include "server/api/model_changes.h"
#include "server/api/reload_requests.h"
#include "server/api/server.h"
#include "server/api/signals.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/serve_models.h"
#include "server/commands/serve_sockets.h"
#include "server/http/tls.h"
#include "server/options/map_options.h"
#include "server/options/option_strangers.h"
#include "server/options/service_hint.h"
#include "server/serving/log.h"
#include "server/serving/watch.h"
#include "server/tasks/int8_model.h"
#include "server/training/runs_tree.h"

/* The view of --example: an umbrella, of which CAM boxes a part. */
#define EXAMPLE_VIEW "?picture=examples/umbrella.jpg&model=cam&beside=adl"

struct settings {
    struct adl_option_list models;
    bool example;
    const char *models_dir;
    bool watch;
    int keep_versions;
    const char *listen, *admin_listen;
    int threads;
    int precision;
    const char *calibrate;
    const char *config;
    const char *token_file;
    bool no_auth;
    const char *tls_cert, *tls_key, *tls_client_ca;
    size_t max_body;
    int max_pixels;
    double max_map_cost;
    size_t memory;
    int queue;
    double queue_time;
    int max_connections, max_connections_each;
    int header_timeout, idle_timeout;
    int decode_threads;
    int isolate_decoders;
    bool fast_decode, exact_decode;
    int timeout;
    int drain_timeout, drain_delay;
    const char *cors_origin;
    struct adl_option_list allowed_hosts;
    struct adl_option_list trusted_proxies;
    struct adl_map_settings map;
    bool no_web;
    const char *runs;
    const char *annotations;
    const char *jobs;
    int max_jobs;
    int log_level;
    int log_format;
    const char *access_log;
    const char *trace_endpoint;
    double trace_share;
    int access_format;
    bool check_config;
    bool print_config;
};

#define IO_THREADS 2
#define WATCH_MS 1000 /* how long a look at the files of models is waited for in the end */

/* Returns the token file, which --no-auth overrides; NULL: none. */
static const char *token_file(const struct settings *s)
{
    return s->no_auth ? NULL : s->token_file;
}

/* --- the parts ---------------------------------------------------------------------- */

/* Raises the soft limit of file descriptors to the hard limit. Each connection takes a descriptor,
 * and the usual soft limit is lower than the number of connections that the server accepts. */
static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            adl_log(ADL_LOG_WARN, NULL, "cannot raise the limit on open files", NULL);
    }
}

/* Returns the bytes that requests may take: a quarter for their bodies, the rest for decoded images
 * and answers. */
static size_t memory_of(const struct settings *s)
{
    return s->memory ? s->memory : ADL_MAX(ADL_LIMIT_MEMORY_BYTES, 16 * s->max_body);
}

static void fill_server(struct adl_server *server, const struct settings *s)
{
    server->max_body = s->max_body;
    server->max_pixels = (size_t)s->max_pixels;
    server->max_map_cost = s->max_map_cost;
    server->timeout_s = s->timeout;
    server->reduced_decode = s->fast_decode && !s->exact_decode;
    server->web = !s->no_web;
    server->allowed_hosts = s->allowed_hosts.items;
    server->allowed_host_count = s->allowed_hosts.count;
    server->cors_origin = s->cors_origin;
    server->queue_capacity = (size_t)s->queue;
    server->memory = memory_of(s) - memory_of(s) / 4;
    if (getrandom(&server->hash_seed, sizeof server->hash_seed, 0) < 0)
        server->hash_seed = 0;
}

static int open_tls(struct adl_server *server, const struct settings *s, struct adl_error *err)
{
    if (!s->tls_cert && !s->tls_key && !s->tls_client_ca)
        return 0;
    if (!s->tls_cert || !s->tls_key)
        return adl_fail(err, ADL_ERR_ARG, "TLS needs both --tls-cert and --tls-key");
    server->tls = adl_tls_create(s->tls_cert, s->tls_key, s->tls_client_ca, err);
    if (!server->tls) {
        adl_service_explain(s->tls_key, err);
        return -1;
    }
    if (adl_auth_file_is_open(s->tls_key))
        adl_log(ADL_LOG_WARN, "config",
                "everybody on this machine can read the key of the certificate; chmod 600 it",
                json_pack("{s:o}", "file", adl_json_from_text(s->tls_key)));
    return 0;
}

enum { ISOLATE_AUTO, ISOLATE_ON, ISOLATE_OFF };
static const char *const isolate_names[] = {"auto", "on", "off", NULL};

/* What a decoder needs besides the pixels and buffers that are counted: tables, and what its
 * allocator keeps. */
#define DECODER_SPARE_BYTES (64 * ADL_MIB)

/* Starts the processes of --isolate-decoders, before there is a socket or a secret. Workers and the
 * writer of annotations are those who use them. */
static int open_decoders(struct adl_server *server, const struct settings *s, struct adl_error *err)
{
    const struct adl_decoders_config config = {
        .helpers = s->decode_threads,
        .most = 2 * s->decode_threads + (s->annotations != NULL),
        .file_bytes = s->max_body,
        .memory = server->memory + DECODER_SPARE_BYTES,
        .limit_s = (unsigned)s->timeout,
        .metrics = &server->metrics,
    };
    struct adl_error own = {0};

    if (s->isolate_decoders == ISOLATE_OFF)
        return 0;
    server->decoders = adl_decoders_create(&config, &own);
    if (server->decoders)
        return 0;
    if (s->isolate_decoders == ISOLATE_ON)
        return adl_fail(err, own.kind, "--isolate-decoders on: %.400s", own.message);
    adl_log(ADL_LOG_WARN, "decoder",
            "images are decoded in the server itself, because processes for it cannot be isolated",
            json_pack("{s:o}", "error", adl_json_from_text(own.message)));
    return 0;
}

/* Opens the directory of --annotations, which a thread of its own writes. */
static int open_annotations(struct adl_server *server, const struct settings *s,
                            struct adl_error *err)
{
    if (!s->annotations)
        return 0;
    adl_decoder_client_init(&server->writer_decoder, server->decoders);
    server->annotations =
        adl_annotations_open(s->annotations, server->max_pixels,
                             server->decoders ? &server->writer_decoder.decoder : NULL, err);
    if (!server->annotations) {
        adl_service_explain(s->annotations, err);
        return -1;
    }
    server->writer = adl_errands_start(err);
    return server->writer ? 0 : -1;
}

static int serve(struct adl_server *server, const struct settings *s, struct adl_error *err)
{
    struct adl_batcher_config batcher = {
        .decode_threads = s->decode_threads,
        .capacity = (size_t)s->queue,
        .most_wait_ms = (s->queue_time > 0 ? s->queue_time : s->timeout / 6.0) * 1e3,
        .memory = server->memory,
        .registry = server->registry,
        .metrics = &server->metrics,
        .decoders = server->decoders,
    };
    struct adl_http_config http = {
        .io_threads = IO_THREADS,
        .connections = (unsigned)(s->max_connections + s->queue),
        .connections_each = (unsigned)s->max_connections_each,
        .header_s = (unsigned)s->header_timeout,
        .idle_s = (unsigned)(s->idle_timeout ? s->idle_timeout : s->timeout),
        .request_s = (unsigned)s->timeout,
        .bodies_bytes = memory_of(s) / 4,
        .open = &server->connections,
        .tls = server->tls,
        .hooks = adl_route_hooks,
        .context = &server->door,
    };
    const struct adl_serve_listen listen = {
        .listen = s->listen,
        .admin_listen = s->admin_listen,
        .tokens = s->token_file != NULL,
        .no_auth = s->no_auth,
        .check_only = s->check_config,
    };
    struct adl_proxies *proxies = NULL;
    struct adl_runs *runs = NULL;
    struct adl_serve_sockets sockets = {.admin_fd = -1};
    int result = -1;

    if (s->trusted_proxies.count > 0) {
        proxies = adl_proxies_create(s->trusted_proxies.items, s->trusted_proxies.count, err);
        http.proxies = proxies;
        if (!proxies)
            goto out;
    }
    if (s->runs) {
        server->runs = runs = adl_runs_open(s->runs, err);
        if (!runs)
            goto out;
    }
    if (s->jobs) {
        server->jobs = adl_folder_jobs_open(server, s->jobs, (size_t)s->max_jobs, err);
        if (!server->jobs) {
            adl_service_explain(s->jobs, err);
            goto out;
        }
    }
    ADL_TRY(adl_serve_sockets_open(server, &listen, &sockets, err));
    memcpy(http.listen_fds, sockets.fds, sizeof http.listen_fds);
    http.listen_count = sockets.count;
    if (s->check_config) {
        result = 0;
        goto out;
    }
    server->batcher = adl_batcher_create(&batcher, err);
    if (!server->batcher || open_annotations(server, s, err) < 0)
        goto out;
    if (runs || server->jobs) {
        server->reader = adl_errands_start(err);
        if (!server->reader)
            goto out;
    }
    if (server->jobs && adl_folder_jobs_start(server->jobs, err) < 0)
        goto out;
    if (s->admin_listen && adl_serve_start_admin(server, &http, &sockets, err) < 0)
        goto out;
    server->http = adl_http_start(&http, err);
    if (!server->http)
        goto out;
    sockets.count = 0; /* the daemon owns them now */
    if (server->admin && adl_http_accept(server->admin, err) < 0)
        goto out;
    /* Connections of an inherited socket are accepted later, when the models are loaded; see
     * lifecycle.c. */
    if (!server->inherited && adl_http_accept(server->http, err) < 0)
        goto out;
    adl_serve_announce(server, &sockets, http.listen_count,
                       s->example && !s->no_web ? EXAMPLE_VIEW : NULL);
    ADL_TRY(adl_serve_models_watch(server, err));
    result = adl_lifecycle_run(server, token_file(s), s->drain_timeout, s->drain_delay, err);
    server->stuck |= !adl_watch_stop(server->watch, WATCH_MS);
    if (server->files_hang) {
        adl_serve_sockets_remove(&sockets);
        return result; /* threads still use all of it */
    }
out:
    adl_serve_sockets_close(&sockets);
    if (server->http)
        adl_http_stop(server->http);
    if (server->admin)
        adl_http_stop(server->admin);
    adl_serve_sockets_remove(&sockets);
    adl_folder_jobs_free(server->jobs);
    adl_batcher_free(server->batcher);
    adl_errands_free(server->reader);
    adl_runs_free(runs);
    adl_errands_free(server->writer);
    adl_annotations_free(server->annotations);
    adl_proxies_free(proxies);
    return result;
}

static void print_stranger(void *context, const char *sentence)
{
    (void)context;
    fprintf(stderr, "adl-server: serve: warning: %s\n", sentence);
}

/* Starts what tells a collector of requests, if there is one. */
static int open_tracer(struct adl_server *server, const struct settings *s, struct adl_error *err)
{
    struct adl_tracer_config config = {.share = s->trace_share};

    if (!s->trace_endpoint)
        return 0;
    if (adl_http_endpoint_parse(s->trace_endpoint, "/v1/traces", &config.to, err) < 0)
        return adl_error_context(err, "--trace-endpoint");
    if (s->check_config)
        return 0;
    server->tracer = adl_tracer_start(&config, err);
    return server->tracer ? 0 : -1;
}

static void log_stranger(void *context, const char *sentence)
{
    (void)context;
    adl_log(ADL_LOG_WARN, "config", sentence, NULL);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct adl_server *server = NULL;
    struct adl_str text = {0};
    int result = -1;

    if (s->print_config) {
        adl_options_print(options, &text);
        if (text.failed)
            return adl_fail_nomem(err, "the configuration");
        fputs(text.data, stdout);
        adl_str_release(&text);
        adl_option_strangers(adl_command_options(options->command), print_stranger, NULL);
        return 0;
    }
    /* To be called before the first thread starts. Decoded images are large and
     * short-lived: above the mmap threshold they are returned to the system at
     * once, and two arenas keep the rest from fragmenting. */
    adl_mem_limit_arenas(2);
    adl_mem_return_early();
    json_object_seed(0);
    adl_log_setup((enum adl_log_level)s->log_level, (enum adl_log_format)s->log_format);
    adl_option_strangers(adl_command_options(options->command), log_stranger, NULL);

    if (s->access_log && !s->check_config &&
        adl_access_log_open(s->access_log, (enum adl_access_format)s->access_format, err) < 0) {
        adl_service_explain(s->access_log, err);
        return -1;
    }
    if (s->max_body > memory_of(s) / 4)
        return adl_fail(err, ADL_ERR_ARG,
                        "--memory %zu: has to be at least four times --max-body, %zu", s->memory,
                        s->max_body);
    raise_file_limit();
    server = adl_calloc(1, sizeof *server);
    if (!server)
        return adl_fail_nomem(err, "the server");
    fill_server(server, s);
    ADL_TRY(adl_signals_take(err));
    ADL_TRY(open_decoders(server, s, err));
    adl_signals_guard_start();
    server->door = (struct adl_door){.server = server};
    server->has_admin = s->admin_listen != NULL;
    server->admin_door = (struct adl_door){.server = server, .admin = true};
    server->reload_requests = adl_reload_requests_create(adl_lifecycle_ask_reload, err);
    server->model_changes = adl_model_changes_create(server, adl_lifecycle_ask_changes, err);
    if (!server->reload_requests || !server->model_changes)
        goto out;
    server->auth = adl_auth_create(err);
    if (!server->auth)
        goto out;
    if (token_file(s) && adl_auth_read_tokens(server->auth, token_file(s), err) < 0) {
        adl_service_explain(token_file(s), err);
        goto out;
    }
    if (token_file(s) && adl_auth_file_is_open(token_file(s)))
        adl_log(ADL_LOG_WARN, "config", ADL_AUTH_OPEN_FILE,
                json_pack("{s:o}", "file", adl_json_from_text(token_file(s))));
    if (open_tls(server, s, err) < 0 || open_tracer(server, s, err) < 0)
        goto out;
    server->registry =
        adl_registry_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!server->registry)
        goto out;
    struct adl_map_changes map;
    ADL_TRY(adl_int8_check(s->precision, s->calibrate, err));
    ADL_TRY(adl_map_options_changes(&s->map, options, &map, err));
    adl_registry_change_maps(server->registry, &map);
    adl_registry_choose_precision(server->registry, s->precision, s->calibrate);
    const struct adl_serve_models models = {
        .models = &s->models,
        .example = s->example,
        .folder = s->models_dir,
        .watch = s->watch,
        .keep_versions = s->keep_versions,
        .check_only = s->check_config,
    };
    ADL_TRY(adl_serve_models_open(server, &models, err));
    result = serve(server, s, err);
    adl_tracer_stop(server->tracer);
    server->tracer = NULL;
    if (server->stuck || server->files_hang)
        return result; /* a thread still uses all of it */
out:
    adl_tracer_stop(server->tracer);
    adl_watch_free(server->watch);
    adl_registry_free(server->registry);
    adl_model_changes_free(server->model_changes);
    adl_auth_free(server->auth);
    adl_reload_requests_free(server->reload_requests);
    adl_tls_free(server->tls);
    adl_decoders_free(server->decoders);
    adl_free(server);
    return result;
}

static const struct adl_option table[] = {
    {"model", ADL_LIST(struct settings, models), .letter = 'm', .metavar = "[NAME=]FILE",
     .default_note = "the model that ships",
     .help = "model to serve; the first one answers requests that name none"},
    {"example", ADL_FLAG(struct settings, example),
     .help = "serve cam and adl, two small networks that ship and differ in nothing but ADL, and "
             "print the address of the page with both side by side"},
    {"models-dir", ADL_STRING(struct settings, models_dir), .metavar = "DIR",
     .help = "folder whose files PUT /models/NAME on the listener of --admin-listen may load, and "
             "whose NAME.safetensors --watch loads"},
    {"watch", ADL_FLAG(struct settings, watch),
     .help = "load models whose files change, and with --models-dir those that appear in it; "
             "unload those whose files go from it"},
    {"keep-versions", ADL_INT(struct settings, keep_versions), .value = "0", .min = 0,
     .max = ADL_LIMIT_KEPT_VERSIONS, .metavar = "N",
     .help = "replaced versions of each model that stay loaded, to be asked for as NAME@VERSION"},
    {"listen", ADL_STRING(struct settings, listen), .letter = 'l', .value = "127.0.0.1:8080",
     .metavar = "HOST:PORT",
     .help = "address to listen on, or unix:PATH; port 0 picks a free port and prints it"},
    {"admin-listen", ADL_STRING(struct settings, admin_listen), .metavar = "HOST:PORT",
     .help = "listen here as well, or on unix:PATH, for health, metrics, models and reload, "
             "answered when the other listener is full; /metrics is here only then"},
    ADL_OPTION_PRECISION(struct settings),
    ADL_OPTION_CALIBRATE(struct settings),
    ADL_OPTION_THREADS(struct settings,
                       .help = "number of compute threads; results do not depend on it"),
    {"config", ADL_STRING(struct settings, config), .letter = 'c', .metavar = "FILE",
     .help = "read options from a JSON object with their names as keys"},
    {"token-file", ADL_STRING(struct settings, token_file), .metavar = "FILE",
     .help = "require one of the bearer tokens in FILE, one per line, each with its name, expiry, "
             "rights and rate"},
    {"no-auth", ADL_FLAG(struct settings, no_auth),
     .help = "require no token, even if other machines can reach the server"},
    {"tls-cert", ADL_STRING(struct settings, tls_cert), .metavar = "FILE",
     .help = "speak TLS 1.2 and 1.3 with this certificate, in PEM, followed by those of its "
             "authorities; SIGHUP reads it again"},
    {"tls-key", ADL_STRING(struct settings, tls_key), .metavar = "FILE",
     .help = "private key of --tls-cert, in PEM, without a password"},
    {"tls-client-ca", ADL_STRING(struct settings, tls_client_ca), .metavar = "FILE",
     .help = "take only clients whose certificate was signed by an authority in FILE"},
    {"max-body", ADL_SIZE(struct settings, max_body), .value = "16M", .min = 1024,
     .max = 1024.0 * 1024 * 1024, .metavar = "BYTES", .help = "maximum size of a request body"},
    {"max-pixels", ADL_INT(struct settings, max_pixels), .value = "100000000", .min = 1,
     .max = 2000000000, .metavar = "N", .help = "maximum number of pixels of an image"},
    {"max-map-cost", ADL_DOUBLE(struct settings, max_map_cost), .value = "8", .min = 1, .max = 40,
     .metavar = "N",
     .help = "maximum cost of the scales and mirror images that a request asks for, in times that "
             "of the image alone"},
    {"memory", ADL_SIZE(struct settings, memory), .min = 64.0 * 1024 * 1024,
     .max = 1024.0 * 1024 * 1024 * 1024, .metavar = "BYTES",
     .default_note = "1G, or 16 times --max-body",
     .help = "maximum memory for requests, images and answers, besides that of the models"},
    {"queue", ADL_INT(struct settings, queue), .value = "64", .min = 1, .max = ADL_LIMIT_QUEUE,
     .metavar = "N",
     .help =
         "maximum images queued or in progress, besides a few of clients that were left behind; "
         "further requests get 503"},
    {"queue-time", ADL_DOUBLE(struct settings, queue_time), .min = 0.01, .max = 3600,
     .metavar = "SECONDS", .default_note = "a sixth of --timeout",
     .help = "while all images wait longer for the network, fewer than --queue are accepted"},
    {"decode-threads", ADL_INT(struct settings, decode_threads), .value = "2", .min = 1, .max = 16,
     .metavar = "N", .help = "number of threads that decode images and write responses"},
    {"isolate-decoders", ADL_CHOICE(struct settings, isolate_decoders), .choices = isolate_names,
     .value = "auto", .metavar = "WHEN",
     .help = "decode images in processes of their own that can open no file and no connection; "
             "auto: where the system allows it"},
    {"fast-decode", ADL_FLAG(struct settings, fast_decode),
     .help = "decode large JPEG images at a reduced size, no less than twice the network's input: "
             "faster, but boxes can differ by some pixels from those of localize and eval"},
    {"exact-decode", ADL_FLAG(struct settings, exact_decode),
     .help = "overrule --fast-decode: the default, in which serve, localize and eval agree"},
    {"timeout", ADL_INT(struct settings, timeout), .value = "30", .min = 1, .max = 3600,
     .metavar = "SECONDS", .help = "time limit for receiving and answering a request"},
    {"header-timeout", ADL_INT(struct settings, header_timeout), .value = "10", .min = 1,
     .max = 3600, .metavar = "SECONDS",
     .help = "time limit for the head of a request, from the connection or from its first line"},
    {"idle-timeout", ADL_INT(struct settings, idle_timeout), .min = 1, .max = 3600,
     .metavar = "SECONDS", .default_note = "as --timeout",
     .help = "time after which a connection without a request is closed"},
    {"max-connections", ADL_INT(struct settings, max_connections), .value = "1024", .min = 16,
     .max = 60000, .metavar = "N",
     .help = "maximum open connections, besides those of --queue; for a further one, the longest "
             "idle one of the address that has the most is closed"},
    {"max-connections-per-address", ADL_INT(struct settings, max_connections_each), .min = 1,
     .max = 60000, .metavar = "N", .default_note = "no limit",
     .help = "maximum open connections of one address"},
    {"drain-delay", ADL_INT(struct settings, drain_delay), .value = "0", .min = 0, .max = 3600,
     .metavar = "SECONDS",
     .help = "after SIGTERM, go on serving for this time while /readyz answers 503, so that load "
             "balancers notice"},
    {"drain-timeout", ADL_INT(struct settings, drain_timeout), .value = "20", .min = 0, .max = 3600,
     .metavar = "SECONDS", .help = "time limit for finishing accepted requests after SIGTERM"},
    {"cors-origin", ADL_STRING(struct settings, cors_origin), .metavar = "ORIGIN",
     .help = "allow pages of this origin to read responses; * for any origin"},
    {"allow-host", ADL_LIST(struct settings, allowed_hosts), .metavar = "NAME",
     .help = "on loopback, accept this Host header besides localhost; * for any"},
    {"trusted-proxy", ADL_LIST(struct settings, trusted_proxies), .metavar = "ADDRESS[/PREFIX]",
     .help = "take the client's address from the X-Forwarded-For header of this proxy or network; "
             "unix for those who connect to a Unix socket"},
    ADL_MAP_OPTIONS(struct settings, map,
                    "threshold at which maps are cut, unless a request gives another"),
    {"runs", ADL_STRING(struct settings, runs), .metavar = "DIR",
     .help = "show the training runs below DIR at /training, while they run too"},
    {"annotations", ADL_STRING(struct settings, annotations), .metavar = "DIR",
     .help =
         "keep pictures and the boxes that people draw on them in DIR, a data set for calibrate"},
    {"jobs", ADL_STRING(struct settings, jobs), .metavar = "DIR",
     .help = "let POST /jobs name folders below DIR, whose pictures are localized while nobody "
             "waits"},
    {"max-jobs", ADL_INT(struct settings, max_jobs), .value = "16", .min = 1, .max = ADL_LIMIT_JOBS,
     .metavar = "N", .help = "maximum jobs that wait, run, or have ended and keep their results"},
    {"no-web", ADL_FLAG(struct settings, no_web), .help = "do not serve the web page"},
    {"log-level", ADL_CHOICE(struct settings, log_level), .choices = adl_log_level_names,
     .value = "info", .metavar = "LEVEL", .help = "least severe level to log on stderr"},
    {"log-format", ADL_CHOICE(struct settings, log_format), .choices = adl_log_format_names,
     .value = "auto", .metavar = "FORMAT",
     .help = "log text, or one JSON object per line; auto is text on a terminal"},
    {"trace-endpoint", ADL_STRING(struct settings, trace_endpoint), .metavar = "URL",
     .help = "collector that is told of requests and the stages of their images, by OTLP over HTTP "
             "as JSON; a URL without a path means /v1/traces"},
    {"trace-share", ADL_DOUBLE(struct settings, trace_share), .value = "1", .min = 0, .max = 1,
     .metavar = "P",
     .help = "share of the requests without a header traceparent that it is told of; the header "
             "decides for the others"},
    {"access-log", ADL_STRING(struct settings, access_log), .metavar = "FILE",
     .help = "log requests to FILE instead, one line each; SIGUSR1 opens it again"},
    {"access-log-format", ADL_CHOICE(struct settings, access_format),
     .choices = adl_access_format_names, .value = "json", .metavar = "FORMAT",
     .help = "one JSON object per request, or the combined format of web servers"},
    {"check-config", ADL_FLAG(struct settings, check_config), .command_line_only = true,
     .help = "check options, tokens, the address and the model files, then exit"},
    {"print-config", ADL_FLAG(struct settings, print_config), .command_line_only = true,
     .help = "print the value and source of every option, then exit"},
    {0},
};

const struct adl_command adl_command_serve = {
    .name = "serve",
    .summary = "Serve models over HTTP",
    .usage = "[--model [NAME=]FILE ...] [options]",
    .description =
        "POST /localize takes an image and returns its classes and their boxes. GET / is a web "
        "page to try it, GET /openapi.json describes the interface, and GET /metrics serves "
        "Prometheus. SIGHUP reloads models and tokens without dropping a request. SIGTERM finishes "
        "accepted requests and exits.",
    .examples = "  adl-server serve --model birds=birds.safetensors\n"
                "  curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg "
                "http://127.0.0.1:8080/localize\n",
    .options = table,
    .layered = true,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
