/* Implements `calibrate`, which chooses the map rule of a model on images with boxes, and writes
 * a model file with the rule and its accuracy on other images. eval/calibrate.h chooses the rule;
 * this file opens the images and reports the result. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "eval/calibrate.h"
#include "eval/calibrate_certainty.h"
#include "eval/calibrate_objects.h"
#include "eval/pseudo_boxes.h"
#include "io/file.h"
#include "io/json_text.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/head.h"
#include "models/model.h"
#include "server/commands/calibrate_sets.h"
#include "server/commands/command.h"
#include "server/commands/common_options.h"
#include "server/options/map_options.h"
#include "server/tasks/dataset_log.h"
#include "server/tasks/default_model.h"
#include "server/tasks/json_out.h"
#include "server/tasks/labelled.h"
#include "server/tasks/progress.h"

struct settings {
    const char *model;
    struct adl_dataset_options where;
    int goal;
    int boxes_per_class;
    bool no_class_thresholds;
    bool foreground;
    const char *foreground_layers;
    bool without_boxes;
    bool try_views;
    struct adl_map_settings map; /* the views alone */
    int threads;
    int batch;
};

struct calibrate {
    const struct settings *settings;
    const char *model_path;
    char shipped[ADL_DEFAULT_MODEL_PATH]; /* of the model that ships, where it is used */
    struct adl_dataset *dataset;
    struct adl_model *model;
    struct adl_plan *plan;
    struct adl_pool *pool;
    struct adl_views *views;
    struct adl_calibrate_samples sets[ADL_CALIBRATE_SETS]; /* the first has plain views */
    size_t set_count;
    struct adl_calibration found;
    struct adl_map_view_changes changes; /* of the model's views, that options ask for */
    struct adl_calibrated_certainty sure;
    struct adl_calibrated_objects objects;
    struct adl_foreground_head head; /* what the few-box head reads, without weights */
    float *heads; /* its weights of each fold, and those of all images; NULL unless fitted */
    struct adl_progress progress;
    size_t images_before; /* of the sets that have been run */
};

/* --- the images and the model ------------------------------------------------------ */

static int open_data(struct calibrate *c, struct adl_error *err)
{
    const struct settings *s = c->settings;

    c->dataset = adl_labelled_open(&s->where, err);
    if (!c->dataset)
        return -1;
    adl_labelled_log_whole(c->dataset, adl_labelled_place(&s->where), "calibrate");
    adl_log_dataset(c->dataset, "calibrate", false);
    if (c->dataset->box_count == 0 && !s->without_boxes)
        return adl_fail(
            err, ADL_ERR_FORMAT,
            "%s: the split \"%s\" has no boxes to calibrate with; --without-boxes draws "
            "some itself",
            adl_labelled_place(&s->where), s->where.split);
    if (s->boxes_per_class)
        return adl_dataset_keep_first(c->dataset, (size_t)s->boxes_per_class, err);
    return 0;
}

/* Adds the layers of a list, separated by commas, to those that the few-box head reads. */
static int add_head_layers(struct calibrate *c, const char *list, struct adl_error *err)
{
    char name[ADL_LIMIT_LAYER_NAME_BYTES];

    for (;; list++) {
        size_t length = strcspn(list, ",");
        snprintf(name, sizeof name, "%.*s", (int)ADL_MIN(length, sizeof name - 1), list);
        if (adl_head_add_layer(c->model->graph, &c->head, name, err) < 0)
            return -1;
        list += length;
        if (!*list)
            return 0;
    }
}

/* Chooses the layers of the few-box head: those of --foreground-layers, or else those that the
 * backbone says, unless this network does not have them. */
static int choose_head(struct calibrate *c, struct adl_error *err)
{
    const char *wanted = c->settings->foreground_layers,
               *usual = c->model->arch.backbone->head_layers;

    c->head = adl_head_begin(c->model->graph);
    if (wanted && !strcmp(wanted, "none"))
        return 0;
    if (wanted) {
        if (add_head_layers(c, wanted, err) == 0)
            return 0;
        return adl_error_context(err, "--foreground-layers");
    }
    if (usual && add_head_layers(c, usual, &(struct adl_error){0}) < 0)
        c->head = adl_head_begin(c->model->graph);
    return 0;
}

