/* The pictures of val after each epoch (report_pictures.h): what a run keeps of them when it is
 * stopped, resumed or given another val, and of which images the report is. */

#include "support/test.h"

#include <math.h>
#include <signal.h>

#include "base/mem.h"
#include "server/commands/subcommands.h"
#include "server/report/report.h"
#include "server/training/train_run.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* Trains into "run" on data, with the words up to NULL, and writes the report; `stopped` as by a
 * signal after the first batch. */
static void train(const char *data, bool stopped, const char *const *more)
{
    const char *argv[40] = {"train",    "--arch",      "mobilenet_v1",
                            "--width",  "0.25",        "--resize-size",
                            "40",       "--crop-size", "32",
                            "--lr",     "0.02",        "--batch-size",
                            "8",        "--threads",   "1",
                            "--method", "cam",         "--data",
                            data,       "--out",       scratch_path("run")};
    int argc = 21, result = -1;
    volatile sig_atomic_t stop = stopped;
    struct adl_train_settings settings;
    struct adl_options options = {0};
    struct adl_error err = {0};

    while (*more)
        argv[argc++] = *more++;
    scratch_stderr_begin();
    if (adl_options_parse(&options, &adl_command_train, argc, (char **)(uintptr_t)argv, &settings,
                          &err) == 0)
        result = adl_train_run(&settings, options.command_line, &stop, adl_report_on_event, &err);
    adl_options_release(&options);
    adl_free(scratch_stderr_end());
    TEST_OK(result, &err);
}
#define TRAIN_ON(data, stopped, ...)                                                               \
    train(scratch_path("%s", data), stopped, (const char *const[]){__VA_ARGS__, NULL})

static json_t *json_of(const char *name)
{
    json_t *json = json_load_file(scratch_path("run/%s", name), 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    return json;
}

/* The IoU of two boxes that are given as the areas which they cover, in fractions of the image. */
static double iou_of_areas(const json_t *one, const json_t *other)
{
    double size[2] = {1, 1}, shared = 1;

    for (size_t axis = 0; axis < 2; axis++) {
        double a = json_number_value(json_array_get(one, axis));
        double b = json_number_value(json_array_get(one, axis + 2));
        double c = json_number_value(json_array_get(other, axis));
        double d = json_number_value(json_array_get(other, axis + 2));
        size[0] *= b - a;
        size[1] *= d - c;
        shared *= fmax(0, fmin(b, d) - fmax(a, c));
    }
    return shared / (size[0] + size[1] - shared);
}

/* No true box of this data ends at the border, where the ends of the boxes of lists are not one
 * pixel past the object. */
static void the_iou_is_that_of_the_areas(void)
{
    train_lists("pictures-iou");
    TRAIN_ON("data", false, "--epochs", "1");
    json_t *index = json_of("pictures/index.json"), *seen = json_of("pictures/epoch-0001.json");
    const json_t *pictures = json_object_get(index, "pictures");
    const json_t *sights = json_object_get(seen, "pictures");
    double sum = 0;

    CU_ASSERT_EQUAL(json_array_size(pictures), 8);
    for (size_t i = 0; i < json_array_size(pictures); i++) {
        const json_t *truth =
            json_array_get(json_object_get(json_array_get(pictures, i), "boxes"), 0);
        const json_t *sight = json_array_get(sights, i);
        double iou = json_number_value(json_object_get(sight, "iou"));
        CU_ASSERT_DOUBLE_EQUAL(iou, iou_of_areas(json_object_get(sight, "box"), truth), 1e-3);
        sum += iou;
    }
    CU_ASSERT(sum > 0);
    json_decref(seen);
    json_decref(index);
}

TEST_SUITE(report_pictures, {"the IoU is that of the areas", the_iou_is_that_of_the_areas});
