/* Runs what is missing of an experiment.
 *
 * A run is the training of a row with one seed and one fold, and what is measured of it. Everything
 * that belongs to it is in its directory OUT/ROW/seedN (seedN-foldI with folds), under names that
 * say how far it has come, each file written under another name first: so the directory is the only
 * state, and any process that sees it can go on from there. Each step is a child process of the
 * same program, as isolated as if it were typed by hand. Runs are locked one by one (share_lock.h),
 * so processes on several machines divide them among themselves. Seeds are the outer loop, so that
 * all rows have a first figure early. */

#include "server/experiment/runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "base/str.h"
#include "io/file.h"
#include "server/experiment/child.h"
#include "server/experiment/experiment_command.h"
#include "server/experiment/run_settings.h"
#include "server/experiment/share_lock.h"
#include "server/tasks/directory.h"
#include "server/training/run_record.h"

/* Seconds between two looks at runs that other processes work on. */
#define LOOK_SECONDS 5
/* Of the last line of a log that is shown. */
#define SHOWN_BYTES 400

enum state {
    WAITING, /* not looked at yet, or left to another process */
    DONE,
    FAILED
};

struct runs {
    const struct adl_experiment *e;
    struct adl_child_guard guard;
    struct adl_arena arena; /* of the run that is worked on */
    enum state *states;     /* by seed and row */
    size_t left;            /* runs that nobody has finished */
    size_t finished;        /* by this process */
    double seconds;         /* that they took */
    bool unlocked;          /* a warning that there are no locks was printed */
    struct adl_error *err;
};

/* A run that is being worked on. */
struct run {
    size_t row, seed, number;
    bool worked; /* something was missing */
};

const char *adl_experiment_result(const struct adl_experiment *e, size_t row, size_t seed,
                                  size_t measure, struct adl_arena *arena, struct adl_error *err)
{
    const char *name = ADL_ARENA_TEXT(arena, err, "%s.json", e->measures[measure].name);
    return name ? adl_experiment_path(e, row, seed, name, arena, err) : NULL;
}

/* Returns the path of a file of the run: PREFIX and SUFFIX make its name. */
static const char *path_of(struct runs *r, const struct run *run, const char *prefix,
                           const char *suffix)
{
    const char *name = ADL_ARENA_TEXT(&r->arena, r->err, "%s%s", prefix, suffix);
    return name ? adl_experiment_path(r->e, run->row, run->seed, name, &r->arena, r->err) : NULL;
}

/* Begins a line about a run on standard error. */
static void say_run(const struct runs *r, const struct run *run)
{
    fprintf(stderr, "[%zu/%zu] %s, %s: ", run->number, r->e->row_count * r->e->seed_count,
            r->e->rows[run->row].name, adl_experiment_label(r->e, run->seed).text);
}

/* --- what is missing ----------------------------------------------------------------------- */

/* Returns 1 if the run was trained, 0 if not, -1 without memory. */
static int is_trained(struct runs *r, const struct run *run)
{
    const char *path = path_of(r, run, ADL_RUNS_TRAINED, "");
    return path ? adl_file_is_regular(path) : -1;
}

/* Returns the text of a file that holds a JSON object, which the caller frees; NULL if it is
 * missing, or was cut short. */
static char *read_object(const char *path, size_t *length)
{
    struct adl_error unread = {0};
    char *text = adl_file_read(path, ADL_LIMIT_METRICS_BYTES, length, &unread);
    json_t *json = text ? json_loadb(text, *length, 0, NULL) : NULL;
    bool holds = json_is_object(json);

    json_decref(json);
    if (holds)
        return text;
    adl_free(text);
    return NULL;
}

static bool holds_object(const char *path)
{
    size_t length = 0;
    char *text = read_object(path, &length);
    bool holds = text != NULL;

    adl_free(text);
    return holds;
}

