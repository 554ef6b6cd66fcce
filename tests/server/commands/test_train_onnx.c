/* `train --init` with networks that came from ONNX: they learn, with the same bits however the run
 * is divided, keep their batch norms and get a new classifier; layers of methods stand where the
 * user says. The networks are those of tests/golden/onnx_in. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "models/backbones/stored.h"
#include "models/file/load.h"
#include "models/onnx/onnx.h"
#include "models/onnx_in/onnx_in.h"
#include "support/command_run.h"
#include "support/program.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

#define PLAIN                                                                                      \
    "--recipe", "plain", "--resize-size", "40", "--crop-size", "32", "--batch-size", "8", "--lr",  \
        "0.02", "--no-report"
#define TRAIN_ONNX(out, err, ...)                                                                  \
    train_words(out, false, (const char *const[]){PLAIN, __VA_ARGS__, NULL}, err)

/* Returns the path of a network; valid until the call after the next one. */
static const char *network(const char *name)
{
    static char paths[2][1024];
    static int next;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s/onnx_in/%s.onnx", test_golden_dir(), name);
    return path;
}

/* The share of training images that the last epoch of a run took for what they are, in percent. */
static double last_top1(const char *out)
{
    json_t *lines = train_metrics(out);
    const json_t *last = json_array_get(lines, json_array_size(lines) - 1);
    double value = json_number_value(json_object_get(last, "train_top1"));
    json_decref(lines);
    return value;
}

static void networks_learn(void)
{
    static const char *const names[] = {"trainable", "cbam", "pyramid", "convnext"};
    train_directories("onnx-learn");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct adl_error err;
        TEST_OK(TRAIN_ONNX(names[i], &err, "--init", network(names[i]), "--epochs", "12", "--seed",
                           "3", "--crop-size", "40"),
                &err);
        CU_ASSERT(train_logged("parameters taken"));
        /* Guessing gives 50. */
        if (!(last_top1(names[i]) >= 80))
            TEST_FAIL("%s: %g %%", names[i], last_top1(names[i]));
    }
}

/* With one thread, with two, and in parts that are resumed. */
static void same_bits_however_it_runs(void)
{
    train_directories("onnx-bits");
    const char *const words[] = {
        PLAIN, "--init", network("trainable"), "--method", "adl", "--epochs", "2", NULL};
    CU_ASSERT(train_check_bits(words) > 4);
    train_directories("onnx-bits-rounds");
    const char *const rounds[] = {PLAIN,      "--init", network("cbam"), "--method", "ae",
                                  "--rounds", "2",      "--epochs",      "2",        NULL};
    CU_ASSERT(train_check_bits(rounds) > 4);
}

static const float *values_of(const struct adl_model *model, const char *name, size_t *count)
{
    int id = adl_graph_find_param(model->graph, name);
    CU_ASSERT_FATAL(id >= 0);
    *count = adl_graph_param(model->graph, id)->count;
    return model->params[id];
}

/* Batch norms stay: their running statistics follow the images, and their weights learn. The
 * classifier has the classes of the data. */
static void batch_norms_and_classifier_train(void)
{
    struct adl_error err = {0};
    size_t before_count, after_count;
    train_directories("onnx-norms");
    struct adl_model *before = adl_onnx_in_load(network("trainable"), NULL, &err);
    CU_ASSERT_FATAL(before != NULL);
    TEST_OK(
        TRAIN_ONNX("run", &err, "--arch", "onnx", "--init", network("trainable"), "--epochs", "1"),
        &err);
    CU_ASSERT(train_logged("15 of 17 parameters taken"));
    struct adl_model *after = train_load("run/last.safetensors");
    CU_ASSERT_EQUAL(after->arch.num_classes, 2);
    static const char *const norms[] = {"weight", "bias", "running_mean", "running_var"};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        char name[64];
        snprintf(name, sizeof name, "features.0.1.%s", norms[i]);
        const float *a = values_of(before, name, &before_count);
        const float *b = values_of(after, name, &after_count);
        CU_ASSERT_EQUAL_FATAL(before_count, after_count);
        CU_ASSERT_NOT_EQUAL(memcmp(a, b, before_count * sizeof *a), 0);
    }
    const float *row = values_of(after, "fc.1.weight", &after_count);
    CU_ASSERT_EQUAL(after_count, 2 * 8);
    for (size_t i = 0; i < after_count; i++)
        CU_ASSERT(isfinite(row[i]));
    adl_model_free(after);
    adl_model_free(before);
}

/* A classifier of several layers: the last has the classes of the data, and so has the class map.
 */
static void a_classifier_of_several_layers_changes(void)
{
    struct adl_error err = {0};
    train_directories("onnx-layers");
    TEST_OK(TRAIN_ONNX("run", &err, "--init", network("mobilenet_v3"), "--epochs", "1"), &err);
    struct adl_model *model = train_load("run/last.safetensors");
    int map = adl_graph_output(model->graph, ADL_OUTPUT_CLASS_MAP);
    CU_ASSERT_FATAL(map > 0);
    CU_ASSERT_EQUAL(adl_graph_value(model->graph, map)->shape.c, 2);
    adl_model_free(model);
}

