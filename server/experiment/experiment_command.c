/* Makes the command lines of an experiment, and has the subcommands check them. An experiment does
 * not know what an option means: it hands the options of its file on as they are. */

#include "server/experiment/experiment_command.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"

/* The words of a command line as it grows. */
struct words {
    struct adl_arena *arena;
    struct adl_error *err;
    char **items;
    size_t count, capacity;
};

#define add(w, ...) add_word(w, ADL_ARENA_TEXT((w)->arena, (w)->err, __VA_ARGS__))

static void add_word(struct words *w, const char *word)
{
    char **items =
        word ? adl_array_grow(w->items, &w->capacity, w->count + 1, sizeof *items) : NULL;

    if (!items) {
        adl_fail_nomem(w->err, "a command line");
        return;
    }
    w->items = items;
    w->items[w->count++] = (char *)(uintptr_t)word;
}

static struct words begin(const char *subcommand, struct adl_arena *arena, struct adl_error *err)
{
    struct words w = {.arena = arena, .err = err};
    add(&w, "adl-server");
    add(&w, "%s", subcommand);
    return w;
}

/* Returns the words in memory of the arena. */
static char **end(struct words *w)
{
    char **items = w->err->kind ? NULL : adl_arena_alloc(w->arena, w->count + 1, sizeof *items);
    if (items && w->count)
        memcpy(items, w->items, w->count * sizeof *items);
    else
        adl_fail_nomem(w->err, "a command line");
    adl_free(w->items);
    return items;
}

static void add_option(struct words *w, const char *key, const json_t *value)
{
    if (json_is_true(value))
        add(w, "--%s", key);
    else
        add(w, "--%s=%s", key, json_string_value(value));
}

static void add_options(struct words *w, const json_t *options)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)options, key, value)
    {
        add_option(w, key, value);
    }
}

const json_t *adl_experiment_data_option(const struct adl_experiment *e, const json_t *measure,
                                         size_t row, const char *key)
{
    bool share = !strcmp(key, "val-share"), folds = !strcmp(key, "folds") || !strcmp(key, "fold");
    const json_t *own = json_object_get(measure, key), *options = e->rows[row].options;

    /* The two ways to divide exclude each other. */
    if (own || (share && json_object_get(measure, "folds")) ||
        (folds && json_object_get(measure, "val-share")))
        return own;
    own = json_object_get(options, key);
    if (!own && share && !e->fold_count && !json_object_get(options, "folds"))
        return e->whole_share;
    return own;
}

/* Adds the fold that is val, if the file has folds; returns whether it has. */
static bool add_fold(struct words *w, const struct adl_experiment *e, size_t seed)
{
    if (!e->fold_count)
        return false;
    add(w, "--folds=%d", e->fold_count);
    add(w, "--fold=%d", e->folds[seed]);
    return true;
}

/* Adds the options of a measure, and those that say which images are val: those of the training,
 * else the measure would be of images that it has seen. */
static void add_measure_options(struct words *w, const struct adl_experiment *e, size_t row,
                                size_t seed, const json_t *options)
{
    static const char *const keys[] = {"val-share", "folds", "fold", "exif"};
    bool divided = add_fold(w, e, seed);

    for (size_t i = 0; i < ADL_COUNT(keys); i++) {
        const json_t *value = adl_experiment_data_option(e, options, row, keys[i]);
        divided |= value && strcmp(keys[i], "exif") != 0;
        if (value && !json_object_get(options, keys[i]))
            add_option(w, keys[i], value);
    }
    if (divided)
        add(w, "--seed=%d", e->seeds[seed]);
    add_options(w, options);
}

static void add_data(struct words *w, const struct adl_experiment *e)
{
    if (e->data)
        add(w, "--data=%s", e->data);
    if (e->images)
        add(w, "--images=%s", e->images);
    if (e->metadata)
        add(w, "--metadata=%s", e->metadata);
    if (e->masks)
        add(w, "--masks=%s", e->masks);
}

static void add_threads(struct words *w, const struct adl_experiment *e)
{
    if (e->settings->threads)
        add(w, "--threads=%d", e->settings->threads);
}

char **adl_experiment_train(const struct adl_experiment *e, size_t row, size_t seed, bool resume,
                            struct adl_arena *arena, struct adl_error *err)
{
    struct words w = begin("train", arena, err);

    add_data(&w, e);
    add_word(&w, "--out");
    add_word(&w, adl_experiment_path(e, row, seed, NULL, arena, err));
    if (e->rows[row].init)
        add(&w, "--init=%s", e->rows[row].init);
    add_options(&w, e->rows[row].options);
    (void)add_fold(&w, e, seed);
    add(&w, "--seed=%d", e->seeds[seed]);
    add_threads(&w, e);
    if (resume)
        add(&w, "--resume");
    return end(&w);
}

