/* data/dataset_open and the reader of a directory per class, on directory trees made here. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/size.h"
#include "support/dataset_tree.h"

static void folders_are_split_by_name(void)
{
    char path[64];
    unsigned seen[2][30] = {{0}};
    tree_new("folders");
    tree_put("notes.txt", "");
    tree_put("zebra/.hidden.jpg", "");
    tree_put("zebra/readme.txt", "");
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof path, "zebra/%d.%s", i, i % 2 ? "JPEG" : "webp");
        tree_put(path, "");
    }
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "ape/%d.png", i);
        tree_put(path, "");
    }
    static const char *const splits[] = {"train", "val"};
    static const size_t want[2][2] = {{6, 27}, {1, 3}}; /* apes, zebras */
    for (size_t s = 0; s < 2; s++) {
        struct adl_dataset *d = tree_must_open(splits[s]);
        size_t counts[2] = {0};
        CU_ASSERT_FATAL(d && d->class_count == 2 && d->box_count == 0);
        CU_ASSERT_STRING_EQUAL(d->classes[0], "ape");
        CU_ASSERT_STRING_EQUAL(d->classes[1], "zebra");
        for (size_t i = 0; i < d->count; i++) {
            counts[d->images[i].class_id]++;
            if (d->images[i].class_id == 1)
                seen[s][atoi(d->images[i].id + strlen("zebra/"))]++;
        }
        CU_ASSERT(counts[0] == want[s][0] && counts[1] == want[s][1]);
        adl_dataset_free(d);
    }
    for (int i = 0; i < 30; i++)
        CU_ASSERT_EQUAL(seen[0][i] + seen[1][i], 1);
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT_EQUAL(d->count, 37);
    adl_dataset_free(d);
    d = tree_must_open("test");
    CU_ASSERT(d->count == 4 && d->note && strstr(d->note, "val is taken"));
    CU_ASSERT_STRING_EQUAL(d->split, "val");
    adl_dataset_free(d);
    tree_refused("tests", ADL_ERR_NOT_FOUND, "not \"tests\"");
}

/* "train" is a split only if it holds class directories. */
static void classes_may_be_called_as_splits(void)
{
    tree_new("trains");
    tree_put("train/1.jpg", "");
    tree_put("train/2.jpg", "");
    tree_put("bus/1.jpg", "");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT(d && d->class_count == 2 && d->count == 3 && !d->note && !strcmp(d->split, "all"));
    adl_dataset_free(d);
}

static void folders_may_hold_splits(void)
{
    tree_new("split-folders");
    tree_put("train/ape/1.jpg", "");
    tree_put("train/bee/1.jpg", "");
    tree_put("train/cat/2.jpg", "");
    tree_put("test/cat/3.jpg", "");
    struct adl_dataset *d = tree_must_open("test");
    CU_ASSERT_FATAL(d && d->count == 1 && d->class_count == 3);
    tree_check_image(d, 0, "cat/3.jpg", 2);
    CU_ASSERT_STRING_EQUAL(d->image_dir + strlen(tree_root), "/test");
    adl_dataset_free(d);
    d = tree_must_open("train");
    CU_ASSERT_EQUAL(d->count, 3);
    adl_dataset_free(d);
    tree_refused("val", ADL_ERR_NOT_FOUND, "val: there is no such split");
    /* A class that train lacks comes after those of train, whatever its name. */
    tree_put("test/ass/1.jpg", "");
    d = tree_must_open("test");
    CU_ASSERT_FATAL(d && d->count == 2 && d->class_count == 4);
    tree_check_image(d, 0, "ass/1.jpg", 3);
    tree_check_image(d, 1, "cat/3.jpg", 2);
    CU_ASSERT_STRING_EQUAL(d->classes[3], "ass");
    adl_dataset_free(d);
}

static void link_to(const char *target, const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", tree_root, path);
    (void)unlink(full);
    CU_ASSERT_EQUAL_FATAL(symlink(target, full), 0);
}

/* Everything a directory may hold besides images: each thing is counted once, under its path, and
 * a directory without an image is no class. */
static void what_is_no_image_is_counted(void)
{
    static const char *const endings[] = {"jpg", "JPG",  "jpeg", "Jpeg", "jfif", "JFIF",
                                          "jpe", "webp", "WEBP", "png",  "PNG",  "gif",
                                          "GIF", "bmp",  "BMP",  "dib"};
    char path[1024];
    tree_new("left-out");
    for (size_t i = 0; i < ADL_COUNT(endings); i++) {
        snprintf(path, sizeof path, "cat/%zu.%s", i, endings[i]);
        tree_put(path, "");
    }
    tree_put("dog/1.png", "");
    tree_put("dog/a.svg", "");
    tree_put("dog/b.svg", "");
    tree_put("dog/.DS_Store", "");
    tree_put("eel/only.svg", "");
    tree_put("__MACOSX/cat/._1.jpg", "");
    tree_put("stray.jpg", "");
    tree_put("labels.csv", "");
    tree_put("empty/.keep", "");
    snprintf(path, sizeof path, "%s/dog/pipe.jpg", tree_root);
    (void)unlink(path);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    link_to("nowhere.jpg", "dog/gone.jpg");
    link_to("self.jpg", "dog/self.jpg");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->class_count, 2);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "cat");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "dog");
    CU_ASSERT_EQUAL(d->count, ADL_COUNT(endings) + 1);
    tree_check_image(d, d->count - 1, "dog/1.png", 1);
    tree_check_left_out(d, ADL_LEFT_OUT_CLASS, 3, "__MACOSX");
    tree_check_left_out(d, ADL_LEFT_OUT_FORMAT, 3, "dog/a.svg");
    tree_check_left_out(d, ADL_LEFT_OUT_OUTSIDE, 1, "stray.jpg");
    tree_check_left_out(d, ADL_LEFT_OUT_SPECIAL, 1, "dog/pipe.jpg");
    tree_check_left_out(d, ADL_LEFT_OUT_DANGLING, 1, "dog/gone.jpg");
    tree_check_left_out(d, ADL_LEFT_OUT_LOOP, 1, "dog/self.jpg");
    adl_dataset_free(d);
}

