/* The page of the report: what ran, then section by section. */

#include "server/report/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "kernels/blas.h"
#include "models/file/load.h"
#include "server/report/report_parts.h"

#define REPORT "report.html"
/* Images that a run which was stopped still looks at. */
#define STOPPED_IMAGES 48

/* --- the head ------------------------------------------------------------------------- */

static void put_fact(struct adl_str *page, const char *name, const char *value)
{
    adl_str_puts(page, "<dt>");
    adl_html_text(page, name);
    adl_str_puts(page, "</dt><dd>");
    adl_html_text(page, value);
    adl_str_puts(page, "</dd>\n");
}

static void put_fact_of(struct adl_str *page, const char *name, const char *fmt, ...)
    ADL_PRINTF(3, 4);

static void put_fact_of(struct adl_str *page, const char *name, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_fact(page, name, text);
}

static void put_tile(struct adl_str *page, const char *name, const char *unit, double value)
{
    if (isfinite(value))
        adl_str_printf(page, "<div class=\"tile\"><b>%.*f%s</b><span>%s</span></div>\n",
                       *unit ? 1 : 3, value, unit, name);
}

/* The figures of the best epoch, where its line is there. */
static void put_tiles(struct adl_str *page, const struct adl_train_run *run,
                      const struct adl_report_epochs *epochs)
{
    size_t best = 0;
    while (best < epochs->count && epochs->epoch[best] != run->best_epoch)
        best++;
    if (best == epochs->count)
        return;
    adl_str_printf(page,
                   "<div class=\"tiles\">\n<div class=\"tile\"><b>%d</b>"
                   "<span>best epoch</span></div>\n",
                   run->best_epoch);
    put_tile(page, "MaxBoxAccV2", " %", epochs->max_box_acc_v2[best]);
    put_tile(page, "MaxBoxAcc", " %", epochs->max_box_acc[best]);
    put_tile(page, "top-1, val", " %", epochs->val_top1[best]);
    put_tile(page, "top-1, train", " %", epochs->train_top1[best]);
    put_tile(page, "threshold", "", epochs->threshold[best]);
    adl_str_puts(page, "</div>\n");
}

static void put_time(struct adl_str *page, const struct adl_report_epochs *epochs)
{
    double seconds = 0;
    for (size_t i = 0; i < epochs->count; i++)
        seconds += isfinite(epochs->seconds[i]) ? epochs->seconds[i] : 0;
    if (seconds < 120)
        put_fact_of(page, "Training took", "%.1f s", seconds);
    else if (seconds < 7200)
        put_fact_of(page, "Training took", "%.0f min", seconds / 60);
    else
        put_fact_of(page, "Training took", "%.1f h", seconds / 3600);
}

/* Every setting that decides the bits, as the run's files have it. */
static void put_settings(struct adl_str *page, const char *prefix, const json_t *settings)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? " " : "", key);
        if (json_is_object(value))
            put_settings(page, name, value);
        else if (json_is_string(value))
            put_fact(page, name, json_string_value(value));
        else if (json_is_boolean(value))
            put_fact(page, name, json_is_true(value) ? "yes" : "no");
        else if (json_is_number(value))
            put_fact_of(page, name, "%.10g", json_number_value(value));
    }
}

static void put_method(struct adl_str *page, const struct adl_train_run *run)
{
    const struct adl_method_settings *m = &run->settings->method;
    const char *name = adl_arch_methods[run->model->arch.adl];

    if (run->model->arch.adl)
        put_fact_of(page, "Method", "%s, drop rate %g, threshold %g%s", name, m->adl_drop_rate,
                    m->adl_threshold, m->adl_no_importance ? ", without importance map" : "");
    else
        put_fact(page, "Method", name);
}

