/* Loads the models, and keeps the current version of each.
 *
 * DESIGN
 *
 * A reload has to replace a model without dropping a request and without making one wait.
 * So a version (struct adl_served) is immutable and reference-counted: the registry holds
 * one reference to the current version of each name, each request holds one to the
 * version that it began with. A reload builds the new version beside the old one, checks
 * it, and swaps one pointer; the old version is freed with its last request. Until then both
 * are in memory.
 *
 * Threads and locks. One loader thread calls adl_registry_load(); I/O threads acquire;
 * I/O threads and decode workers release. `lock` protects the pointers `current` and is
 * held for the few instructions in which a reference is taken or a pointer is swapped. It
 * makes reading the pointer and incrementing the count one step; in between, another thread
 * could free the version. Releasing needs no lock, since the count is
 * atomic and cannot rise from zero. An atomic pointer with deferred reclamation would
 * save this lock, which is taken once for each request and is never contended for long.
 *
 * `compute` serialises the use of the compute pool and of all sessions: a run of the
 * engine, the trial run of a new version, and the packing of weights at the first load.
 * A reload packs its weights on the loader thread alone, without the pool, so that the
 * requests keep the threads. Names and paths do not change after the start. */

#include "server/serving/registry.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/name.h"
#include "io/json_text.h"
#include "models/file/description.h"
#include "models/file/load.h"
#include "server/serving/log.h"
#include "server/serving/notify.h"
#include "server/tasks/int8_model.h"

/* Between two lines of the log about one choice of ranges. */
#define PROGRESS_MS 5000

struct entry {
    char name[ADL_LIMIT_MODEL_NAME_BYTES + 1];
    char *path;
    struct adl_served *current; /* under the lock; owns a reference; NULL: not loaded yet */
};

struct adl_registry {
    struct entry entries[ADL_LIMIT_MODELS];
    size_t count;
    pthread_mutex_t lock;    /* protects each `current` */
    pthread_mutex_t compute; /* protects the pool and all sessions */
    struct adl_pool *pool;
    int threads;
    int precision;                      /* of adl_int8_choose() */
    const char *calibrate;              /* the directory of photographs; NULL: none */
    atomic_bool stopped;                /* a load is not to go on choosing ranges */
    struct adl_map_changes map_changes; /* applied to the map rule of every model */
};

struct adl_registry *adl_registry_create(int threads, struct adl_error *err)
{
    struct adl_registry *registry = adl_calloc(1, sizeof *registry);
    if (!registry) {
        adl_fail_nomem(err, "models");
        return NULL;
    }
    registry->map_changes = (struct adl_map_changes)ADL_MAP_NO_CHANGES;
    registry->threads = threads;
    registry->pool = adl_pool_create(threads, err);
    if (!registry->pool) {
        adl_free(registry);
        return NULL;
    }
    pthread_mutex_init(&registry->lock, NULL);
    pthread_mutex_init(&registry->compute, NULL);
    return registry;
}

int adl_registry_threads(const struct adl_registry *registry)
{
    return registry->threads;
}

void adl_registry_change_maps(struct adl_registry *registry, const struct adl_map_changes *changes)
{
    registry->map_changes = *changes;
}

void adl_registry_choose_precision(struct adl_registry *registry, int choice, const char *dir)
{
    registry->precision = choice;
    registry->calibrate = dir;
}

void adl_registry_stop_loading(struct adl_registry *registry)
{
    atomic_store(&registry->stopped, true);
}

void adl_registry_free(struct adl_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->count; i++) {
        adl_served_release(registry->entries[i].current);
        adl_free(registry->entries[i].path);
    }
    adl_pool_free(registry->pool);
    pthread_mutex_destroy(&registry->lock);
    pthread_mutex_destroy(&registry->compute);
    adl_free(registry);
}

static bool is_name(const char *text, size_t length)
{
    if (length < 1 || length > ADL_LIMIT_MODEL_NAME_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z') ||
              (text[i] >= 'a' && text[i] <= 'z') || strchr("._-", text[i])))
            return false;
    return true;
}

int adl_registry_add(struct adl_registry *registry, const char *text, struct adl_error *err)
{
    struct entry *entry = &registry->entries[registry->count];
    const char *equals = strchr(text, '=');
    const char *path = text;

    if (registry->count == ADL_LIMIT_MODELS)
        return adl_fail(err, ADL_ERR_ARG, "more than %d models", ADL_LIMIT_MODELS);
    /* An equals sign after a slash belongs to the path of the file. */
    if (equals && !memchr(text, '/', (size_t)(equals - text))) {
        if (!is_name(text, (size_t)(equals - text)))
            return adl_fail(err, ADL_ERR_ARG,
                            "--model %s: a name consists of 1 to %d of the characters A-Z a-z "
                            "0-9 . _ and -",
                            ADL_SHORT(text), ADL_LIMIT_MODEL_NAME_BYTES);
        snprintf(entry->name, sizeof entry->name, "%.*s", (int)(equals - text), text);
        path = equals + 1;
    } else {
        snprintf(entry->name, sizeof entry->name, "default");
    }
    for (size_t i = 0; i < registry->count; i++)
        if (!strcmp(registry->entries[i].name, entry->name))
            return adl_fail(
                err, ADL_ERR_ARG,
                "--model %s: there is already a model \"%s\"; give each one a different "
                "name: --model NAME=FILE",
                ADL_SHORT(text), entry->name);
    if (!*path)
        return adl_fail(err, ADL_ERR_ARG, "--model %s: the file name is missing", ADL_SHORT(text));
    entry->path = adl_strdup(path);
    if (!entry->path)
        return adl_fail_nomem(err, "models");
    registry->count++;
    return 0;
}

