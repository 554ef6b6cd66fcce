/* `train` on data with faults: images that cannot be read, labels without images, lists that
 * cannot be trained on. */

#include "support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset_open.h"
#include "server/commands/subcommands.h"
#include "support/command_call.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* Unreadable images are skipped, reported and counted. The run stays reproducible,
 * also when a whole batch or the last batch of a step is missing. */
static void broken_images_are_skipped(void)
{
    struct adl_error err;
    int box[4];
    train_directories("broken");
    for (int i = 20; i < 23; i++) {
        const char *path = scratch_path("data/red/%d.png", i);
        if (i == 21)
            train_write_image(path, 1, true, false, box);
        FILE *file = fopen(path, i == 21 ? "r+" : "w");
        CU_ASSERT_FATAL(file != NULL);
        if (i == 21)
            CU_ASSERT(ftruncate(fileno(file), 200) == 0);
        if (i == 22)
            fprintf(file, "this is no image");
        fclose(file);
    }
    static const char *const words[] = {TRAIN_COMMON, "--epochs",     "2", "--batch-size",
                                        "1",          "--accumulate", "3", NULL};
    TEST_OK(train_words("one", false, words, &err), &err);
    CU_ASSERT(train_logged("images could not be read and were skipped"));
    CU_ASSERT(train_logged("skipped red/2"));
    CU_ASSERT(train_in_parts("parts", words) > 4);
    CU_ASSERT(
        strcmp(train_digest("one/last.safetensors"), train_digest("parts/last.safetensors")) == 0);
    train_check_epochs("one", 2);
}

static void hopeless_runs_are_refused(void)
{
    struct adl_error err;
    train_directories("hopeless");
    CU_ASSERT(TRAIN("a", false, &err, "--epochs", "9", "--lr", "100", "--weight-decay", "10") < 0);
    CU_ASSERT(strstr(err.message, "diverges") != NULL);
    CU_ASSERT(TRAIN("b", false, &err, "--num-classes", "1") < 0);
    CU_ASSERT(strstr(err.message, "2 classes") != NULL);
    CU_ASSERT(TRAIN("c", false, &err, "--data", "/nonexistent") < 0);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND || err.kind == ADL_ERR_IO);
    CU_ASSERT(TRAIN("d", false, &err, "--mean", "1", "--mean", "2") < 0);
    CU_ASSERT(strstr(err.message, "one number or three") != NULL);
    fclose(fopen(scratch_path("file"), "w"));
    CU_ASSERT(TRAIN("file", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "is not a directory") != NULL);
}

static void label_images(const char *split, int count, int classes, int first)
{
    FILE *labels = train_open_list(split, "class_labels");
    for (int i = 0; i < count; i++)
        fprintf(labels, "%s%d.png,%d\n", split, i, i ? i % classes : first);
    fclose(labels);
}

static void broken_val_is_told_once(void)
{
    struct adl_error err;
    train_lists("broken-val");
    for (int i = 1; i < 8; i += 2)
        fclose(fopen(scratch_path("data/images/val%d.png", i), "w"));
    TEST_OK(TRAIN("run", false, &err, "--epochs", "3"), &err);
    CU_ASSERT_EQUAL(train_log_count("val3.png"), 1);
    CU_ASSERT_EQUAL(train_log_count("warning: no image of class 1 in val can be read\n"), 1);
    CU_ASSERT_EQUAL(train_log_count("class 0 in val"), 0);
    CU_ASSERT_EQUAL(train_log_count("4 images of val could not be read and count as wrong\n"), 1);
}

static void labels_without_images_are_noticed(void)
{
    struct adl_error err;
    train_lists("more-classes");
    label_images("val", 8, 4, 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(train_logged("left out 4 images of classes that the network does not have: class 2, "
                           "class 3\n"));
    json_t *lines = train_metrics("run");
    const json_t *val = json_object_get(json_array_get(lines, 0), "val");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(val, "images")), 4);
    json_decref(lines);
    label_images("val", 8, 1, 0);
    label_images("train", 2 * TRAIN_PER_CLASS, 2, 200);
    CU_ASSERT(TRAIN("slip", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "the image train0.png has class 200, which no other image has, "
                                  "while no image has the classes 2 to 199") != NULL);
    CU_ASSERT(!train_logged("train"));
    TEST_OK(TRAIN("many", false, &err, "--epochs", "1", "--num-classes", "201"), &err);
    CU_ASSERT(train_logged(
        "198 of 201 classes have no image: class 2, class 3, class 4, class 5, ...\n"));
    label_images("val", 8, 1, 0);
    label_images("train", 2 * TRAIN_PER_CLASS, 2, 0);
    FILE *labels = train_open_list("val", "class_labels");
    for (int i = 0; i < 8; i++)
        fprintf(labels, "val%d.png,2\n", i);
    fclose(labels);
    CU_ASSERT(TRAIN("none", false, &err, "--epochs", "1") < 0);
    CU_ASSERT(strstr(err.message, "no image of val is of a class that train has") != NULL);
}

/* Appends the images of a split of the directories, in their order. */
static void list_split(FILE *list, const char *split)
{
    struct adl_error err = {0};
    const struct adl_dataset_options options = {.dir = scratch_path("data"), .split = split};
    struct adl_dataset *d = adl_dataset_open(&options, &err);
    CU_ASSERT_FATAL(d != NULL);
    for (size_t i = 0; i < d->count; i++)
        fprintf(list, "data/%s,%s,%s\n", d->images[i].id, d->classes[d->images[i].class_id], split);
    adl_dataset_free(d);
}

