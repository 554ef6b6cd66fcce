/* Reads the file of an experiment. */

#include "server/experiment/experiment_read.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"
#include "io/file.h"
#include "server/experiment/experiment_command.h"
#include "server/experiment/experiment_json.h"
#include "server/experiment/experiment_rows.h"

/* Columns and measures of a table; and photographs of its gallery, which are shown once for each
 * row. */
#define MAX_COLUMNS 64
#define MAX_GALLERY 24
#define GALLERY_IMAGES 6
#define MAX_SEEDS 1000
/* Folds of each seed; and runs of a row. */
#define MAX_FOLDS 1000
#define MAX_RUNS 10000
/* Draws of a search where the file does not say: as many as in the reference protocol. */
#define DRAWS 30
#define MAX_DRAWS 999

static const char *const file_keys[] = {
    "name",    "title",   "notes",    "data", "init",      "common", "rows",    "seeds", "folds",
    "measure", "columns", "baseline", "out",  "reference", "search", "gallery", NULL};
static const char *const data_keys[] = {"data", "images", "metadata", "masks", NULL};
static const char *const measure_keys[] = {"name", "split", "model", "calibrate", "options", NULL};
static const char *const column_keys[] = {"title",    "measure",  "figure",
                                          "baseline", "decimals", NULL};
static const char *const search_keys[] = {"n", "seed", "by", "draw", NULL};
static const char *const gallery_keys[] = {"measure", "images", NULL};

/* Returns the directory of the file, "" for the present one, and sets its name without .json. */
static const char *split_path(struct adl_experiment *e, struct adl_error *err)
{
    const char *path = strcmp(e->path, "-") ? e->path : "experiment";
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *end = strrchr(base, '.');
    size_t length = end && end > base ? (size_t)(end - base) : strlen(base);

    e->name = ADL_ARENA_TEXT(&e->arena, err, "%.*s", (int)length, base);
    if (!e->name || !slash)
        return e->name ? "" : NULL;
    return slash == path ? "/" : ADL_ARENA_TEXT(&e->arena, err, "%.*s", (int)(slash - path), path);
}

static int read_data(struct adl_experiment *e, const char *dir, struct adl_error *err)
{
    static const char where[] = "\"data\"";
    const struct adl_experiment_settings *s = e->settings;
    const json_t *data = json_object_get(e->json, "data");

    if (data && adl_strict_object(data, where, data_keys, err) < 0)
        return -1;
    if (adl_strict_text(data, where, "data", &e->data, err) < 0 ||
        adl_strict_text(data, where, "images", &e->images, err) < 0 ||
        adl_strict_text(data, where, "metadata", &e->metadata, err) < 0 ||
        adl_strict_text(data, where, "masks", &e->masks, err) < 0)
        return -1;
    e->data = adl_experiment_place(e, dir, e->data, err);
    e->images = adl_experiment_place(e, dir, e->images, err);
    e->metadata = adl_experiment_place(e, dir, e->metadata, err);
    e->masks = adl_experiment_place(e, dir, e->masks, err);
    if (s->data) {
        e->data = s->data;
        e->images = e->metadata = e->masks = NULL;
    }
    e->images = s->images ? s->images : e->images;
    e->metadata = s->metadata ? s->metadata : e->metadata;
    e->masks = s->masks ? s->masks : e->masks;
    return err->kind ? -1 : 0;
}

static int read_notes(struct adl_experiment *e, struct adl_error *err)
{
    const json_t *notes = json_object_get(e->json, "notes");
    size_t count = json_is_array(notes) ? json_array_size(notes) : notes ? 1 : 0;
    const char **texts = adl_arena_alloc(&e->arena, count + 1, sizeof *texts);

    if (!texts)
        return adl_fail_nomem(err, "notes");
    for (size_t i = 0; i < count; i++) {
        texts[i] = json_string_value(json_is_array(notes) ? json_array_get(notes, i) : notes);
        if (!texts[i])
            return adl_fail(err, ADL_ERR_FORMAT, "\"notes\" has to be a text or a list of texts");
    }
    e->notes = texts;
    return 0;
}

/* --- seeds and folds
 * ---------------------------------------------------------------------------------- */

/* Reads "1,2,3". */
static int read_given_seeds(struct adl_experiment *e, const char *text, int *seeds,
                            struct adl_error *err)
{
    while (*text) {
        char *end;
        long seed = strtol(text, &end, 10);
        if (end == text || (*end && *end != ',') || seed < 0 || seed > INT_MAX ||
            e->seed_count == MAX_SEEDS)
            return adl_fail(err, ADL_ERR_ARG, "--seeds takes numbers, parted by commas, not \"%s\"",
                            ADL_SHORT(e->settings->seeds));
        seeds[e->seed_count++] = (int)seed;
        text = end + (*end == ',');
    }
    return 0;
}

