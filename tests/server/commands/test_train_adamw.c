/* `train --optimizer adamw`: it learns, resumes to the same bits, and has its own defaults. */

#include "support/test.h"

#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

#define ADAMW "--optimizer", "adamw", "--epochs", "3", "--accumulate", "2"

static void it_resumes_to_the_same_bits(void)
{
    struct adl_error err;
    const char *const words[] = {TRAIN_COMMON, ADAMW, "--lr", "0.002", "--ema", "0.9", NULL};
    train_directories("adamw-parts");
    TEST_OK(train_words("one", false, words, &err), &err);
    CU_ASSERT(train_in_parts("parts", words) > 2);
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("parts/last.safetensors"));
    /* Bias correction goes by the number of steps, so an epoch more is that of a longer run. */
    TEST_OK(TRAIN("one", false, &err, ADAMW, "--lr", "0.002", "--ema", "0.9", "--epochs", "4",
                  "--resume"),
            &err);
    TEST_OK(TRAIN("four", false, &err, ADAMW, "--lr", "0.002", "--ema", "0.9", "--epochs", "4"),
            &err);
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("four/last.safetensors"));
    CU_ASSERT(TRAIN("one", false, &err, "--lr", "0.002", "--ema", "0.9", "--accumulate", "2",
                    "--epochs", "5", "--weight-decay", "0.01", "--resume") < 0);
    CU_ASSERT(strstr(err.message, "optimizer adamw, not unset") ||
              strstr(err.message, "beta1 0.9, not unset"));
}

static void it_has_defaults_of_its_own(void)
{
    struct adl_error err;
    const char *const words[] = {
        "--arch",      "mobilenet_v1", "--width",  "0.25", "--resize-size", "40",
        "--crop-size", "32",           "--epochs", "1",    "--no-report",   "--optimizer",
        "adamw",       "--batch-size", "8",        NULL};
    train_directories("adamw-defaults");
    TEST_OK(train_words("default", false, words, &err), &err);
    TEST_OK(TRAIN("given", false, &err, "--optimizer", "adamw", "--epochs", "1", "--lr", "0.001",
                  "--weight-decay", "0.01"),
            &err);
    TEST_OK(TRAIN("other", false, &err, "--optimizer", "adamw", "--epochs", "1", "--lr", "0.001",
                  "--weight-decay", "0.01", "--no-decay-norm-bias"),
            &err);
    CU_ASSERT_STRING_EQUAL(train_digest("default/last.safetensors"),
                           train_digest("given/last.safetensors"));
    CU_ASSERT_STRING_NOT_EQUAL(train_digest("given/last.safetensors"),
                               train_digest("other/last.safetensors"));
    CU_ASSERT(TRAIN("other", false, &err, "--optimizer", "adamw", "--epochs", "2", "--lr", "0.001",
                    "--weight-decay", "0.01", "--resume") < 0);
    CU_ASSERT(strstr(err.message, "decay_norm_bias no, not ") != NULL);
}

TEST_SUITE(train_adamw, {"it resumes to the same bits", it_resumes_to_the_same_bits},
           {"it has defaults of its own", it_has_defaults_of_its_own});
