/* Implements `eval`, which computes the metrics of the literature for a model, or for a directory
 * of score maps, on one split of a data set. evaluate.h computes them; this file checks the
 * arguments, and eval_figures.h prints. Under mpirun every process opens model and data, and
 * process 0 prints and writes. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/labels.h"
#include "eval/evaluate_parts.h"
#include "io/file.h"
#include "io/json_text.h"
#include "models/file/load.h"
#include "models/model.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/eval_classes.h"
#include "server/commands/eval_figures.h"
#include "server/commands/eval_ranks.h"
#include "server/options/map_options.h"
#include "server/tasks/dataset_log.h"
#include "server/tasks/default_model.h"
#include "server/tasks/directory.h"
#include "server/tasks/int8_model.h"
#include "server/tasks/json_out.h"
#include "server/tasks/labelled.h"
#include "server/tasks/predictions.h"
#include "server/tasks/progress.h"
#include "server/training/mpi.h"

/* The map threshold without a model: the default of a model file. */
#define MAPS_THRESHOLD 0.35

struct settings {
    const char *model;
    struct adl_dataset_options where;
    struct adl_map_settings map;
    bool json;
    bool per_class;
    const char *scoremaps;
    const char *from_scoremaps;
    const char *csv, *confusion, *predictions;
    double curve_interval;
    int threads;
    int precision;
    const char *calibrate;
    int batch;
    int limit;
};

struct eval {
    const struct settings *settings;
    const struct adl_exchange *exchange;  /* NULL: one process */
    bool follows;                         /* this is not process 0 */
    const char *model_path;               /* NULL: score maps are evaluated */
    char shipped[ADL_DEFAULT_MODEL_PATH]; /* path of the model that ships, if it is used */
    struct adl_dataset *dataset;
    struct adl_model *model;
    struct adl_pool *pool;
    struct adl_views *views;
    struct adl_evaluate_report report;
    struct adl_evaluate_place *places; /* by image, for --confusion, --predictions and several
                                        * processes; or NULL */
    struct adl_map_rule map; /* its threshold is that of GT-known, Top-1 and Top-5 localization */
    int batch;
};

/* --- results ---------------------------------------------------------------------- */

static struct adl_eval_classes classes_of(const struct eval *e)
{
    return (struct adl_eval_classes){
        .report = &e->report, .dataset = e->dataset, .model = e->model, .places = e->places};
}

static struct adl_eval_figures figures_of(const struct eval *e)
{
    return (struct adl_eval_figures){.classes = classes_of(e),
                                     .split = e->dataset->split,
                                     .threshold = e->map.threshold,
                                     .curve_interval = e->settings->curve_interval,
                                     .per_class = e->settings->per_class};
}

/* --- the data and the model ---------------------------------------------------------- */

static bool is_stdout(const char *path)
{
    return path && !strcmp(path, "-");
}

static int check_settings(const struct settings *s, struct adl_error *err)
{
    if (s->model && s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG, "--model and --from-scoremaps exclude each other");
    if (s->scoremaps && s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG, "--scoremaps and --from-scoremaps exclude each other");
    if ((s->confusion || s->predictions) && s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG,
                        "--%s needs a model: score maps do not say which class is predicted",
                        s->confusion ? "confusion" : "predictions");
    if (is_stdout(s->csv) + is_stdout(s->confusion) + is_stdout(s->predictions) + s->json > 1)
        return adl_fail(err, ADL_ERR_ARG,
                        "standard output can have only one of --json, --csv -, --confusion - and "
                        "--predictions -");
    if (!s->where.dir && s->where.metadata && !s->where.images && !s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG, "--images DIR is required without --data");
    if (!s->where.dir && !s->where.metadata)
        return adl_fail(err, ADL_ERR_ARG, "--data DIR or --metadata DIR is required");
    return 0;
}

