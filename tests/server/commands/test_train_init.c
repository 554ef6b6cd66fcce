/* `train --init`: the network and the weights that a run begins with, and what it records of
 * them. */

#include "support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "server/tasks/default_model.h"
#include "support/head.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* A model records how it was trained, and how its initial weights were. */
static void the_origin_is_recorded(void)
{
    struct adl_error err;
    train_directories("origin");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--seed", "7"), &err);
    TEST_OK(TRAIN("second", false, &err, "--epochs", "2", "--init",
                  scratch_path("first/last.safetensors")),
            &err);
    struct adl_model *model = train_load("second/last.safetensors");
    json_int_t epochs = 0, origin_epochs = 0, seed = 0;
    CU_ASSERT_EQUAL(json_unpack(model->training, "{s:I, s:{s:I, s:{s:I}, s?:n}}", "epochs", &epochs,
                                "begun_from", "epochs", &origin_epochs, "config", "seed", &seed,
                                "begun_from"),
                    0);
    CU_ASSERT(epochs == 2 && origin_epochs == 1 && seed == 7);
    adl_model_free(model);
}

/* The model file of --init sets the network and its input normalisation, except where
 * options do. */
static void init_sets_the_network(void)
{
    struct adl_error err;
    train_directories("init");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--activation", "relu6", "--padding",
                  "tf_same", "--bn-eps", "0.01", "--mean", "0.25", "--std", "0.75", "--method",
                  "adl", "--adl-positions", "blocks.2,blocks.9"),
            &err);
    const char *const plain[] = {"--init",        scratch_path("first/last.safetensors"),
                                 "--epochs",      "1",
                                 "--resize-size", "40",
                                 "--crop-size",   "32",
                                 "--activation",  "relu",
                                 "--std",         "0.5",
                                 "--recipe",      "plain",
                                 "--recipe",      "plain",
                                 "--no-report",   NULL};
    TEST_OK(train_words("second", false, plain, &err), &err);
    struct adl_model *model = train_load("second/last.safetensors");
    CU_ASSERT_EQUAL(model->arch.backbone, &adl_backbone_mobilenet_v1);
    CU_ASSERT_DOUBLE_EQUAL(model->arch.width, 0.25, 0);
    CU_ASSERT_DOUBLE_EQUAL(model->arch.bn_eps, 0.01, 0);
    CU_ASSERT_EQUAL(model->arch.padding, ADL_PAD_TF_SAME);
    CU_ASSERT(adl_arch_has_layers(&model->arch) && model->arch.adl_places == (1u << 2 | 1u << 9));
    CU_ASSERT_DOUBLE_EQUAL((double)model->mean[1], 0.25, 0);
    /* Set by options. */
    CU_ASSERT_EQUAL(model->arch.activation, ADL_ACT_RELU);
    CU_ASSERT_DOUBLE_EQUAL((double)model->std[1], 0.5, 0);
    adl_model_free(model);
}

/* Copies last.safetensors of the run "first" with "x" before the names of all but the
 * first `kept` tensors, which are those nearest to the input. */
static const char *rename_tensors(const char *name, size_t kept)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors =
        adl_safetensors_read(scratch_path("first/last.safetensors"), &err);
    CU_ASSERT_FATAL(tensors != NULL);
    for (size_t i = kept; i < adl_tensors_count(tensors); i++) {
        char other[200];
        snprintf(other, sizeof other, "x%s", adl_tensors_at(tensors, i)->name);
        TEST_OK(adl_tensors_rename(tensors, i, other, &err), &err);
    }
    TEST_OK(adl_safetensors_write(scratch_path("%s", name), tensors, &err), &err);
    adl_tensors_free(tensors);
    return scratch_path("%s", name);
}

/* A file with few of the network's parameters is a mistake: training would start from
 * noise. The network has 137 parameters, two of them the classifier's. */