/* Positions by name; the model file has them, and a run that begins from it. */
static void layers_stand_where_they_are_asked_for(void)
{
    static const char second[] = "/features/features.2/Relu";
    struct adl_error err = {0};
    char text[300];
    train_directories("onnx-places");
    TEST_OK(TRAIN_ONNX("run", &err, "--init", network("resnet50"), "--epochs", "1", "--method",
                       "adl", "--adl-positions", second),
            &err);
    TEST_OK(
        TRAIN_ONNX("again", &err, "--init", scratch_path("run/last.safetensors"), "--epochs", "1"),
        &err);
    struct adl_model *model = train_load("again/last.safetensors");
    CU_ASSERT(adl_arch_has_layers(&model->arch));
    CU_ASSERT_EQUAL(model->arch.adl_places, adl_arch_place(&model->arch, second, strlen(second)));
    snprintf(text, sizeof text, "adl.%s", second);
    CU_ASSERT(adl_graph_find_value(model->graph, text) > 0);
    adl_model_free(model);

    CU_ASSERT(TRAIN_ONNX("none", &err, "--init", network("resnet50"), "--epochs", "1", "--method",
                         "adl", "--adl-positions", "/features/nowhere") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG &&
              strstr(err.message, "ADL cannot follow \"/features/nowhere\"") &&
              strstr(err.message, "/features/features.4/Relu"));
    CU_ASSERT(TRAIN_ONNX("none", &err, "--init", network("pyramid"), "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "exported for images of 40x40, as with --crop-size 40") != NULL);
    CU_ASSERT(TRAIN_ONNX("none", &err, "--arch", "onnx", "--epochs", "1") < 0);
    CU_ASSERT(err.kind == ADL_ERR_ARG && strstr(err.message, "--init has to name"));
}

/* BAS begins at a finer map; its network is written, loaded and goes on. */
static void bas_trains_it(void)
{
    struct adl_error err = {0};
    train_directories("onnx-bas");
    TEST_OK(TRAIN_ONNX("run", &err, "--init", network("resnet50"), "--epochs", "3", "--method",
                       "bas", "--bas-head", "light", "--bas-warmup", "1"),
            &err);
    json_t *lines = train_metrics("run");
    CU_ASSERT_EQUAL(json_array_size(lines), 3);
    json_decref(lines);
    struct adl_model *model = train_load("run/last.safetensors");
    CU_ASSERT(adl_arch_branches(&model->arch) == &adl_method_bas);
    CU_ASSERT(adl_graph_find_param(model->graph, "classifier_loc.0.weight") >= 0);
    TEST_OK(adl_onnx_write(model, scratch_path("bas.onnx"), &err), &err);
    adl_model_free(model);
    TEST_OK(TRAIN_ONNX("again", &err, "--init", scratch_path("run/last.safetensors"), "--epochs",
                       "1", "--method", "bas", "--bas-head", "light"),
            &err);
}

/* `convert` sets positions as well, and `info` lists them. */
static void positions_are_listed(void)
{
    char path[300];
    if (!program_exists())
        return;
    train_directories("onnx-listed");
    snprintf(path, sizeof path, "%s", scratch_path("adl.safetensors"));
    command_says(0, "onnx adl",
                 (const char *const[]){program_path(), "convert", "--method", "adl",
                                       "--adl-positions", "/features/features.2/Relu",
                                       network("resnet50"), path, NULL});
    command_says(0, "/features/features.2/Relu (10x10x8) *\n",
                 (const char *const[]){program_path(), "info", path, NULL});
    command_says(0, "/features/features.3/Relu (5x5x16)\n",
                 (const char *const[]){program_path(), "info", path, NULL});
    command_says(0, "\"adl_places\": [",
                 (const char *const[]){program_path(), "info", "--json", path, NULL});
}

/* What was trained with ADL, or in rounds, is written as ONNX. */
static void a_trained_network_is_exported(void)
{
    static const char *const methods[] = {"adl", "ae"};
    struct adl_error err = {0};
    train_directories("onnx-export");
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char out[64];
        TEST_OK(TRAIN_ONNX(methods[i], &err, "--init", network("trainable"), "--epochs", "1",
                           "--method", methods[i]),
                &err);
        snprintf(out, sizeof out, "%s/last.safetensors", methods[i]);
        struct adl_model *model = train_load(out);
        TEST_OK(adl_onnx_write(model, scratch_path("out.onnx"), &err), &err);
        adl_model_free(model);
        if (i > 0) /* what joins the maps of several networks is not read */
            continue;
        struct adl_model *back = adl_onnx_in_load(scratch_path("out.onnx"), NULL, &err);
        CU_ASSERT(back && back->arch.num_classes == 2);
        adl_model_free(back);
    }
}

TEST_SUITE(train_onnx, {"networks learn", networks_learn},
           {"the same bits however it runs", same_bits_however_it_runs},
           {"batch norms and the classifier train", batch_norms_and_classifier_train},
           {"a classifier of several layers changes", a_classifier_of_several_layers_changes},
           {"layers stand where they are asked for", layers_stand_where_they_are_asked_for},
           {"BAS trains it", bas_trains_it}, {"positions are listed", positions_are_listed},
           {"a trained network is exported", a_trained_network_is_exported});
TEST_SLOW(networks_learn);
TEST_SLOW(same_bits_however_it_runs);
