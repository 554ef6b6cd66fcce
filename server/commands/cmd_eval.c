/* Implements `eval`, which computes the metrics of the literature for a model, or for a directory
 * of score maps, on one split of a data set. evaluate.h computes them; this file checks the
 * arguments and prints the table or the JSON. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "data/labels.h"
#include "eval/evaluate.h"
#include "io/file.h"
#include "io/json_text.h"
#include "models/file/load.h"
#include "models/model.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/eval_boxes.h"
#include "server/commands/eval_classes.h"
#include "server/commands/eval_masks.h"
#include "server/options/map_options.h"
#include "server/tasks/dataset_log.h"
#include "server/tasks/default_model.h"
#include "server/tasks/directory.h"
#include "server/tasks/int8_model.h"
#include "server/tasks/json_out.h"
#include "server/tasks/labelled.h"
#include "server/tasks/predictions.h"
#include "server/tasks/progress.h"

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
    const char *model_path;               /* NULL: score maps are evaluated */
    char shipped[ADL_DEFAULT_MODEL_PATH]; /* path of the model that ships, if it is used */
    struct adl_dataset *dataset;
    struct adl_model *model;
    struct adl_pool *pool;
    struct adl_views *views;
    struct adl_evaluate_report report;
    struct adl_evaluate_place *places; /* by image, for --confusion and --predictions; or NULL */
    struct adl_map_rule map; /* its threshold is that of GT-known, Top-1 and Top-5 localization */
    int batch;
};

/* --- results ---------------------------------------------------------------------- */

static struct adl_eval_classes classes_of(const struct eval *e)
{
    return (struct adl_eval_classes){
        .report = &e->report, .dataset = e->dataset, .model = e->model, .places = e->places};
}

static json_t *per_iou(const double values[ADL_EVAL_IOUS], bool measured)
{
    static const char *const names[ADL_EVAL_IOUS] = {"0.3", "0.5", "0.7"};
    json_t *object = measured ? json_object() : json_null();

    for (size_t i = 0; measured && i < ADL_EVAL_IOUS; i++)
        json_object_set_new(object, names[i], json_real(values[i]));
    return object;
}

/* Return the expected calibration error, and what chance alone would give, as JSON; null without
 * answers. */
static json_t *calibration_error(const struct adl_reliability *r)
{
    return adl_eval_number(adl_reliability_error(r), r->count > 0);
}

static json_t *chance(const struct adl_reliability *r)
{
    return adl_eval_number(adl_reliability_chance(r), r->count > 0);
}

/* Returns a member of adl_eval_boxes_json(), or null if nothing was measured. */
static json_t *boxes_member(json_t *boxes, const char *key)
{
    return json_is_null(boxes) ? json_null() : json_incref(json_object_get(boxes, key));
}