static void init_has_to_match(void)
{
    struct adl_error err;
    train_directories("match");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(TRAIN("few", false, &err, "--epochs", "1", "--init", rename_tensors("few.st", 5)) <
              0);
    CU_ASSERT(err.kind == ADL_ERR_FORMAT && strstr(err.message, "5 of the 135 parameters"));
    CU_ASSERT(train_logged("missing") && train_logged("in the file: \"x"));
    CU_ASSERT_NOT_EQUAL(access(scratch_path("few"), F_OK), 0);
    CU_ASSERT(TRAIN("less", false, &err, "--epochs", "1", "--init", rename_tensors("less.st", 67)) <
              0);
    CU_ASSERT(TRAIN("none", false, &err, "--epochs", "1", "--init", rename_tensors("none.st", 0)) <
              0);
    CU_ASSERT(train_logged("in the file: \"x"));
    TEST_OK(TRAIN("half", false, &err, "--epochs", "1", "--init", rename_tensors("half.st", 68)),
            &err);
    CU_ASSERT(train_logged("warning") && train_logged("68 of the 135") &&
              train_logged("in the file: \"x"));
    /* A classifier of another size, or none, is what --init is for. */
    TEST_OK(TRAIN("all", false, &err, "--epochs", "1", "--init", rename_tensors("all.st", 135)),
            &err);
    CU_ASSERT(train_logged("135 of 137 parameters taken") && !train_logged("warning") &&
              !train_logged("missing"));
}

/* A rule with the map of a layer is carried over and used for validation, unless the network has no
 * such layer. */
static void init_keeps_the_layer_of_maps(void)
{
    static const char *const names[] = {"blocks.4", "layer3.5"};
    struct adl_error err = {0};
    train_directories("layer");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1"), &err);
    struct adl_model *model = train_load("first/last.safetensors");
    for (int i = 0; i < 2; i++) {
        char run[20];
        snprintf(run, sizeof run, "second%d", i);
        model->map.views.layer = (struct adl_map_layer){.method = ADL_LAYER_GRADCAM};
        snprintf(model->map.views.layer.name, sizeof model->map.views.layer.name, "%s", names[i]);
        TEST_OK(adl_model_save(model, scratch_path("layer.safetensors"), &err), &err);
        TEST_OK(
            TRAIN(run, false, &err, "--epochs", "1", "--init", scratch_path("layer.safetensors")),
            &err);
        char file[40];
        snprintf(file, sizeof file, "%s/last.safetensors", run);
        struct adl_model *trained = train_load(file);
        CU_ASSERT_EQUAL(trained->map.views.layer.method,
                        i == 0 ? ADL_LAYER_GRADCAM : ADL_LAYER_NONE);
        adl_model_free(trained);
    }
    adl_model_free(model);
}

static void init_takes_the_model_that_ships(void)
{
    char path[ADL_DEFAULT_MODEL_PATH];
    struct adl_error err = {0};
    train_directories("default");
    if (adl_default_model(path, &err) < 0) {
        test_skip("the model that ships is not here");
        return;
    }
    const char *const words[] = {"--init", "default", "--epochs",    "1",  "--resize-size", "40",
                                 "--seed", "3",       "--crop-size", "32", "--no-report",   NULL};
    TEST_OK(train_words("run", false, words, &err), &err);
    CU_ASSERT(train_logged("parameters taken"));
    struct adl_model *shipped = adl_model_load(path, NULL, &err);
    struct adl_model *model = adl_model_load(scratch_path("run/last.safetensors"), NULL, &err);
    TEST_OK(shipped && model ? 0 : -1, &err);
    if (shipped && model) {
        CU_ASSERT_DOUBLE_EQUAL(model->arch.width, shipped->arch.width, 0);
        CU_ASSERT_EQUAL(model->arch.num_classes, 2);
        CU_ASSERT(model->training && json_object_get(model->training, "begun_from"));
    }
    adl_model_free(shipped);
    adl_model_free(model);
}

/* All that --init contributed is in the state: the file may be gone, and the option
 * too. The record of where the weights came from stays. */
