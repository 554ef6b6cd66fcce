/* Writes what a run was begun with, and compares it with what is asked for. */

#include "server/experiment/run_settings.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/experiment/experiment_command.h"
#include "server/training/train_data.h"

int adl_run_settings_identify(struct adl_experiment *e, struct adl_error *err)
{
    struct adl_dataset_options where = {.dir = e->data,
                                        .images = e->images,
                                        .metadata = e->metadata,
                                        .masks = e->masks,
                                        .split = "train"};
    struct adl_error unread = {0};
    struct adl_dataset *data = e->data || e->metadata ? adl_dataset_open(&where, &unread) : NULL;
    /* Lists whose images have several labels are none of one label each. */
    where.multi_label = true;
    if (!data && unread.kind == ADL_ERR_FORMAT)
        data = adl_dataset_open(&where, &(struct adl_error){0});
    json_t *identity = data ? adl_train_data_identity(data) : NULL;
    const char *digest = json_string_value(json_object_get(identity, "digest"));

    e->digest = digest ? ADL_ARENA_TEXT(&e->arena, err, "%s", digest) : NULL;
    if (data && data->whole) {
        e->whole_share = json_sprintf("%g", ADL_DATASET_WHOLE_VAL_SHARE);
        if (!e->whole_share || json_array_append_new(e->owned, e->whole_share) < 0)
            adl_fail_nomem(err, "the experiment");
    }
    json_decref(identity);
    adl_dataset_free(data);
    return err->kind ? -1 : 0;
}

/* Sets the number of folds of the experiment, if it has any, in options, as text like them. */
static int set_folds(const struct adl_experiment *e, json_t *options)
{
    return e->fold_count ? json_object_set_new(options, "folds", json_sprintf("%d", e->fold_count))
                         : 0;
}

json_t *adl_run_settings_of_row(const struct adl_experiment *e, size_t row, struct adl_error *err)
{
    const struct adl_experiment_row *own = &e->rows[row];
    const char *slash = own->init ? strrchr(own->init, '/') : NULL;
    json_t *init = !own->init ? json_null() : adl_json_from_text(slash ? slash + 1 : own->init);
    json_t *options = json_copy(own->options);
    json_t *settings =
        json_pack("{s:o, s:o, s:s*}", "options", options, "init", init, "digest", e->digest);

    if (settings && set_folds(e, options) == 0)
        return settings;
    json_decref(settings);
    adl_fail_nomem(err, "settings");
    return NULL;
}

json_t *adl_run_settings_of_measure(const struct adl_experiment *e, size_t measure, size_t row,
                                    struct adl_error *err)
{
    const struct adl_experiment_measure *m = &e->measures[measure];
    const struct adl_experiment_row *own = &e->rows[row];
    static const char *const keys[] = {"val-share", "folds", "fold", "exif"};
    json_t *settings = json_pack("{s:O, s:O?, s:s, s:s}", "options", m->options, "calibrate",
                                 m->calibrate, "split", m->split, "model", m->model);
    json_t *data = json_object();
    int failed = !settings || !data || set_folds(e, data) < 0;

    for (size_t i = 0; i < ADL_COUNT(keys) && !failed; i++) {
        json_t *value = json_object_get(own->options, keys[i]);
        failed = value && json_object_set(data, keys[i], value) < 0;
    }
    if (!failed && e->whole_share &&
        adl_experiment_data_option(e, NULL, row, "val-share") == e->whole_share)
        failed = json_object_set(data, "val-share", e->whole_share) < 0;
    if (!failed && json_object_size(data))
        failed = json_object_set(settings, "data", data) < 0;
    json_decref(data);
    if (failed) {
        json_decref(settings);
        settings = NULL;
    }
    if (!settings)
        adl_fail_nomem(err, "settings");
    return settings;
}

/* Writes "--lr 0.01", or "no --lr". */
static const char *describe(const char *key, const json_t *value, char *text, size_t size)
{
    if (!value || json_is_null(value))
        snprintf(text, size, "no --%s", key);
    else if (json_is_string(value))
        snprintf(text, size, "--%s %.60s", key, json_string_value(value));
    else
        snprintf(text, size, "--%s", key);
    return text;
}

