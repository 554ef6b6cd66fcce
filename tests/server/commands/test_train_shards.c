/* `train --shards`: the same bits for any number of threads and after interruptions, what it
 * changes, and what is refused. tests/mpi/run.sh tries several processes. */

#include "support/test.h"

#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

/* One shard is what a run without the option has. */
static void one_is_none(void)
{
    struct adl_error err;
    train_lists("shards-one");
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    TEST_OK(TRAIN("one", false, &err, "--epochs", "1", "--shards", "1"), &err);
    TEST_OK(TRAIN("two", false, &err, "--epochs", "1", "--shards", "2"), &err);
    CU_ASSERT_STRING_EQUAL(train_digest("plain/last.safetensors"),
                           train_digest("one/last.safetensors"));
    CU_ASSERT_STRING_NOT_EQUAL(train_digest("plain/last.safetensors"),
                               train_digest("two/last.safetensors"));
}

/* With frozen batch norm and plain images, shards only change the order of the sums. */
static void frozen_shards_are_close(void)
{
    struct adl_error err;
    train_lists("shards-frozen");
#define FROZEN "--epochs", "1", "--frozen-batchnorm", "--flip", "0.5"
    TEST_OK(TRAIN("plain", false, &err, FROZEN), &err);
    TEST_OK(TRAIN("three", false, &err, FROZEN, "--shards", "3"), &err);
    struct adl_model *a = train_load("plain/last.safetensors");
    struct adl_model *b = train_load("three/last.safetensors");
    for (int i = 0; i < adl_graph_param_count(a->graph); i++)
        for (size_t j = 0; j < adl_graph_param(a->graph, i)->count; j++)
            CU_ASSERT_DOUBLE_EQUAL(a->params[i][j], b->params[i][j], 1e-4);
    adl_model_free(a);
    adl_model_free(b);
}

/* 24 images in batches of 8 and 5 shards: of 1 and of 2 images. */
static void same_bits_in_parts(void)
{
    train_lists("shards-bits");
    CU_ASSERT(TRAIN_CHECK_BITS("--epochs", "2", "--shards", "5", "--method", "adl,cutmix", "--ema",
                               "0.9", "--accumulate", "2", "--clip-norm", "1") > 2);
    train_lists("shards-bf16");
    CU_ASSERT(TRAIN_CHECK_BITS("--epochs", "2", "--shards", "4", "--precision", "bf16", "--balance",
                               "weight") > 2);
}

static void others_are_refused(void)
{
    struct adl_error err;
    train_lists("shards-refused");
    TEST_OK(TRAIN("four", false, &err, "--epochs", "1", "--shards", "4"), &err);
    CU_ASSERT(TRAIN("four", false, &err, "--epochs", "2", "--resume", "--shards", "2") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "shards 4, not 2"));
    TEST_OK(TRAIN("four", false, &err, "--epochs", "2", "--resume"), &err);
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(TRAIN("plain", false, &err, "--epochs", "2", "--resume", "--shards", "4") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "shards 1, not 4"));
    CU_ASSERT(TRAIN("nine", false, &err, "--epochs", "1", "--shards", "9") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "more than the 8 images"));
}

TEST_SUITE(train_shards, {"one shard is none", one_is_none},
           {"frozen shards are close to none", frozen_shards_are_close},
           {"same bits in parts", same_bits_in_parts}, {"others are refused", others_are_refused});
TEST_SLOW(same_bits_in_parts);
