/* Handles what the page /training asks for: the runs below --runs, the lines of their metrics as
 * they are written, and the pictures of val that they draw after an epoch.
 *
 * All of it is read from files that may be written at this moment, or by somebody else: the last
 * line of a list may be unfinished and is left for the next request, lines that are not JSON are
 * skipped, and no more is read at once than the bounds below (see server/training/runs_tree.h for
 * what can be reached). Reading may wait for a disk, so it happens on the thread of later.h. */

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/json_text.h"
#include "server/api/later.h"
#include "server/api/server.h"
#include "server/training/run_lock.h"
#include "server/training/run_pictures.h"
#include "server/training/run_record.h"
#include "server/training/runs_tree.h"

/* Bytes that are read at once: of run.json, of lines, of the pictures of an epoch, of one picture.
 */
enum {
    RECORD_BYTES = 4 << 20,
    LINES_BYTES = 1 << 20,
    PICTURES_BYTES = 8 << 20,
    PICTURE_BYTES = 1 << 20
};

/* Without --runs these paths do not exist. */
static bool has_runs(struct adl_exchange *exchange)
{
    if (exchange->server->runs)
        return true;
    adl_answer_problem(exchange, ADL_PROBLEM_UNKNOWN_PATH, 0,
                       "the path %s does not exist here: the server was started without --runs",
                       ADL_SHORT(exchange->http->path));
    return false;
}

void adl_api_training_page(struct adl_exchange *exchange, const char *rest)
{
    if (has_runs(exchange))
        adl_api_asset(exchange, rest);
}

void adl_api_training_begin(struct adl_exchange *exchange, const char *rest)
{
    (void)rest;
    has_runs(exchange); /* if so, `later` answers */
}

