/* `train --method acol` and `spg` on generated images: the same bits however a run goes, and how
 * weights pass from one method to another. */

#include "support/test.h"

#include "base/size.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static const char *const methods[] = {"acol", "spg"};

static void same_bits_however_it_runs(void)
{
    for (size_t i = 0; i < ADL_COUNT(methods); i++) {
        train_directories(methods[i]);
        CU_ASSERT(TRAIN_CHECK_BITS("--method", methods[i], "--epochs", "2") > 2);
    }
}

/* A run takes over what the networks of two methods have in common. */
static void weights_pass_from_method_to_method(void)
{
    struct adl_error err;
    train_directories("branches-models");
    TEST_OK(TRAIN("cam", false, &err, "--epochs", "1", "--method", "cam"), &err);
    for (size_t i = 0; i < ADL_COUNT(methods); i++) {
        TEST_OK(TRAIN(methods[i], false, &err, "--epochs", "1", "--method", methods[i], "--init",
                      scratch_path("cam/last.safetensors")),
                &err);
        CU_ASSERT(!train_logged("below the classifier"));
    }
    TEST_OK(TRAIN("back", false, &err, "--epochs", "1", "--method", "cam", "--init",
                  scratch_path("spg/last.safetensors")),
            &err);
}

TEST_SUITE(train_branches, {"the same bits however it runs", same_bits_however_it_runs},
           {"weights pass from method to method", weights_pass_from_method_to_method});
TEST_UNWATCHED(same_bits_however_it_runs);
TEST_SLOW(same_bits_however_it_runs);