/* Loads the model and refuses what images of several classes do not have. */
static int load_model(struct eval *e, struct adl_error *err)
{
    const struct settings *s = e->settings;

    e->model = adl_model_load(e->model_path, NULL, err);
    if (!e->model ||
        (e->follows
             ? adl_int8_choose(e->model, s->precision, e->model_path, s->calibrate, NULL, err)
             : adl_int8_choose_shown(e->model, s->precision, e->model_path, s->calibrate, err)) < 0)
        return -1;
    if (e->model->labels.several && (s->confusion || s->scoremaps))
        return adl_fail(err, ADL_ERR_ARG,
                        "--%s needs one class an image; the model was trained with --multi-label",
                        s->confusion ? "confusion" : "scoremaps");
    return 0;
}

/* Opens the data; if images may have several classes, every label becomes an entry of its own. */
static int open_data(struct eval *e, struct adl_error *err)
{
    struct adl_dataset_options where = e->settings->where;

    where.multi_label = e->model && e->model->labels.several;
    e->dataset = adl_labelled_open(&where, err);
    return e->dataset ? adl_dataset_pair_labels(e->dataset, err) : -1;
}

static int open_model(struct eval *e, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = e->settings;

    if (adl_labelled_match(e->dataset, e->model, e->model_path, adl_labelled_place(&s->where),
                           e->follows ? NULL : "eval", err) < 0)
        return -1;
    e->map = e->model->map;
    if (adl_map_options_apply(&s->map, options, e->model->foreground, &e->map, err) < 0 ||
        adl_model_keep_layer(e->model, &e->map.views, err) < 0)
        return -1;
    e->batch = (int)ADL_MIN((size_t)s->batch, e->dataset->count);
    e->views = adl_model_into_views(e->model, e->pool, e->batch, err);
    return e->views ? 0 : -1;
}

static void log_data(const struct eval *e)
{
    if (e->follows)
        return;
    if (e->dataset->note)
        fprintf(stderr, "adl-server: eval: %s\n", e->dataset->note);
    adl_labelled_log_whole(e->dataset, adl_labelled_place(&e->settings->where), "eval");
    adl_log_dataset(e->dataset, "eval", false);
}

static void log_unreadable(void *progress, const char *reason)
{
    adl_progress_clear(progress);
    fprintf(stderr, "adl-server: eval: %s\n", reason);
}

static void log_broken_classes(const struct eval *e)
{
    const struct adl_evaluate_report *r = &e->report;
    const struct adl_eval_classes classes = classes_of(e);
    char text[40];

    for (size_t i = 0; i < r->class_count; i++)
        if (r->classes[i].images > 0 && r->classes[i].errors == r->classes[i].images)
            fprintf(stderr, "adl-server: eval: warning: no image of %s can be read\n",
                    adl_eval_class_name(&classes, i, text, sizeof text));
}

/* Makes the rule for score maps that were made before, of which only the threshold may differ. */
static int make_rule_of_maps(struct eval *e, const struct adl_options *options,
                             struct adl_error *err)
{
    e->map = (struct adl_map_rule){.threshold = MAPS_THRESHOLD};
    if (adl_map_options_apply(&e->settings->map, options, NULL, &e->map, err) < 0)
        return -1;
    if (!adl_map_rule_is_reference(&e->map))
        return adl_fail(
            err, ADL_ERR_ARG,
            "the score maps of --from-scoremaps are measured as they are; --map-weights "
            "and --map-normalise apply where maps are made: eval --scoremaps DIR");
    return 0;
}

/* Measures the images, or this process's part of them. */
static int measure(struct eval *e, const struct adl_evaluate_options *how, struct adl_error *err)
{
    if (e->views)
        return adl_evaluate_views(e->dataset, e->views, e->batch, e->pool, how, &e->report, err);
    return adl_evaluate_scoremaps(e->dataset, e->settings->from_scoremaps, e->pool, how, &e->report,
                                  err);
}