static int read_seeds(struct adl_experiment *e, struct adl_error *err)
{
    const json_t *list;
    int *seeds = adl_arena_alloc(&e->arena, MAX_SEEDS, sizeof *seeds);

    if (!seeds)
        return adl_fail_nomem(err, "seeds");
    if (adl_strict_list(e->json, "the file", "seeds", &list, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *seed = json_array_get(list, i);
        if (!json_is_integer(seed) || json_integer_value(seed) < 0 ||
            json_integer_value(seed) > INT_MAX || i == MAX_SEEDS)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "\"seeds\" has to be a list of up to %d whole numbers", MAX_SEEDS);
        seeds[i] = (int)json_integer_value(seed);
    }
    e->seeds = seeds;
    e->seed_count = e->settings->seeds ? 0 : json_array_size(list);
    if (e->settings->seeds && read_given_seeds(e, e->settings->seeds, seeds, err) < 0)
        return -1;
    if (e->seed_count == 0)
        seeds[e->seed_count++] = 1;
    for (size_t i = 0; i < e->seed_count; i++)
        for (size_t k = 0; k < i; k++)
            if (seeds[i] == seeds[k])
                return adl_fail(err, e->settings->seeds ? ADL_ERR_ARG : ADL_ERR_FORMAT,
                                "the seed %d is listed twice", seeds[i]);
    return 0;
}

/* Makes a run of each fold of each seed. */
static int read_folds(struct adl_experiment *e, struct adl_error *err)
{
    if (adl_strict_whole(e->json, "the file", "folds", 2, MAX_FOLDS, &e->fold_count, err) < 0)
        return -1;
    if (!e->fold_count)
        return 0;
    size_t folds = (size_t)e->fold_count, count = e->seed_count * folds;
    if (count > MAX_RUNS)
        return adl_fail(err, ADL_ERR_LIMIT, "a row has more than %d runs: %zu seeds in %zu folds",
                        MAX_RUNS, e->seed_count, folds);
    int *both = adl_arena_alloc(&e->arena, 2 * count, sizeof *both);
    if (!both)
        return adl_fail_nomem(err, "folds");
    for (size_t i = 0; i < count; i++) {
        both[i] = e->seeds[i / folds];
        both[count + i] = (int)(i % folds) + 1;
    }
    e->seeds = both;
    e->folds = both + count;
    e->seed_count = count;
    return 0;
}

/* --- measures and columns -------------------------------------------------------------------- */

static int read_measure(struct adl_experiment *e, const json_t *json, const char *where,
                        struct adl_experiment_measure *m, struct adl_error *err)
{
    const json_t *calibrate = json_object_get(json, "calibrate");

    *m = (struct adl_experiment_measure){.split = "test", .model = "last"};
    if (adl_strict_object(json, where, measure_keys, err) < 0 ||
        adl_strict_required(json, where, "name", &m->name, err) < 0 ||
        adl_strict_name(m->name, where, err) < 0 ||
        adl_strict_text(json, where, "split", &m->split, err) < 0 ||
        adl_strict_text(json, where, "model", &m->model, err) < 0)
        return -1;
    if (!m->split || !m->model || (strcmp(m->model, "last") != 0 && strcmp(m->model, "best") != 0))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: \"model\" has to be \"last\" or \"best\"", where);
    /* These are files of the run itself. */
    if (!strcmp(m->name, "run") || !strcmp(m->name, "settings") || !strcmp(m->name, "info") ||
        !strcmp(m->name, "last") || !strcmp(m->name, "best") || !strcmp(m->name, "state") ||
        !strcmp(m->name, "train") || adl_text_ends_with(m->name, ".settings"))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: a measure cannot be called \"%s\"", where,
                        m->name);
    m->options = adl_experiment_object(e, err);
    if (!m->options ||
        adl_strict_options(m->options, json_object_get(json, "options"), where, err) < 0)
        return -1;
    if (!calibrate || json_is_false(calibrate) || json_is_null(calibrate))
        return 0;
    m->calibrate = adl_experiment_object(e, err);
    if (!m->calibrate || json_is_true(calibrate))
        return m->calibrate ? 0 : -1;
    return adl_strict_options(m->calibrate, calibrate, where, err);
}