/* Says in words in which option two settings differ. */
static void say_difference(const json_t *begun, const json_t *asked, char *text, size_t size)
{
    const json_t *sides[2] = {json_object_get(begun, "options"), json_object_get(asked, "options")};
    char was[160], is[160];
    const char *key;
    json_t *value;

    for (int side = 0; side < 2; side++)
        json_object_foreach((json_t *)(uintptr_t)sides[side], key, value)
        {
            const json_t *other = json_object_get(sides[!side], key);
            if (other && json_equal(value, other))
                continue;
            snprintf(text, size, "with %s, not %s",
                     describe(key, json_object_get(sides[0], key), was, sizeof was),
                     describe(key, json_object_get(sides[1], key), is, sizeof is));
            return;
        }
    const json_t *before = json_object_get(begun, "init"), *now = json_object_get(asked, "init");
    const json_t *data = json_object_get(begun, "digest");
    if (data && !json_equal(data, json_object_get(asked, "digest")))
        snprintf(text, size, "with other data: the images of train or their classes differ");
    else if (before && now && !json_equal(before, now))
        snprintf(text, size, "with %s, not %s", describe("init", before, was, sizeof was),
                 describe("init", now, is, sizeof is));
    else
        snprintf(text, size, "with other settings");
}

int adl_run_settings_match(const char *path, const json_t *settings, char *difference, size_t size,
                           struct adl_error *err)
{
    struct adl_error unread = {0};
    char *text = adl_file_read(path, ADL_LIMIT_CONFIG_BYTES, NULL, &unread);

    *difference = '\0';
    if (!text && unread.kind == ADL_ERR_NOT_FOUND)
        return 0;
    if (!text)
        return adl_fail(err, unread.kind, "%s", unread.message);
    json_t *begun = json_loads(text, 0, NULL);
    /* Data that were not read, now or then, cannot be compared. */
    if (begun && json_object_get(settings, "digest") && !json_object_get(begun, "digest"))
        json_object_set(begun, "digest", json_object_get(settings, "digest"));
    else if (!json_object_get(settings, "digest"))
        json_object_del(begun, "digest");
    int equal = begun && json_equal(begun, settings);
    if (!equal)
        say_difference(begun, settings, difference, size);
    json_decref(begun);
    adl_free(text);
    return equal;
}

/* Compares a file of a run with settings, which it releases. `how` begins the difference. */
static int match_file(const char *path, json_t *settings, const char *how, char *difference,
                      size_t size, struct adl_error *err)
{
    char text[400];
    int matches =
        path && settings ? adl_run_settings_match(path, settings, text, sizeof text, err) : -1;

    json_decref(settings);
    if (matches == 0 && *text)
        snprintf(difference, size, "it was %s %s", how, text);
    else if (matches == 0)
        snprintf(difference, size, "the settings that it was %s with are not known", how);
    return matches;
}

int adl_run_settings_match_run(const struct adl_experiment *e, size_t row, size_t seed,
                               char *difference, size_t size, struct adl_arena *arena,
                               struct adl_error *err)
{
    int matches = match_file(adl_experiment_path(e, row, seed, ADL_RUNS_SETTINGS, arena, err),
                             adl_run_settings_of_row(e, row, err), "begun", difference, size, err);

    for (size_t i = 0; matches > 0 && i < e->measure_count; i++) {
        const struct adl_experiment_measure *m = &e->measures[i];
        const char *name = ADL_ARENA_TEXT(arena, err, "%s.settings.json", m->name);
        matches = match_file(name ? adl_experiment_path(e, row, seed, name, arena, err) : NULL,
                             adl_run_settings_of_measure(e, i, row, err), "measured", difference,
                             size, err);
    }
    return matches;
}

int adl_run_settings_write(const char *path, const json_t *settings, struct adl_error *err)
{
    size_t length;
    char *text = adl_json_to_text(settings, JSON_INDENT(2), &length, err);

    if (!text)
        return -1;
    const struct adl_file_piece pieces[] = {{text, length}, {"\n", 1}};
    int result = adl_file_write(path, pieces, 2, err);
    adl_free(text);
    return result;
}