static int evaluate(struct eval *e, struct adl_error *err)
{
    const struct settings *s = e->settings;
    uint64_t start = adl_clock_ns();
    struct adl_progress progress = {0};
    size_t total = e->dataset->count;
    int result;

    struct adl_evaluate_options how = {.curve_interval = s->curve_interval,
                                       .map = e->map,
                                       .detections = true,
                                       .limit = (size_t)s->limit,
                                       .places = e->places,
                                       .scoremaps = s->scoremaps,
                                       .progress = e->follows ? NULL : adl_progress_callback,
                                       .broken = log_unreadable,
                                       .report_context = &progress};
    if (e->model) {
        how.several = e->model->labels.several;
        how.temperature = e->model->certainty.temperature;
        how.confidence = adl_model_confidence(e->model, &e->map);
        memcpy(how.mean, e->model->mean, sizeof how.mean);
        memcpy(how.std, e->model->std, sizeof how.std);
    }
    if (!adl_eval_ranks_take(e->exchange, e->dataset, &how))
        return 0;
    total = how.limit ? ADL_MIN(how.limit, total) : total;
    if (!e->follows)
        adl_progress_start(&progress, "images", adl_ceil_div(total, ADL_MAX(how.parts, (size_t)1)));
    result = measure(e, &how, err);
    if (how.parts) {
        result = adl_evaluate_join(e->exchange, e->dataset, &how, result, &e->report, err);
        e->report.seconds = adl_clock_ms(start, adl_clock_ns()) / 1000;
    }
    if (!e->follows)
        adl_progress_finish(&progress);
    if (result == 0 && !e->follows)
        log_broken_classes(e);
    return result;
}

/* Fails if a file cannot be written, before its content is computed, and makes room for what the
 * confusion matrix and the predictions need. */
static int check_files(struct eval *e, struct adl_error *err)
{
    const char *const paths[] = {e->settings->csv, e->settings->confusion,
                                 e->settings->predictions};

    for (size_t i = 0; i < ADL_COUNT(paths) && !e->follows; i++)
        if (paths[i] && !is_stdout(paths[i]) && adl_file_check_place(paths[i], err) < 0)
            return -1;
    if (!e->settings->confusion && !e->settings->predictions && !e->exchange)
        return 0;
    e->places = adl_calloc(e->dataset->count, sizeof *e->places);
    return e->places ? 0 : adl_fail_nomem(err, "the predictions");
}

static int write_files(const struct eval *e, struct adl_error *err)
{
    const struct adl_eval_classes classes = classes_of(e);

    if (e->settings->csv && adl_eval_classes_csv(&classes, e->settings->csv, err) < 0)
        return -1;
    if (e->settings->confusion && adl_eval_confusion_csv(&classes, e->settings->confusion, err) < 0)
        return -1;
    if (!e->settings->predictions)
        return 0;
    const struct adl_predictions predictions = {.dataset = e->dataset,
                                                .model = e->model,
                                                .places = e->places,
                                                .localized =
                                                    e->report.localized || e->report.masked,
                                                .some = e->settings->limit > 0};
    return adl_predictions_write(&predictions, e->settings->predictions, err);
}

/* Writes and prints all that was found. */
static int show(const struct eval *e, struct adl_error *err)
{
    const struct settings *s = e->settings;
    const struct adl_eval_figures figures = figures_of(e);

    if (write_files(e, err) < 0)
        return -1;
    if (s->json)
        return adl_eval_figures_json(&figures, err);
    if (is_stdout(s->csv) || is_stdout(s->confusion) || is_stdout(s->predictions))
        return 0;
    return adl_eval_figures_print(&figures, err);
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct eval e = {.settings = s};
    int result = -1;

    ADL_TRY(check_settings(s, err));
    ADL_TRY(adl_mpi_open(&e.exchange, err));
    e.follows = e.exchange && e.exchange->rank > 0;
    if (!s->from_scoremaps) {
        e.model_path = adl_model_or_default(s->model, e.shipped, err);
        if (!e.model_path)
            goto out;
    }
    if (e.model_path)
        ADL_TRY(load_model(&e, err));
    ADL_TRY(open_data(&e, err));
    e.pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!e.pool)
        goto out;
    if (e.model_path)
        ADL_TRY(open_model(&e, options, err));
    else
        ADL_TRY(make_rule_of_maps(&e, options, err));
    if (s->scoremaps)
        ADL_TRY(adl_make_directory(s->scoremaps, err));
    ADL_TRY(check_files(&e, err));
    log_data(&e);
    ADL_TRY(
        adl_eval_ranks_compare(e.exchange, options->command_line, e.model_path, e.dataset, err));
    ADL_TRY(evaluate(&e, err));
    if (!e.follows)
        ADL_TRY(show(&e, err));
    ADL_TRY(adl_eval_ranks_wait(e.exchange, err));
    result = 0;