static int read_measures(struct adl_experiment *e, struct adl_error *err)
{
    const json_t *list;

    if (adl_strict_list(e->json, "the file", "measure", &list, err) < 0)
        return -1;
    size_t count = list ? json_array_size(list) : 1;
    struct adl_experiment_measure *measures = adl_arena_alloc(&e->arena, count, sizeof *measures);
    if (!measures)
        return adl_fail_nomem(err, "measures");
    if (count > MAX_COLUMNS)
        return adl_fail(err, ADL_ERR_LIMIT, "there are more than %d measures", MAX_COLUMNS);
    e->measures = measures;
    e->measure_count = count;
    if (!list) {
        /* The folds of val are all images; a test split would be the same in each. */
        const char *split = e->fold_count ? "val" : "test";
        measures[0] = (struct adl_experiment_measure){.name = split,
                                                      .split = split,
                                                      .model = "last",
                                                      .options = adl_experiment_object(e, err)};
        return measures[0].options ? 0 : -1;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        char where[40];
        snprintf(where, sizeof where, "measure[%zu]", i);
        if (read_measure(e, json_array_get(list, i), where, &measures[i], err) < 0)
            return -1;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(measures[i].name, measures[k].name))
                return adl_fail(err, ADL_ERR_FORMAT, "there are two measures \"%s\"",
                                measures[i].name);
    }
    return 0;
}

/* Finds a measure by the name that `object` has; the first one if it has none. */
static int find_measure(const struct adl_experiment *e, const json_t *object, const char *where,
                        size_t *measure, struct adl_error *err)
{
    const char *name = e->measures[0].name;
    struct adl_nearest nearest;

    if (adl_strict_text(object, where, "measure", &name, err) < 0)
        return -1;
    nearest = (struct adl_nearest){.word = name ? name : "null"};
    for (*measure = 0; *measure < e->measure_count; ++*measure) {
        if (!strcmp(e->measures[*measure].name, nearest.word))
            return 0;
        adl_nearest_offer(&nearest, e->measures[*measure].name);
    }
    return adl_fail(err, ADL_ERR_FORMAT, "%s: there is no measure %s%s%s%s", where,
                    adl_name_quote(nearest.word, strlen(nearest.word)).text,
                    nearest.best ? "; did you mean \"" : "", nearest.best ? nearest.best : "",
                    nearest.best ? "\"?" : "");
}

/* The columns of a file that names none, for each measure. */
static int make_columns(struct adl_experiment *e, struct adl_error *err)
{
    static const struct adl_experiment_column common[] = {
        {.title = "Top-1 Cls", .figure = "top1_cls", .decimals = 1},
        {.title = "GT-known Loc", .figure = "gt_known_loc", .decimals = 1},
        {.title = "Top-1 Loc", .figure = "top1_loc", .decimals = 1},
        {.title = "MaxBoxAcc", .figure = "max_box_acc", .decimals = 1},
        {.title = "MaxBoxAccV2", .figure = "max_box_acc_v2", .decimals = 1}};
    const size_t each = sizeof common / sizeof *common;
    struct adl_experiment_column *columns =
        adl_arena_alloc(&e->arena, e->measure_count * each, sizeof *columns);

    if (!columns)
        return adl_fail_nomem(err, "columns");
    for (size_t i = 0; i < e->measure_count * each; i++) {
        const char *measure = e->measures[i / each].name;
        columns[i] = common[i % each];
        columns[i].measure = i / each;
        if (e->measure_count > 1)
            columns[i].title = ADL_ARENA_TEXT(&e->arena, err, "%s (%s)", columns[i].title, measure);
        if (!columns[i].title)
            return -1;
    }
    e->columns = columns;
    e->column_count = e->measure_count * each;
    return 0;
}

static int read_columns(struct adl_experiment *e, struct adl_error *err)
{
    const json_t *list;

    if (adl_strict_list(e->json, "the file", "columns", &list, err) < 0)
        return -1;
    if (!list)
        return make_columns(e, err);
    size_t count = json_array_size(list);
    struct adl_experiment_column *columns = adl_arena_alloc(&e->arena, count, sizeof *columns);
    if (!columns)
        return adl_fail_nomem(err, "columns");
    if (count > MAX_COLUMNS)
        return adl_fail(err, ADL_ERR_LIMIT, "there are more than %d columns", MAX_COLUMNS);
    for (size_t i = 0; i < count; i++) {
        const json_t *json = json_array_get(list, i);
        char where[40];
        snprintf(where, sizeof where, "columns[%zu]", i);
        columns[i].decimals = 1;
        if (adl_strict_object(json, where, column_keys, err) < 0 ||
            adl_strict_required(json, where, "figure", &columns[i].figure, err) < 0)
            return -1;
        columns[i].title = columns[i].figure;
        if (adl_strict_text(json, where, "title", &columns[i].title, err) < 0 ||
            adl_strict_text(json, where, "baseline", &columns[i].baseline, err) < 0 ||
            adl_strict_whole(json, where, "decimals", 0, 9, &columns[i].decimals, err) < 0 ||
            find_measure(e, json, where, &columns[i].measure, err) < 0)
            return -1;
        if (!columns[i].title)
            columns[i].title = columns[i].figure;
    }
    e->columns = columns;
    e->column_count = count;
    return 0;
}

