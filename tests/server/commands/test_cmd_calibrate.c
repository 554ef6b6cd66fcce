/* `calibrate`, run as a program on images with boxes, and measured by `eval`'s functions. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "io/file.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "support/formula.h"
#include "support/head.h"
#include "support/http_client.h"
#include "support/image_bytes.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

enum { IMAGES = 6, CLASSES = 3 };

/* Formula images of two sizes in lists, each with a box. The split `bare` has no boxes. */
static void write_data(const char *name)
{
    scratch_open(
        name, (const char *const[]){"images", "metadata", "metadata/val", "metadata/bare", NULL});
    for (int i = 0; i < IMAGES; i++) {
        struct adl_error err = {0};
        char path[40];
        size_t length;
        int width = i % 2 ? 120 : 96, height = 90;
        void *png = test_picture(TEST_PNG, width, height, &length);
        struct adl_file_piece piece = {png, length};
        snprintf(path, sizeof path, "images/%d.png", i);
        TEST_OK(adl_file_write(scratch_path("%s", path), &piece, 1, &err), &err);
        scratch_append("metadata/val/image_ids.txt", "%d.png\n", i);
        scratch_append("metadata/val/class_labels.txt", "%d.png,%d\n", i, i % CLASSES);
        scratch_append("metadata/val/image_sizes.txt", "%d.png,%d,%d\n", i, width, height);
        scratch_append("metadata/val/localization.txt", "%d.png,%d,%d,%d,%d\n", i, 5 * (i % 4), 10,
                       50 + 5 * (i % 4), 70);
        scratch_append("metadata/bare/image_ids.txt", "%d.png\n", i);
        scratch_append("metadata/bare/class_labels.txt", "%d.png,%d\n", i, i % CLASSES);
        adl_free(png);
    }
}

/* GT-known localization of a model file on val, in percent. */
static double measured(struct adl_model *model)
{
    struct adl_error err = {0};
    const struct adl_dataset_options where = {.dir = scratch_root(), .split = "val"};
    struct adl_dataset *d = adl_dataset_open(&where, &err);
    TEST_OK(adl_model_keep_layer(model, &model->map.views, &err), &err);
    struct adl_plan_options with_layer = {.input_h = model->input_h, .input_w = model->input_w};
    adl_model_plan_options(model, &with_layer);
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &with_layer, &err);
    struct adl_views *views = plan ? adl_model_open_views(model, plan, NULL, 4, &err) : NULL;
    struct adl_evaluate_options how = {.curve_interval = 0.1, .map = model->map};
    struct adl_evaluate_report report;
    CU_ASSERT_FATAL(d && views);
    memcpy(how.mean, model->mean, sizeof how.mean);
    memcpy(how.std, model->std, sizeof how.std);
    TEST_OK(adl_evaluate_views(d, views, 4, NULL, &how, &report, &err), &err);
    double result = report.figures.gt_known_loc;
    adl_evaluate_report_release(&report);
    adl_views_free(views);
    adl_plan_unref(plan);
    adl_dataset_free(d);
    return result;
}

static double number(const struct adl_model *model, const char *key)
{
    const json_t *percent = json_object_get(model->calibration, "percent");
    const json_t *inner = json_object_get(percent, key);
    return json_number_value(inner ? inner : json_object_get(model->calibration, key));
}

static void the_written_model_is_as_good_as_it_says(void)
{
    static const char *const more[][2] = {
        {NULL, NULL},
        {"--foreground", "--try-views"},
        {"--boxes-per-class", "1"},
        {"--map-flip", "--map-scales=1,1.43"},
        {"--map=gradcam:blocks.4", NULL},
        {"--map-layer=blocks.4", "--try-views"},
    };
    char out[300], text[500];
    write_data("calibrate");
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    for (size_t i = 0; i < ADL_COUNT(more); i++) {
        struct adl_error err = {0};
        const char *arguments[12] = {"calibrate", "--model",      test_small_model(),
                                     "--data",    scratch_root(), out,
                                     more[i][0],  more[i][1],     NULL};
        int status = test_program_run(arguments, text, sizeof text);
        if (status != 0)
            TEST_FAIL("exit status %d: %s", status, text);
        struct adl_model *model = adl_model_load(out, NULL, &err);
        CU_ASSERT_FATAL(model != NULL);
        CU_ASSERT_EQUAL(number(model, "images"), i == 2 ? CLASSES : IMAGES);
        CU_ASSERT(number(model, "cross_validated") <= 100 && number(model, "fitted") >= 0);
        CU_ASSERT_PTR_NULL(model->metrics);
        /* All images are measured here, so only a choice made on all of them is comparable; a
         * head is judged on images that it was not fitted to. */
        if (i == 0 || i >= 3)
            CU_ASSERT_DOUBLE_EQUAL(number(model, "fitted"), measured(model), 0.051);
        bool head = json_is_true(json_object_get(model->calibration, "foreground"));
        CU_ASSERT_EQUAL(model->foreground != NULL, head);
        CU_ASSERT(i == 1 || !head);
        bool tried = i == 1 || i == 5;
        CU_ASSERT(tried || model->map.views.flip == (i == 3));
        CU_ASSERT(tried || model->map.views.scale_count == (i == 3 ? 2 : 0));
        CU_ASSERT(i == 5 || (model->map.views.layer.method == ADL_LAYER_GRADCAM) == (i == 4));
        adl_model_free(model);
    }
}

