/* `train --shards`: the same bits for any number of threads and after interruptions, what it
 * changes, and what is refused. tests/mpi/run.sh tries several processes. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

/* One shard is what a run without the option has. */
static void one_is_none(void)
{
    struct adl_error err;
    train_lists("shards-one");
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    TEST_OK(TRAIN("one", false, &err, "--epochs", "1", "--shards", "1", "--sync-batchnorm"), &err);
    TEST_OK(TRAIN("two", false, &err, "--epochs", "1", "--shards", "2"), &err);
    CU_ASSERT_STRING_EQUAL(train_digest("plain/last.safetensors"),
                           train_digest("one/last.safetensors"));
    CU_ASSERT_STRING_NOT_EQUAL(train_digest("plain/last.safetensors"),
                               train_digest("two/last.safetensors"));
}

/* Trains with and without 3 shards, and returns by how much a weight differs at most, as a share of
 * the largest of its kind. */
static double difference(const char *const *plain, const char *const *shards)
{
    struct adl_error err;
    double most = 0;
    TEST_OK(train_words("plain", false, plain, &err), &err);
    TEST_OK(train_words("three", false, shards, &err), &err);
    struct adl_model *a = train_load("plain/last.safetensors");
    struct adl_model *b = train_load("three/last.safetensors");
    for (int i = 0; i < adl_graph_param_count(a->graph); i++) {
        double largest = 1e-6, off = 0;
        for (size_t j = 0; j < adl_graph_param(a->graph, i)->count; j++) {
            largest = fmax(largest, fabs((double)a->params[i][j]));
            off = fmax(off, fabs((double)a->params[i][j] - (double)b->params[i][j]));
        }
        most = fmax(most, off / largest);
    }
    adl_model_free(a);
    adl_model_free(b);
    return most;
}
#define DIFFERENCE(with, ...)                                                                      \
    difference((const char *const[]){TRAIN_COMMON, __VA_ARGS__, NULL},                             \
               (const char *const[]){TRAIN_COMMON, __VA_ARGS__, "--shards", "3", with, NULL})

/* With frozen batch norm and plain images, shards only change the order of the sums. */
static void frozen_shards_are_close(void)
{
    train_lists("shards-frozen");
    CU_ASSERT(DIFFERENCE("--no-report", "--epochs", "1", "--frozen-batchnorm", "--flip", "0.5") <
              1e-4);
}

/* So they do in a step with the statistics of the whole batch, where with their own the weights are
 * far apart. The gradients of this network at random weights magnify rounding errors: another
 * processor path changes them by a hundredth as well. */
static void synchronised_shards_are_close(void)
{
    train_lists("shards-apart");
    CU_ASSERT(DIFFERENCE("--no-report", "--epochs", "1", "--batch-size", "24", "--flip", "0.5") >
              0.5);
    train_lists("shards-together");
    CU_ASSERT(DIFFERENCE("--sync-batchnorm", "--epochs", "1", "--batch-size", "24", "--flip",
                         "0.5") < 0.05);
}

/* 24 images in batches of 8 and 5 shards: of 1 and of 2 images. */
static void same_bits_in_parts(void)
{
    train_lists("shards-bits");
    CU_ASSERT(TRAIN_CHECK_BITS("--epochs", "2", "--shards", "5", "--method", "adl,cutmix", "--ema",
                               "0.9", "--accumulate", "2", "--clip-norm", "1") > 2);
    train_lists("shards-sync-bits");
    CU_ASSERT(TRAIN_CHECK_BITS("--epochs", "1", "--shards", "5", "--sync-batchnorm", "--method",
                               "adl,cutmix") > 2);
    train_lists("shards-bf16");
    CU_ASSERT(TRAIN_CHECK_BITS("--epochs", "2", "--shards", "4", "--precision", "bf16",
                               "--exchange-precision", "bf16", "--balance", "weight") > 2);
}

static void others_are_refused(void)
{
    struct adl_error err;
    train_lists("shards-refused");
    TEST_OK(TRAIN("four", false, &err, "--epochs", "1", "--shards", "4"), &err);
    CU_ASSERT(TRAIN("four", false, &err, "--epochs", "2", "--resume", "--shards", "2") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "shards 4, not 2"));
    TEST_OK(TRAIN("four", false, &err, "--epochs", "2", "--resume"), &err);
    CU_ASSERT(TRAIN("four", false, &err, "--epochs", "3", "--resume", "--sync-batchnorm") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "sync_batchnorm no, not yes"));
    CU_ASSERT(TRAIN("four", false, &err, "--epochs", "3", "--resume", "--exchange-precision",
                    "bf16") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "exchange_precision fp32, not bf16"));
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(TRAIN("plain", false, &err, "--epochs", "2", "--resume", "--shards", "4") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "shards 1, not 4"));
    CU_ASSERT(TRAIN("nine", false, &err, "--epochs", "1", "--shards", "9") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "more than the 8 images"));
}

TEST_SUITE(train_shards, {"one shard is none", one_is_none},
           {"frozen shards are close to none", frozen_shards_are_close},
           {"synchronised shards are close to none", synchronised_shards_are_close},
           {"same bits in parts", same_bits_in_parts}, {"others are refused", others_are_refused});
TEST_SLOW(same_bits_in_parts);
