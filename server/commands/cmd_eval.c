/* Implements `eval`, which computes the metrics of the literature for a model, or for a directory
 * of score maps, on one split of a data set. evaluate.h computes them; this file checks the
 * arguments and prints the table or the JSON. */

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "io/json_text.h"
#include "models/file/load.h"
#include "models/model.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/commands/eval_boxes.h"
#include "server/options/map_options.h"
#include "server/tasks/dataset_log.h"
#include "server/tasks/default_model.h"
#include "server/tasks/directory.h"
#include "server/tasks/json_out.h"
#include "server/tasks/labelled.h"
#include "server/tasks/progress.h"

/* Width of the class name column. */
#define NAME_COLUMNS 32
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
    double curve_interval;
    int threads;
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
    struct adl_map_rule map; /* its threshold is that of GT-known, Top-1 and Top-5 localization */
    int batch;
};

/* --- results ---------------------------------------------------------------------- */

/* Returns a figure as JSON; null if it was not measured. */
static json_t *number(double value, bool measured)
{
    return measured ? json_real(value) : json_null();
}

static double percent(size_t part, size_t whole)
{
    return (double)part / (double)whole * 100;
}

static const char *class_name(const struct eval *e, size_t class_id, char *text, size_t size)
{
    if (e->dataset->classes)
        return e->dataset->classes[class_id];
    if (e->model)
        return adl_model_label(e->model, (int)class_id, text, size);
    snprintf(text, size, "class %zu", class_id);
    return text;
}

