/* `train --method ae` on generated images: the rounds, the same bits however it runs, and how its
 * models are taken by others. */

#include "support/test.h"

#include <jansson.h>
#include <string.h>

#include "support/scratch.h"
#include "support/train_fixture.h"

#define METHOD "--method", "ae", "--rounds", "2", "--seed", "5"

/* Returns a parameter of a model file, with its number of floats. The model has to be freed. */
static const float *weights(const struct adl_model *model, const char *name, size_t *count)
{
    int id = adl_graph_find_param(model->graph, name);
    CU_ASSERT_FATAL(id >= 0);
    *count = adl_graph_param(model->graph, id)->count;
    return model->params[id];
}

/* Returns whether all parameters of network `part` of `a` have the bits of those of network `from`
 * of `b`. */
static bool same(const struct adl_model *a, int part, const struct adl_model *b, int from)
{
    for (int i = 0; i < adl_graph_param_count(a->graph); i++) {
        const struct adl_param *param = adl_graph_param(a->graph, i);
        char name[200];
        size_t count;
        if (param->part != part)
            continue;
        if (from > 1)
            snprintf(name, sizeof name, "round%d.%s", from, param->name + param->prefix);
        else
            snprintf(name, sizeof name, "%s", param->name + param->prefix);
        const float *values = weights(b, name, &count);
        if (memcmp(values, a->params[i], count * sizeof *values) != 0)
            return false;
    }
    return true;
}

/* The first round is a plain run of its epochs; the networks of later rounds are equal to it until
 * their own round, which changes no other; and a round begins its own schedule. */
static void trains_one_after_the_other(void)
{
    struct adl_error err;
    train_directories("ae-rounds");
    TEST_OK(TRAIN("plain", false, &err, "--seed", "5", "--epochs", "1", "--schedule", "cosine"),
            &err);
    TEST_OK(TRAIN("ae", false, &err, METHOD, "--epochs", "2", "--schedule", "cosine"), &err);
    struct adl_model *plain = train_load("plain/last.safetensors"),
                     *ae = train_load("ae/last.safetensors");
    CU_ASSERT_EQUAL(adl_graph_part_count(ae->graph), 2);
    CU_ASSERT(same(ae, 1, plain, 0));
    CU_ASSERT(!same(ae, 2, plain, 0));
    json_t *lines = train_metrics("ae");
    CU_ASSERT_EQUAL_FATAL(json_array_size(lines), 2);
    CU_ASSERT_EQUAL(json_number_value(json_object_get(json_array_get(lines, 0), "lr")),
                    json_number_value(json_object_get(json_array_get(lines, 1), "lr")));
    json_decref(lines);
    adl_model_free(ae);
    TEST_OK(TRAIN("longer", false, &err, METHOD, "--epochs", "3", "--schedule", "cosine"), &err);
    /* Two epochs of round 1, of which the second ends at a rate near 0, and one of round 2. */
    lines = train_metrics("longer");
    CU_ASSERT_EQUAL_FATAL(json_array_size(lines), 3);
    double rates[3];
    for (size_t i = 0; i < 3; i++)
        rates[i] = json_number_value(json_object_get(json_array_get(lines, i), "lr"));
    CU_ASSERT(rates[0] > rates[1] && rates[2] > rates[1]);
    json_decref(lines);
    adl_model_free(plain);
}

/* With fewer epochs than rounds, some network is never trained. */
static void rounds_without_an_epoch_are_mentioned(void)
{
    struct adl_error err;
    train_directories("ae-short");
    TEST_OK(TRAIN("short", false, &err, "--method", "ae", "--rounds", "3", "--epochs", "2"), &err);
    CU_ASSERT(
        train_logged("2 epochs cannot train the networks of 3 rounds: 1 of them stays a copy"));
    struct adl_model *ae = train_load("short/last.safetensors");
    CU_ASSERT(same(ae, 3, ae, 2) && !same(ae, 2, ae, 0));
    adl_model_free(ae);
    TEST_OK(TRAIN("enough", false, &err, METHOD, "--epochs", "2"), &err);
    CU_ASSERT(!train_logged("cannot train the networks"));
}

static void same_bits_however_it_runs(void)
{
    struct adl_error err;
    train_directories("ae-bits");
    CU_ASSERT(TRAIN_CHECK_BITS(METHOD, "--epochs", "2") > 2);
    CU_ASSERT(TRAIN("one", false, &err, METHOD, "--epochs", "4", "--resume") < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "epochs"));
    CU_ASSERT(TRAIN("one", false, &err, "--method", "ae", "--rounds", "3", "--epochs", "2",
                    "--resume", "--seed", "5") < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "rounds"));
}

/* A file of one network fills all; a file of several keeps them; and one network is taken out. */
static void models_are_taken_over(void)
{
    struct adl_error err;
    train_directories("ae-models");
    TEST_OK(TRAIN("plain", false, &err, "--epochs", "1"), &err);
    TEST_OK(TRAIN("ae", false, &err, METHOD, "--epochs", "1", "--lr", "0", "--recipe", "plain",
                  "--batchnorm-batches", "0", "--frozen-batchnorm", "--init",
                  scratch_path("plain/last.safetensors")),
            &err);
    CU_ASSERT(!train_logged("below the classifier"));
    struct adl_model *plain = train_load("plain/last.safetensors"),
                     *ae = train_load("ae/last.safetensors");
    CU_ASSERT(same(ae, 1, plain, 0) && same(ae, 2, plain, 0));
    CU_ASSERT_EQUAL(ae->arch.rounds, 2);
    adl_model_free(ae);
    TEST_OK(TRAIN("again", false, &err, "--epochs", "1", "--lr", "0", "--recipe", "plain",
                  "--frozen-batchnorm", "--method", "cam", "--init",
                  scratch_path("ae/last.safetensors")),
            &err);
    struct adl_model *again = train_load("again/last.safetensors");
    CU_ASSERT_EQUAL(adl_graph_part_count(again->graph), 0);
    CU_ASSERT(same(again, 0, plain, 0));
    adl_model_free(again);
    adl_model_free(plain);
}

TEST_SUITE(train_ae, {"trains one after the other", trains_one_after_the_other},
           {"rounds without an epoch are mentioned", rounds_without_an_epoch_are_mentioned},
           {"the same bits however it runs", same_bits_however_it_runs},
           {"models are taken over", models_are_taken_over});