static void put_head(struct adl_str *page, const struct adl_train_run *run,
                     const struct adl_report_epochs *epochs)
{
    const struct adl_train_settings *s = run->settings;
    struct adl_error none = {0};
    enum adl_isa isa;
    char text[128];

    adl_arch_describe(&run->model->arch, text, sizeof text);
    adl_str_puts(page, "<header id=\"run\"><h1>Training report</h1>\n<p class=\"sub\">");
    adl_html_text(page, text);
    adl_str_printf(page, "%s: %d of %d epochs</p>\n", run->model->arch.adl ? "" : ", cam",
                   run->epoch, s->epochs);
    put_tiles(page, run, epochs);
    adl_str_puts(page, "<code class=\"command\">");
    adl_html_text(page, run->command);
    adl_str_puts(page, "</code>\n<dl>\n");
    put_fact(page, "Network", text);
    put_method(page, run);
    put_fact(page, "Data", adl_train_data(s));
    put_fact_of(page, "Images", "%zu to train on, %zu to validate, %zu classes", run->train->count,
                run->val ? run->val->count : 0, run->train->class_count);
    if (run->best_epoch)
        put_fact_of(page, "Best epoch", "%d, by %s", run->best_epoch,
                    !run->val                 ? "being the last: there is no val split"
                    : run->val->box_count > 0 ? "MaxBoxAccV2 on val"
                                              : "top-1 on val");
    put_time(page, epochs);
    put_fact_of(page, "Seed", "%d", s->seed);
    put_fact_of(page, "Program", "adl-server %s, %s path, %d threads", ADL_VERSION,
                adl_isa_choose(ADL_ISA_AUTO, &isa, &none) == 0 ? adl_isa_name(isa) : "unknown",
                adl_pool_threads(run->pool));
    put_fact(page, "Processor", adl_cpu_name());
    put_fact_of(page, "BLAS", "%s, %s", adl_blas_version(), adl_blas_threading());
    adl_str_puts(page, "</dl>\n<details><summary>All settings</summary><dl>\n");
    put_settings(page, "", run->config);
    adl_str_puts(page, "</dl></details></header>\n");
}

/* --- pictures ------------------------------------------------------------------------- */

/* What the pictures are made with, and owns it. */
struct studio {
    struct adl_model *model;
    struct adl_plan *plan;
    struct adl_session *session;
    struct adl_evaluate_place *places;
    struct adl_evaluate_report evaluation;
};

static void studio_release(struct studio *studio)
{
    adl_session_free(studio->session);
    adl_plan_unref(studio->plan);
    adl_model_free(studio->model);
    adl_free(studio->places);
    adl_evaluate_report_release(&studio->evaluation);
}

static bool is_stopped(void *context)
{
    const volatile sig_atomic_t *const *stop = context;
    return **stop != 0;
}

static int measure_val(const struct adl_train_run *run, enum adl_train_when when, int batch,
                       struct studio *studio, struct adl_error *err)
{
    const volatile sig_atomic_t *stop = run->stop;
    struct adl_progress progress;
    struct adl_evaluate_options options = {
        .curve_interval = run->settings->curve_interval,
        .model_threshold = studio->model->cam_threshold,
        .limit = when == ADL_TRAIN_STOPPED ? STOPPED_IMAGES : 0,
        .progress = adl_progress_callback,
        .report_context = &progress,
        .stopped = when == ADL_TRAIN_DONE ? is_stopped : NULL,
        .stop_context = &stop,
    };

    studio->places = adl_calloc(run->val->count, sizeof *studio->places);
    if (!studio->places)
        return adl_fail_nomem(err, "the gallery");
    options.places = studio->places;
    memcpy(options.mean, studio->model->mean, sizeof options.mean);
    memcpy(options.std, studio->model->std, sizeof options.std);
    adl_progress_start(&progress, "report: images",
                       options.limit ? ADL_MIN(options.limit, run->val->count) : run->val->count);
    int result = adl_evaluate_session(run->val, studio->session, batch, run->pool, &options,
                                      &studio->evaluation, err);
    adl_progress_finish(&progress);
    return result;
}

/* The best weights, or where there are none yet, the last; on val. */
static int studio_open(const struct adl_train_run *run, enum adl_train_when when,
                       struct studio *studio, struct adl_error *err)
{
    const char *name = run->best_epoch ? "best.safetensors" : "last.safetensors";
    int batch = ADL_MIN(run->settings->batch_size, 16);
    char *path = adl_train_path(run, name, err);

    studio->model = path ? adl_model_load(path, NULL, err) : NULL;
    adl_free(path);
    if (!studio->model)
        return -1;
    const struct adl_plan_options options = {.input_h = studio->model->input_h,
                                             .input_w = studio->model->input_w};
    studio->plan = adl_plan_create(studio->model->graph, studio->model->params, &options, err);
    studio->session = studio->plan ? adl_session_create(studio->plan, run->pool, batch, err) : NULL;
    if (!studio->session)
        return -1;
    return run->val ? measure_val(run, when, batch, studio, err) : 0;
}

/* A section that may fail on its own; then it says why. */
static void put_pictures(struct adl_str *page, const struct adl_report_pictures *pictures,
                         int (*put)(struct adl_str *, const struct adl_report_pictures *,
                                    struct adl_error *))
{
    struct adl_error err = {0};
    size_t before = page->length;

    if (put(page, pictures, &err) == 0)
        return;
    page->length = before;
    adl_html_note(page, "It could not be made: %s.", err.message);
    fprintf(stderr, "adl-server: train: %s: %s\n", REPORT, err.message);
}

