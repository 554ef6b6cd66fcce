/* Loads a version of a model.
 *
 * The file is opened once, and everything is read through that descriptor: the digest and the
 * weights are those of one file, also while another is moved into its place. A program that writes
 * into the file changes its time, which is compared at the end.
 *
 * `compute` serialises the use of the compute pool and of all sessions: a run of the engine, the
 * trial run of a new version, and the packing of weights while nothing is served. Later loads pack
 * their weights on their thread alone, without the pool, so that the requests keep the threads. */

#include "server/serving/served.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/json_text.h"
#include "models/file/description.h"
#include "models/file/load.h"
#include "server/serving/log.h"
#include "server/serving/notify.h"
#include "server/tasks/int8_model.h"

/* Between two lines of the log about one choice of ranges. */
#define PROGRESS_MS 5000

/* --- names and references ----------------------------------------------------- */

struct adl_served_name *adl_served_name_create(const char *name, struct adl_error *err)
{
    struct adl_served_name *named = adl_calloc(1, sizeof *named);

    if (!named) {
        adl_fail_nomem(err, "a model's name");
        return NULL;
    }
    atomic_init(&named->references, 1);
    snprintf(named->name, sizeof named->name, "%s", name);
    return named;
}

void adl_served_name_hold(struct adl_served_name *named)
{
    atomic_fetch_add(&named->references, 1);
}

void adl_served_name_release(struct adl_served_name *named)
{
    if (named && atomic_fetch_sub(&named->references, 1) == 1)
        adl_free(named);
}

void adl_served_hold(struct adl_served *served)
{
    atomic_fetch_add(&served->references, 1);
}

void adl_served_release(struct adl_served *served)
{
    if (!served || atomic_fetch_sub(&served->references, 1) > 1)
        return;
    adl_views_free(served->views);
    adl_plan_unref(served->plan);
    adl_model_free(served->model);
    adl_served_name_release(served->named);
    adl_free(served->description);
    adl_free(served);
}

/* --- loading ------------------------------------------------------------------- */

/* Runs the network once, on inputs of zeros (a uniform image of the mean colour). This
 * touches the weights and the session's pages before the first request does, and rejects weights
 * that do not give finite scores. At the start, when nobody waits, it runs a whole batch, whose
 * pages are those of all smaller ones; later it holds the requests no longer than one image. */
static int check_scores(struct adl_served_setup *setup, struct adl_served *served,
                        const struct adl_served_file *file, struct adl_error *err)
{
    const int images = file->others ? 1 : adl_pool_threads(setup->pool);
    size_t pixels = adl_shape_count(adl_plan_input_shape(served->plan));
    size_t classes = adl_shape_count(adl_plan_output_shape(served->plan, ADL_OUTPUT_LOGITS));
    struct adl_session *session = adl_views_session(served->views);
    const float *logits;
    bool finite = true;

    adl_turns_take(&setup->compute);
    for (int i = 0; i < images; i++)
        memset(adl_session_input(session, i), 0, pixels * sizeof(float));
    adl_session_run(session, images);
    logits = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
    for (size_t i = 0; i < classes; i++)
        finite &= isfinite(logits[i]) != 0;
    adl_turns_pass(&setup->compute);
    if (!finite)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "the scores for a uniform image are not finite; the weights are damaged");
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
    more =
        json_pack("{s:s, s:s, s:s, s:I, s:f, s:s, s:s, s:I, s:I, s:I, s:s}", "name", served->name,
                  "model_version", served->version, "state", "available", "class_count",
                  (json_int_t)model->class_count, "threshold", model->map.threshold, "digest",
                  model->digest, "loaded_at", loaded_at, "memory_bytes",
                  (json_int_t)served->memory_bytes, "macs", (json_int_t)adl_plan_macs(served->plan),
                  "parameters", (json_int_t)adl_graph_trainable(model->graph), "precision",
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
    const struct adl_served_setup *setup;
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
    return atomic_load(&choosing->setup->stopped);
}

static int choose_precision(const struct adl_served_setup *setup, struct adl_served *served,
                            const char *path, struct adl_error *err)
{
    struct choosing choosing = {setup, served->name, adl_clock_ns()};
    const struct adl_int8_watch watch = {
        .progress = say_progress, .stop = is_stopped, .context = &choosing};

    return adl_int8_choose(served->model, setup->precision, path, setup->calibrate, &watch, err);
}

