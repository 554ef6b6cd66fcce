/* Reads the figures of finished runs from their directories. */

#include "server/experiment/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "base/str.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/experiment/run_settings.h"
#include "server/experiment/runs.h"
#include "server/training/run_record.h"

/* A cell that nothing was read into. */
#define UNKNOWN ((double)NAN)

/* The result of a measure of thousands of classes. */
#define RESULT_BYTES ADL_LIMIT_METRICS_BYTES

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : UNKNOWN;
}

/* --- files ----------------------------------------------------------------------------------- */

/* Reads a JSON file; returns 1, 0 if it does not exist, -1 on failure. */
static int read_json(const char *path, json_t **json, struct adl_error *err)
{
    struct adl_error unread = {0};
    char *text = path ? adl_file_read(path, RESULT_BYTES, NULL, &unread) : NULL;

    *json = text ? json_loads(text, 0, NULL) : NULL;
    adl_free(text);
    if (!path || (!text && unread.kind != ADL_ERR_NOT_FOUND))
        return adl_fail(err, unread.kind, "%s", unread.message);
    if (text && !json_is_object(*json))
        return adl_fail(err, ADL_ERR_FORMAT, "%s: is damaged; remove it", path);
    return *json != NULL;
}

/* Returns a figure that a result has; NaN if it is null there. Fails, with the nearest name, if the
 * result has no such figure. */
static int figure_of(const json_t *result, const char *figure, const char *path, double *value,
                     struct adl_error *err)
{
    const json_t *found = json_object_get(result, figure);
    struct adl_nearest nearest = {.word = figure};
    const char *key;
    json_t *other;

    *value = number_of(result, figure);
    if (json_is_number(found) || json_is_null(found))
        return 0;
    json_object_foreach((json_t *)(uintptr_t)result, key, other)
    {
        if (json_is_number(other))
            adl_nearest_offer(&nearest, key);
    }
    return adl_fail(err, ADL_ERR_FORMAT, "%s: has no figure %s%s%s%s", path,
                    adl_name_quote(figure, strlen(figure)).text,
                    nearest.best ? "; did you mean \"" : "", nearest.best ? nearest.best : "",
                    nearest.best ? "\"?" : "");
}

/* Reads the columns of a measure. Returns 1, 0 if there is no result, -1 on failure. */
static int read_measure(struct adl_figures *f, size_t row, size_t seed, size_t measure,
                        struct adl_run_figures *run, struct adl_arena *arena, struct adl_error *err)
{
    const struct adl_experiment *e = f->experiment;
    const char *path = adl_experiment_result(e, row, seed, measure, arena, err);
    json_t *result = NULL;
    int found = path ? read_json(path, &result, err) : -1;

    for (size_t i = 0; found > 0 && i < e->column_count; i++) {
        const struct adl_experiment_column *column = &e->columns[i];
        if (column->measure != measure)
            continue;
        if (figure_of(result, column->figure, path, &run->values[i], err) < 0 ||
            (column->baseline && isnan(f->baselines[i]) &&
             figure_of(result, column->baseline, path, &f->baselines[i], err) < 0))
            found = -1;
    }
    json_decref(result);
    return found;
}

/* Adds up the epochs of metrics.jsonl. An epoch that was trained again after a kill stands there
 * once. */
static double epochs_seconds(const char *text)
{
    double sum = 0;
    bool any = false;

    while (*text) {
        json_t *line = adl_json_next_line(&text);
        double seconds = number_of(line, "seconds");
        if (seconds > 0) {
            sum += seconds;
            any = true;
        }
        json_decref(line);
    }
    return any ? sum : UNKNOWN;
}

static char *read_text(const struct adl_experiment *e, size_t row, size_t seed, const char *name,
                       struct adl_arena *arena, struct adl_error *err)
{
    struct adl_error unread = {0};
    const char *path = adl_experiment_path(e, row, seed, name, arena, err);
    return path ? adl_file_read(path, ADL_LIMIT_METRICS_BYTES, NULL, &unread) : NULL;
}

/* Adds a machine to the lines unless it is there. */
static void note_machine(struct adl_str *machines, const struct adl_run_record *record)
{
    char line[400];

    snprintf(line, sizeof line, "%.160s, %d thread%s, %.60s\n", record->processor, record->threads,
             ADL_S(record->threads), record->program);
    if (!machines->data || !strstr(machines->data, line))
        adl_str_puts(machines, line);
}

