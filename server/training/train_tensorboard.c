/* Event files for TensorBoard.
 *
 * The files repeat what metrics.jsonl says: each number of a line is a figure of the step that the
 * line's epoch is. An epoch is written after the state that completes it was saved, and when a run
 * begins it looks up which epochs the files in the directory have. So a run that was killed at any
 * point continues them without a gap and without a step twice, and one that is given the option
 * late writes its earlier epochs, too.
 *
 * Each process appends to a file of its own, which TensorBoard reads in the order of their names:
 * the name begins with the time, a second later than that of the file before if the processes
 * follow each other that fast. */

#include "server/training/train_tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/event_file.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/tasks/directory.h"
#include "server/training/run_record.h"

#define PREFIX "events.out.tfevents."
#define MAX_FIGURES 64 /* of an epoch; metrics.jsonl has about 20 */
#define TAG_BYTES 64

static double wall_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Returns the path of the directory, which the caller frees. */
static char *directory_of(const struct adl_train_run *run, struct adl_error *err)
{
    const struct adl_train_settings *s = run->settings;
    if (!*s->tensorboard)
        return adl_run_path(s->out, "tensorboard", err);
    char *dir = adl_strdup(s->tensorboard);
    if (!dir)
        adl_fail_nomem(err, "a path");
    return dir;
}

/* Takes the figures of an event file of an earlier process into account. */
static int look_at(struct adl_train_run *run, const char *dir, const char *name, long long *newest,
                   struct adl_error *err)
{
    size_t length;
    long long seconds = strtoll(name + strlen(PREFIX), NULL, 10);
    char *path = adl_run_path(dir, name, err);
    if (!path)
        return -1;
    void *bytes = adl_file_read(path, ADL_LIMIT_METRICS_BYTES, &length, err);
    adl_free(path);
    if (!bytes)
        return -1;
    int64_t last = adl_event_last_step(bytes, length);
    adl_free(bytes);
    *newest = ADL_MAX(*newest, seconds);
    run->events.epoch = ADL_MAX(run->events.epoch, (int)ADL_MIN(last, run->epoch));
    return 0;
}

static int look_around(struct adl_train_run *run, const char *dir, long long *newest,
                       struct adl_error *err)
{
    int result = 0;
    DIR *listing = opendir(dir);
    if (!listing)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", dir, strerror(errno));
    for (struct dirent *entry; result == 0 && (entry = readdir(listing));)
        if (!strncmp(entry->d_name, PREFIX, strlen(PREFIX)))
            result = look_at(run, dir, entry->d_name, newest, err);
    closedir(listing);
    return result;
}

int adl_train_tensorboard_open(struct adl_train_run *run, struct adl_error *err)
{
    char host[65] = "", name[160];
    long long newest = 0, now = (long long)wall_time();
    int result = -1;

    run->events.epoch = -1;
    if (!run->settings->tensorboard || run->follows)
        return 0;
    char *dir = directory_of(run, err);
    if (!dir)
        return -1;
    if (adl_make_directory(dir, err) < 0 || look_around(run, dir, &newest, err) < 0)
        goto out;
    if (gethostname(host, sizeof host - 1) < 0 || !*host || strchr(host, '/'))
        snprintf(host, sizeof host, "localhost");
    /* A file of the far future, by a clock that was wrong, does not take the name's ten digits. */
    if (newest >= now && newest < 9999999999)
        now = newest + 1;
    snprintf(name, sizeof name, PREFIX "%010lld.%s.%ld", now, host, (long)getpid());
    run->events.path = adl_run_path(dir, name, err);
    /* A run that begins has no epochs yet, whatever metrics.jsonl is there. */
    if (run->events.path && adl_file_check_place(run->events.path, err) == 0)
        result = run->epoch > 0 ? adl_train_tensorboard_follow(run, err) : 0;
out:
    adl_free(dir);
    return result;
}

/* Adds the numbers of an object as figures. Counts, which are integers, and what is not a number
 * are left out. Returns the new count. */
static size_t add_figures(json_t *line, const char *group, char tags[][TAG_BYTES],
                          struct adl_event_scalar *figures, size_t count)
{
    static const char *const parts[] = {"train", "val"};
    const char *key;
    json_t *value;

    json_object_foreach(line, key, value)
    {
        const char *part = group, *rest = key;
        for (size_t i = 0; !*group && i < ADL_COUNT(parts); i++) {
            size_t length = strlen(parts[i]);
            if (!strncmp(key, parts[i], length) && key[length] == '_') {
                part = parts[i];
                rest = key + length + 1;
            }
        }
        if (!json_is_real(value) || count == MAX_FIGURES)
            continue;
        if (!strcmp(key, "images_per_second")) {
            /* 0: a resumed run that had only to evaluate the epoch. */
            if (!(json_real_value(value) > 0))
                continue;
            rest = "images/s";
        }
        snprintf(tags[count], TAG_BYTES, "%s%s%.50s", part, *part ? "/" : "", rest);
        figures[count] = (struct adl_event_scalar){tags[count], (float)json_real_value(value)};
        count++;
    }
    return count;
}

/* Appends the record of a line of metrics.jsonl if its epoch is to be written. */
static void put_line(struct adl_train_run *run, json_t *line, struct adl_str *records)
{
    static const char no_group[] = "";
    char tags[MAX_FIGURES][TAG_BYTES];
    struct adl_event_scalar figures[MAX_FIGURES];
    const json_t *number = json_object_get(line, "epoch");
    json_int_t epoch = json_integer_value(number);

    if (!json_is_integer(number) || epoch <= run->events.epoch || epoch > run->epoch)
        return;
    if (!run->events.begun) {
        adl_event_put_version(records, wall_time());
        adl_event_put_start(records, wall_time(), epoch);
        run->events.begun = true;
    }
    size_t count = add_figures(line, no_group, tags, figures, 0);
    count = add_figures(json_object_get(line, "val"), "val", tags, figures, count);
    adl_event_put_scalars(records, wall_time(), epoch, figures, count);
    run->events.epoch = (int)epoch;
}

int adl_train_tensorboard_follow(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_str records = {0};
    struct adl_error unread = {0};
    int result = -1;

    if (!run->events.path || run->events.epoch >= run->epoch)
        return 0;
    char *path = adl_run_path(run->settings->out, ADL_RUN_METRICS, err);
    char *text = path ? adl_file_read(path, ADL_LIMIT_METRICS_BYTES, NULL, &unread) : NULL;
    for (const char *next = text; next && *next;) {
        json_t *line = adl_json_next_line(&next);
        put_line(run, line, &records);
        json_decref(line);
    }
    /* Someone removed the file; the run does not need it either. */
    if (unread.kind == ADL_ERR_NOT_FOUND)
        result = 0;
    else if (unread.kind)
        adl_fail(err, unread.kind, "%s", unread.message);
    else if (text)
        result = records.length ? adl_event_append(run->events.path, &records, err) : 0;
    adl_str_release(&records);
    adl_free(text);
    adl_free(path);
    return result;
}

void adl_train_tensorboard_close(struct adl_train_run *run)
{
    adl_free(run->events.path);
}
