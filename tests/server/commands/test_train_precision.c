/* `train --precision bf16`: what it changes and what not, and that such a run resumes to the same
 * bits. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

#define BF16 "--method", "adl", "--epochs", "2", "--seed", "3", "--precision", "bf16"

static void an_interrupted_run_has_the_same(void)
{
    struct adl_error err;
    train_directories("precision");
    CU_ASSERT(TRAIN_CHECK_BITS(BF16) > 2);
    /* Other bits than those of float32, and not resumed in it. */
    TEST_OK(TRAIN("fp32", false, &err, "--method", "adl", "--epochs", "2", "--seed", "3"), &err);
    CU_ASSERT_STRING_NOT_EQUAL(train_digest("one/last.safetensors"),
                               train_digest("fp32/last.safetensors"));
    CU_ASSERT(TRAIN("one", false, &err, "--epochs", "3", "--method", "adl", "--seed", "3",
                    "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "precision bf16, not fp32"));
    CU_ASSERT(TRAIN("fp32", false, &err, "--epochs", "3", "--method", "adl", "--seed", "3",
                    "--resume", "--precision", "bf16") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "precision fp32, not bf16"));
}

TEST_SUITE(train_precision,
           {"an interrupted run in bf16 has the same bits", an_interrupted_run_has_the_same});
TEST_SLOW(an_interrupted_run_has_the_same);
