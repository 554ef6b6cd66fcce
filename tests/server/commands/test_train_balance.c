/* `train --balance`: what is drawn and weighted, and that it resumes. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

/* Data with a third of the images of one class, of two. */
static void open_data(const char *name)
{
    train_directories(name);
    for (int i = 4; i < TRAIN_PER_CLASS; i++)
        CU_ASSERT_EQUAL(unlink(scratch_path("data/red/%02d.%s", i, i % 2 ? "png" : "jpg")), 0);
}

static void it_resumes_to_the_same_bits(void)
{
    struct adl_error err;
    static const char *const ways[] = {"sample", "weight"};
    for (int i = 0; i < 2; i++) {
        const char *const words[] = {TRAIN_COMMON, "--balance",     ways[i], "--method",
                                     "mixup",      "--epochs",      "2",     "--label-smoothing",
                                     "0.1",        "--mixup-alpha", "1",     NULL};
        open_data(i ? "balance-weight" : "balance-sample");
        TEST_OK(train_words("one", false, words, &err), &err);
        CU_ASSERT(train_in_parts("parts", words) > 2);
        CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                               train_digest("parts/last.safetensors"));
        CU_ASSERT(TRAIN("one", false, &err, "--method", "mixup", "--label-smoothing", "0.1",
                        "--mixup-alpha", "1", "--epochs", "3", "--resume") < 0);
        char part[60];
        snprintf(part, sizeof part, "balance %s, not unset", ways[i]);
        CU_ASSERT(strstr(err.message, part) != NULL);
    }
}

/* With classes of one size the weights are all 1, which changes nothing. */
static void equal_classes_have_equal_weights(void)
{
    struct adl_error err;
    train_directories("balance-equal");
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    TEST_OK(TRAIN("weight", false, &err, "--epochs", "1", "--balance", "weight"), &err);
    TEST_OK(TRAIN("sample", false, &err, "--epochs", "1", "--balance", "sample"), &err);
    CU_ASSERT_STRING_EQUAL(train_digest("plain/last.safetensors"),
                           train_digest("weight/last.safetensors"));
    CU_ASSERT_STRING_NOT_EQUAL(train_digest("plain/last.safetensors"),
                               train_digest("sample/last.safetensors"));
}

TEST_SUITE(train_balance, {"it resumes to the same bits", it_resumes_to_the_same_bits},
           {"equal classes have equal weights", equal_classes_have_equal_weights});