static int load_model(struct calibrate *c, struct adl_error *err)
{
    c->model_path = adl_model_or_default(c->settings->model, c->shipped, err);
    c->model = c->model_path ? adl_model_load(c->model_path, NULL, err) : NULL;
    return c->model ? adl_labelled_one_class(c->model, c->model_path, err) : -1;
}

static int open_model(struct calibrate *c, struct adl_error *err)
{
    const struct settings *s = c->settings;

    if (adl_labelled_match(c->dataset, c->model, c->model_path, adl_labelled_place(&s->where),
                           "calibrate", err) < 0)
        return -1;
    struct adl_map_views views = c->model->map.views;

    adl_map_views_change(&views, &c->changes);
    if (adl_model_keep_layer(c->model, &views, err) < 0)
        return -1;
    struct adl_plan_options how = {
        .input_h = c->model->input_h, .input_w = c->model->input_w, .pool = c->pool};
    adl_model_plan_options(c->model, &how);
    if (s->foreground && choose_head(c, err) < 0)
        return -1;
    for (int i = 0; i < c->head.layer_count; i++)
        adl_plan_keep(&how, c->head.layers[i].value);
    /* Not adl_model_into_plan(): the model keeps its weights, because it is written again. */
    c->plan = adl_plan_create(c->model->graph, c->model->params, &how, err);
    if (!c->plan)
        return -1;
    c->views = adl_model_open_views(c->model, c->plan, c->pool,
                                    (int)ADL_MIN((size_t)s->batch, c->dataset->count), err);
    return c->views ? 0 : -1;
}

/* --- the choice -------------------------------------------------------------------------- */

static void progress(void *context, size_t done)
{
    struct calibrate *c = context;
    adl_progress_callback(&c->progress, c->images_before + done);
}

/* Runs all sets; the few-box head is fitted after the first. */
static int collect(struct calibrate *c, struct adl_calibrate_options *how, struct adl_error *err)
{
    int batch = (int)ADL_MIN((size_t)c->settings->batch, c->dataset->count);

    adl_progress_start(&c->progress, "images", c->set_count * c->dataset->count);
    for (size_t i = 0; i < c->set_count; i++) {
        struct adl_calibrate_samples *set = &c->sets[i];
        c->images_before = i * c->dataset->count;
        if (adl_calibrate_collect(c->dataset, c->views, batch, how, set, err) < 0)
            return -1;
        if (i > 0 || !how->foreground)
            continue;
        c->heads = adl_malloc((ADL_CALIBRATE_FOLDS + 1) * (set->channels + 1), sizeof *c->heads);
        if (!c->heads)
            return adl_fail_nomem(err, "the foreground head");
        if (adl_calibrate_fit_foreground(set, c->pool, c->heads, err) < 0)
            return -1;
        how->heads = c->heads;
        how->fitted = set;
    }
    return 0;
}

/* Draws boxes in place of those that people drew. */
static int draw_boxes(struct calibrate *c, struct adl_error *err)
{
    struct adl_pseudo_boxes_options how = {
        .batch = (int)ADL_MIN((size_t)c->settings->batch, c->dataset->count),
        .pool = c->pool,
        .progress = progress,
        .progress_context = c};

    memcpy(how.mean, c->model->mean, sizeof how.mean);
    memcpy(how.std, c->model->std, sizeof how.std);
    adl_progress_start(&c->progress, "images without boxes", c->dataset->count);
    int result = adl_pseudo_boxes_draw(c->dataset, c->views, &how, err);
    adl_progress_finish(&c->progress);
    return result;
}