/* Returns 1 if the measure has its result, 0 if not, -1 on failure. */
static int is_measured(struct runs *r, const struct run *run, size_t measure)
{
    const struct adl_experiment_measure *m = &r->e->measures[measure];
    const char *result =
        adl_experiment_result(r->e, run->row, run->seed, measure, &r->arena, r->err);
    const char *begun = path_of(r, run, m->name, ".settings.json");
    json_t *settings = adl_run_settings_of_measure(r->e, measure, run->row, r->err);
    char difference[400];
    int matches = -1;

    if (result && begun && settings)
        matches = holds_object(result) ? adl_run_settings_match(begun, settings, difference,
                                                                sizeof difference, r->err)
                                       : 0;
    json_decref(settings);
    return matches;
}

/* Returns 1 if nothing of the run is missing, 0 if something is, -1 on failure. */
static int is_complete(struct runs *r, const struct run *run)
{
    const char *info = path_of(r, run, ADL_RUNS_INFO, "");
    int complete = is_trained(r, run);

    if (!info)
        return -1;
    complete = complete > 0 ? holds_object(info) : complete;
    for (size_t i = 0; complete > 0 && i < r->e->measure_count; i++)
        complete = is_measured(r, run, i);
    return complete;
}

/* Returns 1 if the training has left anything that depends on its settings, 0 if it failed before,
 * -1 without memory. */
static int has_begun(struct runs *r, const struct run *run)
{
    static const char *const files[] = {ADL_RUN_RECORD, ADL_RUN_STATE, ADL_RUN_LAST,
                                        ADL_RUNS_TRAINED};
    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        const char *path = path_of(r, run, files[i], "");
        if (!path || adl_file_is_regular(path))
            return path ? 1 : -1;
    }
    return 0;
}

/* Fails if the run was begun with other settings. */
static int check_begun(struct runs *r, const struct run *run)
{
    const char *path = path_of(r, run, ADL_RUNS_SETTINGS, "");
    json_t *settings = path ? adl_run_settings_of_row(r->e, run->row, r->err) : NULL;
    char difference[400];
    int matches =
        settings ? adl_run_settings_match(path, settings, difference, sizeof difference, r->err)
                 : -1;

    json_decref(settings);
    /* Settings that failed before the first step may be corrected. */
    int begun = matches == 0 ? has_begun(r, run) : 0;
    if (begun <= 0)
        return matches < 0 || begun < 0 ? -1 : 0;
    if (!*difference)
        snprintf(difference, sizeof difference, "by something else than this command");
    const char *dir = adl_experiment_path(r->e, run->row, run->seed, NULL, &r->arena, r->err);
    return !dir ? -1
                : adl_fail(r->err, ADL_ERR_FORMAT,
                           "%s: was begun %s; use those settings, choose another --out, or "
                           "remove it",
                           dir, difference);
}

/* --- steps --------------------------------------------------------------------------------- */

/* Runs a command; `out` and `log` are files of the run. Returns its exit status, -1 on failure. */
static int run_words(struct runs *r, char **words, const char *out, const char *log)
{
    return words && out && log ? adl_child_run(&r->guard, words, out, log, r->err) : -1;
}

/* Returns the size of a file; 0 if it does not exist. */
static size_t size_of(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && about.st_size > 0 ? (size_t)about.st_size : 0;
}

/* Returns whether the log says, behind its first `from` bytes, that the training is done, or that
 * --early-stop ended it: a training that a signal stopped exits with 0 as well. */
static int says_done(const char *log, size_t from, struct adl_error *err)
{
    size_t length;
    char *text = adl_file_read(log, ADL_LIMIT_METRICS_BYTES, &length, err);

    if (!text)
        return -1;
    const char *tail = text + (from < length ? from : length);
    int done = adl_text_line(tail, "done; ") || adl_text_line(tail, "ended early, ");
    adl_free(text);
    return done;
}

static int write_empty(const char *path, struct adl_error *err)
{
    return path ? adl_file_write(path, &(struct adl_file_piece){"", 0}, 1, err) : -1;
}

