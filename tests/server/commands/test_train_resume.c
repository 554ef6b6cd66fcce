/* `train --resume`: which settings, data and files have to be those of the run that is
 * resumed. */

#include "support/test.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/safetensors.h"
#include "server/commands/subcommands.h"
#include "server/training/train_run.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static void other_settings_are_refused(void)
{
    struct adl_error err;
    static const struct {
        const char *words[3], *part;
    } cases[] = {
        {{"--lr", "0.5"}, "lr 0.02, not 0.5"},
        {{"--batch-size", "4"}, "batch_size 8, not 4"},
        {{"--seed", "9"}, "seed 0, not 9"},
        {{"--no-nesterov"}, "nesterov yes, not no"},
        {{"--label-smoothing", "0.1"}, "label_smoothing"},
        {{"--flip", "0"}, "flip"},
        {{"--mean", "0.5"}, "mean 0.4850000143,0.4560000002,0.4059999883, not 0.5,0.5,0.5"},
        {{"--schedule", "cosine"}, "schedule step, not cosine"},
        {{"--exif", "ignore"}, "exif unset, not ignore"},
        {{"--width", "0.5"}, "arch width 0.25, not 0.5"},
    };
    train_directories("settings");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    char digest[65];
    snprintf(digest, sizeof digest, "%s", train_digest("run/last.safetensors"));
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        CU_ASSERT(TRAIN("run", false, &err, "--epochs", "2", "--resume", cases[i].words[0],
                        cases[i].words[1]) < 0);
        if (err.kind != ADL_ERR_ARG || !strstr(err.message, cases[i].part))
            TEST_FAIL("%s: %s", cases[i].words[0], err.message);
        /* Nothing is said but the error. */
        CU_ASSERT_STRING_EQUAL(train_log(), "");
    }

    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "2") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "already holds a run"));
    CU_ASSERT_STRING_EQUAL(train_log(), "");
    CU_ASSERT(TRAIN("nothing", false, &err, "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND && strstr(err.message, "without --resume"));
    CU_ASSERT(strcmp(digest, train_digest("run/last.safetensors")) == 0);
}

static void settings_that_are_gone_are_noticed(void)
{
    struct adl_error err;
    train_directories("gone");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2", "--exif", "ignore"), &err);
    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "2", "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "exif ignore, not unset"));
}

static void a_missing_best_is_not_claimed(void)
{
    struct adl_error err;
    struct stat info;
    train_directories("no-best");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(train_logged("best.safetensors is from epoch 1"));
    CU_ASSERT_EQUAL(unlink(scratch_path("run/best.safetensors")), 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--resume"), &err);
    CU_ASSERT(train_logged("best.safetensors, which was from epoch 1, is missing"));
    CU_ASSERT(train_logged("done; ") && train_logged("last.safetensors is from epoch 1"));
    CU_ASSERT(!train_logged("best.safetensors is from"));
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--resume"), &err);
    CU_ASSERT(train_logged("best.safetensors is from epoch 2"));
    CU_ASSERT_EQUAL(stat(scratch_path("run/best.safetensors"), &info), 0);
}

/* Expects that resuming `out` is refused by a message with all the parts up to NULL. */
static void expect_changed(const char *out, const char *const *parts)
{
    struct adl_error err;
    CU_ASSERT(TRAIN(out, false, &err, "--epochs", "2", "--resume") < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    for (; *parts; parts++)
        if (!strstr(err.message, *parts))
            TEST_FAIL("no %s in: %s", *parts, err.message);
}
#define EXPECT_CHANGED(out, ...) expect_changed(out, (const char *const[]){__VA_ARGS__, NULL})

static void move(const char *from, const char *to)
{
    CU_ASSERT_EQUAL(rename(scratch_path("%s", from), scratch_path("%s", to)), 0);
}

/* A state belongs to its classes and images: after any change of them the numbers of the
 * classes may stand for others. */
static void other_data_is_refused(void)
{
    struct adl_error err;
    train_directories("other-data");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    move("data/blue", "data/zebra");
    EXPECT_CHANGED("run", "\"blue\" is gone", "\"zebra\" is new",
                   "class 0 was \"blue\", is now \"red\"");
    move("data/zebra", "data/blue");
    CU_ASSERT_EQUAL(mkdir(scratch_path("data/amber"), 0777), 0);
    int box[4];
    for (int i = 0; i < 3; i++)
        train_write_image(scratch_path("data/amber/%d.png", i), (uint64_t)i, true, false, box);
    EXPECT_CHANGED("run", "\"amber\" is new", "class 1 was \"red\", is now \"blue\"");
    move("data/amber", "amber");
    /* A file that joins the class; another one in place of a file. */
    move("amber/0.png", "data/red/0.png");
    EXPECT_CHANGED("run", "class 1 \"red\" had ");
    move("data/red/0.png", "amber/0.png");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--resume"), &err);

    /* In lists: labels of two images exchanged, then an image replaced by another. */
    train_lists("other-lists");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    FILE *labels = train_open_list("train", "class_labels");
    for (int i = 0; i < 2 * TRAIN_PER_CLASS; i++)
        fprintf(labels, "train%d.png,%d\n", i, i < 2 ? 1 - i % 2 : i % 2);
    fclose(labels);
    EXPECT_CHANGED("run", "labels");
}

static volatile sig_atomic_t stopping;

static void on_alarm(int number)
{
    (void)number;
    stopping = 1;
}

/* Has the run stopped by a signal a little later, in the middle of the next epoch. */
static void stop_soon(const struct adl_train_event *event)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 5000}};
    if (event->kind == ADL_TRAIN_EPOCH_DONE)
        setitimer(ITIMER_REAL, &soon, NULL);
}

