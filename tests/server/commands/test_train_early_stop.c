/* `train --early-stop`: the epoch at which a run ends. */

#include "support/test.h"

#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

/* The expected epoch follows from the lines of a run to the end: the first that is not the best so
 * far. The rate is so high that there is one. */
static void it_ends_after_an_epoch_that_is_not_the_best(void)
{
    struct adl_error err;
    const char *const words[] = {TRAIN_COMMON, "--epochs",     "8", "--lr",
                                 "0.1",        "--early-stop", "1", NULL};
    train_lists("early-stop");
    TEST_OK(TRAIN("full", false, &err, "--epochs", "8", "--lr", "0.1"), &err);
    json_t *lines = train_metrics("full");
    size_t ends = 0;
    while (ends < json_array_size(lines) &&
           json_is_true(json_object_get(json_array_get(lines, ends), "best")))
        ends++;
    json_decref(lines);
    CU_ASSERT_FATAL(ends > 0 && ends < 7);
    TEST_OK(train_words("run", false, words, &err), &err);
    CU_ASSERT(train_logged("ended early, 1 epoch after the best one"));
    train_check_epochs("run", ends + 1);
    /* The same bits when it is interrupted, and nothing more to do when it has ended. */
    CU_ASSERT(train_in_parts("parts", words) > 2);
    CU_ASSERT(train_logged("ended early"));
    train_check_epochs("parts", ends + 1);
    CU_ASSERT_STRING_EQUAL(train_digest("run/last.safetensors"),
                           train_digest("parts/last.safetensors"));
    /* A larger number continues it. */
    TEST_OK(TRAIN("run", false, &err, "--epochs", "8", "--lr", "0.1", "--resume"), &err);
    train_check_epochs("run", 8);
    CU_ASSERT_STRING_EQUAL(train_digest("run/last.safetensors"),
                           train_digest("full/last.safetensors"));
}

TEST_SUITE(train_early_stop, {"it ends after an epoch that is not the best",
                              it_ends_after_an_epoch_that_is_not_the_best});