/* Returns the classes that have images as JSON. */
static json_t *classes_to_json(const struct eval *e)
{
    const struct adl_evaluate_report *r = &e->report;
    json_t *list = json_array();

    for (size_t i = 0; i < r->class_count; i++) {
        const struct adl_evaluate_class *c = &r->classes[i];
        char text[40];
        if (c->images == 0)
            continue;
        json_t *row = json_pack("{s:i, s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "class_id", (int)i,
                                "label", adl_json_from_text(class_name(e, i, text, sizeof text)),
                                "images", (int)c->images, "errors", (int)c->errors, "top1_cls",
                                number(percent(c->top1, c->images), r->classified), "top5_cls",
                                number(percent(c->top5, c->images), r->classified), "gt_known_loc",
                                number(percent(c->gt_known, c->images), r->localized), "top1_loc",
                                number(percent(c->top1_loc, c->images), r->both), "top5_loc",
                                number(percent(c->top5_loc, c->images), r->both));
        json_t *boxes = adl_eval_boxes_json(r, e->dataset, (int)i, false);
        int failed = json_is_object(boxes) ? json_object_update(row, boxes) : boxes ? 0 : -1;
        json_decref(boxes);
        if (json_array_append_new(list, row) < 0 || failed) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
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
    return number(adl_reliability_error(r), r->count > 0);
}

static json_t *chance(const struct adl_reliability *r)
{
    return number(adl_reliability_chance(r), r->count > 0);
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
    json_t *root = json_object(), *boxes = adl_eval_boxes_json(r, e->dataset, -1, false);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        {"split", adl_json_from_text(e->settings->where.split)},
        {"images", json_integer((json_int_t)r->images)},
        {"errors", json_integer((json_int_t)r->errors)},
        {"top1_cls", number(f->top1_cls, r->classified)},
        {"top5_cls", number(f->top5_cls, r->classified)},
        {"gt_known_loc", number(f->gt_known_loc, r->localized)},
        {"top1_loc", number(f->top1_loc, r->both)},
        {"top5_loc", number(f->top5_loc, r->both)},
        {"max_box_acc", number(f->max_box_acc, r->localized)},
        {"centred_box_acc", number(f->centred_box_acc, r->localized)},
        {"centred_square_acc", number(f->centred_square_acc, r->localized)},
        {"centred_square_acc_v2", number(f->centred_square_acc_v2, r->localized)},
        {"max_box_acc_v2", number(f->max_box_acc_v2, r->localized)},
        {"max_box_acc_v2_iou", per_iou(f->max_box_acc_v2_iou, r->localized)},
        {"best_threshold", number(f->best_threshold, r->localized)},
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
        {"per_class", e->settings->per_class ? classes_to_json(e) : NULL},
    };
    bool failed = false;
    int result;

    for (size_t i = 0; i < ADL_COUNT(members); i++) {
        bool wanted = e->settings->per_class || strcmp(members[i].key, "per_class") != 0;
        if (wanted && json_object_set_new(root, members[i].key, members[i].value) < 0)
            failed = true;
    }
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

static void print_classes(const struct eval *e)
{
    const struct adl_evaluate_report *r = &e->report;
    const char *const heads[] = {"Top-1 Cls", "Top-5 Cls", "GT-known", "Top-1 Loc", "Top-5 Loc"};
    const bool measured[] = {r->classified, r->classified, r->localized, r->both, r->both};

    printf("\n%-*s %7s", NAME_COLUMNS, "class", "images");
    for (size_t k = 0; k < ADL_COUNT(heads); k++)
        if (measured[k])
            printf(" %9s", heads[k]);
    putchar('\n');
    for (size_t i = 0; i < r->class_count; i++) {
        const struct adl_evaluate_class *c = &r->classes[i];
        const size_t right[] = {c->top1, c->top5, c->gt_known, c->top1_loc, c->top5_loc};
        char text[40];
        if (c->images == 0)
            continue;
        printf("%-*.*s %7zu", NAME_COLUMNS, NAME_COLUMNS, class_name(e, i, text, sizeof text),
               c->images);
        for (size_t k = 0; k < ADL_COUNT(right); k++)
            if (measured[k])
                printf(" %9.1f", percent(right[k], c->images));
        putchar('\n');
    }
}

static int print_table(const struct eval *e, struct adl_error *err)
{
    const struct adl_evaluate_report *r = &e->report;
    const struct adl_evaluation *f = &r->figures;
    char note[200], fixed[60];

    snprintf(fixed, sizeof fixed, "at the threshold %g", e->map.threshold);
    printf("%-14s %6zu", "images", r->images);
    if (r->errors > 0)
        printf("    (%zu unreadable, counted as wrong)", r->errors);
    putchar('\n');
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
    print_error("class scores", &r->class_scores);
    print_error("confidences", &r->box_confidences);
    if (!r->localized)
        puts("this split has no boxes: classification only");
    printf("%-14s %6.1f s\n", "time", r->seconds);
    if (e->settings->per_class)
        print_classes(e);
    return 0;
}

/* --- the data and the model ---------------------------------------------------------- */

static int check_settings(const struct settings *s, struct adl_error *err)
{
    if (s->model && s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG, "--model and --from-scoremaps exclude each other");
    if (s->scoremaps && s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG, "--scoremaps and --from-scoremaps exclude each other");
    if (!s->where.dir && s->where.metadata && !s->where.images && !s->from_scoremaps)
        return adl_fail(err, ADL_ERR_ARG, "--images DIR is required without --data");
    return 0;
}

static int open_model(struct eval *e, struct adl_error *err)
{
    const struct settings *s = e->settings;

    e->model = adl_model_load(e->model_path, NULL, err);
    if (!e->model)
        return -1;
    if (adl_labelled_match(e->dataset, e->model, e->model_path, adl_labelled_place(&s->where),
                           "eval", err) < 0)
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
    char text[40];

    for (size_t i = 0; i < r->class_count; i++)
        if (r->classes[i].images > 0 && r->classes[i].errors == r->classes[i].images)
            fprintf(stderr, "adl-server: eval: warning: no image of %s can be read\n",
                    class_name(e, i, text, sizeof text));
}

static int evaluate(struct eval *e, const struct adl_options *options, struct adl_error *err)
{
    const struct settings *s = e->settings;
    struct adl_progress progress;
    size_t total = e->dataset->count;
    int result;

    e->map = e->model ? e->model->map : (struct adl_map_rule){.threshold = MAPS_THRESHOLD};
    if (adl_map_options_apply(&s->map, options, e->model ? e->model->foreground : NULL, &e->map,
                              err) < 0)
        return -1;
    if (!e->model && !adl_map_rule_is_reference(&e->map))
        return adl_fail(
            err, ADL_ERR_ARG,
            "the score maps of --from-scoremaps are measured as they are; --map-weights "
            "and --map-normalise apply where maps are made: eval --scoremaps DIR");
    struct adl_evaluate_options how = {.curve_interval = s->curve_interval,
                                       .map = e->map,
                                       .detections = true,
                                       .limit = (size_t)s->limit,
                                       .scoremaps = s->scoremaps,
                                       .progress = adl_progress_callback,
                                       .broken = log_unreadable,
                                       .report_context = &progress};
    if (e->model) {
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
    e.dataset = adl_labelled_open(&s->where, err);
    if (!e.dataset)
        goto out;
    e.pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!e.pool)
        goto out;
    if (e.model_path)
        ADL_TRY(open_model(&e, err));
    if (s->scoremaps)
        ADL_TRY(adl_make_directory(s->scoremaps, err));
    log_data(&e);
    ADL_TRY(evaluate(&e, options, err));
    if (s->json)
        ADL_TRY(print_json(&e, err));
    else
        ADL_TRY(print_table(&e, err));
    result = 0;
out:
    adl_evaluate_report_release(&e.report);
    adl_views_free(e.views);
    adl_model_free(e.model);
    adl_pool_free(e.pool);
    adl_dataset_free(e.dataset);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .default_note = "the model that ships", .help = "model file"),
    ADL_OPTIONS_DATASET(struct settings, where),
    {"split", ADL_STRING(struct settings, where.split), .value = "test", .metavar = "NAME",
     .help = "split to evaluate; in a directory per class, test means val: every tenth image"},
    ADL_OPTION_JSON(struct settings),
    {"per-class", ADL_FLAG(struct settings, per_class),
     .help = "print the figures of each class as well"},
    {"scoremaps", ADL_STRING(struct settings, scoremaps), .metavar = "DIR",
     .help = "write the map of each image's true class, as the metrics use it, to DIR/ID.npy"},
    {"from-scoremaps", ADL_STRING(struct settings, from_scoremaps), .metavar = "DIR",
     .help = "evaluate maps written by --scoremaps, without a model"},
    ADL_OPTION_CURVE_INTERVAL(struct settings, 1e-5, 1),
    ADL_MAP_OPTIONS(struct settings, map,
                    "map threshold of GT-known, Top-1 and Top-5 localization"),
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