static int print_json(const struct eval *e, struct adl_error *err)
{
    const struct adl_evaluate_report *r = &e->report;
    const struct adl_evaluation *f = &r->figures;
    const struct adl_eval_classes classes = classes_of(e);
    json_t *root = json_object(), *boxes = adl_eval_boxes_json(r, e->dataset, -1, false);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        {"split", adl_json_from_text(e->settings->where.split)},
        {"images", json_integer((json_int_t)r->images)},
        {"errors", json_integer((json_int_t)r->errors)},
        {"top1_cls", adl_eval_number(f->top1_cls, r->classified)},
        {"top5_cls", adl_eval_number(f->top5_cls, r->classified)},
        {"gt_known_loc", adl_eval_number(f->gt_known_loc, r->localized)},
        {"top1_loc", adl_eval_number(f->top1_loc, r->both)},
        {"top5_loc", adl_eval_number(f->top5_loc, r->both)},
        {"max_box_acc", adl_eval_number(f->max_box_acc, r->localized)},
        {"centred_box_acc", adl_eval_number(f->centred_box_acc, r->localized)},
        {"centred_square_acc", adl_eval_number(f->centred_square_acc, r->localized)},
        {"centred_square_acc_v2", adl_eval_number(f->centred_square_acc_v2, r->localized)},
        {"max_box_acc_v2", adl_eval_number(f->max_box_acc_v2, r->localized)},
        {"max_box_acc_v2_iou", per_iou(f->max_box_acc_v2_iou, r->localized)},
        {"best_threshold", adl_eval_number(f->best_threshold, r->localized)},
        {"best_threshold_v2_iou", per_iou(f->best_threshold_v2, r->localized)},
        {"model_threshold", json_real(e->map.threshold)},
        {"ap50", boxes_member(boxes, "ap50")},
        {"f1_50", boxes_member(boxes, "f1_50")},
        {"several", adl_eval_boxes_json(r, e->dataset, -1, true)},
        {"cam_curve_interval", json_real(e->settings->curve_interval)},
        {"temperature", e->model ? json_real(e->model->certainty.temperature) : json_null()},
        {"ece_cls", calibration_error(&r->class_scores)},
        {"ece_cls_chance", chance(&r->class_scores)},
        {"ece_box", calibration_error(&r->box_confidences)},
        {"ece_box_chance", chance(&r->box_confidences)},
        {"seconds", json_real(r->seconds)},
        {"per_class", e->settings->per_class ? adl_eval_classes_json(&classes) : NULL},
    };
    bool failed = false;
    int result;

    for (size_t i = 0; i < ADL_COUNT(members); i++) {
        bool wanted = e->settings->per_class || strcmp(members[i].key, "per_class") != 0;
        if (wanted && json_object_set_new(root, members[i].key, members[i].value) < 0)
            failed = true;
        /* The figures of the masks follow those of the boxes. */
        if (!strcmp(members[i].key, "several") && adl_eval_masks_json(r, root) < 0)
            failed = true;
    }
    failed |= r->several &&
              (json_object_set_new(root, "labels", json_integer((json_int_t)r->labels)) < 0 ||
               json_object_set_new(root, "mean_average_precision",
                                   adl_eval_number(r->label_figures.mean_precision,
                                                   isfinite(r->label_figures.mean_precision))) < 0);
    result = failed ? adl_fail_nomem(err, "JSON")
                    : adl_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12), err);
    json_decref(root);
    json_decref(boxes);
    return result;
}

static void print_figure(const char *name, double value, bool measured, const char *note)
{
    if (measured)
        printf("%-14s %6.2f %%%s%s\n", name, value, *note ? "  " : "", note);
}

/* Prints an expected calibration error, which is a distance between probabilities. */
static void print_error(const char *name, const struct adl_reliability *r)
{
    if (r->count > 0)
        printf("%-14s %8.3f  expected calibration error, %d bins; by chance alone about %.3f\n",
               name, adl_reliability_error(r), ADL_RELIABILITY_BINS, adl_reliability_chance(r));
}