static const char *argument(const struct adl_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->http->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Returns the run that the request names; NULL, with the answer, if it names none. */
static const char *run_of(struct adl_exchange *exchange)
{
    const char *run = argument(exchange, "run");

    if (!run || !*run)
        adl_answer_problem(exchange, ADL_PROBLEM_BAD_PARAMETER, 0,
                           "run is missing: the name of a run, from /training/runs");
    return run && *run ? run : NULL;
}

/* Reads a parameter that is a whole number below 2^53; -1, with the answer, if it is none. */
static long long number_of(struct adl_exchange *exchange, const char *name, long long otherwise)
{
    const char *text = argument(exchange, name);
    size_t digits = text ? strspn(text, "0123456789") : 0;

    if (!text)
        return otherwise;
    if (digits > 0 && digits < 16 && !text[digits])
        return strtoll(text, NULL, 10);
    adl_answer_problem(exchange, ADL_PROBLEM_BAD_PARAMETER, 0, "%s=%s: has to be a whole number",
                       name, ADL_SHORT(text));
    return -1;
}

/* What cannot be read does not exist for those who ask. */
static void answer_error(struct adl_exchange *exchange, const struct adl_error *err)
{
    bool memory = err->kind == ADL_ERR_NOMEM;

    adl_answer_problem(exchange, memory ? ADL_PROBLEM_OUT_OF_MEMORY : ADL_PROBLEM_UNKNOWN_PATH,
                       memory ? 1 : 0, "%s", err->message);
}

/* --- the runs --------------------------------------------------------------------------------- */

/* Adds members of run.json, if they are of their kind, under names of the answer. */
static void copy_text(json_t *to, const char *name, const json_t *from, const char *member)
{
    json_t *value = json_object_get(from, member);

    if (json_is_string(value))
        json_object_set(to, name, value);
}

static void copy_whole(json_t *to, const char *name, const json_t *from, const char *member)
{
    json_t *value = json_object_get(from, member);

    if (json_is_integer(value) && json_integer_value(value) >= 0)
        json_object_set(to, name, value);
}

static json_t *describe_run(const struct adl_runs *runs, const char *name)
{
    struct adl_runs_file metrics = {0};
    struct adl_error err = {0};
    size_t length;
    json_t *run = json_pack("{s:o}", "name", adl_json_from_text(name));
    char *text = adl_runs_read(runs, name, ADL_RUN_RECORD, 0, RECORD_BYTES, &length, NULL, &err);
    json_t *record = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool any = adl_runs_look(runs, name, ADL_RUN_METRICS, &metrics);

    if (!any)
        adl_runs_look(runs, name, ADL_RUN_RECORD, &metrics);
    if (run && record) {
        const json_t *config = json_object_get(record, "config");
        const json_t *counts = json_object_get(record, "counts");
        copy_text(run, "network", record, "network");
        copy_text(run, "command", record, "command");
        copy_text(run, "data", record, "data");
        copy_text(run, "method", config, "method");
        copy_whole(run, "seed", config, "seed");
        copy_whole(run, "epochs", record, "epochs");
        copy_whole(run, "train_images", counts, "train");
        copy_whole(run, "val_images", counts, "val");
        copy_whole(run, "classes", counts, "classes");
    }
    if (run) {
        json_object_set_new(run, "changed", json_integer(metrics.changed_s));
        json_object_set_new(run, "running",
                            json_boolean(adl_runs_look(runs, name, ADL_RUN_LOCK, NULL)));
        json_object_set_new(run, "pictures",
                            json_boolean(adl_runs_look(runs, name, ADL_RUN_PICTURES_INDEX, NULL)));
        json_object_set_new(run, "steps",
                            json_boolean(adl_runs_look(runs, name, ADL_RUN_STEPS, NULL)));
    }
    json_decref(record);
    adl_free(text);
    return run;
}

void adl_api_training_runs(struct adl_exchange *exchange)
{
    const struct adl_runs *runs = exchange->server->runs;
    struct adl_runs_list list;
    struct adl_error err = {0};

    if (adl_runs_find(runs, &list, &err) < 0) {
        answer_error(exchange, &err);
        return;
    }
    json_t *items = json_array();
    for (size_t i = 0; items && i < list.count; i++)
        json_array_append_new(items, describe_run(runs, list.names[i]));
    adl_answer_json(exchange, json_pack("{s:o, s:b}", "runs", items, "more", list.more));
    adl_runs_list_release(&list);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Returns how many of the bytes are whole lines. A line that is longer than what is read at once is
 * passed over piece by piece. */
static size_t whole_lines(const char *bytes, size_t length)
{
    size_t end = length;

    while (end > 0 && bytes[end - 1] != '\n')
        end--;
    return end == 0 && length == LINES_BYTES ? length : end;
}

static json_t *parse_lines(char *bytes, size_t length)
{
    json_t *lines = json_array();
    const char *next = bytes;

    bytes[length] = '\0';
    while (lines && *next) {
        json_t *line = adl_json_next_line(&next);
        if (json_is_object(line))
            json_array_append(lines, line);
        json_decref(line);
    }
    return lines;
}

void adl_api_training_lines(struct adl_exchange *exchange)
{
    const char *run = run_of(exchange), *file = argument(exchange, "file");
    long long from = run ? number_of(exchange, "from", 0) : -1;
    struct adl_runs_file known;
    struct adl_error err = {0};
    size_t length;

    if (from < 0)
        return;
    if (file && strcmp(file, "epochs") != 0 && strcmp(file, "steps") != 0) {
        adl_answer_problem(exchange, ADL_PROBLEM_BAD_PARAMETER, 0,
                           "file=%s: has to be epochs or steps", ADL_SHORT(file));
        return;
    }
    const char *name = file && !strcmp(file, "steps") ? ADL_RUN_STEPS : ADL_RUN_METRICS;
    char *bytes = adl_runs_read(exchange->server->runs, run, name, (uint64_t)from, LINES_BYTES,
                                &length, &known, &err);
    if (!bytes && err.kind == ADL_ERR_NOT_FOUND &&
        adl_runs_look(exchange->server->runs, run, ADL_RUN_RECORD, NULL)) {
        /* A run has no lines before its first epoch is over. */
        known = (struct adl_runs_file){0};
        err = (struct adl_error){0};
        bytes = adl_calloc(1, 1);
        if (!bytes)
            adl_fail_nomem(&err, "the lines of a run");
    }
    if (!bytes) {
        answer_error(exchange, &err);
        return;
    }
    /* A run that was begun anew: what the client has is of another one. */
    bool anew = (uint64_t)from > known.bytes;
    size_t whole = anew ? 0 : whole_lines(bytes, length);
    json_t *lines = parse_lines(bytes, whole);
    long long next = anew ? 0 : from + (long long)whole;
    adl_answer_json(exchange,
                    json_pack("{s:o, s:I, s:b, s:b}", "lines", lines, "next", (json_int_t)next,
                              "anew", anew, "more", (uint64_t)next < known.bytes && whole > 0));
    adl_free(bytes);
}

/* --- pictures --------------------------------------------------------------------------------- */

/* Answers with a file that has to hold a JSON object. */
static json_t *read_object(const struct adl_runs *runs, const char *run, const char *name,
                           struct adl_error *err)
{
    size_t length;
    char *text = adl_runs_read(runs, run, name, 0, PICTURES_BYTES, &length, NULL, err);
    json_t *json = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;

    adl_free(text);
    if (text && !json_is_object(json)) {
        json_decref(json);
        json = NULL;
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s of the run is not a JSON object", name);
    }
    return json;
}

/* Adds the epochs of which there are pictures, in order. */
static int add_epochs(json_t *json, const struct adl_runs *runs, const char *run,
                      struct adl_error *err)
{
    static const char start[] = "epoch-";
    struct adl_runs_list list;

    if (adl_runs_files(runs, run, ADL_RUN_PICTURES, start, 4 * ADL_RUN_PICTURES_EPOCHS, &list,
                       err) < 0)
        return -1;
    json_t *epochs = json_array();
    for (size_t i = 0; i < list.count; i++) {
        const char *digits = list.names[i] + sizeof start - 1;
        size_t length = strspn(digits, "0123456789");
        if (length > 0 && length < 10 && !strcmp(digits + length, ".json"))
            json_array_append_new(epochs, json_integer(strtol(digits, NULL, 10)));
    }
    json_object_set_new(json, "epochs", epochs);
    adl_runs_list_release(&list);
    return 0;
}

void adl_api_training_pictures(struct adl_exchange *exchange)
{
    const struct adl_runs *runs = exchange->server->runs;
    const char *run = run_of(exchange);
    bool of_epoch = argument(exchange, "epoch") != NULL;
    long long epoch = run ? number_of(exchange, "epoch", 0) : -1;
    struct adl_error err = {0};
    char name[ADL_RUN_PICTURES_NAME] = ADL_RUN_PICTURES_INDEX;

    if (epoch < 0)
        return;
    if (of_epoch)
        adl_run_pictures_epoch(name, epoch);
    json_t *json = read_object(runs, run, name, &err);
    if (!json || (!of_epoch && add_epochs(json, runs, run, &err) < 0)) {
        json_decref(json);
        answer_error(exchange, &err);
        return;
    }
    adl_answer_json(exchange, json);
}

void adl_api_training_picture(struct adl_exchange *exchange)
{
    const char *run = run_of(exchange);
    long long number = run ? number_of(exchange, "number", 0) : -1;
    struct adl_error err = {0};
    char name[ADL_RUN_PICTURES_NAME];
    size_t length;

    if (number < 0)
        return;
    adl_run_pictures_jpeg(name, number);
    char *bytes =
        adl_runs_read(exchange->server->runs, run, name, 0, PICTURE_BYTES, &length, NULL, &err);
    /* Only what is an image is called one. */
    if (bytes && (length < 3 || memcmp(bytes, "\xff\xd8\xff", 3) != 0)) {
        adl_free(bytes);
        bytes = NULL;
        adl_fail(&err, ADL_ERR_NOT_FOUND, "%s of the run is not a JPEG", name);
    }
    if (bytes)
        adl_answer_bytes(exchange, "image/jpeg", bytes, length);
    else
        answer_error(exchange, &err);
}