/* Trains until it is stopped soon after epoch 1; returns how many batches of epoch 2 it has done.
 */
static int train_into_the_second_epoch(const char *out)
{
    const char *argv[] = {"train",
                          "--data",
                          scratch_path("data"),
                          "--out",
                          scratch_path("%s", out),
                          "--arch",
                          "mobilenet_v1",
                          "--width",
                          "0.25",
                          "--resize-size",
                          "40",
                          "--crop-size",
                          "32",
                          "--batch-size",
                          "2",
                          "--epochs",
                          "2"};
    struct adl_options options = {0};
    struct adl_train_settings settings;
    struct adl_error err = {0};
    int result = -1, epoch = 0, batch = 0;

    stopping = 0;
    scratch_stderr_begin();
    if (adl_options_parse(&options, &adl_command_train, ADL_COUNT(argv), (char **)(uintptr_t)argv,
                          &settings, &err) == 0)
        result = adl_train_run(&settings, "adl-server train", &stopping, stop_soon, &err);
    adl_options_release(&options);
    adl_free(scratch_stderr_end());
    TEST_OK(result, &err);
    struct adl_tensors *state =
        adl_safetensors_read(scratch_path("%s/state.safetensors", out), &err);
    TEST_OK(state ? 0 : -1, &err);
    json_t *json = json_loads(adl_tensors_meta(state, "adl_state"), 0, NULL);
    CU_ASSERT_EQUAL(json_unpack(json, "{s:i, s:i}", "epoch", &epoch, "batch", &batch), 0);
    json_decref(json);
    adl_tensors_free(state);
    return epoch == 1 ? batch : 0;
}

/* What a file says of its accuracy is of its own weights: a run that is stopped in the middle of an
 * epoch has not measured those that it saves. */
static void a_stopped_epoch_has_no_metrics(void)
{
    const struct sigaction ours = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct sigaction before;
    int batches = 0;

    train_directories("stopped-metrics");
    sigaction(SIGALRM, &ours, &before);
    for (int tries = 0; tries < 10 && batches == 0; tries++) {
        char out[16], last_file[40], best_file[40];
        snprintf(out, sizeof out, "run%d", tries);
        snprintf(last_file, sizeof last_file, "%s/last.safetensors", out);
        snprintf(best_file, sizeof best_file, "%s/best.safetensors", out);
        batches = train_into_the_second_epoch(out);
        struct adl_model *last = train_load(last_file), *best = train_load(best_file);
        CU_ASSERT_EQUAL(last->metrics == NULL, batches > 0);
        CU_ASSERT_PTR_NOT_NULL(best->metrics);
        adl_model_free(last);
        adl_model_free(best);
    }
    sigaction(SIGALRM, &before, NULL);
    CU_ASSERT(batches > 0);
}

/* The text that state.safetensors holds beside the tensors, with `key` removed. */
static void remove_from_state(const char *out, const char *key)
{
    struct adl_error err = {0};
    const char *path = scratch_path("%s/state.safetensors", out);
    struct adl_tensors *state = adl_safetensors_read(path, &err);
    TEST_OK(state ? 0 : -1, &err);
    json_t *json = json_loads(adl_tensors_meta(state, "adl_state"), 0, NULL);
    CU_ASSERT_EQUAL(json_object_del(json, key), 0);
    char *text = json_dumps(json, JSON_REAL_PRECISION(17));
    TEST_OK(adl_tensors_set_meta(state, "adl_state", text, &err), &err);
    TEST_OK(adl_safetensors_write(path, state, &err), &err);
    free(text);
    json_decref(json);
    adl_tensors_free(state);
}

static void a_state_without_digest_is_taken_with_a_warning(void)
{
    struct adl_error err;
    train_directories("old-state");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "2"), &err);
    remove_from_state("run", "data");
    TEST_OK(TRAIN("run", false, &err, "--epochs", "2", "--resume"), &err);
    CU_ASSERT(train_logged("older version"));
    train_check_epochs("run", 2);
}

TEST_SUITE(train_resume, {"other settings are refused", other_settings_are_refused},
           {"settings that are gone are noticed", settings_that_are_gone_are_noticed},
           {"a missing best is not claimed", a_missing_best_is_not_claimed},
           {"a stopped epoch has no metrics", a_stopped_epoch_has_no_metrics},
           {"other data is refused", other_data_is_refused},
           {"a state without digest is taken with a warning",
            a_state_without_digest_is_taken_with_a_warning});