static int choose(struct calibrate *c, struct adl_error *err)
{
    const struct settings *s = c->settings;
    struct adl_calibrate_options how = {.goal = (enum adl_calibrate_goal)s->goal,
                                        .current = c->model->map,
                                        .foreground = s->foreground ? &c->head : NULL,
                                        .per_class = !s->no_class_thresholds && !s->without_boxes,
                                        .pool = c->pool,
                                        .progress = progress,
                                        .progress_context = c};

    memcpy(how.mean, c->model->mean, sizeof how.mean);
    memcpy(how.std, c->model->std, sizeof how.std);
    int result = collect(c, &how, err);
    if (result == 0) {
        c->images_before = 0;
        adl_progress_start(&c->progress, "images compared", c->sets[0].count);
        result = adl_calibrate_choose(c->sets, c->set_count, &how, &c->found, err);
    }
    if (result == 0)
        result = adl_calibrate_certainty(&c->sets[c->found.set], &c->found, &c->sure, err);
    if (result == 0)
        result = adl_calibrate_objects(&c->sets[c->found.set], &c->found.rule, c->pool, &c->objects,
                                       err);
    adl_progress_finish(&c->progress);
    if (result == 0 && c->sets[0].unreadable > 0)
        fprintf(stderr, "adl-server: calibrate: warning: left out %zu unreadable image%s\n",
                c->sets[0].unreadable, c->sets[0].unreadable == 1 ? "" : "s");
    return result;
}

/* --- the outcome ----------------------------------------------------------------------- */

static double tenth(double value)
{
    return round(10 * value) / 10;
}

static double thousandth(double value)
{
    return round(1000 * value) / 1000;
}

/* Returns what the certainty was fitted to, and how good it is on held-out boxes; NULL when out of
 * memory. */