size_t adl_registry_count(const struct adl_registry *registry)
{
    return registry->count;
}

const char *adl_registry_name(const struct adl_registry *registry, size_t index)
{
    return registry->entries[index].name;
}

const char *adl_registry_path(const struct adl_registry *registry, size_t index)
{
    return registry->entries[index].path;
}

void adl_registry_compute_lock(struct adl_registry *registry)
{
    pthread_mutex_lock(&registry->compute);
}

void adl_registry_compute_unlock(struct adl_registry *registry)
{
    pthread_mutex_unlock(&registry->compute);
}

/* --- versions ----------------------------------------------------------------- */

void adl_served_release(struct adl_served *served)
{
    if (!served || atomic_fetch_sub(&served->references, 1) > 1)
        return;
    adl_views_free(served->views);
    adl_plan_unref(served->plan);
    adl_model_free(served->model);
    adl_free(served->description);
    adl_free(served);
}

/* Runs the network once, on inputs of zeros (a uniform image of the mean colour). This
 * touches the weights and the session's pages before the first request does, and rejects weights
 * that do not give finite scores. At the start, when nobody waits, it runs a whole batch, whose
 * pages are those of all smaller ones; a reload holds the requests no longer than one image. */
static int check_scores(struct adl_registry *registry, struct adl_served *served, bool is_reload,
                        const char *path, struct adl_error *err)
{
    const int images = is_reload ? 1 : ADL_LIMIT_SERVE_BATCH;
    size_t pixels = adl_shape_count(adl_plan_input_shape(served->plan));
    size_t classes = adl_shape_count(adl_plan_output_shape(served->plan, ADL_OUTPUT_LOGITS));
    struct adl_session *session = adl_views_session(served->views);
    const float *logits;
    bool finite = true;

    adl_registry_compute_lock(registry);
    for (int i = 0; i < images; i++)
        memset(adl_session_input(session, i), 0, pixels * sizeof(float));
    adl_session_run(session, images);
    logits = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
    for (size_t i = 0; i < classes; i++)
        finite &= isfinite(logits[i]) != 0;
    adl_registry_compute_unlock(registry);
    if (!finite)
        return adl_fail(
            err, ADL_ERR_FORMAT,
            "%s: the scores for a uniform image are not finite; the weights are damaged", path);
    return 0;
}

/* Returns the JSON of GET /models/NAME; the caller frees it with adl_free. */
static char *describe(const struct adl_served *served, struct adl_error *err)
{
    const struct adl_model *model = served->model;
    json_t *root = adl_model_to_json(model);
    char loaded_at[40], *text = NULL;
    struct tm parts;
    json_t *more;

    gmtime_r(&served->loaded_at.tv_sec, &parts);
    strftime(loaded_at, sizeof loaded_at, "%Y-%m-%dT%H:%M:%SZ", &parts);
    more = json_pack("{s:s, s:s, s:I, s:f, s:s, s:s, s:I, s:I, s:I, s:s}", "name", served->name,
                     "state", "available", "class_count", (json_int_t)model->class_count,
                     "threshold", model->map.threshold, "digest", model->digest, "loaded_at",
                     loaded_at, "memory_bytes", (json_int_t)served->memory_bytes, "macs",
                     (json_int_t)adl_plan_macs(served->plan), "parameters",
                     (json_int_t)adl_graph_trainable(model->graph), "precision",
                     model->precision == ADL_PRECISION_INT8   ? "int8"
                     : model->precision == ADL_PRECISION_BF16 ? "bf16"
                                                              : "fp32");
    if (root && more && json_object_update(more, root) == 0)
        text = adl_json_to_text(more, JSON_COMPACT | JSON_REAL_PRECISION(9), NULL, err);
    else
        adl_fail_nomem(err, "a model's description");
    json_decref(root);
    json_decref(more);
    return text;
}

/* The choice of ranges of one model. */
struct choosing {
    struct adl_registry *registry;
    const char *name;
    uint64_t said_ns;
};

