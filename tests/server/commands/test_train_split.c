/* `train --train-split`: which images a run learns. */

#include "support/test.h"

#include <string.h>

#include "server/training/run_record.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static void the_few_images_of_val_are_learned(void)
{
    struct adl_run_record plain, few;
    struct adl_error err;

    train_lists("split");
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1", "--train-split", "train-weaksup"), &err);
    TEST_OK(TRAIN("few", false, &err, "--epochs", "1", "--train-split", "train-fullsup"), &err);
    TEST_OK(adl_run_record_read(scratch_path("plain"), &plain, &err), &err);
    TEST_OK(adl_run_record_read(scratch_path("few"), &few, &err), &err);
    CU_ASSERT(plain.val_images > 0);
    CU_ASSERT_EQUAL(few.train_images, plain.val_images);
    CU_ASSERT_EQUAL(few.val_images, 0);
    CU_ASSERT_PTR_NULL(json_object_get(plain.config, "train_split"));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(few.config, "train_split")), "val");
    adl_run_record_release(&plain);
    adl_run_record_release(&few);
    CU_ASSERT(TRAIN("plain", false, &err, "--epochs", "2", "--resume", "--train-split", "val") < 0);
    CU_ASSERT(TRAIN("none", false, &err, "--epochs", "1", "--train-split", "nowhere") < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "nowhere"));
}

/* On directories, val is a tenth of all, so that a run on all has none. */
static void learned_images_do_not_validate(void)
{
    struct adl_run_record all;
    struct adl_error err;
    train_directories("all");
    TEST_OK(TRAIN("all", false, &err, "--epochs", "1", "--train-split", "all"), &err);
    TEST_OK(adl_run_record_read(scratch_path("all"), &all, &err), &err);
    CU_ASSERT_EQUAL(all.val_images, 0);
    adl_run_record_release(&all);
    CU_ASSERT(train_logged("the images of val are learned"));
}

TEST_SUITE(train_split, {"learned images do not validate", learned_images_do_not_validate},
           {"the few images of val are learned", the_few_images_of_val_are_learned});