static json_t *record_certainty(const struct calibrate *c)
{
    const struct adl_calibrated_certainty *s = &c->sure;
    const struct adl_confidence_fit *b = &s->boxes;
    json_t *json = json_object();
    int failed = 0;

    if (s->certainty.has_presence)
        failed |=
            json_object_set_new(json, "temperature",
                                json_pack("{s:f, s:o, s:f, s:f}", "estimate",
                                          thousandth(s->temperature.estimate), "standard_error",
                                          isfinite(s->temperature.standard_error)
                                              ? json_real(thousandth(s->temperature.standard_error))
                                              : json_null(),
                                          "loss_before", thousandth(s->temperature.loss_before),
                                          "loss", thousandth(s->temperature.loss)));
    if (s->certainty.has_confidence && !c->settings->without_boxes)
        failed |= json_object_set_new(
            json, "boxes",
            json_pack("{s:i, s:i, s:f, s:f, s:f, s:f}", "count", (int)b->boxes, "right",
                      (int)b->right, "loss_alone", thousandth(b->loss_alone), "loss",
                      thousandth(b->loss), "error", thousandth(adl_reliability_error(&b->held_out)),
                      "error_by_chance", thousandth(adl_reliability_chance(&b->held_out))));
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* Returns the record for the model file. It includes the accuracy by cross-validation, because
 * the accuracy on the images of the calibration is too good. */
static json_t *record(const struct calibrate *c)
{
    const struct settings *s = c->settings;
    const struct adl_calibration *f = &c->found;
    const struct adl_calibrated_objects *o = &c->objects;
    json_t *objects = NULL;

    if (o->chosen)
        objects = json_pack("{s:i, s:{s:f, s:f, s:f}}", "images", (int)o->several, "ap50",
                            "regions", tenth(o->regions), "fitted", tenth(o->fitted),
                            "cross_validated", tenth(o->cross_validated));
    return json_pack(
        "{s:s, s:s, s:i, s:i, s:b, s:o, s:b, s:{s:o, s:f, s:f, s:f}, s:o, s:o*, "
        "s:o*}",
        "for", adl_calibrate_goal_names[s->goal], "split", c->dataset->split, "images",
        (int)f->images, "boxes", (int)f->boxes, "pseudo_boxes", (int)s->without_boxes,
        "boxes_per_class", s->boxes_per_class ? json_integer(s->boxes_per_class) : json_null(),
        "foreground", (int)f->foreground, "percent", "before",
        isfinite(f->before) ? json_real(tenth(f->before)) : json_null(), "fitted", tenth(f->fitted),
        "cross_validated", tenth(f->cross_validated), "standard_error", tenth(f->standard_error),
        "certainty", record_certainty(c), "objects", objects, "one_threshold",
        f->class_thresholds ? json_real(tenth(f->common)) : NULL);
}

static int save(struct calibrate *c, const char *out, struct adl_error *err)
{
    struct adl_model *m = c->model;
    const struct adl_object_rule before = m->map.objects;

    m->map = c->found.rule;
    m->certainty = c->sure.certainty;
    /* Agreement with pseudo boxes is not the chance that a box is right. */
    if (c->settings->without_boxes)
        m->certainty.has_confidence = false;
    m->map.objects = c->objects.chosen ? c->objects.rule : before;
    if (c->found.foreground)
        c->head.weights = c->heads + ADL_CALIBRATE_FOLDS * (adl_foreground_channels(&c->head) + 1);
    if (adl_model_set_foreground(m, c->found.foreground ? &c->head : NULL, err) < 0 ||
        adl_model_set_class_thresholds(m, c->found.class_thresholds, err) < 0)
        return -1;
    json_decref(m->calibration);
    m->calibration = record(c);
    if (!m->calibration)
        return adl_fail_nomem(err, "the calibration");
    json_decref(m->metrics);
    m->metrics = NULL; /* of the former rule */
    return adl_model_save(m, out, err);
}

/* A head was fitted for maps of the former rule, so it is not kept for another one. */
static void print_head_left_out(const struct calibrate *c, const struct adl_map_rule *before)
{
    if (before->foreground && !c->found.foreground)
        fprintf(stderr, "adl-server: calibrate: the new model leaves out the foreground head: %s\n",
                c->settings->foreground ? "a rule without one is better"
                                        : "--foreground fits one anew");
}

static void print_rule(FILE *out, const char *title, const struct adl_map_rule *rule, bool head)
{
    char views[100];

    fprintf(out, "%-16s%s%s weights, %s", title, head ? "foreground head, " : "",
            adl_map_weights_names[rule->weights], adl_map_normalise_names[rule->normalise]);
    if (adl_map_has_percentile(rule->normalise))
        fprintf(out, " %g", rule->percentile);
    if (rule->classes > 1)
        fprintf(out, ", mean of %d classes", rule->classes);
    fprintf(out, "%s, threshold %g\n", adl_map_views_describe(&rule->views, views, sizeof views),
            rule->threshold);
}

static void print_certainty(const struct adl_calibrated_certainty *s, FILE *out)
{
    const struct adl_temperature_fit *t = &s->temperature;
    const struct adl_confidence_fit *b = &s->boxes;

    if (s->certainty.has_presence && t->temperature != 1)
        fprintf(out, "%-16s%.2f (standard error %.0f %%)\n", "temperature", t->temperature,
                100 * t->standard_error);
    else if (s->certainty.has_presence && isfinite(t->standard_error))
        fprintf(out, "%-16s1: %.2f would fit best, but is within 2 standard errors of %.0f %%\n",
                "temperature", t->estimate, 100 * t->standard_error);
    else if (s->certainty.has_presence)
        fprintf(out, "%-16s1: images of a single class do not tell\n", "temperature");
    if (s->certainty.has_confidence)
        fprintf(out,
                "%-16slog loss %.3f, cross-validated; %.3f if all boxes had the same confidence\n",
                "box confidence", b->loss, b->loss_alone);
    else
        fprintf(out, "%-16snone: it takes %d images\n", "box confidence", ADL_CONFIDENCE_BOXES);
}

static void print_table(const struct calibrate *c, const struct adl_map_rule *before, FILE *out)
{
    const struct adl_calibration *f = &c->found;

    fprintf(out, "%-16s%zu with %zu %sboxes\n", "images", f->images, f->boxes,
            c->settings->without_boxes ? "pseudo " : "");
    print_rule(out, "before", before, before->foreground != NULL);
    print_rule(out, "now", &f->rule, f->foreground);
    if (isfinite(f->before))
        fprintf(out, "%-16s%.1f %%%s\n", "before", f->before,
                before->foreground ? "; its head may have been fitted to these images" : "");
    else
        fprintf(out, "%-16snot measured: only one layer can be kept for maps\n", "before");
    fprintf(out, "%-16s%.1f %% on the images that it was chosen on\n", "now", f->fitted);
    fprintf(out, "%-16s%.1f %% (standard error %.1f), cross-validated: what to expect\n",
            "on others", f->cross_validated, f->standard_error);
    if (f->class_thresholds)
        fprintf(out, "%-16s%zu of their own; with one for all classes %.1f %% on others\n",
                "thresholds", f->own_thresholds, f->common);
    if (c->settings->without_boxes)
        fprintf(out,
                "%-16sthe figures say how often boxes agree with those that were drawn from "
                "the images, not how often they are right\n",
                "without boxes");
    print_certainty(&c->sure, out);
}

static void print_objects(const struct calibrate *c, FILE *out)
{
    const struct adl_calibrated_objects *o = &c->objects;

    if (o->chosen)
        fprintf(out,
                "%-16sparted at saddles %g below the peak, between parts of %g of the map\n"
                "%-16sAP50 on the %zu images with several: %.1f %%, cross-validated (regions: "
                "%.1f)\n",
                "objects", o->rule.prominence, o->rule.area, "", o->several, o->cross_validated,
                o->regions);
    else
        fprintf(out, "%-16snot chosen: %zu of the images have several true boxes, %d are needed\n",
                "objects", o->several, ADL_CALIBRATE_SEVERAL);
}

static int read_changes(struct calibrate *c, const struct adl_options *options,
                        struct adl_error *err)
{
    const struct adl_map_settings *map = &c->settings->map;
    struct adl_map_changes changes = ADL_MAP_NO_CHANGES;

    if (adl_map_view_options_changes(map, options, &changes.views, err) < 0)
        return -1;
    if (adl_map_base_parse(map->map, &changes, err) < 0)
        return adl_error_context(err, "--map");
    if (changes.reference)
        return adl_fail(err, ADL_ERR_ARG,
                        "--map reference: calibrate chooses the rule itself; --map METHOD:LAYER "
                        "chooses it for the map of a layer");
    c->changes = changes.views;
    return 0;
}

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    struct calibrate c = {.settings = settings};
    const struct settings *s = settings;
    const char *out = options->operands[0];
    /* The table is the result, unless standard output receives the model. */
    FILE *table = strcmp(out, "-") ? stdout : stderr;
    int result = -1;

    if (strcmp(out, "-"))
        ADL_TRY(adl_file_check_place(out, err));
    ADL_TRY(load_model(&c, err));
    ADL_TRY(open_data(&c, err));
    c.pool = adl_pool_create(s->threads ? s->threads : adl_pool_default_threads(), err);
    if (!c.pool)
        goto out;
    ADL_TRY(read_changes(&c, options, err));
    ADL_TRY(open_model(&c, err));
    const struct adl_calibrate_wishes wishes = {c.changes, s->try_views, s->foreground};
    ADL_TRY(adl_calibrate_list_sets(&wishes, &c.model->map, c.views, c.sets, &c.set_count, err));
    if (s->without_boxes)
        ADL_TRY(draw_boxes(&c, err));
    ADL_TRY(choose(&c, err));
    const struct adl_map_rule before = c.model->map;
    ADL_TRY(save(&c, out, err));
    print_head_left_out(&c, &before);
    print_table(&c, &before, table);
    print_objects(&c, table);
    result = 0;
out:
    adl_free(c.heads);
    for (size_t i = 0; i < c.set_count; i++)
        adl_calibrate_samples_release(&c.sets[i]);
    adl_calibration_release(&c.found);
    adl_views_free(c.views);
    adl_plan_unref(c.plan);
    adl_model_free(c.model);
    adl_pool_free(c.pool);
    adl_dataset_free(c.dataset);
    return result;
}