/* Trains to the end. Returns 0, 1 if the training failed or was stopped, -1 on failure. */
static int train(struct runs *r, struct run *run)
{
    const char *log = path_of(r, run, "train", ".log"), *out = path_of(r, run, "train", ".out");
    const char *state = path_of(r, run, "state", ".safetensors");
    const char *settings_path = path_of(r, run, ADL_RUNS_SETTINGS, "");
    int trained = is_trained(r, run);

    if (trained != 0)
        return trained < 0 ? -1 : 0;
    if (!log || !out || !state || !settings_path)
        return -1;
    json_t *settings = adl_run_settings_of_row(r->e, run->row, r->err);
    int written = settings ? adl_run_settings_write(settings_path, settings, r->err) : -1;
    json_decref(settings);
    if (written < 0)
        return -1;
    size_t before = size_of(log);
    say_run(r, run);
    fprintf(stderr, "%s; see %s\n", adl_file_is_regular(state) ? "resuming" : "training", log);
    int status = run_words(r,
                           adl_experiment_train(r->e, run->row, run->seed,
                                                adl_file_is_regular(state), &r->arena, r->err),
                           out, log);
    if (status != 0)
        return status < 0 ? -1 : 1;
    unlink(out);
    int done = says_done(log, before, r->err);
    if (done <= 0)
        return done < 0 ? -1 : 1;
    if (write_empty(path_of(r, run, ADL_RUNS_TRAINED, ""), r->err) < 0)
        return -1;
    unlink(state); /* as large as all others together; a finished run does not resume */
    return 0;
}

/* Runs a command whose standard output becomes the file `result`. Returns as train(). */
static int write_result(struct runs *r, struct run *run, char **words, const char *name,
                        const char *result)
{
    const char *out = path_of(r, run, name, ".json.tmp"), *log = path_of(r, run, name, ".log");
    int status = run_words(r, words, out, log);

    if (status != 0)
        return status < 0 ? -1 : 1;
    if (!result)
        return -1;
    size_t length = 0;
    char *text = read_object(out, &length);
    if (!text)
        return 1;
    /* Not renamed: after a crash the file has to be whole or missing, so it is synced. */
    int written = adl_file_write(result, &(struct adl_file_piece){text, length}, 1, r->err);
    adl_free(text);
    if (written == 0)
        unlink(out);
    return written;
}

/* Evaluates the model, calibrated first if the measure says so. Returns as train(). */
static int measure(struct runs *r, struct run *run, size_t index)
{
    const struct adl_experiment_measure *m = &r->e->measures[index];
    const char *result = adl_experiment_result(r->e, run->row, run->seed, index, &r->arena, r->err);
    const char *log = path_of(r, run, m->name, ".log"), *out = path_of(r, run, m->name, ".out");
    const char *begun = path_of(r, run, m->name, ".settings.json");
    int measured = is_measured(r, run, index), status;

    if (measured != 0)
        return measured < 0 ? -1 : 0;
    if (!result || !begun)
        return -1;
    unlink(result); /* of other settings */
    json_t *settings = adl_run_settings_of_measure(r->e, index, run->row, r->err);
    int written = settings ? adl_run_settings_write(begun, settings, r->err) : -1;
    json_decref(settings);
    if (written < 0)
        return -1;
    if (m->calibrate) {
        status = run_words(
            r, adl_experiment_calibrate(r->e, run->row, run->seed, index, &r->arena, r->err), out,
            log);
        if (status != 0)
            return status < 0 ? -1 : 1;
        unlink(out);
    }
    return write_result(r, run,
                        adl_experiment_eval(r->e, run->row, run->seed, index, &r->arena, r->err),
                        m->name, result);
}