/* Says how far the choice is, now and then, and that the start takes its time for a reason. */
static void say_progress(void *context, size_t done, size_t total)
{
    struct choosing *choosing = context;
    uint64_t now = adl_clock_ns();

    if (done < total && adl_clock_ms(choosing->said_ns, now) < PROGRESS_MS)
        return;
    choosing->said_ns = now;
    adl_notify("STATUS=choosing ranges of %s (%zu/%zu)\nEXTEND_TIMEOUT_USEC=60000000",
               choosing->name, done, total);
    adl_log(ADL_LOG_INFO, "load", "choosing ranges for int8",
            json_pack("{s:s, s:I, s:I}", "model", choosing->name, "done", (json_int_t)done, "of",
                      (json_int_t)total));
}

static bool is_stopped(void *context)
{
    const struct choosing *choosing = context;
    return atomic_load(&choosing->registry->stopped);
}

static int choose_precision(struct adl_registry *registry, struct adl_served *served,
                            const char *path, struct adl_error *err)
{
    struct choosing choosing = {registry, served->name, adl_clock_ns()};
    const struct adl_int8_watch watch = {
        .progress = say_progress, .stop = is_stopped, .context = &choosing};

    return adl_int8_choose(served->model, registry->precision, path, registry->calibrate, &watch,
                           err);
}

static struct adl_served *load(struct adl_registry *registry, size_t index, struct adl_error *err)
{
    const char *path = registry->entries[index].path;
    struct adl_served *served = adl_calloc(1, sizeof *served);
    int result = -1;

    if (!served) {
        adl_fail_nomem(err, "a model");
        return NULL;
    }
    atomic_init(&served->references, 1);
    served->index = (int)index;
    served->name = registry->entries[index].name;
    served->model = adl_model_load(path, NULL, err);
    if (!served->model || choose_precision(registry, served, path, err) < 0)
        goto out;
    if (adl_model_change_map(served->model, &registry->map_changes, err) < 0) {
        adl_error_context(err, "%s", path);
        goto out;
    }
    struct adl_plan_options options = {.input_h = served->model->input_h,
                                       .input_w = served->model->input_w};
    /* A reload leaves the compute threads to the requests. */
    bool is_reload = registry->entries[index].current;
    if (!is_reload) {
        adl_registry_compute_lock(registry);
        options.pool = registry->pool;
    }
    served->plan = adl_model_into_plan(served->model, &options, err);
    if (!is_reload)
        adl_registry_compute_unlock(registry);
    if (!served->plan) {
        adl_error_context(err, "%s", path);
        goto out;
    }
    served->views = adl_model_open_views(served->model, served->plan, registry->pool,
                                         ADL_LIMIT_SERVE_BATCH, err);
    if (!served->views)
        goto out;
    struct adl_view_run run; /* of the model's rule, whose sessions are made now and kept */
    if (adl_views_prepare(served->views, &served->model->map, true, &run, err) < 0) {
        adl_error_context(err, "%s", path);
        goto out;
    }
    served->memory_bytes = adl_plan_weight_bytes(served->plan) + adl_views_bytes(served->views);
    clock_gettime(CLOCK_REALTIME, &served->loaded_at);
    served->description = describe(served, err);
    if (!served->description)
        goto out;
    ADL_TRY(check_scores(registry, served, is_reload, path, err));
    result = 0;
out:
    if (result < 0) {
        adl_served_release(served);
        served = NULL;
    }
    return served;
}

int adl_registry_load(struct adl_registry *registry, size_t index, struct adl_error *err)
{
    struct adl_served *old, *served = load(registry, index, err);

    if (!served) {
        malloc_trim(0);
        return -1;
    }
    pthread_mutex_lock(&registry->lock);
    old = registry->entries[index].current;
    registry->entries[index].current = served;
    pthread_mutex_unlock(&registry->lock);
    adl_served_release(old);
    /* The unpacked weights have been freed; return their pages to the system. */
    malloc_trim(0);
    return 0;
}

struct adl_served *adl_registry_acquire_index(struct adl_registry *registry, size_t index)
{
    struct adl_served *served;

    pthread_mutex_lock(&registry->lock);
    served = registry->entries[index].current;
    if (served)
        atomic_fetch_add(&served->references, 1);
    pthread_mutex_unlock(&registry->lock);
    return served;
}

struct adl_served *adl_registry_acquire(struct adl_registry *registry, const char *name,
                                        struct adl_error *err)
{
    for (size_t i = 0; i < registry->count; i++) {
        struct adl_served *served;
        if (*name && strcmp(registry->entries[i].name, name) != 0)
            continue;
        served = adl_registry_acquire_index(registry, i);
        if (!served)
            adl_fail(err, ADL_ERR_BUSY, "the model \"%s\" is still loading",
                     registry->entries[i].name);
        return served;
    }
    adl_fail(err, ADL_ERR_NOT_FOUND,
             "the model \"%s\" does not exist; GET /models lists the models", ADL_SHORT(name));
    return NULL;
}

bool adl_registry_ready(struct adl_registry *registry)
{
    bool ready = true;

    pthread_mutex_lock(&registry->lock);
    for (size_t i = 0; i < registry->count; i++)
        ready &= registry->entries[i].current != NULL;
    pthread_mutex_unlock(&registry->lock);
    return ready;
}
