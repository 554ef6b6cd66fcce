/* `train --method bas` on generated images: the same bits however it runs, what it learns, and how
 * its models are taken by others. */

#include "support/test.h"

#include <jansson.h>
#include <string.h>

#include "base/size.h"
#include "methods/methods.h"
#include "models/file/load.h"
#include "models/model.h"
#include "server/options/arch_options.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

#define METHOD                                                                                     \
    "--method", "bas", "--bas-warmup", "1", "--seed", "5", "--lr", "0.005",                        \
        "--lr-classifier-ratio", "2"

static void same_bits_however_it_runs(void)
{
    struct adl_error err;
    train_directories("bas-bits");
    CU_ASSERT(TRAIN_CHECK_BITS(METHOD, "--epochs", "2") > 2);
    TEST_OK(TRAIN("other", false, &err, METHOD, "--epochs", "2", "--bas-beta", "1"), &err);
    CU_ASSERT(
        strcmp(train_digest("one/last.safetensors"), train_digest("other/last.safetensors")) != 0);
    CU_ASSERT(TRAIN("one", false, &err, METHOD, "--epochs", "3", "--resume", "--bas-alpha", "1") <
              0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "bas alpha 0.5, not 1"));
}

static double figure(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

/* The classifier warms up alone: the map's head keeps its first values, and the loss is the
 * cross-entropy. Then the terms of the method come on top, and fall. */
static void learns_two_colours(void)
{
    struct adl_error err;
    train_lists("bas-learns");
    /* With a seed whose losses are far from the bounds below. */
    TEST_OK(TRAIN("run", false, &err, METHOD, "--epochs", "24", "--schedule", "cosine",
                  "--crop-size", "64", "--resize-size", "72", "--lr", "0.01", "--bas-warmup", "15",
                  "--clip-norm", "0", "--seed", "7"),
            &err);
    json_t *lines = train_metrics("run");
    CU_ASSERT_EQUAL_FATAL(json_array_size(lines), 24);
    const json_t *last = json_array_get(lines, 23);
    double alone = figure(json_array_get(lines, 14), "train_loss");
    double first = figure(json_array_get(lines, 15), "train_loss");
    /* The last bits of the processor's sums decide about some of the 24 images. */
    CU_ASSERT(figure(last, "train_top1") >= 75);
    CU_ASSERT(alone < 0.69);
    CU_ASSERT(first > alone + 0.5);
    CU_ASSERT(figure(last, "train_loss") < first - 0.3);
    json_decref(lines);
}

/* Loads the model of a run as `--method NAME` asks for it; returns whether that succeeded. */
static bool loads_as(const char *file, const struct adl_method *method, struct adl_error *err)
{
    struct adl_arch_settings settings = {
        .arch = -1, .activation = -1, .padding = -1, .methods = -1};
    for (int i = 0; method && adl_methods[i]; i++)
        if (adl_methods[i] == method)
            settings.methods = 1 << i;
    struct adl_model *model = adl_arch_load_model(scratch_path("%s", file), &settings, NULL, err);
    bool loaded = model != NULL;
    CU_ASSERT(!loaded || (adl_arch_branches(&model->arch) == &adl_method_bas) ==
                             (strncmp(file, "bas", 3) == 0));
    adl_model_free(model);
    return loaded;
}

/* A model file says that it is of the method; another method's network is not made from it, but a
 * run may start from its weights, or from those of another method. */
static void models_keep_their_method(void)
{
    struct adl_error err;
    train_directories("bas-models");
    TEST_OK(TRAIN("bas", false, &err, METHOD, "--epochs", "1"), &err);
    CU_ASSERT(loads_as("bas/last.safetensors", NULL, &err));
    CU_ASSERT(loads_as("bas/last.safetensors", &adl_method_bas, &err));
    CU_ASSERT(!loads_as("bas/last.safetensors", &adl_method_cam, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);

    TEST_OK(TRAIN("cam", false, &err, "--epochs", "1", "--method", "cam", "--init",
                  scratch_path("bas/last.safetensors")),
            &err);
    CU_ASSERT(loads_as("cam/last.safetensors", NULL, &err));
    err = (struct adl_error){0};
    CU_ASSERT(!loads_as("cam/last.safetensors", &adl_method_bas, &err));
    TEST_OK(TRAIN("bas2", false, &err, METHOD, "--epochs", "1", "--init",
                  scratch_path("cam/last.safetensors")),
            &err);
    CU_ASSERT(!train_logged("below the classifier"));
    CU_ASSERT(loads_as("bas2/last.safetensors", NULL, &err));
}

/* The ratio of the new layers' learning rate that a run has recorded. */
static double ratio_of(const char *file)
{
    double ratio = -1;
    struct adl_model *model = train_load(file);
    CU_ASSERT_FATAL(model != NULL);
    CU_ASSERT_EQUAL(
        json_unpack(model->training, "{s:{s:f}}", "config", "lr_classifier_ratio", &ratio), 0);
    adl_model_free(model);
    return ratio;
}

/* The method asks for its authors' rate, unless the user gives one; a resumed run keeps it. */
static void new_layers_have_their_own_rate(void)
{
    struct adl_error err;
    train_directories("bas-rate");
    TEST_OK(TRAIN("own", false, &err, "--method", "bas", "--epochs", "1"), &err);
    TEST_OK(TRAIN("own", false, &err, "--method", "bas", "--epochs", "2", "--resume"), &err);
    CU_ASSERT_EQUAL(ratio_of("own/last.safetensors"), 1);
    TEST_OK(TRAIN("light", false, &err, "--method", "bas", "--bas-head", "light", "--epochs", "1"),
            &err);
    CU_ASSERT_EQUAL(ratio_of("light/last.safetensors"), 10);
    TEST_OK(TRAIN("given", false, &err, METHOD, "--epochs", "1"), &err);
    CU_ASSERT_EQUAL(ratio_of("given/last.safetensors"), 2);
    TEST_OK(TRAIN("cam", false, &err, "--method", "cam", "--epochs", "1"), &err);
    CU_ASSERT_EQUAL(ratio_of("cam/last.safetensors"), 10);
}

TEST_SUITE(train_bas, {"the same bits however it runs", same_bits_however_it_runs},
           {"learns two colours", learns_two_colours},
           {"models keep their method", models_keep_their_method},
           {"new layers have their own rate", new_layers_have_their_own_rate});
TEST_SLOW(learns_two_colours);
TEST_UNWATCHED(learns_two_colours);
