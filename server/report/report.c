/* Writes the report of a training run: reads the run's directory, runs the best weights on
 * the val split if that is asked for, and writes the page section by section. */

#include "server/report/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/labels.h"
#include "io/file.h"
#include "models/file/load.h"
#include "server/options/method_options.h"
#include "server/report/report_parts.h"
#include "server/report/report_pictures.h"
#include "server/tasks/progress.h"
#include "server/training/run_pictures.h"

/* Images of val that are evaluated for ADL_REPORT_SAMPLE. */
#define SAMPLE_IMAGES 48
/* Images per batch at most; more only cost memory. */
#define MAX_BATCH 16

/* Everything that the page is made from; owned. */
struct report {
    const struct adl_report_options *options;
    enum adl_report_depth depth;
    struct adl_run_record record;
    struct adl_report_epochs epochs;

    /* NULL in a report without images. */
    struct adl_dataset *data; /* val, or train if there is no val split */
    struct adl_model *model;  /* of the best epoch, or of the last one if none is marked as best */
    struct adl_plan *plan;
    struct adl_views *views;
    struct adl_evaluate_place *places; /* by image of val */
    struct adl_evaluate_report evaluation;
    struct adl_error missing; /* why there are no images although they were asked for */
};

static void release(struct report *report)
{
    adl_views_free(report->views);
    adl_plan_unref(report->plan);
    adl_model_free(report->model);
    adl_dataset_free(report->data);
    adl_free(report->places);
    adl_evaluate_report_release(&report->evaluation);
    adl_report_epochs_release(&report->epochs);
    adl_run_record_release(&report->record);
}

/* --- the run's files ------------------------------------------------------------------ */

/* Reads metrics.jsonl, which does not exist before a run has finished an epoch. */
static int read_epochs(struct report *report, struct adl_error *err)
{
    struct adl_error unread = {0};
    int result = -1;
    char *path = adl_run_path(report->options->dir, ADL_RUN_METRICS, err);
    char *text = path ? adl_file_read(path, ADL_LIMIT_METRICS_BYTES, NULL, &unread) : NULL;

    if (path && !text && unread.kind != ADL_ERR_NOT_FOUND)
        adl_fail(err, unread.kind, "%s", unread.message);
    else if (path)
        result = adl_report_epochs_parse(text ? text : "", &report->epochs, err);
    adl_free(text);
    adl_free(path);
    return result;
}

/* --- images --------------------------------------------------------------------------- */

static bool has_val(const struct report *report)
{
    return report->record.val_images > 0;
}

/* Returns whether a method of the run saves an attention in its layers. */
static bool has_attention(const struct report *report)
{
    const char *names = json_string_value(json_object_get(report->record.config, "method"));
    struct adl_method_set set = {0};
    struct adl_error unknown;

    if (!names || adl_method_set_parse(names, &set, &unknown) < 0)
        return false;
    return adl_method_set_attention(set) != NULL;
}

static bool is_stopped(void *context)
{
    const struct adl_report_options *options = context;
    return options->stop && *options->stop;
}

/* Returns how the run divided the data. */
static struct adl_dataset_division division_of(const struct adl_run_record *record)
{
    const json_t *config = record->config;
    return (struct adl_dataset_division){
        .val_share = json_real_value(json_object_get(config, "val_share")),
        .folds = (int)json_integer_value(json_object_get(config, "folds")),
        .fold = (int)json_integer_value(json_object_get(config, "fold")),
        .seed = (int)json_integer_value(json_object_get(config, "seed"))};
}