/* Returns the model that the run itself left for a measure. */
static const char *trained_model(const struct adl_experiment *e, size_t row, size_t seed,
                                 size_t measure, struct adl_arena *arena, struct adl_error *err)
{
    bool best = !strcmp(e->measures[measure].model, "best");
    return adl_experiment_path(e, row, seed, best ? "best.safetensors" : "last.safetensors", arena,
                               err);
}

const char *adl_experiment_model(const struct adl_experiment *e, size_t row, size_t seed,
                                 size_t measure, struct adl_arena *arena, struct adl_error *err)
{
    const struct adl_experiment_measure *m = &e->measures[measure];

    if (!m->calibrate)
        return trained_model(e, row, seed, measure, arena, err);
    const char *name = ADL_ARENA_TEXT(arena, err, "%s.safetensors", m->name);
    return name ? adl_experiment_path(e, row, seed, name, arena, err) : NULL;
}

char **adl_experiment_calibrate(const struct adl_experiment *e, size_t row, size_t seed,
                                size_t measure, struct adl_arena *arena, struct adl_error *err)
{
    struct words w = begin("calibrate", arena, err);

    add_word(&w, "--model");
    add_word(&w, trained_model(e, row, seed, measure, arena, err));
    add_data(&w, e);
    add_measure_options(&w, e, row, seed, e->measures[measure].calibrate);
    add_threads(&w, e);
    add_word(&w, "--");
    add_word(&w, adl_experiment_model(e, row, seed, measure, arena, err));
    return end(&w);
}

char **adl_experiment_eval(const struct adl_experiment *e, size_t row, size_t seed, size_t measure,
                           struct adl_arena *arena, struct adl_error *err)
{
    struct words w = begin("eval", arena, err);

    add_word(&w, "--model");
    add_word(&w, adl_experiment_model(e, row, seed, measure, arena, err));
    add_data(&w, e);
    add(&w, "--split=%s", e->measures[measure].split);
    add_measure_options(&w, e, row, seed, e->measures[measure].options);
    add_threads(&w, e);
    add_word(&w, "--json");
    return end(&w);
}

char **adl_experiment_info(const struct adl_experiment *e, size_t row, size_t seed,
                           struct adl_arena *arena, struct adl_error *err)
{
    struct words w = begin("info", arena, err);

    add_word(&w, "--json");
    add_word(&w, "--");
    add_word(&w, adl_experiment_path(e, row, seed, "last.safetensors", arena, err));
    return end(&w);
}

/* --- checks ------------------------------------------------------------------------------ */

/* Parses a command line as its subcommand would, and appends it to `text` unless that is NULL. */
static int parse(const struct adl_command *command, char **words, struct adl_str *text,
                 struct adl_error *err)
{
    struct adl_options options = {0};
    void *settings = adl_calloc(1, command->settings_bytes);
    int count = 0, result = -1;

    if (!words || !settings) {
        adl_fail_nomem(err, "a command line");
        goto out;
    }
    while (words[count])
        count++;
    ADL_TRY(adl_options_parse(&options, command, count - 1, words + 1, settings, err));
    if (text)
        adl_str_printf(text, "%s\n", options.command_line);
    result = 0;
out:
    adl_options_release(&options);
    adl_free(settings);
    return result;
}

/* Fails if an option is one that the experiment sets itself. */
static int check_reserved(const json_t *options, const char *where, const char *const *reserved,
                          struct adl_error *err)
{
    for (; *reserved; reserved++)
        if (json_object_get(options, *reserved))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the option \"%s\" is set by the experiment itself", where,
                            *reserved);
    return 0;
}

/* Fails if an option would make all runs write the same file, or print something else than the
 * experiment expects. */
static int check_unsuited(const json_t *options, const char *where, const char *const *unsuited,
                          struct adl_error *err)
{
    for (; *unsuited; unsuited++)
        if (json_object_get(options, *unsuited))
            return adl_fail(err, ADL_ERR_FORMAT,
                            "%s: the option \"%s\" is not one for an experiment, whose runs would "
                            "overwrite each other's file or train nothing; give it by hand",
                            where, *unsuited);
    return 0;
}

/* Fails if an option divides the data although the experiment does. */
static int check_folds(const struct adl_experiment *e, const json_t *options, const char *where,
                       struct adl_error *err)
{
    static const char *const reserved[] = {"val-share", "folds", "fold", NULL};
    return e->fold_count ? check_reserved(options, where, reserved, err) : 0;
}

static int check_train_options(const struct adl_experiment *e, const struct adl_experiment_row *row,
                               struct adl_error *err)
{
    static const char *const reserved[] = {"data",   "images", "metadata", "masks", "out", "init",
                                           "resume", "seed",   "threads",  "help",  NULL};
    static const char *const unsuited[] = {"find-lr", "augment-preview", NULL};
    const char *recipe = json_string_value(json_object_get(row->options, "recipe"));