/* Trains and measures. Returns as train(); *step is the log of the last step. */
static int work(struct runs *r, struct run *run, const char **step)
{
    const char *info = path_of(r, run, ADL_RUNS_INFO, "");
    int status = train(r, run);

    *step = path_of(r, run, "train", ".log");
    for (size_t i = 0; status == 0 && i < r->e->measure_count; i++) {
        *step = path_of(r, run, r->e->measures[i].name, ".log");
        status = measure(r, run, i);
    }
    if (status == 0 && info && !holds_object(info)) {
        *step = path_of(r, run, "info", ".log");
        status =
            write_result(r, run, adl_experiment_info(r->e, run->row, run->seed, &r->arena, r->err),
                         "info", info);
    }
    return r->err->kind ? -1 : status;
}

/* --- one run ------------------------------------------------------------------------------- */

/* Prints the last line of a log that is not empty. */
static void show_last_line(const char *log)
{
    struct adl_error none = {0};
    size_t length = 0;
    char *text = log ? adl_file_read(log, ADL_LIMIT_METRICS_BYTES, &length, &none) : NULL;

    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    const char *line = length ? strrchr(text, '\n') : NULL;
    if (length)
        fprintf(stderr, "    %.*s\n", SHOWN_BYTES, line ? line + 1 : text);
    adl_free(text);
}

/* Adds the time to the file of the run; the table says how long all of them took. */
static void note_seconds(struct runs *r, const struct run *run, double seconds)
{
    const char *path = path_of(r, run, ADL_RUNS_SECONDS, "");
    FILE *file = path ? fopen(path, "ae") : NULL;

    if (file) {
        fprintf(file, "%.1f\n", seconds);
        fclose(file);
    }
}

static void say_done(struct runs *r, const struct run *run, double seconds)
{
    double remain = (double)r->left * r->seconds / (double)r->finished;

    say_run(r, run);
    fprintf(stderr, "done in %.0f s", seconds);
    if (r->left && remain < 120)
        fprintf(stderr, "; at this pace %.0f s remain", remain);
    else if (r->left && remain < 5400)
        fprintf(stderr, "; at this pace %.0f min remain", remain / 60);
    else if (r->left)
        fprintf(stderr, "; at this pace %.1f h remain", remain / 3600);
    fputc('\n', stderr);
}

/* Works on a run whose lock is held. */
static int work_locked(struct runs *r, struct run *run, enum state *state)
{
    const char *log = NULL;
    uint64_t start = adl_clock_ns();

    if (check_begun(r, run) < 0)
        return -1;
    int status = work(r, run, &log);
    double seconds = adl_clock_ms(start, adl_clock_ns()) / 1000;
    note_seconds(r, run, seconds);
    if (status < 0)
        return -1;
    if (r->guard.stopped) {
        say_run(r, run);
        fputs("stopped\n", stderr);
        return adl_fail(r->err, ADL_ERR_CANCELLED, "stopped; the same command resumes");
    }
    r->left--;
    if (status > 0) {
        *state = FAILED;
        say_run(r, run);
        fprintf(stderr, "FAILED; the last line of %s:\n", log);
        show_last_line(log);
        return 0;
    }
    *state = DONE;
    r->finished++;
    r->seconds += seconds;
    say_done(r, run, seconds);
    return 0;
}

/* Returns as is_complete(), and counts a run that is. */
static int count_complete(struct runs *r, const struct run *run, enum state *state)
{
    int complete = is_complete(r, run);

    if (complete > 0) {
        *state = DONE;
        r->left--;
    }
    return complete;
}