/* A CSV file of the same images in the same order gives the same bits. */
static void a_list_is_as_good_as_directories(void)
{
    struct adl_error err;
    char path[600];
    train_directories("csv");
    snprintf(path, sizeof path, "%s", scratch_path("list.csv"));
    FILE *list = fopen(path, "w");
    CU_ASSERT_FATAL(list != NULL);
    fputs("path,label,split\n", list);
    list_split(list, "train");
    list_split(list, "val");
    fclose(list);
    TEST_OK(TRAIN("directories", false, &err, "--epochs", "2"), &err);
    TEST_OK(TRAIN("list", true, &err, "--epochs", "2", "--data", path), &err);
    TEST_OK(TRAIN("list", false, &err, "--epochs", "2", "--data", path, "--resume"), &err);
    CU_ASSERT_STRING_EQUAL(train_digest("directories/last.safetensors"),
                           train_digest("list/last.safetensors"));
    json_t *want = train_metrics("directories"), *lines = train_metrics("list");
    CU_ASSERT(json_equal(json_object_get(json_array_get(want, 1), "val"),
                         json_object_get(json_array_get(lines, 1), "val")));
    json_decref(want);
    json_decref(lines);
    list = fopen(path, "a");
    fputs("data/none.png,blue\n", list);
    fclose(list);
    CU_ASSERT(TRAIN("bad", false, &err, "--epochs", "1", "--data", path) < 0);
    CU_ASSERT(strstr(err.message, "list.csv line 26: has no third field") != NULL);
}

/* The fold of a run is recorded, has to stay the same, and is val for its report. */
static void folds_are_recorded(void)
{
    struct adl_error err;
    train_directories("folds");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "1", "--folds", "4", "--fold", "2"), &err);
    CU_ASSERT(train_logged(": 18 training images of 2 classes, 6 for validation"));
    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "1", "--resume") < 0);
    CU_ASSERT(
        TRAIN("run", false, &err, "--epochs", "1", "--folds", "4", "--fold", "3", "--resume") < 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--folds", "4", "--fold", "2", "--resume"),
            &err);
    json_t *record = json_load_file(scratch_path("run/run.json"), 0, NULL);
    const json_t *config = json_object_get(record, "config");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(config, "folds")), 4);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(config, "fold")), 2);
    json_decref(record);
    TEST_OK(TRAIN("share", true, &err, "--epochs", "1", "--val-share", "0.25"), &err);
    CU_ASSERT(train_logged(": 18 training images of 2 classes, 6 for validation"));
}

/* Writes an image of a class with its annotation as Pascal VOC has it, and lists it in a split. */
static void put_voc(const char *split, int number, const char *name)
{
    char stem[32], xml[64];
    int box[4];
    snprintf(stem, sizeof stem, "%s%d", split, number);
    snprintf(xml, sizeof xml, "data/Annotations/%s.xml", stem);
    train_write_image(scratch_path("data/JPEGImages/%s.jpg", stem), (uint64_t)number,
                      !strcmp(name, "cat"), true, box);
    scratch_append(xml,
                   "<annotation><filename>%s.jpg</filename><object><name>%s</name><bndbox>"
                   "<xmin>%d</xmin><ymin>%d</ymin><xmax>%d</xmax><ymax>%d</ymax></bndbox></object>"
                   "</annotation>",
                   stem, name, box[0] + 1, box[1] + 1, box[2] + 1, box[3] + 1);
    snprintf(xml, sizeof xml, "data/ImageSets/Main/%s.txt", split);
    scratch_append(xml, "%s\n", stem);
}

/* Files of annotation tools number the classes of each split by themselves: in val, which lacks
 * ants, bees are class 0. The figures of val are those of eval, which goes by the names. As val has
 * three times as many bees as cats, they are others whichever class is taken for another. */
static void classes_of_val_go_by_name(void)
{
    static const char *const folders[] = {"data/JPEGImages", "data/Annotations", "data/ImageSets",
                                          "data/ImageSets/Main"};
    static const char *const names[] = {"bee", "cat"};
    struct adl_error err;
    train_new_root("voc");
    mkdir(scratch_path("data"), 0777);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        mkdir(scratch_path("%s", folders[i]), 0777);
    put_voc("train", 2 * TRAIN_PER_CLASS, "ant");
    for (int i = 0; i < 2 * TRAIN_PER_CLASS; i++)
        put_voc("train", i, names[i % 2]);
    for (int i = 0; i < 8; i++)
        put_voc("val", i, names[i % 4 == 3]);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1"), &err);
    json_t *lines = train_metrics("run");
    const json_t *val = json_object_get(json_array_get(lines, 0), "val");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(val, "images")), 8);
    char model[300], data[300];
    snprintf(model, sizeof model, "%s", scratch_path("run/last.safetensors"));
    snprintf(data, sizeof data, "%s", scratch_path("data"));
    TEST_OK(command_call(&adl_command_eval,
                         (const char *const[]){"--model", model, "--data", data, "--split", "val",
                                               "--json", NULL},
                         "eval.json", &err),
            &err);
    json_t *eval = json_load_file(scratch_path("eval.json"), JSON_DISABLE_EOF_CHECK, NULL);
    const double right = json_number_value(json_object_get(eval, "top1_cls"));
    CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(val, "top1_cls")), right, 1e-4);
    json_decref(eval);
    json_decref(lines);
}

TEST_SUITE(train_data, {"classes of val go by name", classes_of_val_go_by_name},
           {"folds are recorded", folds_are_recorded},
           {"a list is as good as directories", a_list_is_as_good_as_directories},
           {"broken images are skipped", broken_images_are_skipped},
           {"hopeless runs are refused", hopeless_runs_are_refused},
           {"broken images of val are told once", broken_val_is_told_once},
           {"labels without images are noticed", labels_without_images_are_noticed});