out:
    if (result == 0)
        adl_mpi_close();
    else
        adl_mpi_set_status(adl_exit_status(err->kind));
    adl_evaluate_report_release(&e.report);
    adl_free(e.places);
    adl_views_free(e.views);
    adl_model_free(e.model);
    adl_pool_free(e.pool);
    adl_dataset_free(e.dataset);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .default_note = "the model that ships", .help = "model file"),
    ADL_OPTIONS_DATASET(struct settings, where),
    ADL_OPTIONS_DIVISION(struct settings, where.division),
    ADL_OPTION_DIVISION_SEED(struct settings, where.division),
    {"split", ADL_STRING(struct settings, where.split), .value = "test", .metavar = "NAME",
     .help = "split to evaluate; in a directory per class, test means val: every tenth image"},
    ADL_OPTION_JSON(struct settings),
    {"per-class", ADL_FLAG(struct settings, per_class),
     .help = "print the figures of each class as well"},
    {"csv", ADL_STRING(struct settings, csv), .metavar = "FILE",
     .help = "write the figures of each class to FILE, as comma-separated values"},
    {"predictions", ADL_STRING(struct settings, predictions), .metavar = "FILE",
     .help = "write what the network says of each image to FILE, as comma-separated values"},
    {"confusion", ADL_STRING(struct settings, confusion), .metavar = "FILE",
     .help = "write the confusion matrix to FILE, as comma-separated values: a row for each true "
             "class, a column for each predicted one"},
    ADL_OPTION_TRUE_MASKS(struct settings, where.masks),
    {"scoremaps", ADL_STRING(struct settings, scoremaps), .metavar = "DIR",
     .help = "write the map of each image's true class, as the metrics use it, to DIR/ID.npy"},
    {"from-scoremaps", ADL_STRING(struct settings, from_scoremaps), .metavar = "DIR",
     .help = "evaluate maps written by --scoremaps, without a model"},
    ADL_OPTION_CURVE_INTERVAL(struct settings, 1e-5, 1),
    ADL_MAP_OPTIONS(struct settings, map,
                    "map threshold of GT-known, Top-1 and Top-5 localization"),
    ADL_OPTION_PRECISION(struct settings),
    ADL_OPTION_CALIBRATE(struct settings),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    ADL_OPTION_BATCH(struct settings, "16"),
    {"limit", ADL_INT(struct settings, limit), .min = 1, .max = ADL_LIMIT_DATASET_IMAGES,
     .metavar = "N", .default_note = "all",
     .help = "evaluate only N images, spread evenly over the split"},
    {0},
};

const struct adl_command adl_command_eval = {
    .name = "eval",
    .summary = "Measure classification and localization on a data set",
    .usage = "[--model FILE] --data DIR [options]",
    .description =
        "DIR holds metadata/SPLIT/{image_ids,class_labels,localization,image_sizes}.txt and "
        "images/, or CUB-200-2011 as distributed, or a directory of images per class. The figures "
        "are those of the reference evaluation code (clovaai/wsolevaluation): MaxBoxAcc and "
        "MaxBoxAccV2 use the thresholds that are best on this split; GT-known, Top-1 and Top-5 "
        "localization use the model's threshold. EXIF orientation is applied to a directory per "
        "class and, as in the reference, not to lists and CUB. Images that cannot be read are "
        "reported on stderr and count as wrong.",
    .examples = "  adl-server eval --model cub.safetensors --data CUB_200_2011\n"
                "  adl-server eval -m m.safetensors -d data --split val --json --scoremaps maps\n"
                "  adl-server eval --from-scoremaps maps --metadata data/metadata --split val\n",
    .options = table,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