/* Returns the small model, and writes the paths of its first and second version. */
static struct adl_model *begin_twice(const char *name, char first[300], char second[300])
{
    struct adl_error err = {0};
    write_data(name);
    snprintf(first, 300, "%s", scratch_path("first.safetensors"));
    snprintf(second, 300, "%s", scratch_path("second.safetensors"));
    struct adl_model *model = adl_model_load(test_small_model(), NULL, &err);
    CU_ASSERT_FATAL(model != NULL);
    return model;
}

/* What "before" says of a model with a head is measured with the head. */
static void before_is_the_model_as_it_is(void)
{
    struct adl_error err = {0};
    char first[300], second[300], text[900];
    struct adl_model *model = begin_twice("calibrate-twice", first, second);
    for (int seed = 0; seed < 4; seed++) {
        char name[40];
        snprintf(name, sizeof name, "calibrate.head.%d", seed);
        test_give_head(model, name);
        model->map.threshold = 0.3;
        TEST_OK(adl_model_save(model, first, &err), &err);
        const char *again[] = {"calibrate",    "--model", first, "--data",
                               scratch_root(), second,    NULL};
        CU_ASSERT_EQUAL(test_program_run(again, text, sizeof text), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "leaves out the foreground head: --foreground"));
        struct adl_model *out = adl_model_load(second, NULL, &err);
        CU_ASSERT_FATAL(out != NULL);
        CU_ASSERT_DOUBLE_EQUAL(number(out, "before"), measured(model), 0.051);
        CU_ASSERT_PTR_NULL(out->foreground);
        CU_ASSERT(out->certainty.has_presence && !out->certainty.has_confidence);
        adl_model_free(out);
    }
    adl_model_free(model);
}

/* The rule before need not be one to choose from: a principal component is measured, and a layer
 * other than the one asked for is not. */
static void rules_that_are_not_chosen_from(void)
{
    struct adl_error err = {0};
    char first[300], second[300], text[900];
    struct adl_model *model = begin_twice("calibrate-others", first, second);
    for (int layer = 0; layer < 2; layer++) {
        model->map.weights = layer ? ADL_MAP_WEIGHTS_POSITIVE : ADL_MAP_WEIGHTS_PC1;
        if (layer)
            model->map.views.layer =
                (struct adl_map_layer){.method = ADL_LAYER_LAYERCAM, .name = "blocks.4"};
        TEST_OK(adl_model_save(model, first, &err), &err);
        const char *again[] = {"calibrate",   "--model", first,          "--data", scratch_root(),
                               "--map-layer", "none",    "--foreground", second,   NULL};
        CU_ASSERT_EQUAL(test_program_run(again, text, sizeof text), 0);
        struct adl_model *out = adl_model_load(second, NULL, &err);
        CU_ASSERT_FATAL(out != NULL);
        const json_t *before =
            json_object_get(json_object_get(out->calibration, "percent"), "before");
        CU_ASSERT_EQUAL(json_is_null(before), layer);
        if (!layer) {
            CU_ASSERT_DOUBLE_EQUAL(json_number_value(before), measured(model), 0.051);
        }
        adl_model_free(out);
    }
    adl_model_free(model);
}

/* Without boxes the true ones are not looked at: a split that has none gives the same rule and
 * threshold. The file says that the boxes were not true ones, and has no confidence. */
static void boxes_are_not_needed(void)
{
    char out[300], text[1200];
    struct adl_model *models[2] = {NULL, NULL};
    struct adl_error err = {0};
    write_data("calibrate-without");
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    for (int bare = 0; bare < 2; bare++) {
        const char *arguments[] = {"calibrate",
                                   "--model",
                                   test_small_model(),
                                   "--data",
                                   scratch_root(),
                                   "--split",
                                   bare ? "bare" : "val",
                                   "--without-boxes",
                                   out,
                                   NULL};
        CU_ASSERT_EQUAL(test_program_run(arguments, text, sizeof text), 0);
        models[bare] = adl_model_load(out, NULL, &err);
        CU_ASSERT_FATAL(models[bare] != NULL);
        CU_ASSERT(json_is_true(json_object_get(models[bare]->calibration, "pseudo_boxes")));
        CU_ASSERT_EQUAL(number(models[bare], "boxes"), number(models[bare], "images"));
        CU_ASSERT(!models[bare]->certainty.has_confidence);
    }
    CU_ASSERT(adl_map_rule_equal(&models[0]->map, &models[1]->map));
    adl_model_free(models[0]);
    adl_model_free(models[1]);
}

static void mistakes_are_named(void)
{
    char text[500];
    write_data("calibrate-mistakes");
    const char *bare[] = {"calibrate", "--model", test_small_model(), "--data", scratch_root(),
                          "--split",   "bare",    "out.safetensors",  NULL};
    CU_ASSERT_EQUAL(test_program_run(bare, text, sizeof text), 1);
    if (!strstr(text, "no boxes"))
        TEST_FAIL("%s", text);
    const char *nowhere[] = {"calibrate", "--model", test_small_model(), "out.safetensors", NULL};
    CU_ASSERT_EQUAL(test_program_run(nowhere, text, sizeof text), 2);
    CU_ASSERT(strstr(text, "--data DIR") != NULL);
}

TEST_SUITE(cmd_calibrate, {"boxes are not needed", boxes_are_not_needed},
           {"the written model is as good as it says", the_written_model_is_as_good_as_it_says},
           {"before is the model as it is", before_is_the_model_as_it_is},
           {"rules that are not chosen from", rules_that_are_not_chosen_from},
           {"mistakes are named", mistakes_are_named});
TEST_UNWATCHED(the_written_model_is_as_good_as_it_says);