/* Reads what a complete run cost, as far as its files tell. */
static int read_cost(struct adl_figures *f, size_t row, size_t seed, struct adl_run_figures *run,
                     struct adl_str *machines, struct adl_arena *arena, struct adl_error *err)
{
    const struct adl_experiment *e = f->experiment;
    const char *dir = adl_experiment_path(e, row, seed, NULL, arena, err);
    const char *path = adl_experiment_path(e, row, seed, ADL_RUNS_INFO, arena, err);
    struct adl_run_record record = {0};
    struct adl_error unread = {0};
    json_t *info = NULL;

    if (!dir || !path || read_json(path, &info, err) < 0)
        return -1;
    run->parameters = number_of(info, "parameters");
    /* `info` counts a multiply-add as two operations. */
    run->multiply_adds = number_of(info, "gflops") * 1e9 / 2;
    json_decref(info);

    char *metrics = read_text(e, row, seed, ADL_RUN_METRICS, arena, err);
    run->seconds = metrics ? epochs_seconds(metrics) : UNKNOWN;
    adl_free(metrics);
    char *seconds = read_text(e, row, seed, ADL_RUNS_SECONDS, arena, err), *next = seconds;
    while (next && *next) {
        f->seconds += strtod(next, NULL);
        next += strcspn(next, "\n");
        next += *next == '\n';
    }
    adl_free(seconds);
    if (adl_run_record_read(dir, &record, &unread) == 0)
        note_machine(machines, &record);
    adl_run_record_release(&record);
    return err->kind ? -1 : 0;
}

/* Whether all measures of a run have their files. Returns -1 without memory. */
static int has_results(const struct adl_experiment *e, size_t row, size_t seed,
                       struct adl_arena *arena, struct adl_error *err)
{
    for (size_t i = 0; i < e->measure_count; i++) {
        const char *path = adl_experiment_result(e, row, seed, i, arena, err);
        if (!path || !adl_file_is_regular(path))
            return path ? 0 : -1;
    }
    return 1;
}

/* Returns 1 if the run has results of the settings that are asked for, 0 if not, -1 on failure.
 * Figures of others under these settings would be wrong; they are noted in f->left_out. */
static int is_asked_for(struct adl_figures *f, size_t row, size_t seed, struct adl_str *left_out,
                        struct adl_arena *arena, struct adl_error *err)
{
    const struct adl_experiment *e = f->experiment;
    char difference[480];
    int found = has_results(e, row, seed, arena, err);

    if (found <= 0)
        return found;
    int matches =
        adl_run_settings_match_run(e, row, seed, difference, sizeof difference, arena, err);
    if (matches == 0)
        adl_str_printf(left_out, "adl-server: experiment: the table is without %s, %s: %s\n",
                       e->rows[row].name, adl_experiment_label(e, seed).text, difference);
    return matches;
}

static int read_run(struct adl_figures *f, size_t row, size_t seed, struct adl_str *machines,
                    struct adl_str *left_out, struct adl_error *err)
{
    const struct adl_experiment *e = f->experiment;
    struct adl_run_figures *run = &f->runs[row * e->seed_count + seed];
    struct adl_arena arena = {0};
    int found = is_asked_for(f, row, seed, left_out, &arena, err);

    for (size_t i = 0; found > 0 && i < e->measure_count; i++)
        found = read_measure(f, row, seed, i, run, &arena, err);
    run->complete = found > 0;
    if (run->complete && read_cost(f, row, seed, run, machines, &arena, err) < 0)
        found = -1;
    adl_arena_release(&arena);
    return found < 0 ? -1 : 0;
}

int adl_figures_read(struct adl_figures *f, const struct adl_experiment *e, struct adl_error *err)
{
    size_t runs = e->row_count * e->seed_count;
    struct adl_str machines = {0}, left_out = {0};
    int result = -1;

    *f = (struct adl_figures){.experiment = e};
    f->runs = adl_calloc(runs, sizeof *f->runs);
    f->values = adl_malloc((runs + 1) * e->column_count, sizeof *f->values);
    if (!f->runs || !f->values)
        return adl_fail_nomem(err, "the figures");
    for (size_t i = 0; i < (runs + 1) * e->column_count; i++)
        f->values[i] = UNKNOWN;
    f->baselines = f->values + runs * e->column_count;
    for (size_t i = 0; i < runs; i++) {
        f->runs[i].values = f->values + i * e->column_count;
        f->runs[i].parameters = f->runs[i].multiply_adds = f->runs[i].seconds = UNKNOWN;
        if (read_run(f, i / e->seed_count, i % e->seed_count, &machines, &left_out, err) < 0)
            goto out;
    }
    adl_str_puts(&machines, "");
    f->machines = adl_str_take(&machines, NULL, err);
    adl_str_puts(&left_out, "");
    f->left_out = f->machines ? adl_str_take(&left_out, NULL, err) : NULL;
    result = f->left_out ? 0 : -1;
out:
    adl_str_release(&left_out);
    adl_str_release(&machines);
    return result;
}