static int print_table(const struct eval *e, struct adl_error *err)
{
    const struct adl_evaluate_report *r = &e->report;
    const struct adl_evaluation *f = &r->figures;
    const struct adl_eval_classes classes = classes_of(e);
    char note[200], fixed[60];

    snprintf(fixed, sizeof fixed, "at the threshold %g", e->map.threshold);
    printf("%-14s %6zu", "images", r->images);
    if (r->errors > 0)
        printf("    (%zu unreadable, counted as wrong)", r->errors);
    putchar('\n');
    if (r->several)
        printf("%-14s %6zu\n", "labels", r->labels);
    print_figure("mAP", r->label_figures.mean_precision,
                 r->several && isfinite(r->label_figures.mean_precision),
                 "mean average precision of the classes");
    print_figure("Top-1 Cls", f->top1_cls, r->classified, "");
    print_figure("Top-5 Cls", f->top5_cls, r->classified, "");
    print_figure("GT-known Loc", f->gt_known_loc, r->localized, fixed);
    print_figure("Top-1 Loc", f->top1_loc, r->both, fixed);
    print_figure("Top-5 Loc", f->top5_loc, r->both, fixed);
    snprintf(note, sizeof note, "at its best threshold, %g", f->best_threshold);
    print_figure("MaxBoxAcc", f->max_box_acc, r->localized, note);
    print_figure("centred boxes", f->centred_box_acc, r->localized,
                 "the same boxes, moved to the centre of the image");
    snprintf(note, sizeof note, "%.2f, %.2f, %.2f at IoU 0.3, 0.5, 0.7; thresholds %g, %g, %g",
             f->max_box_acc_v2_iou[0], f->max_box_acc_v2_iou[1], f->max_box_acc_v2_iou[2],
             f->best_threshold_v2[0], f->best_threshold_v2[1], f->best_threshold_v2[2]);
    print_figure("MaxBoxAccV2", f->max_box_acc_v2, r->localized, note);
    snprintf(note, sizeof note, "one for all images, of the best of %d sizes; as V2 %.2f %%",
             ADL_EVAL_SQUARES, f->centred_square_acc_v2);
    print_figure("centred square", f->centred_square_acc, r->localized, note);
    if (adl_eval_boxes_print(r, e->dataset, err) < 0)
        return -1;
    adl_eval_masks_print(r, e->map.threshold);
    print_error("class scores", &r->class_scores);
    print_error("confidences", &r->box_confidences);
    if (!r->localized && !r->masked)
        puts("this split has no boxes: classification only");
    printf("%-14s %6.1f s\n", "time", r->seconds);
    if (e->settings->per_class)
        adl_eval_classes_print(&classes);
    return 0;
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
        adl_int8_choose_shown(e->model, s->precision, e->model_path, s->calibrate, err) < 0)
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
                           "eval", err) < 0)
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
    if (e->dataset->note)
        fprintf(stderr, "adl-server: eval: %s\n", e->dataset->note);
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

static int evaluate(struct eval *e, struct adl_error *err)
{
    const struct settings *s = e->settings;
    struct adl_progress progress;
    size_t total = e->dataset->count;
    int result;

    struct adl_evaluate_options how = {.curve_interval = s->curve_interval,
                                       .map = e->map,
                                       .detections = true,
                                       .limit = (size_t)s->limit,
                                       .places = e->places,
                                       .scoremaps = s->scoremaps,
                                       .progress = adl_progress_callback,
                                       .broken = log_unreadable,
                                       .report_context = &progress};
    if (e->model) {
        how.several = e->model->labels.several;
        how.temperature = e->model->certainty.temperature;
        how.confidence = adl_model_confidence(e->model, &e->map);
        memcpy(how.mean, e->model->mean, sizeof how.mean);
        memcpy(how.std, e->model->std, sizeof how.std);
    }
    total = how.limit ? ADL_MIN(how.limit, total) : total;
    adl_progress_start(&progress, "images", total);
    if (e->views)
        result = adl_evaluate_views(e->dataset, e->views, e->batch, e->pool, &how, &e->report, err);
    else
        result =
            adl_evaluate_scoremaps(e->dataset, s->from_scoremaps, e->pool, &how, &e->report, err);
    adl_progress_finish(&progress);
    if (result == 0)
        log_broken_classes(e);
    return result;
}

/* Fails if a file cannot be written, before its content is computed, and makes room for what the
 * confusion matrix and the predictions need. */
static int check_files(struct eval *e, struct adl_error *err)
{
    const char *const paths[] = {e->settings->csv, e->settings->confusion,
                                 e->settings->predictions};

    for (size_t i = 0; i < ADL_COUNT(paths); i++)
        if (paths[i] && !is_stdout(paths[i]) && adl_file_check_place(paths[i], err) < 0)
            return -1;
    if (!e->settings->confusion && !e->settings->predictions)
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

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = settings;
    struct eval e = {.settings = s};
    int result = -1;

    ADL_TRY(check_settings(s, err));
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
    ADL_TRY(evaluate(&e, err));
    ADL_TRY(write_files(&e, err));
    if (s->json)
        ADL_TRY(print_json(&e, err));
    else if (!is_stdout(s->csv) && !is_stdout(s->confusion) && !is_stdout(s->predictions))
        ADL_TRY(print_table(&e, err));
    result = 0;
out:
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
