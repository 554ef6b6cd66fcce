/* `train --log-steps`: which steps have a line, what it says, and that a resumed run continues the
 * file as if it had not been interrupted. */

#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "io/file.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static char *text_of(const char *out)
{
    struct adl_error err = {0};
    char *text = adl_file_read(scratch_path("%s/steps.jsonl", out), ADL_MIB, NULL, &err);
    TEST_OK(text ? 0 : -1, &err);
    return text;
}

/* 24 images in batches of 8: three steps an epoch, whose mean is the loss of the epoch. */
static void each_step_has_a_line(void)
{
    struct adl_error err;
    train_lists("log-steps");
    TEST_OK(
        TRAIN("run", false, &err, "--epochs", "2", "--log-steps", "1", "--lr-decay-frequency", "2"),
        &err);
    char *text = text_of("run"), *line = text;
    json_t *epochs = train_metrics("run");
    double sum = 0;
    for (int step = 1; step <= 6; step++, line += strcspn(line, "\n") + 1) {
        const json_t *epoch = json_array_get(epochs, (size_t)(step - 1) / 3);
        json_t *json = json_loadb(line, strcspn(line, "\n"), 0, NULL);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "step")), step);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "epoch")), (step + 2) / 3);
        CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(json, "lr")),
                               step > 3 ? 0.002 : 0.02, 1e-9);
        sum += json_number_value(json_object_get(json, "loss"));
        if (step % 3 == 0) {
            CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(epoch, "train_loss")), sum / 3,
                                   1e-6);
            sum = 0;
        }
        json_decref(json);
    }
    CU_ASSERT_EQUAL(*line, '\0');
    json_decref(epochs);
    adl_free(text);
}

static void a_resumed_run_continues_it(void)
{
    struct adl_error err;
    const char *const words[] = {TRAIN_COMMON, "--epochs",     "3", "--log-steps",
                                 "2",          "--accumulate", "2", NULL};
    train_directories("log-steps-parts");
    TEST_OK(train_words("one", false, words, &err), &err);
    CU_ASSERT(train_in_parts("parts", words) > 2);
    char *one = text_of("one"), *parts = text_of("parts");
    /* Steps 2, 4 and 6 of two in each epoch. */
    CU_ASSERT(strncmp(one, "{\"step\":2,\"epoch\":1,", 20) == 0);
    CU_ASSERT_STRING_EQUAL(one, parts);
    adl_free(parts);
    /* Lines of steps that the state does not know, and half a line, go away. */
    TEST_OK(TRAIN("killed", true, &err, "--epochs", "3", "--log-steps", "2", "--accumulate", "2"),
            &err);
    static const char rest[] = "{\"step\":4,\"epoch\":2,\"lr\":1,\"loss\":1}\nnoise\n{\"step\":";
    int file = open(scratch_path("killed/steps.jsonl"), O_WRONLY | O_APPEND);
    CU_ASSERT(file >= 0 && write(file, rest, strlen(rest)) == (ssize_t)strlen(rest));
    close(file);
    TEST_OK(TRAIN("killed", false, &err, "--epochs", "3", "--log-steps", "2", "--accumulate", "2",
                  "--resume"),
            &err);
    parts = text_of("killed");
    CU_ASSERT_STRING_EQUAL(one, parts);
    adl_free(parts);
    adl_free(one);
    /* None without the option. */
    TEST_OK(TRAIN("without", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(access(scratch_path("without/steps.jsonl"), F_OK) != 0);
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("killed/last.safetensors"));
}

TEST_SUITE(train_log_steps, {"each step has a line", each_step_has_a_line},
           {"a resumed run continues it", a_resumed_run_continues_it});