static int open_data(struct report *report, struct adl_error *err)
{
    const struct adl_report_options *o = report->options;
    const struct adl_run_record *r = &report->record;
    struct adl_dataset_options from = {
        .dir = o->data ? o->data : r->data_dir,
        .split = has_val(report) ? "val" : "train",
        .images = o->images ? o->images
                  : o->data ? NULL
                            : r->image_dir,
        .metadata = o->metadata ? o->metadata
                    : o->data   ? NULL
                                : r->metadata_dir,
        .masks = o->masks  ? o->masks
                 : o->data ? NULL
                           : r->mask_dir,
        .exif = adl_dataset_exif_find(json_string_value(json_object_get(r->config, "exif"))),
        .multi_label = json_is_true(json_object_get(r->config, "multi_label")),
        .division = division_of(r)};

    report->data = adl_dataset_open(&from, err);
    /* As the run did: undivided, val would be all images, those of train among them. */
    if (report->data && report->data->whole && has_val(report)) {
        from.division.val_share = ADL_DATASET_WHOLE_VAL_SHARE;
        adl_dataset_free(report->data);
        report->data = adl_dataset_open(&from, err);
    }
    if (!report->data || adl_dataset_pair_labels(report->data, err) < 0)
        return -1;
    if (report->data->count == 0 || !report->data->image_dir)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: has no images", r->data);
    return 0;
}

static int open_model(struct report *report, int batch, struct adl_error *err)
{
    char *path = adl_run_path(report->options->dir, ADL_RUN_BEST, err);

    if (path && (!report->epochs.best_epoch || !adl_file_is_regular(path))) {
        adl_free(path);
        path = adl_run_path(report->options->dir, ADL_RUN_LAST, err);
    }
    report->model = path ? adl_model_load(path, NULL, err) : NULL;
    adl_free(path);
    if (!report->model)
        return -1;
    if (adl_model_keep_layer(report->model, &report->model->map.views, err) < 0)
        return -1;
    struct adl_plan_options options = {.input_h = report->model->input_h,
                                       .input_w = report->model->input_w};
    adl_model_plan_options(report->model, &options);
    report->plan = adl_plan_create(report->model->graph, report->model->params, &options, err);
    report->views = report->plan ? adl_model_open_views(report->model, report->plan,
                                                        report->options->pool, batch, err)
                                 : NULL;
    return report->views ? 0 : -1;
}

static int measure_val(struct report *report, int batch, struct adl_error *err)
{
    const struct adl_model *model = report->model;
    struct adl_progress progress;
    struct adl_evaluate_options options = {
        .curve_interval = report->record.curve_interval,
        .map = model->map,
        .several = model->labels.several,
        .temperature = model->certainty.temperature,
        .confidence = adl_model_confidence(model, &model->map),
        .limit = report->depth == ADL_REPORT_SAMPLE ? SAMPLE_IMAGES : 0,
        .progress = adl_progress_callback,
        .report_context = &progress,
        .stopped = report->depth == ADL_REPORT_FULL ? is_stopped : NULL,
        .stop_context = (void *)(uintptr_t)report->options,
    };
    size_t count = report->data->count;

    report->places = adl_calloc(count, sizeof *report->places);
    if (!report->places)
        return adl_fail_nomem(err, "the gallery");
    options.places = report->places;
    memcpy(options.mean, model->mean, sizeof options.mean);
    memcpy(options.std, model->std, sizeof options.std);
    adl_progress_start(&progress, "report: images",
                       options.limit ? ADL_MIN(options.limit, count) : count);
    int result = adl_evaluate_views(report->data, report->views, batch, report->options->pool,
                                    &options, &report->evaluation, err);
    adl_progress_finish(&progress);
    return result;
}

static int try_images(struct report *report, struct adl_error *err)
{
    double of_run = json_number_value(json_object_get(report->record.config, "batch_size"));
    int batch = of_run >= 1 && of_run < MAX_BATCH ? (int)of_run : MAX_BATCH;

    if (open_data(report, err) < 0 || open_model(report, batch, err) < 0 ||
        adl_dataset_follow_classes(report->data, (const char *const *)report->model->classes,
                                   report->model->class_count, err) < 0)
        return -1;
    return has_val(report) ? measure_val(report, batch, err) : 0;
}

/* Prepares the images. If the data set or the model cannot be read, the page has no images;
 * that is not a failure. */
