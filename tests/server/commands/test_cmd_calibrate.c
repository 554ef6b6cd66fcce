/* `calibrate`, run as a program on images with boxes, and measured by `eval`'s functions. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "io/file.h"
#include "models/file/load.h"
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
static double measured(const struct adl_model *model)
{
    struct adl_error err = {0};
    const struct adl_dataset_options where = {.dir = scratch_root(), .split = "val"};
    struct adl_dataset *d = adl_dataset_open(&where, &err);
    const struct adl_plan_options plain = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &plain, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 4, &err) : NULL;
    struct adl_evaluate_options how = {.curve_interval = 0.1, .map = model->map};
    struct adl_evaluate_report report;
    CU_ASSERT_FATAL(d && session);
    memcpy(how.mean, model->mean, sizeof how.mean);
    memcpy(how.std, model->std, sizeof how.std);
    TEST_OK(adl_evaluate_session(d, session, 4, NULL, &how, &report, &err), &err);
    double result = report.figures.gt_known_loc;
    adl_evaluate_report_release(&report);
    adl_session_free(session);
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
        {NULL, NULL}, {"--foreground", NULL}, {"--boxes-per-class", "1"}};
    char out[300], text[500];
    write_data("calibrate");
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    for (size_t i = 0; i < 3; i++) {
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
        if (i == 0)
            CU_ASSERT_DOUBLE_EQUAL(number(model, "fitted"), measured(model), 0.051);
        bool head = json_is_true(json_object_get(model->calibration, "foreground"));
        CU_ASSERT_EQUAL(model->foreground != NULL, head);
        CU_ASSERT(i == 1 || !head);
        adl_model_free(model);
    }
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

TEST_SUITE(cmd_calibrate,
           {"the written model is as good as it says", the_written_model_is_as_good_as_it_says},
           {"mistakes are named", mistakes_are_named});