void adl_figures_release(struct adl_figures *f)
{
    adl_free(f->machines);
    adl_free(f->left_out);
    adl_free(f->values);
    adl_free(f->runs);
    *f = (struct adl_figures){0};
}

/* --- means ----------------------------------------------------------------------------------- */

const struct adl_run_figures *adl_figures_at(const struct adl_figures *f, size_t row, size_t seed)
{
    return &f->runs[row * f->experiment->seed_count + seed];
}

size_t adl_figures_count(const struct adl_figures *f, size_t row)
{
    size_t count = 0;
    for (size_t seed = 0; seed < f->experiment->seed_count; seed++)
        count += adl_figures_at(f, row, seed)->complete;
    return count;
}

/* Returns the mean of value(context, seed), without those that are NaN. */
static struct adl_mean mean_of(size_t seeds, double (*value)(const void *context, size_t seed),
                               const void *context)
{
    struct adl_mean m = {.mean = UNKNOWN, .deviation = UNKNOWN};
    double sum = 0, squares = 0;

    for (size_t seed = 0; seed < seeds; seed++) {
        double x = value(context, seed);
        if (!isnan(x)) {
            sum += x;
            m.count++;
        }
    }
    if (m.count == 0)
        return m;
    m.mean = sum / (double)m.count;
    for (size_t seed = 0; seed < seeds; seed++) {
        double x = value(context, seed);
        squares += isnan(x) ? 0 : (x - m.mean) * (x - m.mean);
    }
    if (m.count > 1)
        m.deviation = sqrt(squares / (double)(m.count - 1));
    return m;
}

/* Which value of a run is meant. */
struct chosen {
    const struct adl_figures *f;
    size_t row, column;
    enum adl_cost cost;
};

static double value_of(const void *context, size_t seed)
{
    const struct chosen *c = context;
    const struct adl_run_figures *run = adl_figures_at(c->f, c->row, seed);
    return run->complete ? run->values[c->column] : UNKNOWN;
}

static double difference_of(const void *context, size_t seed)
{
    const struct chosen *c = context;
    const struct chosen reference = {c->f, c->f->experiment->reference, c->column, c->cost};
    return value_of(c, seed) - value_of(&reference, seed);
}

static double cost_of(const void *context, size_t seed)
{
    const struct chosen *c = context;
    const struct adl_run_figures *run = adl_figures_at(c->f, c->row, seed);

    switch (c->cost) {
    case ADL_COST_PARAMETERS: return run->parameters;
    case ADL_COST_MULTIPLY_ADDS: return run->multiply_adds;
    case ADL_COST_SECONDS: return run->seconds;
    }
    return UNKNOWN;
}

struct adl_mean adl_figures_mean(const struct adl_figures *f, size_t row, size_t column)
{
    const struct chosen c = {.f = f, .row = row, .column = column};
    return mean_of(f->experiment->seed_count, value_of, &c);
}

struct adl_mean adl_figures_difference(const struct adl_figures *f, size_t row, size_t column)
{
    const struct chosen c = {.f = f, .row = row, .column = column};
    return mean_of(f->experiment->seed_count, difference_of, &c);
}

size_t adl_figures_pairs(const struct adl_figures *f, size_t row)
{
    size_t pairs = 0;

    for (size_t i = 0; row != f->experiment->reference && i < f->experiment->column_count; i++)
        pairs = ADL_MAX(pairs, adl_figures_difference(f, row, i).count);
    return pairs;
}

struct adl_mean adl_figures_cost(const struct adl_figures *f, size_t row, enum adl_cost cost)
{
    const struct chosen c = {.f = f, .row = row, .cost = cost};
    return mean_of(f->experiment->seed_count, cost_of, &c);
}
