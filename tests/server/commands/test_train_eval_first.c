/* `train --eval-first`: epoch 0 is what `eval` measures of the weights that a run begins with, and
 * the run does not depend on it. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

static double figure(const json_t *lines, size_t i, const char *key)
{
    const json_t *line = json_array_get(lines, i);
    const json_t *val = json_object_get(json_object_get(line, "val"), key);
    CU_ASSERT(json_is_number(val));
    return json_number_value(val);
}

/* Checks that the lines are those of epochs `first` to 2. */
static void check_lines(const json_t *lines, int first)
{
    CU_ASSERT_EQUAL(json_array_size(lines), (size_t)(3 - first));
    for (int i = first; i < 3; i++)
        CU_ASSERT_EQUAL(json_integer_value(
                            json_object_get(json_array_get(lines, (size_t)(i - first)), "epoch")),
                        i);
}

static void it_changes_nothing(void)
{
    struct adl_error err;
    train_lists("eval-first");
    TEST_OK(TRAIN("start", false, &err, "--epochs", "2"), &err);
    TEST_OK(TRAIN("without", false, &err, "--epochs", "2", "--init",
                  scratch_path("start/last.safetensors")),
            &err);
    TEST_OK(TRAIN("with", false, &err, "--epochs", "2", "--eval-first", "--init",
                  scratch_path("start/last.safetensors")),
            &err);
    CU_ASSERT(train_logged("before training: val: top-1 "));
    CU_ASSERT_STRING_EQUAL(train_digest("with/best.safetensors"),
                           train_digest("without/best.safetensors"));
    CU_ASSERT_STRING_EQUAL(train_digest("with/last.safetensors"),
                           train_digest("without/last.safetensors"));
    json_t *start = train_metrics("start"), *with = train_metrics("with"),
           *without = train_metrics("without");
    check_lines(start, 1);
    check_lines(without, 1);
    check_lines(with, 0);
    /* The weights are those of the other run's last epoch, so the figures are too. */
    CU_ASSERT_EQUAL(figure(with, 0, "top1_cls"), figure(start, 1, "top1_cls"));
    CU_ASSERT_EQUAL(figure(with, 0, "max_box_acc_v2"), figure(start, 1, "max_box_acc_v2"));
    CU_ASSERT_EQUAL(figure(with, 0, "best_threshold"), figure(start, 1, "best_threshold"));
    CU_ASSERT_EQUAL(figure(with, 0, "gt_known_loc"), figure(start, 1, "gt_known_loc"));
    CU_ASSERT(json_is_false(json_object_get(json_array_get(with, 0), "best")));
    CU_ASSERT_EQUAL(figure(with, 2, "max_box_acc_v2"), figure(without, 1, "max_box_acc_v2"));
    json_decref(start);
    json_decref(with);
    json_decref(without);
}

static void it_stays_after_a_resume(void)
{
    struct adl_error err;
    train_lists("eval-first-parts");
    CU_ASSERT(train_in_parts("parts", (const char *const[]){TRAIN_COMMON, "--epochs", "2",
                                                            "--eval-first", NULL}) > 2);
    TEST_OK(TRAIN("other", true, &err, "--epochs", "2", "--eval-first"), &err);
    /* The option may be left out then. */
    TEST_OK(TRAIN("other", false, &err, "--epochs", "2", "--resume"), &err);
    json_t *parts = train_metrics("parts"), *other = train_metrics("other");
    check_lines(parts, 0);
    check_lines(other, 0);
    json_decref(parts);
    json_decref(other);
}

TEST_SUITE(train_eval_first, {"it changes nothing", it_changes_nothing},
           {"it stays after a resume", it_stays_after_a_resume});
