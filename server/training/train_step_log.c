/* Appends lines to steps.jsonl.
 *
 * A step has the number that its place in the run gives, from 1: an epoch has as many as groups of
 * --accumulate batches, and a group whose last batch has no readable image takes no step but keeps
 * its number. So a resumed run continues the file with the same lines. Its loss is the mean of its
 * batches; the state is saved only between steps, so no part of it is lost. */

#include "server/training/train_step_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/json_text.h"
#include "server/training/run_record.h"
#include "server/training/train_step.h"

/* Returns the number of steps of an epoch that its first `batches` batches take, the last of which
 * may be in part. */
static json_int_t steps_of(const struct adl_train_run *run, size_t batches)
{
    size_t size = (size_t)run->settings->accumulate;
    return (json_int_t)((batches + size - 1) / size);
}

/* Returns the number in the run of the last of these steps, in epoch run->epoch. */
static json_int_t step_number(const struct adl_train_run *run, size_t batches)
{
    return run->epoch * steps_of(run, adl_loader_batches(run->loader)) + steps_of(run, batches);
}

/* Copies the lines of the first `steps` steps. A line without its end is damaged. */
static void keep_lines(const char *text, json_int_t steps, struct adl_str *kept)
{
    while (*text) {
        const char *start = text;
        json_t *line = adl_json_next_line(&text);
        const json_t *number = json_object_get(line, "step");
        json_int_t step = json_integer_value(number);
        if (json_is_integer(number) && step >= 1 && step <= steps && text[-1] == '\n')
            adl_str_append(kept, start, (size_t)(text - start));
        json_decref(line);
    }
}

/* Replaces the file by the lines that are to be kept. */
static int begin_file(const struct adl_train_run *run, const char *path, struct adl_error *err)
{
    int result = -1;
    struct adl_str kept = {0};
    struct adl_error none = {0};
    char *old = run->state ? adl_file_read(path, ADL_LIMIT_STEPS_BYTES, NULL, &none) : NULL;

    if (none.kind && none.kind != ADL_ERR_NOT_FOUND)
        return adl_fail(err, none.kind, "%s", none.message);
    if (old)
        keep_lines(old, step_number(run, run->batch), &kept);
    if (kept.failed)
        adl_fail_nomem(err, "the losses of the steps");
    else
        result = adl_file_write(path, &(struct adl_file_piece){kept.data, kept.length}, 1, err);
    adl_str_release(&kept);
    adl_free(old);
    return result;
}

int adl_train_step_log_open(struct adl_train_run *run, struct adl_error *err)
{
    struct adl_train_step_log *log = &run->step_log;

    if (!run->settings->log_steps || run->follows)
        return 0;
    char *path = adl_run_path(run->settings->out, ADL_RUN_STEPS, err);
    if (!path)
        return -1;
    int result = begin_file(run, path, err);
    if (result == 0) {
        log->file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (log->file < 0)
            result = adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    }
    adl_free(path);
    return result;
}

void adl_train_step_log_close(struct adl_train_run *run)
{
    if (run->step_log.file >= 0)
        close(run->step_log.file);
}

static int write_line(struct adl_train_run *run, json_int_t step, size_t batch, double loss,
                      struct adl_error *err)
{
    size_t length = 0;
    json_t *line = json_pack("{s:I, s:i, s:f, s:f}", "step", step, "epoch", run->epoch + 1, "lr",
                             adl_train_rate(run, batch), "loss", loss);
    char *text = adl_json_to_text(line, JSON_COMPACT | JSON_REAL_PRECISION(9), &length, err);
    json_decref(line);
    if (!text)
        return -1;
    text[length] = '\n'; /* in place of the NUL: the line is written at once */
    ssize_t written = write(run->step_log.file, text, length + 1);
    adl_free(text);
    if (written == (ssize_t)length + 1)
        return 0;
    return adl_fail(err, ADL_ERR_IO, "%s/%s: %s", run->settings->out, ADL_RUN_STEPS,
                    written < 0 ? strerror(errno) : "a line was written in part");
}

int adl_train_step_log_add(struct adl_train_run *run, size_t batch, double loss,
                           struct adl_error *err)
{
    struct adl_train_step_log *log = &run->step_log;
    size_t size = (size_t)run->settings->accumulate;

    if (!run->settings->log_steps || run->follows)
        return 0;
    json_int_t step = step_number(run, batch + 1);
    if (step != log->step)
        *log = (struct adl_train_step_log){.file = log->file, .step = step};
    log->loss += loss;
    log->batches++;
    bool complete = (batch + 1) % size == 0 || batch + 1 == adl_loader_batches(run->loader);
    if (!complete || step % run->settings->log_steps)
        return 0;
    return write_line(run, step, batch, log->loss / (double)log->batches, err);
}
