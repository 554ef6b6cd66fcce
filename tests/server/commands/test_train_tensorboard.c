/* `train --tensorboard`: every epoch once, whatever happens to the run, with the figures of
 * metrics.jsonl. The event files are read by a small reader of the wire format. */

#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/file.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

enum { MAX_EPOCHS = 10, MAX_FILES = 40 };

/* What the files of a directory have. */
struct events {
    int files;
    int times[MAX_EPOCHS]; /* how often each step occurs */
    json_t *figures[MAX_EPOCHS];
};

static uint64_t varint(const uint8_t **p)
{
    uint64_t value = 0;
    int shift = 0;
    do
        value |= (uint64_t)(**p & 0x7f) << shift;
    while (shift += 7, *(*p)++ & 0x80);
    return value;
}

/* Reads a Summary: figures by tag. */
static json_t *read_summary(const uint8_t *p, const uint8_t *end)
{
    json_t *figures = json_object();
    while (p < end) {
        char tag[100] = "";
        float figure = NAN;
        CU_ASSERT_EQUAL_FATAL(*p++, 0x0a);
        uint64_t length = varint(&p);
        for (const uint8_t *stop = p + length; p < stop;) {
            if (*p++ == 0x0a) {
                uint64_t bytes = varint(&p);
                snprintf(tag, sizeof tag, "%.*s", (int)bytes, (const char *)p);
                p += bytes;
            } else {
                memcpy(&figure, p, 4);
                p += 4;
            }
        }
        json_object_set_new(figures, tag, json_real((double)figure));
    }
    return figures;
}

static void read_event(struct events *events, const uint8_t *p, const uint8_t *end)
{
    uint64_t step = 0;
    while (p < end) {
        uint8_t key = *p++;
        if (key == 0x09) {
            p += 8;
        } else if (key == 0x10) {
            step = varint(&p);
        } else {
            uint64_t length = varint(&p);
            if (key == 0x2a) {
                CU_ASSERT_FATAL(step < MAX_EPOCHS);
                events->times[step]++;
                json_decref(events->figures[step]);
                events->figures[step] = read_summary(p, p + length);
            }
            p += length;
        }
    }
}

static void read_events(const char *dir, struct events *events)
{
    struct adl_error err = {0};
    DIR *listing = opendir(scratch_path(dir));
    *events = (struct events){0};
    CU_ASSERT_FATAL(listing != NULL);
    for (struct dirent *entry; (entry = readdir(listing));) {
        char name[600];
        size_t length, at = 0;
        if (entry->d_name[0] == '.')
            continue;
        CU_ASSERT(!strncmp(entry->d_name, "events.out.tfevents.", 20));
        snprintf(name, sizeof name, "%s/%s", dir, entry->d_name);
        uint8_t *bytes = adl_file_read(scratch_path(name), 1 << 20, &length, &err);
        TEST_OK(bytes ? 0 : -1, &err);
        events->files++;
        while (at < length) {
            uint64_t record;
            memcpy(&record, bytes + at, 8);
            CU_ASSERT_FATAL(record <= length - at - 16);
            read_event(events, bytes + at + 12, bytes + at + 12 + record);
            at += record + 16;
        }
        adl_free(bytes);
    }
    closedir(listing);
}

static void release(struct events *events)
{
    for (int i = 0; i < MAX_EPOCHS; i++)
        json_decref(events->figures[i]);
}

static void expect_figure(const json_t *figures, const char *tag, const json_t *line,
                          const char *key)
{
    double got = json_real_value(json_object_get(figures, tag));
    double want = json_real_value(json_object_get(line, key));
    if (!(fabs(got - want) <= 1e-6 * fabs(want)) || !json_object_get(line, key))
        TEST_FAIL("%s is %g, not %g", tag, got, want);
}

/* Checks that the steps are 1 to `epochs`, each once, with the figures of the run's lines. */
static void check(const char *dir, const char *out, int epochs, int files)
{
    struct events events;
    json_t *lines = train_metrics(out);
    read_events(dir, &events);
    CU_ASSERT_EQUAL(events.files, files);
    for (int i = 0; i < MAX_EPOCHS; i++)
        CU_ASSERT_EQUAL(events.times[i], i >= 1 && i <= epochs);
    for (int i = 1; i <= epochs; i++) {
        const json_t *line = json_array_get(lines, (size_t)i - 1), *f = events.figures[i];
        const json_t *val = json_object_get(line, "val");
        expect_figure(f, "train/loss", line, "train_loss");
        expect_figure(f, "train/top1", line, "train_top1");
        expect_figure(f, "lr", line, "lr");
        expect_figure(f, "seconds", line, "seconds");
        expect_figure(f, "val/loss", line, "val_loss");
        expect_figure(f, "val/top1_cls", val, "top1_cls");
        expect_figure(f, "val/max_box_acc_v2", val, "max_box_acc_v2");
        if (json_real_value(json_object_get(line, "images_per_second")) > 0)
            expect_figure(f, "images/s", line, "images_per_second");
        CU_ASSERT(!json_object_get(f, "val/images") && !json_object_get(f, "epoch") &&
                  !json_object_get(f, "best"));
    }
    json_decref(lines);
    release(&events);
}

static void every_epoch_once(void)
{
    struct adl_error err;
    train_lists("tensorboard");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--tensorboard"), &err);
    check("run/tensorboard", "run", 2, 1);
    /* Extended in a file of its own, then without the option, then with it again: the epochs in
     * between are made up for, and the run has the bits of one without event files. */
    TEST_OK(TRAIN("run", false, &err, "--epochs", "3", "--tensorboard", "--resume"), &err);
    check("run/tensorboard", "run", 3, 2);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "4", "--resume"), &err);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "4", "--resume", "--tensorboard"), &err);
    check("run/tensorboard", "run", 4, 3);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "4", "--resume", "--tensorboard"), &err);
    check("run/tensorboard", "run", 4, 3);
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "4"), &err);
    CU_ASSERT_STRING_EQUAL(train_digest("run/last.safetensors"),
                           train_digest("plain/last.safetensors"));
}

static void interrupted_runs_and_other_places(void)
{
    struct adl_error err;
    train_lists("tensorboard-parts");
    char logs[600];
    snprintf(logs, sizeof logs, "%s", scratch_path("logs"));
    const char *const words[] = {TRAIN_COMMON, "--epochs", "2", "--tensorboard", logs, NULL};
    CU_ASSERT(train_in_parts("parts", words) > 4);
    check("logs", "parts", 2, 2);
    CU_ASSERT(TRAIN("bad", false, &err, "--epochs", "1", "--tensorboard",
                    scratch_path("data/metadata/train/image_ids.txt")) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
}

/* Step 0 is the evaluation before the first step. */
static void the_first_evaluation_is_step_0(void)
{
    struct adl_error err;
    struct events events;
    train_lists("tensorboard-first");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "1", "--tensorboard", "--eval-first"), &err);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--tensorboard", "--eval-first", "--resume"),
            &err);
    json_t *lines = train_metrics("run");
    read_events("run/tensorboard", &events);
    for (int i = 0; i < MAX_EPOCHS; i++)
        CU_ASSERT_EQUAL(events.times[i], i <= 2);
    expect_figure(events.figures[0], "val/loss", json_array_get(lines, 0), "val_loss");
    json_decref(lines);
    release(&events);
}

TEST_SUITE(train_tensorboard, {"every epoch once", every_epoch_once},
           {"the first evaluation is step 0", the_first_evaluation_is_step_0},
           {"interrupted runs and other places", interrupted_runs_and_other_places});