static int read_gallery(struct adl_experiment *e, struct adl_error *err)
{
    const json_t *gallery = json_object_get(e->json, "gallery");
    int images = GALLERY_IMAGES;

    if (gallery && adl_strict_object(gallery, "\"gallery\"", gallery_keys, err) < 0)
        return -1;
    if (adl_strict_whole(gallery, "\"gallery\"", "images", 0, MAX_GALLERY, &images, err) < 0 ||
        find_measure(e, gallery, "\"gallery\"", &e->gallery, err) < 0)
        return -1;
    e->gallery_images = (size_t)images;
    return 0;
}

static int read_search(struct adl_experiment *e, struct adl_error *err)
{
    static const char where[] = "\"search\"";
    const json_t *search = json_object_get(e->json, "search");
    const char *by = e->columns[0].title;

    if (!search)
        return 0;
    e->search_draws = DRAWS;
    e->search_seed = 1;
    if (adl_strict_object(search, where, search_keys, err) < 0 ||
        adl_strict_whole(search, where, "n", 1, MAX_DRAWS, &e->search_draws, err) < 0 ||
        adl_strict_whole(search, where, "seed", 0, INT_MAX, &e->search_seed, err) < 0 ||
        adl_strict_text(search, where, "by", &by, err) < 0)
        return -1;
    struct adl_nearest nearest = {.word = by ? by : "null"};
    for (e->search_column = 0; e->search_column < e->column_count; e->search_column++) {
        if (!strcmp(e->columns[e->search_column].title, nearest.word))
            return 0;
        adl_nearest_offer(&nearest, e->columns[e->search_column].title);
    }
    return adl_fail(err, ADL_ERR_FORMAT, "%s: there is no column %s%s%s%s", where,
                    adl_name_quote(nearest.word, strlen(nearest.word)).text,
                    nearest.best ? "; did you mean \"" : "", nearest.best ? nearest.best : "",
                    nearest.best ? "\"?" : "");
}

/* --- the file -------------------------------------------------------------------------------- */

static int parse(struct adl_experiment *e, struct adl_error *err)
{
    json_error_t fault;
    size_t length;
    char *text = adl_file_read(e->path, ADL_LIMIT_CONFIG_BYTES, &length, err);

    if (!text)
        return -1;
    e->owned = json_array();
    e->json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &fault);
    adl_free(text);
    if (!e->json || !e->owned)
        return adl_fail(err, ADL_ERR_FORMAT, "%s:%d: %s", e->path, fault.line, fault.text);
    return 0;
}

static int interpret(struct adl_experiment *e, struct adl_error *err)
{
    const struct adl_experiment_settings *s = e->settings;
    const char *out = NULL, *dir;

    if (adl_strict_object(e->json, "the file", file_keys, err) < 0)
        return -1;
    dir = split_path(e, err);
    if (!dir || adl_strict_text(e->json, "the file", "name", &e->name, err) < 0)
        return -1;
    if (!e->name || adl_strict_name(e->name, "\"name\"", err) < 0)
        return adl_fail(err, ADL_ERR_FORMAT, "\"name\" has to be a text");
    e->title = e->name;
    e->baseline = "baseline";
    if (adl_strict_text(e->json, "the file", "title", &e->title, err) < 0 ||
        adl_strict_text(e->json, "the file", "baseline", &e->baseline, err) < 0 ||
        adl_strict_text(e->json, "the file", "out", &out, err) < 0)
        return -1;
    if (!e->title || !e->baseline)
        return adl_fail(err, ADL_ERR_FORMAT, "\"title\" and \"baseline\" have to be texts");
    e->out = s->out ? s->out : adl_experiment_place(e, dir, out ? out : e->name, err);
    if (!e->out || read_data(e, dir, err) < 0 || read_notes(e, err) < 0 || read_seeds(e, err) < 0 ||
        read_folds(e, err) < 0 || read_measures(e, err) < 0 || read_columns(e, err) < 0 ||
        read_gallery(e, err) < 0 || read_search(e, err) < 0 ||
        adl_experiment_read_rows(e, dir, err) < 0)
        return -1;
    return adl_experiment_check(e, err);
}

int adl_experiment_read(struct adl_experiment *experiment, const char *path,
                        const struct adl_experiment_settings *settings,
                        const struct adl_experiment_commands *commands, struct adl_error *err)
{
    *experiment = (struct adl_experiment){.path = path, .settings = settings, .commands = commands};
    if (parse(experiment, err) < 0)
        return -1;
    if (interpret(experiment, err) == 0)
        return 0;
    return err->kind == ADL_ERR_ARG ? -1 : adl_error_context(err, "%s", path);
}