    if (check_reserved(row->options, row->name, reserved, err) < 0 ||
        check_folds(e, row->options, row->name, err) < 0 ||
        check_unsuited(row->options, row->name, unsuited, err) < 0)
        return -1;
    if (json_is_string(json_object_get(row->options, "tensorboard")))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: the option \"tensorboard\" has to be true, so that each run writes "
                        "into its own directory",
                        row->name);
    if (recipe && !strcmp(recipe, "list"))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: the recipe \"list\" trains nothing", row->name);
    return 0;
}

/* An error in the options is one of the file's. */
static int blame(const char *where, const char *name, const char *subcommand, struct adl_error *err)
{
    if (err->kind == ADL_ERR_ARG)
        err->kind = ADL_ERR_FORMAT;
    return adl_error_context(err, "%s \"%s\": %s", where, name, subcommand);
}

static int check_measure(const struct adl_experiment *e, size_t measure, struct adl_arena *arena,
                         struct adl_error *err)
{
    static const char *const reserved[] = {"model",   "data", "images", "metadata", "masks",
                                           "threads", "json", "help",   "seed",     NULL};
    static const char *const unsuited[] = {"predictions", "scoremaps",      "csv",
                                           "confusion",   "from-scoremaps", NULL};
    const struct adl_experiment_measure *m = &e->measures[measure];

    if (check_reserved(m->options, m->name, reserved, err) < 0 ||
        check_reserved(m->calibrate, m->name, reserved, err) < 0 ||
        check_folds(e, m->options, m->name, err) < 0 ||
        check_folds(e, m->calibrate, m->name, err) < 0 ||
        check_unsuited(m->options, m->name, unsuited, err) < 0)
        return -1;
    if (json_object_get(m->options, "split"))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "%s: the split is a key of the measure, beside its options", m->name);
    if (parse(e->commands->eval, adl_experiment_eval(e, 0, 0, measure, arena, err), NULL, err) < 0)
        return blame("measure", m->name, "eval", err);
    if (m->calibrate &&
        parse(e->commands->calibrate, adl_experiment_calibrate(e, 0, 0, measure, arena, err), NULL,
              err) < 0)
        return blame("measure", m->name, "calibrate", err);
    return 0;
}

int adl_experiment_check(const struct adl_experiment *e, struct adl_error *err)
{
    struct adl_arena arena = {0};
    int result = -1;

    for (size_t i = 0; i < e->row_count; i++) {
        const struct adl_experiment_row *row = &e->rows[i];
        ADL_TRY(check_train_options(e, row, err));
        if (parse(e->commands->train, adl_experiment_train(e, i, 0, false, &arena, err), NULL,
                  err) < 0) {
            blame("row", row->name, "train", err);
            goto out;
        }
    }
    for (size_t i = 0; i < e->measure_count; i++)
        ADL_TRY(check_measure(e, i, &arena, err));
    result = 0;
out:
    adl_arena_release(&arena);
    return result;
}

/* --- for people ---------------------------------------------------------------------------- */

static int list_run(const struct adl_experiment *e, size_t row, size_t seed, struct adl_str *text,
                    struct adl_arena *arena, struct adl_error *err)
{
    if (parse(e->commands->train, adl_experiment_train(e, row, seed, false, arena, err), text,
              err) < 0)
        return -1;
    for (size_t i = 0; i < e->measure_count; i++)
        if ((e->measures[i].calibrate &&
             parse(e->commands->calibrate, adl_experiment_calibrate(e, row, seed, i, arena, err),
                   text, err) < 0) ||
            parse(e->commands->eval, adl_experiment_eval(e, row, seed, i, arena, err), text, err) <
                0)
            return -1;
    return parse(e->commands->info, adl_experiment_info(e, row, seed, arena, err), text, err);
}

int adl_experiment_list(const struct adl_experiment *e, struct adl_str *text, struct adl_error *err)
{
    struct adl_arena arena = {0};
    int result = -1;

    for (size_t row = 0; row < e->row_count; row++) {
        adl_str_printf(text, "# %s: %s\n", e->rows[row].name, e->rows[row].title);
        for (size_t seed = 0; seed < e->seed_count; seed++)
            ADL_TRY(list_run(e, row, seed, text, &arena, err));
    }
    result = text->failed ? adl_fail_nomem(err, "the list") : 0;
out:
    adl_arena_release(&arena);
    return result;
}

void adl_experiment_options(const json_t *options, struct adl_str *text)
{
    const char *key, *gap = "";
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)options, key, value)
    {
        adl_str_printf(text, "%s--%s", gap, key);
        if (json_is_string(value))
            adl_str_printf(text, " %s", json_string_value(value));
        gap = " ";
    }
}