static void resuming_needs_no_init(void)
{
    struct adl_error err;
    train_directories("no-init");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--activation", "relu6", "--bn-eps",
                  "0.01", "--mean", "0.3"),
            &err);
    char init[4096];
    snprintf(init, sizeof init, "%s", scratch_path("first/last.safetensors"));
    const char *const words[] = {"--init",        init, "--epochs",    "2",  "--lr",        "0.002",
                                 "--resize-size", "40", "--crop-size", "32", "--no-report", NULL};
    TEST_OK(train_words("whole", false, words, &err), &err);
    TEST_OK(train_words("same", true, words, &err), &err);
    TEST_OK(train_words("less", true, words, &err), &err);
    CU_ASSERT_EQUAL(unlink(init), 0);
    const char *same[TRAIN_MAX_ARGUMENTS] = {"--resume"};
    for (size_t i = 0; words[i]; i++)
        same[i + 1] = words[i];
    TEST_OK(train_words("same", false, same, &err), &err);
    same[1] = same[2] = "--resume";
    TEST_OK(train_words("less", false, same, &err), &err);
    const char *const runs[] = {"same/last.safetensors", "less/last.safetensors"};
    for (size_t i = 0; i < ADL_COUNT(runs); i++) {
        CU_ASSERT(strcmp(train_digest("whole/last.safetensors"), train_digest(runs[i])) == 0);
        struct adl_model *model = adl_model_load(scratch_path("%s", runs[i]), NULL, &err);
        TEST_OK(model ? 0 : -1, &err);
        const char *recorded = NULL;
        CU_ASSERT(model && json_unpack(model->training, "{s:{s:s}, s:o}", "config", "init",
                                       &recorded, "begun_from", &(json_t *){NULL}) == 0);
        CU_ASSERT(recorded && strcmp(recorded, init) == 0);
        adl_model_free(model);
    }
}

#define FEW "--resize-size", "40", "--crop-size", "32", "--batch-size", "8", "--no-report"

/* Gives a model file another map rule and a few-box head. */
static void give_rule(const char *file)
{
    struct adl_error err = {0};
    struct adl_model *model = train_load(file);
    model->map = (struct adl_map_rule){.weights = ADL_MAP_WEIGHTS_POSITIVE,
                                       .normalise = ADL_MAP_IVR,
                                       .percentile = 0.3,
                                       .threshold = 0.21};
    test_give_head(model, "train_init.head");
    TEST_OK(adl_model_save(model, scratch_path("%s", file), &err), &err);
    adl_model_free(model);
}

