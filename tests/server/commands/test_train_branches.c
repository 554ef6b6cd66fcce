/* `train --method acol` and `spg` on generated images: the same bits however a run goes, and how
 * weights pass from one method to another. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static const char *const methods[] = {"acol", "spg"};

/* The runs of a method, in directories called by it. */
static void check_bits(const char *method)
{
    struct adl_error err;
    char one[32], two[32], parts[32], file[64], other[64];
    snprintf(one, sizeof one, "%s-one", method);
    snprintf(two, sizeof two, "%s-two", method);
    snprintf(parts, sizeof parts, "%s-parts", method);
    TEST_OK(TRAIN(one, false, &err, "--method", method, "--epochs", "2", "--threads", "1"), &err);
    TEST_OK(TRAIN(two, false, &err, "--method", method, "--epochs", "2", "--threads", "2"), &err);
    snprintf(file, sizeof file, "%s/last.safetensors", one);
    snprintf(other, sizeof other, "%s/last.safetensors", two);
    CU_ASSERT(strcmp(train_digest(file), train_digest(other)) == 0);
    CU_ASSERT(train_in_parts(parts, (const char *const[]){TRAIN_COMMON, "--method", method,
                                                          "--epochs", "2", NULL}) > 2);
    snprintf(other, sizeof other, "%s/last.safetensors", parts);
    CU_ASSERT(strcmp(train_digest(file), train_digest(other)) == 0);
}

static void same_bits_however_it_runs(void)
{
    train_directories("branches-bits");
    for (size_t i = 0; i < ADL_COUNT(methods); i++)
        check_bits(methods[i]);
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
TEST_SLOW(same_bits_however_it_runs);