static void put_picture_sections(struct adl_str *page, const struct adl_train_run *run,
                                 enum adl_train_when when, const struct studio *studio)
{
    const struct adl_report_pictures pictures = {.data = run->val ? run->val : run->train,
                                                 .model = studio->model,
                                                 .session = studio->session,
                                                 .pool = run->pool,
                                                 .mode = &run->mode,
                                                 .places = studio->places,
                                                 .localized = run->val && run->val->box_count > 0,
                                                 .seed = (uint64_t)run->settings->seed};

    adl_str_puts(page, "<section id=\"gallery\"><h2>Pictures of val</h2>\n");
    if (!run->val)
        adl_html_note(page, "The data has no val split to choose pictures from.");
    else if (!studio->session)
        adl_html_note(page, "They are made when the run ends.");
    else
        put_pictures(page, &pictures, adl_report_gallery);
    if (studio->session && run->val && when == ADL_TRAIN_STOPPED)
        adl_html_note(page, "The run was stopped: they are chosen from %zu of %zu images.",
                      studio->evaluation.images, run->val->count);
    adl_str_puts(page, "</section>\n<section id=\"adl\"><h2>What the ADL layers see</h2>\n");
    if (!run->model->arch.adl)
        adl_html_note(page, "The run trains without ADL: there are no such layers.");
    else if (!studio->session)
        adl_html_note(page, "Their maps are made when the run ends.");
    else
        put_pictures(page, &pictures, adl_report_adl_maps);
    adl_str_puts(page, "</section>\n");
}

/* --- the page ------------------------------------------------------------------------- */

static void put_start(struct adl_str *page)
{
    adl_str_puts(page, "<!DOCTYPE html>\n"
                       "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head>\n"
                       "<meta charset=\"utf-8\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                       "img-src data:; style-src 'unsafe-inline'\"/>\n"
                       "<title>Training report</title>\n");
    adl_html_style(page);
    adl_str_puts(page, "</head><body><main>\n");
}

static void put_end(struct adl_str *page)
{
    time_t now = time(NULL);
    struct tm utc;
    char text[64] = "";

    if (gmtime_r(&now, &utc))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
    adl_str_printf(page, "<footer>Written by adl-server %s, %s.</footer>\n</main></body></html>\n",
                   ADL_VERSION, text);
}

static int read_epochs(const struct adl_train_run *run, struct adl_report_epochs *epochs,
                       struct adl_error *err)
{
    struct adl_error missing = {0};
    size_t length;
    char *path = adl_train_path(run, "metrics.jsonl", err);
    char *text = path ? adl_file_read(path, ADL_LIMIT_METRICS_BYTES, &length, &missing) : NULL;
    int result = -1;

    if (path && !text && missing.kind != ADL_ERR_NOT_FOUND)
        adl_fail(err, missing.kind, "%s", missing.message);
    else if (path)
        result = adl_report_epochs_parse(text ? text : "", epochs, err);
    adl_free(text);
    adl_free(path);
    return result;
}

static int write_page(const struct adl_train_run *run, enum adl_train_when when,
                      struct adl_error *err)
{
    struct studio studio = {0};
    struct adl_report_epochs epochs = {0};
    struct adl_str page = {0};
    char *path = NULL;
    int result = -1;

    ADL_TRY(read_epochs(run, &epochs, err));
    if (when != ADL_TRAIN_EPOCH)
        ADL_TRY(studio_open(run, when, &studio, err));
    /* All of val through the best weights says it best; else their epoch does. */
    const struct adl_evaluate_report *evaluation = &run->evaluation;
    if (studio.evaluation.images && (when == ADL_TRAIN_DONE || !evaluation->images))
        evaluation = &studio.evaluation;
    if (!evaluation->images)
        evaluation = NULL;

    put_start(&page);
    put_head(&page, run, &epochs);
    adl_report_curves(&page, &epochs, run->best_epoch);
    adl_report_thresholds(&page, evaluation);
    put_picture_sections(&page, run, when, &studio);
    ADL_TRY(adl_report_classes(&page, evaluation, run->model, err));
    put_end(&page);
    path = adl_train_path(run, REPORT, err);
    if (!path)
        goto out;
    if (page.failed)
        adl_fail_nomem(err, "the page");
    else
        result = adl_file_write(path, &(struct adl_file_piece){page.data, page.length}, 1, err);
out:
    adl_free(path);
    adl_str_release(&page);
    adl_report_epochs_release(&epochs);
    studio_release(&studio);
    return result;
}

void adl_report_write(const struct adl_train_run *run, enum adl_train_when when)
{
    struct adl_error err = {0};

    if (run->settings->no_report)
        return;
    int result = write_page(run, when, &err);
    if (result < 0 && err.kind == ADL_ERR_CANCELLED) {
        err = (struct adl_error){0};
        result = write_page(run, ADL_TRAIN_STOPPED, &err);
    }
    if (result < 0)
        fprintf(stderr, "adl-server: train: %s could not be written: %s\n", REPORT, err.message);
}