/* `train --out` inside the data, and pictures drawn into it. */
static void runs_are_no_classes(void)
{
    tree_new("with-runs");
    tree_put("cat/1.jpg", "");
    tree_put("dog/1.jpg", "");
    tree_put("dog/old/state.safetensors", "");
    tree_put("dog/old/overlay.jpg", "");
    tree_put("run/run.json", "");
    tree_put("run/overlay.jpg", "");
    tree_put("runs/1/metrics.jsonl", "");
    tree_put("runs/1/overlay.jpg", "");
    tree_put("100%s.jpg", "");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT_EQUAL(d->class_count, 2);
    CU_ASSERT_EQUAL(d->count, 2);
    tree_check_left_out(d, ADL_LEFT_OUT_RUN, 3, "run");
    tree_check_left_out(d, ADL_LEFT_OUT_CLASS, 1, "runs");
    tree_check_left_out(d, ADL_LEFT_OUT_OUTSIDE, 1, "100%s.jpg");
    adl_dataset_free(d);
}

/* Images of subdirectories belong to the class; no link leads to an image twice or in circles. */
static void classes_may_be_nested(void)
{
    static const char *const want[] = {"ape/10.jpg", "ape/2023/b/1.jpg", "ape/2023/z.jpg",
                                       "ape/9.jpg",  "ape/x.jpg/2.png",  "bee/more/3.jpg"};
    char deep[512] = "deep";
    tree_new("nested");
    for (size_t i = 0; i < 5; i++)
        tree_put(want[i], "");
    tree_put("elsewhere/.keep", "");
    link_to("..", "ape/2023/up");
    link_to("../..", "ape/2023/top");
    link_to("../2023", "ape/x.jpg/again");
    link_to("/", "ape/root");
    tree_put("../dataset-nested-more/3.jpg", "");
    tree_put("bee/.keep", "");
    link_to("../../dataset-nested-more", "bee/more");
    for (int i = 0; i < 70; i++)
        strcat(deep, "/d");
    strcat(deep, "/1.jpg");
    tree_put(deep, "");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->count, ADL_COUNT(want));
    for (size_t i = 0; i < ADL_COUNT(want); i++)
        tree_check_image(d, i, want[i], i == 5);
    CU_ASSERT_EQUAL(d->class_count, 2);
    tree_check_left_out(d, ADL_LEFT_OUT_LOOP, 4, "ape/2023/top");
    CU_ASSERT_EQUAL(d->left_out[ADL_LEFT_OUT_DEEP].count, 1);
    adl_dataset_free(d);
}

/* Directories of splits by the names of other tools; the split is asked for by any of them. */
static void splits_have_other_names(void)
{
    static const char *const names[][2] = {{"train", "valid"},
                                           {"train", "validation"},
                                           {"Train", "Val"},
                                           {"training", "Validation"},
                                           {"TRAIN", "VALID"}};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        char name[64];
        snprintf(name, sizeof name, "other-names-%zu", i);
        tree_new(name);
        for (size_t k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "%s/cat/%zu.jpg", names[i][k], k);
            tree_put(name, "");
            snprintf(name, sizeof name, "%s/dog/%zu.jpg", names[i][k], k);
            tree_put(name, "");
        }
        struct adl_dataset *d = tree_must_open("val");
        CU_ASSERT_EQUAL_FATAL(d->count, 2);
        tree_check_image(d, 0, "cat/1.jpg", 0);
        adl_dataset_free(d);
        d = tree_must_open("validation");
        CU_ASSERT_EQUAL(d->count, 2);
        adl_dataset_free(d);
        d = tree_must_open("train");
        CU_ASSERT_EQUAL_FATAL(d->count, 2);
        tree_check_image(d, 1, "dog/0.jpg", 1);
        adl_dataset_free(d);
        tree_refused("test", ADL_ERR_NOT_FOUND, "test: there is no such split");
    }
    /* A class of that name beside others is no split. */
    tree_new("valid-class");
    tree_put("valid/1.jpg", "");
    tree_put("void/1.jpg", "");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT(d->class_count == 2 && d->count == 2);
    adl_dataset_free(d);
    tree_new("lists-valid");
    tree_put("metadata/valid/image_ids.txt", "a.jpg\n");
    tree_put("metadata/valid/class_labels.txt", "a.jpg,0\n");
    d = tree_must_open("val");
    CU_ASSERT_EQUAL(d->count, 1);
    adl_dataset_free(d);
}

TEST_SUITE(dataset_folder, {"folders are split by name", folders_are_split_by_name},
           {"classes may be called as splits", classes_may_be_called_as_splits},
           {"folders may hold splits", folders_may_hold_splits},
           {"what is no image is counted", what_is_no_image_is_counted},
           {"runs are no classes", runs_are_no_classes},
           {"classes may be nested", classes_may_be_nested},
           {"splits have other names", splits_have_other_names});