static const struct adl_option table[] = {
    ADL_OPTION_MODEL(struct settings, .default_note = "the model that ships",
                     .help = "model file to calibrate"),
    ADL_OPTIONS_DATASET(struct settings, where),
    ADL_OPTIONS_DIVISION(struct settings, where.division),
    ADL_OPTION_DIVISION_SEED(struct settings, where.division),
    {"split", ADL_STRING(struct settings, where.split), .value = "val", .metavar = "NAME",
     .help = "split whose boxes are used"},
    {"for", ADL_CHOICE(struct settings, goal), .choices = adl_calibrate_goal_names,
     .value = "max_box_acc", .metavar = "GOAL",
     .help = "what to be best at: one box at IoU 0.5, or the mean over IoU 0.3, 0.5 and 0.7 of "
             "all boxes"},
    {"no-class-thresholds", ADL_FLAG(struct settings, no_class_thresholds),
     .help = "choose one threshold for all classes, even if thresholds of single classes do better "
             "on other images"},
    {"boxes-per-class", ADL_INT(struct settings, boxes_per_class), .min = 1,
     .max = ADL_LIMIT_DATASET_IMAGES, .metavar = "N", .default_note = "all",
     .help = "use only the first N images of each class"},
    {"without-boxes", ADL_FLAG(struct settings, without_boxes),
     .help = "do not use boxes, but draw one on each image from what the images of its class have "
             "in common, and calibrate with these"},
    {"foreground", ADL_FLAG(struct settings, foreground),
     .help = "also fit the few-box head, which tells object from background at each position, and "
             "use its map if that is best"},
    {"foreground-layers", ADL_STRING(struct settings, foreground_layers), .metavar = "LAYER,...",
     .default_note = "blocks.10,blocks.4 of mobilenet_v1, none of others",
     .help = "layers whose features the few-box head sees beside those of the last map; none: the "
             "last map alone"},
    {"try-views", ADL_FLAG(struct settings, try_views),
     .help =
         "also try the mirror image, a larger input scale, and both averaged in, for rules that "
         "take 2 to 6 times the time, each also with the layer of --map-layer; the calibration "
         "itself takes four times as long"},
    {"map", ADL_STRING(struct settings, map.map), .value = "model", .metavar = "METHOD:LAYER",
     .help = "the same as --map-layer METHOD:LAYER"},
    ADL_MAP_VIEW_OPTIONS(struct settings, map),
    ADL_OPTION_THREADS(struct settings, .help = "number of threads; results do not depend on it"),
    ADL_OPTION_BATCH(struct settings, "16"),
    {0},
};

const struct adl_command adl_command_calibrate = {
    .name = "calibrate",
    .summary = "Choose how a model's maps are formed and cut, on images with boxes",
    .usage = "[--model IN] --data DIR [options] OUT",
    .description =
        "Tries ways to form, normalise and cut the class map on the boxes of a split, and writes "
        "the model to OUT with the best one and its threshold. Then it chooses how maps are parted "
        "into "
        "objects, for --boxes objects, if enough images have several boxes. OUT may be IN. The "
        "file records "
        "how many images the choice was made on, and its accuracy on other images by "
        "cross-validation. It also says how sure the model is: a temperature of the class scores, "
        "how strongly a class is seen, and the chance that a box is right. Metrics in the file are "
        "dropped; measure them again with eval, on "
        "another split.",
    .examples = "  adl-server calibrate --model m.safetensors --data data calibrated.safetensors\n"
                "  adl-server calibrate -d data --boxes-per-class 5 few.safetensors\n",
    .options = table,
    .min_operands = 1,
    .max_operands = 1,
    .settings_bytes = sizeof(struct settings),
    .run = run,
};