/* Reads the model of an open file. Its name for the functions that take a path is that of the
 * descriptor, which must not appear in messages. */
static struct adl_model *read_model(int fd, const char *path, struct adl_error *err)
{
    struct adl_error why = {0};
    char name[40];
    int length = snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    /* Without /proc the path has to do, and the stamps tell if it is another file by now. */
    struct adl_model *model = adl_model_load(access(name, R_OK) == 0 ? name : path, NULL, &why);
    const char *said = why.message;

    if (model)
        return model;
    while (!strncmp(said, name, (size_t)length) && !strncmp(said + length, ": ", 2))
        said += length + 2;
    adl_fail(err, why.kind, "%s", said);
    return NULL;
}

/* Makes the plan and the sessions of a model that was read. */
static int prepare(struct adl_served_setup *setup, struct adl_served *served,
                   const struct adl_served_file *file, struct adl_error *err)
{
    struct adl_plan_options options = {.input_h = served->model->input_h,
                                       .input_w = served->model->input_w};
    struct adl_view_run run; /* of the model's rule, whose sessions are made now and kept */

    if (adl_model_change_map(served->model, &setup->map_changes, err) < 0)
        return -1;
    if (!file->others) {
        adl_turns_take(&setup->compute);
        options.pool = setup->pool;
    }
    served->plan = adl_model_into_plan(served->model, &options, err);
    if (!file->others)
        adl_turns_pass(&setup->compute);
    if (!served->plan)
        return -1;
    served->views = adl_model_open_views(served->model, served->plan, setup->pool,
                                         adl_pool_threads(setup->pool), err);
    if (!served->views ||
        adl_views_prepare(served->views, &served->model->map, true, &run, err) < 0)
        return -1;
    served->memory_bytes = adl_plan_weight_bytes(served->plan) + adl_views_bytes(served->views);
    return check_scores(setup, served, file, err);
}

/* Fails if the file was written to since it was opened. */
static int check_unchanged(int fd, const struct adl_served *served, struct adl_error *err)
{
    struct adl_file_stamp now;

    if (adl_model_file_stamp(fd, &now, err) < 0)
        return -1;
    /* A link to the file, or a chmod, changes nothing that was read. */
    if (now.size == served->stamp.size && now.modified_ns == served->stamp.modified_ns)
        return 0;
    return adl_fail(err, ADL_ERR_FORMAT, "the file was written to while it was read");
}

static int load_open(struct adl_served_setup *setup, struct adl_served *served, int fd,
                     const struct adl_served_file *file, struct adl_error *err)
{
    const uint64_t begin = adl_clock_ns();

    served->model = read_model(fd, file->path, err);
    if (!served->model || check_unchanged(fd, served, err) < 0 ||
        choose_precision(setup, served, file->path, err) < 0 ||
        prepare(setup, served, file, err) < 0)
        return -1;
    clock_gettime(CLOCK_REALTIME, &served->loaded_at);
    served->load_s = adl_clock_ms(begin, adl_clock_ns()) / 1e3;
    served->description = describe(served, err);
    return served->description ? 0 : -1;
}

struct adl_served *adl_served_load(struct adl_served_setup *setup, struct adl_served_name *named,
                                   const struct adl_served_file *file, struct adl_error *err)
{
    struct adl_served *served = adl_calloc(1, sizeof *served);
    struct adl_error why = {0};
    bool same = false;
    int fd = -1;

    if (!served) {
        adl_fail_nomem(err, "a model");
        return NULL;
    }
    atomic_init(&served->references, 1);
    adl_served_name_hold(named);
    served->named = named;
    served->name = named->name;
    if (adl_model_file_open(file->folder, file->path, &fd, &served->stamp, err) == 0 &&
        adl_model_file_version(fd, &setup->stopped, served->version, &why) == 0) {
        same = file->unless && !strcmp(file->unless, served->version);
        if (!same)
            (void)!load_open(setup, served, fd, file, &why);
    }
    if (fd >= 0)
        close(fd);
    if (why.kind) {
        /* Some messages begin with the path already. */
        bool named_it = !strncmp(why.message, file->path, strlen(file->path));
        adl_fail(err, why.kind, "%s%s%s", named_it ? "" : file->path, named_it ? "" : ": ",
                 why.message);
    }
    if (err->kind || same) {
        adl_served_release(served);
        served = NULL;
    }
    return served;
}