static int prepare_images(struct report *report, struct adl_error *err)
{
    struct adl_error failed = {0};

    if (report->depth == ADL_REPORT_FIGURES || (!has_val(report) && !has_attention(report)))
        return 0;
    if (try_images(report, &failed) == 0)
        return 0;
    if (failed.kind == ADL_ERR_NOMEM || failed.kind == ADL_ERR_CANCELLED)
        return adl_fail(err, failed.kind, "%s", failed.message);
    report->missing = failed;
    fprintf(stderr, "adl-server: %s: %s is without images: %s\n", report->options->subcommand,
            ADL_RUN_REPORT, failed.message);
    return 0;
}

/* --- sections with images --------------------------------------------------------------- */

typedef int put_images_fn(struct adl_str *, const struct adl_report_images *, struct adl_error *);

/* Appends the content of a section, or a note on why there is none. */
static void put_images(struct adl_str *page, const struct report *report,
                       const struct adl_report_images *images, put_images_fn *put)
{
    struct adl_error err = {0};
    size_t before = page->length;

    if (report->depth == ADL_REPORT_FIGURES) {
        adl_html_note(page, "Images are added when the run ends or is stopped.");
    } else if (report->missing.kind) {
        adl_html_note(page,
                      "There are no images, because the data set or the model could not be read: "
                      "%s. If the data set has moved, adl-server report with --data adds them.",
                      report->missing.message);
    } else if (put(page, images, &err) < 0) {
        page->length = before;
        adl_html_note(page, "This section could not be made: %s.", err.message);
        fprintf(stderr, "adl-server: %s: %s: %s\n", report->options->subcommand, ADL_RUN_REPORT,
                err.message);
    }
}

static void put_image_sections(struct adl_str *page, const struct report *report)
{
    const json_t *config = report->record.config;
    const struct adl_method *attention = adl_report_attention_method(report->model);
    union adl_method_value values[ADL_METHOD_VALUES];
    const struct adl_report_images images = {
        .data = report->data,
        .model = report->model,
        .views = report->views,
        .pool = report->options->pool,
        .values = values,
        .places = report->places,
        .localized = has_val(report) && report->data &&
                     (report->data->box_count > 0 || report->data->masked),
        .seed = (uint64_t)json_integer_value(json_object_get(config, "seed"))};

    adl_method_recall(config, values);
    adl_str_puts(page, "<section id=\"gallery\"><h2>Images of val</h2>\n");
    if (!has_val(report))
        adl_html_note(page, "The data has no val split to choose images from.");
    else
        put_images(page, report, &images, adl_report_gallery);
    if (report->depth == ADL_REPORT_SAMPLE && report->evaluation.images)
        adl_html_note(page, "The run was stopped: these were chosen from %zu of %zu image%s.",
                      report->evaluation.images, report->data->count, ADL_S(report->data->count));
    adl_str_puts(page,
                 "</section>\n<section id=\"attention\"><h2>What layers that hide see</h2>\n");
    if (!has_attention(report) || (report->model && !attention))
        adl_html_note(page, "The network has no layers that hide parts of a map by its attention.");
    else
        put_images(page, report, &images, adl_report_attention);
    adl_str_puts(page, "</section>\n");
}

static int put_matrix(struct adl_str *page, const struct report *report, struct adl_error *err)
{
    struct adl_confusion confusion;

    if (adl_confusion_count(&confusion, report->data, report->places, err) < 0)
        return -1;
    int result = adl_report_confusion(page, &confusion, report->model->class_count,
                                      report->record.labels, err);
    adl_confusion_release(&confusion);
    return result;
}

static int put_confusion(struct adl_str *page, const struct report *report, struct adl_error *err)
{
    int result = 0;

    adl_str_puts(page, "<section id=\"confusion\"><h2>Confusion matrix</h2>\n");
    if (!has_val(report))
        adl_html_note(page, "There is no evaluation of val to show here.");
    else if (json_is_true(json_object_get(report->record.config, "multi_label")))
        adl_html_note(page, "Images may have several classes, so none is taken for another.");
    else if (report->depth == ADL_REPORT_FIGURES)
        adl_html_note(page, "The confusion matrix is added when the run ends or is stopped.");
    else if (report->missing.kind || !report->places)
        adl_html_note(page, "There is no confusion matrix, because the data set or the model could "
                            "not be read.");
    else
        result = put_matrix(page, report, err);
    adl_str_puts(page, "</section>\n");
    return result;
}