/* Checks the rule of give_rule() in a model file, and whether it has the head. */
static void check_rule(const char *file, bool head)
{
    struct adl_model *model = train_load(file);
    CU_ASSERT_EQUAL(model->map.weights, ADL_MAP_WEIGHTS_POSITIVE);
    CU_ASSERT_EQUAL(model->map.normalise, ADL_MAP_IVR);
    CU_ASSERT_DOUBLE_EQUAL(model->map.percentile, 0.3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(model->map.threshold, 0.21, 1e-12);
    CU_ASSERT_EQUAL(model->map.foreground != NULL, head);
    if (head)
        test_check_head(model, "train_init.head");
    adl_model_free(model);
}

static void check_map(const char *file, enum adl_map_normalise normalise, double threshold)
{
    struct adl_model *model = train_load(file);
    CU_ASSERT_EQUAL(model->map.normalise, normalise);
    CU_ASSERT_EQUAL(model->map.weights,
                    normalise == ADL_MAP_IVR ? ADL_MAP_WEIGHTS_POSITIVE : ADL_MAP_WEIGHTS_ALL);
    if (threshold >= 0)
        CU_ASSERT_DOUBLE_EQUAL(model->map.threshold, threshold, 1e-12);
    adl_model_free(model);
}

/* Where nobody has boxes, the map is formed by a rule that is rarely far off; with boxes it is the
 * reference's, whose threshold val tells, and a later run without boxes keeps that. */
static void data_without_boxes_get_a_rule(void)
{
    struct adl_error err;
    train_directories("unboxed");
    TEST_OK(TRAIN("unboxed-run", false, &err, "--epochs", "1"), &err);
    check_map("unboxed-run/last.safetensors", ADL_MAP_IVR, 0.25);
    train_lists("boxed");
    TEST_OK(TRAIN("boxed-run", false, &err, "--epochs", "1"), &err);
    check_map("boxed-run/last.safetensors", ADL_MAP_MINMAX, -1);
    struct adl_model *model = train_load("boxed-run/last.safetensors");
    double threshold = model->map.threshold;
    adl_model_free(model);
    char init[300];
    snprintf(init, sizeof init, "%s", scratch_path("boxed-run/last.safetensors"));
    train_directories("unboxed-again");
    TEST_OK(TRAIN("kept-run", false, &err, "--epochs", "1", "--init", init), &err);
    check_map("kept-run/last.safetensors", ADL_MAP_MINMAX, threshold);

    /* A threshold that somebody gave is kept, one of weights from elsewhere is not. */
    for (int ours = 1; ours >= 0; ours--) {
        model = adl_model_load(init, NULL, &err);
        CU_ASSERT_FATAL(model != NULL);
        model->map.threshold = 0.6;
        json_decref(model->metrics);
        model->metrics = NULL;
        if (!ours) {
            json_decref(model->training);
            model->training = json_pack("{s:s}", "source", "elsewhere");
        }
        TEST_OK(adl_model_save(model, init, &err), &err);
        adl_model_free(model);
        TEST_OK(TRAIN(ours ? "ours" : "theirs", false, &err, "--epochs", "1", "--init", init),
                &err);
        check_map(ours ? "ours/last.safetensors" : "theirs/last.safetensors",
                  ours ? ADL_MAP_MINMAX : ADL_MAP_IVR, ours ? 0.6 : 0.25);
    }
}

/* On few images, what the user leaves open keeps the features and the rule of the file, also when
 * the run is interrupted and resumed without --init; what the user gives is used. */
static void few_images_are_fine_tuned(void)
{
    struct adl_error err;
    train_directories("few");
    TEST_OK(TRAIN("first", false, &err, "--epochs", "1", "--method", "adl"), &err);
    give_rule("first/last.safetensors");
    char init[300];
    snprintf(init, sizeof init, "%s", scratch_path("first/last.safetensors"));
    const char *const words[] = {"--init", init, FEW, "--epochs", "2", NULL};
    TEST_OK(train_words("few", false, words, &err), &err);
    CU_ASSERT(train_logged("fine-tuning with frozen batch norm, method cam, learning rate 0.0003"));
    check_rule("few/last.safetensors", true);
    struct adl_model *model = train_load("few/last.safetensors");
    double lr = 0, ratio = 0;
    int frozen = 0;
    CU_ASSERT_EQUAL(json_unpack(model->training, "{s:{s:f, s:f, s:b}}", "config", "lr", &lr,
                                "lr_classifier_ratio", &ratio, "frozen_batchnorm", &frozen),
                    0);
    CU_ASSERT_DOUBLE_EQUAL(lr, 0.0003, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(ratio, 30, 1e-12);
    CU_ASSERT(frozen && !adl_arch_has_layers(&model->arch));
    adl_model_free(model);

    const char *const again[] = {FEW, "--epochs", "2", "--resume", NULL};
    TEST_OK(train_words("parts", true, words, &err), &err);
    for (int part = 0; part < 20 && train_logged("--resume continues"); part++)
        TEST_OK(train_words("parts", true, again, &err), &err);
    check_rule("parts/last.safetensors", true);
    CU_ASSERT_STRING_EQUAL(train_digest("few/last.safetensors"),
                           train_digest("parts/last.safetensors"));

    const char *const plain[] = {"--init", init, FEW, "--epochs", "1", "--recipe", "plain", NULL};
    TEST_OK(train_words("plain", false, plain, &err), &err);
    CU_ASSERT(!train_logged("fine-tuning") && train_logged(" adl: "));
    check_rule("plain/last.safetensors", false);
    const char *const own[] = {"--init", init,    FEW,        "--epochs", "1",
                               "--lr",   "0.002", "--method", "adl",      NULL};
    TEST_OK(train_words("own", false, own, &err), &err);
    CU_ASSERT(train_logged("method adl, learning rate 0.002 and 10 times"));
}

TEST_SUITE(train_init, {"few images are fine-tuned", few_images_are_fine_tuned},
           {"the origin of the weights is recorded", the_origin_is_recorded},
           {"--init sets the network", init_sets_the_network},
           {"--init has to match", init_has_to_match},
           {"--init keeps the layer of maps", init_keeps_the_layer_of_maps},
           {"--init default takes the model that ships", init_takes_the_model_that_ships},
           {"resuming needs no --init", resuming_needs_no_init},
           {"data without boxes get a rule", data_without_boxes_get_a_rule});
