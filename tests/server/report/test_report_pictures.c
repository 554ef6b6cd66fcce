/* The pictures of val after each epoch (report_pictures.h): what a run keeps of them when it is
 * stopped, resumed or given another val, and of which images the report is. */

#include "support/test.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "server/commands/subcommands.h"
#include "server/report/report.h"
#include "server/training/train_run.h"
#include "support/command_run.h"
#include "support/program.h"
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

/* A file of the run, to be freed with adl_free(). */
static char *text_of(const char *name)
{
    struct adl_error err = {0};
    char *text = adl_file_read(scratch_path("run/%s", name), 32 << 20, NULL, &err);
    TEST_OK(text ? 0 : -1, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    return text;
}

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

/* What the pictures show after an epoch is of the weights that the epoch was judged with: neither
 * those in the middle of the next, nor those of a process that has trained nothing. */
static void other_weights_leave_the_pictures_alone(void)
{
    train_lists("pictures-weights");
    TRAIN_ON("data", false, "--epochs", "1");
    char *before = text_of("pictures/epoch-0001.json");
    TRAIN_ON("data", false, "--epochs", "1", "--resume");
    char *finished = text_of("pictures/epoch-0001.json");
    CU_ASSERT_STRING_EQUAL(finished, before);
    TRAIN_ON("data", true, "--epochs", "2", "--resume");
    char *stopped = text_of("pictures/epoch-0001.json");
    CU_ASSERT_STRING_EQUAL(stopped, before);
    CU_ASSERT(access(scratch_path("run/pictures/epoch-0002.json"), F_OK) != 0);
    TRAIN_ON("data", false, "--epochs", "2", "--resume");
    CU_ASSERT_EQUAL(access(scratch_path("run/pictures/epoch-0002.json"), F_OK), 0);
    adl_free(before);
    adl_free(finished);
    adl_free(stopped);
}

/* Rewrites the lists of val: without its first image, and with these corners of every box. */
static void change_val(int first, int corner)
{
    FILE *ids = train_open_list("val", "image_ids"),
         *labels = train_open_list("val", "class_labels");
    FILE *sizes = train_open_list("val", "image_sizes"),
         *boxes = train_open_list("val", "localization");

    for (int i = first; i < 8; i++) {
        fprintf(ids, "val%d.png\n", i);
        fprintf(labels, "val%d.png,%d\n", i, i % 2);
        fprintf(sizes, "val%d.png,%d,%d\n", i, TRAIN_SIDE, TRAIN_SIDE);
        fprintf(boxes, "val%d.png,%d,%d,%d,%d\n", i, corner, corner, corner + 20, corner + 20);
    }
    fclose(ids);
    fclose(labels);
    fclose(sizes);
    fclose(boxes);
}

/* The pictures are those of val as it is, with its boxes; what an epoch saw in others is gone. */
static void another_val_has_other_pictures(void)
{
    train_lists("pictures-val");
    TRAIN_ON("data", false, "--epochs", "1");
    for (int epochs = 2; epochs <= 3; epochs++) {
        const char *count = epochs == 2 ? "2" : "3";
        change_val(1, epochs == 2 ? 4 : 12); /* first fewer images, then other boxes */
        TRAIN_ON("data", false, "--epochs", count, "--resume");
        json_t *index = json_of("pictures/index.json"), *seen;
        const json_t *pictures = json_object_get(index, "pictures");
        CU_ASSERT_EQUAL(json_array_size(pictures), 7);
        for (size_t i = 0; i < json_array_size(pictures); i++) {
            const json_t *picture = json_array_get(pictures, i);
            const json_t *box = json_array_get(json_object_get(picture, "boxes"), 0);
            char id[32];
            snprintf(id, sizeof id, "val%zu.png", i + 1);
            CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(picture, "id")), id);
            CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_array_get(box, 0)),
                                   (epochs == 2 ? 4.0 : 12.0) / TRAIN_SIDE, 1e-4);
        }
        json_decref(index);
        CU_ASSERT(access(scratch_path("run/pictures/epoch-000%d.json", epochs - 1), F_OK) != 0);
        seen = json_of(epochs == 2 ? "pictures/epoch-0002.json" : "pictures/epoch-0003.json");
        CU_ASSERT_EQUAL(json_array_size(json_object_get(seen, "pictures")), 7);
        json_decref(seen);
    }
}