/* --- the page ------------------------------------------------------------------------- */

static int put_page(struct adl_str *page, const struct report *report, struct adl_error *err)
{
    /* The best source is an evaluation of the whole val split with the best weights.
     * Otherwise the figures are those that the run measured in the epoch, which may use an
     * older threshold for the classes. */
    const struct adl_evaluate_report *evaluation = report->options->evaluation;
    if (report->evaluation.images && (report->depth == ADL_REPORT_FULL || !evaluation))
        evaluation = &report->evaluation;

    adl_html_start(page, "Training report");
    adl_report_head(page, &report->record, &report->epochs);
    adl_report_curves(page, &report->epochs);
    adl_report_thresholds(page, evaluation);
    adl_report_reliability(page, evaluation);
    /* Images are added when the run ends or is stopped. */
    if (report->depth != ADL_REPORT_FIGURES &&
        adl_report_held(page, report->options->dir, &report->epochs, err) < 0)
        return -1;
    put_image_sections(page, report);
    if (adl_report_classes(page, evaluation, report->record.labels, err) < 0 ||
        put_confusion(page, report, err) < 0)
        return -1;
    adl_html_end(page);
    return page->failed ? adl_fail_nomem(err, "the page") : 0;
}

static int write_page(const struct adl_report_options *options, enum adl_report_depth depth,
                      struct adl_error *err)
{
    struct report report = {.options = options, .depth = depth};
    struct adl_str page = {0};
    char *path = NULL;
    int result = -1;

    ADL_TRY(adl_run_record_read(options->dir, &report.record, err));
    ADL_TRY(read_epochs(&report, err));
    ADL_TRY(prepare_images(&report, err));
    ADL_TRY(put_page(&page, &report, err));
    path = adl_run_path(options->dir, ADL_RUN_REPORT, err);
    if (path)
        result = adl_file_write(path, &(struct adl_file_piece){page.data, page.length}, 1, err);
out:
    adl_free(path);
    adl_str_release(&page);
    release(&report);
    return result;
}

int adl_report_write(const struct adl_report_options *options, struct adl_error *err)
{
    int result = write_page(options, options->depth, err);

    if (result < 0 && err->kind == ADL_ERR_CANCELLED) {
        adl_error_clear(err);
        result = write_page(options, ADL_REPORT_SAMPLE, err);
    }
    return result;
}

void adl_report_on_event(const struct adl_train_event *event)
{
    static const enum adl_report_depth depths[] = {[ADL_TRAIN_EPOCH_DONE] = ADL_REPORT_FIGURES,
                                                   [ADL_TRAIN_STOPPED] = ADL_REPORT_SAMPLE,
                                                   [ADL_TRAIN_DONE] = ADL_REPORT_FULL,
                                                   [ADL_TRAIN_RATE_FOUND] = ADL_REPORT_FIGURES};
    const struct adl_report_options options = {.dir = event->dir,
                                               .depth = depths[event->kind],
                                               .subcommand = "train",
                                               .pool = event->pool,
                                               .evaluation = event->evaluation,
                                               .stop = event->stop};
    struct adl_error err = {0};

    if (event->kind == ADL_TRAIN_RATE_FOUND) {
        if (adl_report_rates(event->dir, event->rates, &err) < 0)
            fprintf(stderr, "adl-server: train: %s\n", err.message);
        return;
    }
    if (adl_report_pictures(event, &err) < 0) {
        fprintf(stderr, "adl-server: train: %s could not be written: %s\n", ADL_RUN_PICTURES,
                err.message);
        adl_error_clear(&err);
    }
    if (adl_report_write(&options, &err) < 0)
        fprintf(stderr, "adl-server: train: %s could not be written: %s\n", ADL_RUN_REPORT,
                err.message);
}
