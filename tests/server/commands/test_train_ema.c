/* `train --ema`: what the averages change, what they leave alone, and that they resume. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

static struct adl_tensors *read_file(const char *name)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_safetensors_read(scratch_path("%s", name), &err);
    TEST_OK(tensors ? 0 : -1, &err);
    CU_ASSERT_FATAL(tensors != NULL);
    return tensors;
}

/* Returns how many tensors FROM_PREFIX.NAME of `from` differ from TO_PREFIX.NAME of `to`, and
 * counts in *compared those that both have. */
static size_t differences(const struct adl_tensors *from, const char *from_prefix,
                          const struct adl_tensors *to, const char *to_prefix, size_t *compared)
{
    size_t differing = 0, length = strlen(from_prefix);
    *compared = 0;
    for (size_t i = 0; i < adl_tensors_count(from); i++) {
        const struct adl_tensor *a = adl_tensors_at(from, i);
        char name[200];
        if (strncmp(a->name, from_prefix, length) != 0)
            continue;
        snprintf(name, sizeof name, "%s%s", to_prefix, a->name + length);
        const struct adl_tensor *b = adl_tensors_find(to, name);
        if (!b)
            continue;
        ++*compared;
        differing += memcmp(a->data, b->data, a->count * sizeof(float)) != 0;
    }
    return differing;
}

/* The weights that are trained do not depend on --ema; the models are the averages. */
static void models_are_the_averages(void)
{
    struct adl_error err;
    size_t compared, params;
    train_lists("ema");
    TEST_OK(TRAIN("without", false, &err, "--epochs", "2"), &err);
    TEST_OK(TRAIN("with", false, &err, "--epochs", "2", "--ema", "0.9"), &err);
    struct adl_tensors *without = read_file("without/state.safetensors"),
                       *with = read_file("with/state.safetensors"),
                       *last = read_file("with/last.safetensors");
    CU_ASSERT_EQUAL(differences(without, "param.", with, "param.", &params), 0);
    CU_ASSERT_EQUAL(differences(without, "velocity.", with, "velocity.", &compared), 0);
    CU_ASSERT(params > 50 && compared > 50);
    CU_ASSERT_EQUAL(differences(with, "average.", last, "", &compared), 0);
    CU_ASSERT_EQUAL(compared, params);
    CU_ASSERT_EQUAL(differences(with, "param.", last, "", &compared), params);
    adl_tensors_free(without);
    adl_tensors_free(with);
    adl_tensors_free(last);
    /* The run is that of another decay. */
    CU_ASSERT(TRAIN("with", false, &err, "--epochs", "3", "--resume") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "ema 0.9, not unset"));
    CU_ASSERT(TRAIN("without", false, &err, "--epochs", "3", "--resume", "--ema", "0.5") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "ema unset, not 0.5"));
}

/* With a method that masks maps, the statistics of the averaged weights are estimated anew. */
static void statistics_are_those_of_the_averages(void)
{
    struct adl_error err;
    size_t statistics, weights;
    train_directories("ema-statistics");
#define ADL "--method", "adl", "--epochs", "2", "--seed", "3", "--ema", "0.8"
    TEST_OK(TRAIN("new", false, &err, ADL), &err);
    TEST_OK(TRAIN("running", false, &err, ADL, "--batchnorm-batches", "0"), &err);
    struct adl_tensors *a = read_file("new/last.safetensors"),
                       *b = read_file("running/last.safetensors");
    CU_ASSERT_EQUAL(differences(a, "bn1.weight", b, "bn1.weight", &weights), 0);
    CU_ASSERT_EQUAL(differences(a, "bn1.running_mean", b, "bn1.running_mean", &statistics), 1);
    CU_ASSERT(weights == 1 && statistics == 1);
    adl_tensors_free(a);
    adl_tensors_free(b);
}

static void an_interrupted_run_has_the_same(void)
{
    struct adl_error err;
    size_t compared;
    train_directories("ema-parts");
    TEST_OK(TRAIN("one", false, &err, ADL, "--threads", "1", "--accumulate", "2"), &err);
    CU_ASSERT(train_in_parts("parts", (const char *const[]){TRAIN_COMMON, ADL, "--accumulate", "2",
                                                            NULL}) > 2);
    struct adl_tensors *one = read_file("one/state.safetensors"),
                       *parts = read_file("parts/state.safetensors");
    CU_ASSERT_EQUAL(differences(one, "", parts, "", &compared), 0);
    CU_ASSERT_EQUAL(compared, adl_tensors_count(one));
    adl_tensors_free(one);
    adl_tensors_free(parts);
    CU_ASSERT_STRING_EQUAL(train_digest("one/best.safetensors"),
                           train_digest("parts/best.safetensors"));
}

/* Where networks are trained one after the other, each begins with a new count of steps, for the
 * averages and for AdamW. */
static void rounds_resume_too(void)
{
    struct adl_error err;
    const char *const words[] = {
        TRAIN_COMMON, "--method", "ae",  "--rounds", "2", "--epochs",    "2",     "--lr",
        "0.002",      "--ema",    "0.9", "--seed",   "5", "--optimizer", "adamw", NULL};
    train_directories("ema-rounds");
    TEST_OK(train_words("one", false, words, &err), &err);
    CU_ASSERT(train_in_parts("parts", words) > 2);
    CU_ASSERT_STRING_EQUAL(train_digest("one/last.safetensors"),
                           train_digest("parts/last.safetensors"));
}

TEST_SUITE(train_ema, {"models are the averages", models_are_the_averages},
           {"statistics are those of the averages", statistics_are_those_of_the_averages},
           {"an interrupted run has the same", an_interrupted_run_has_the_same},
           {"rounds resume too", rounds_resume_too});