/* Makes a file of COCO without splits beside its images, `count` of two classes. */
static void make_coco(const char *name, int count)
{
    train_new_root(name);
    FILE *images = scratch_file("images.txt", "w"), *boxes = scratch_file("boxes.txt", "w");
    struct adl_error err = {0};

    for (int i = 0; i < count; i++) {
        int box[4];
        train_write_image(scratch_path("%02d.png", i), (uint64_t)i, i % 2, false, box);
        fprintf(images, "%s{\"id\":%d,\"file_name\":\"%02d.png\",\"width\":%d,\"height\":%d}",
                i ? "," : "", i, i, TRAIN_SIDE, TRAIN_SIDE);
        fprintf(boxes, "%s{\"id\":%d,\"image_id\":%d,\"category_id\":%d,\"bbox\":[%d,%d,%d,%d]}",
                i ? "," : "", i, i, i % 2, box[0], box[1], TRAIN_SIDE / 2, TRAIN_SIDE / 2);
    }
    fclose(images);
    fclose(boxes);
    char *parts[2];
    for (int i = 0; i < 2; i++) {
        parts[i] = adl_file_read(scratch_path(i ? "boxes.txt" : "images.txt"), ADL_MIB, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(parts[i]);
    }
    scratch_append("boxes.json",
                   "{\"images\":[%s],\"annotations\":[%s],\"categories\":[{\"id\":0,\"name\":"
                   "\"blue\"},{\"id\":1,\"name\":\"red\"}]}",
                   parts[0], parts[1]);
    adl_free(parts[0]);
    adl_free(parts[1]);
}

/* Of 20 images in a file of boxes train leaves out two as val, and the report is of these, and not
 * of those that were learned. */
static void the_report_is_of_what_train_left_out(void)
{
    make_coco("pictures-whole", 20);
    TRAIN_ON("boxes.json", false, "--epochs", "1", "--seed", "3");
    json_t *index = json_of("pictures/index.json");
    const json_t *pictures = json_object_get(index, "pictures");
    CU_ASSERT_EQUAL(json_array_size(pictures), 2);
    char *page = text_of("report.html");
    CU_ASSERT_PTR_NOT_NULL(strstr(page, "18 to train on, 2 to validate"));
    char *gallery = strstr(page, "<section id=\"gallery\">");
    CU_ASSERT_PTR_NOT_NULL_FATAL(gallery);
    *strstr(gallery, "</section>") = 0;
    size_t figures = 0;
    for (const char *at = gallery; (at = strstr(at, "<figure")); at++)
        figures++;
    CU_ASSERT_EQUAL(figures, 2);
    for (size_t i = 0; i < json_array_size(pictures); i++)
        CU_ASSERT_PTR_NOT_NULL(
            strstr(gallery, json_string_value(json_object_get(json_array_get(pictures, i), "id"))));
    adl_free(page);
    json_decref(index);
}

/* As eval measures all of such a file, it says so, and how to measure what was left out. */
static void eval_says_that_there_are_no_splits(void)
{
    static const struct {
        const char *words[5];
        bool said;
    } cases[] = {{{"--split", "val"}, true},
                 {{"--split", "val", "--val-share", "0.1"}, false},
                 {{"--split", "test"}, false}};
    static const char part[] = "boxes.json has no splits: val is all 20 images, also those that "
                               "train learned; --val-share 0.1 and the run's --seed";

    if (!program_exists())
        return;
    make_coco("pictures-eval", 20);
    TRAIN_ON("boxes.json", false, "--epochs", "1", "--no-report");
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        const char *argv[16] = {program_path(), "eval",
                                "--threads",    "1",
                                "--model",      scratch_path("run/last.safetensors"),
                                "--data",       scratch_path("boxes.json")};
        for (size_t k = 0; cases[i].words[k]; k++)
            argv[8 + k] = cases[i].words[k];
        struct command_result result = command_run(argv);
        CU_ASSERT_EQUAL(result.status, 0);
        if ((strstr(result.err, part) != NULL) != cases[i].said)
            TEST_FAIL("case %zu: %s", i, result.err);
        command_release(&result);
    }
}

TEST_SUITE(report_pictures, {"the IoU is that of the areas", the_iou_is_that_of_the_areas},
           {"other weights leave the pictures alone", other_weights_leave_the_pictures_alone},
           {"another val has other pictures", another_val_has_other_pictures},
           {"the report is of what train left out", the_report_is_of_what_train_left_out},
           {"eval says that there are no splits", eval_says_that_there_are_no_splits});