/* Works on a run, unless it is complete or another process has it. */
static int visit(struct runs *r, struct run *run, enum state *state, bool first)
{
    struct adl_error busy = {0};
    const char *dir = adl_experiment_path(r->e, run->row, run->seed, NULL, &r->arena, r->err);
    const char *path = dir ? path_of(r, run, "lock", "") : NULL;
    int complete = path ? count_complete(r, run, state) : -1;

    if (complete != 0)
        return complete < 0 ? -1 : 0;
    if (adl_make_directories(dir, r->err) < 0)
        return -1;
    int lock = adl_share_lock(path, &busy);
    if (lock == -1 && busy.kind != ADL_ERR_BUSY)
        return adl_fail(r->err, busy.kind, "%s", busy.message);
    if (lock == -1) {
        if (first) {
            say_run(r, run);
            fprintf(stderr, "is being run by %s\n", busy.message);
        }
        return 0;
    }
    if (lock == -2 && !r->unlocked) {
        fprintf(stderr,
                "adl-server: experiment: %s has no locks; do not start this experiment twice\n",
                r->e->out);
        r->unlocked = true;
    }
    /* Another process may have completed it since. */
    complete = count_complete(r, run, state);
    int result = complete < 0 ? -1 : 0;
    if (complete == 0)
        result = work_locked(r, run, state);
    adl_share_unlock(lock);
    return result;
}

/* --- all runs ------------------------------------------------------------------------------ */

/* Fails if data or weights are missing, before anything runs. */
static int check_files(const struct adl_experiment *e, struct adl_error *err)
{
    const char *places[] = {e->data, e->images, e->metadata, e->masks};

    if (!e->data && !(e->images && e->metadata))
        return adl_fail(err, ADL_ERR_ARG, "%s names no data set; give --data DIR", e->path);
    for (size_t i = 0; i < ADL_COUNT(places); i++) {
        bool list = i == 0 && places[i] && adl_file_is_regular(places[i]); /* CSV */
        if (places[i] && !list && !adl_file_is_folder(places[i]))
            return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: not found; give --data DIR", places[i]);
    }
    for (size_t i = 0; i < e->row_count; i++) {
        const struct adl_experiment_row *row = &e->rows[i];
        if (row->init && strcmp(row->init, "default") != 0 && !adl_file_is_regular(row->init))
            return adl_fail(err, ADL_ERR_NOT_FOUND,
                            "%s: not found; the row \"%s\" begins from it. Give --init FILE, DIR "
                            "or none, or --rows without this row",
                            row->init, row->name);
    }
    return 0;
}

/* Calls a function for each run that is not finished. */
static int for_each_run(struct runs *r, bool first,
                        int (*call)(struct runs *, struct run *, enum state *, bool))
{
    const struct adl_experiment *e = r->e;

    for (size_t i = 0; i < e->row_count * e->seed_count; i++) {
        struct run run = {.seed = i / e->row_count, .row = i % e->row_count, .number = i + 1};
        if (r->states[i] != WAITING)
            continue;
        int result = call(r, &run, &r->states[i], first);
        adl_arena_release(&r->arena);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* Counts a run that is complete, and fails if one was begun with other settings. */
static int look_at(struct runs *r, struct run *run, enum state *state, bool first)
{
    (void)first;
    return check_begun(r, run) < 0 || count_complete(r, run, state) < 0 ? -1 : 0;
}

static int run_all(struct runs *r)
{
    if (for_each_run(r, true, look_at) < 0)
        return -1;
    for (bool first = true; r->left; first = false) {
        size_t before = r->left;
        if (for_each_run(r, first, visit) < 0)
            return -1;
        if (r->left && r->left == before && adl_child_guard_wait(&r->guard, LOOK_SECONDS))
            return adl_fail(r->err, ADL_ERR_CANCELLED, "stopped; the same command resumes");
    }
    return 0;
}

int adl_experiment_run(const struct adl_experiment *experiment, size_t *failures,
                       struct adl_error *err)
{
    size_t count = experiment->row_count * experiment->seed_count;
    struct runs r = {.e = experiment, .left = count, .err = err};

    *failures = 0;
    if (check_files(experiment, err) < 0)
        return -1;
    r.states = adl_calloc(count, sizeof *r.states);
    if (!r.states)
        return adl_fail_nomem(err, "the runs");
    adl_child_guard_begin(&r.guard);
    int result = run_all(&r);
    adl_child_guard_end(&r.guard);
    for (size_t i = 0; i < count; i++)
        *failures += r.states[i] == FAILED;
    adl_free(r.states);
    adl_arena_release(&r.arena);
    return result;
}
