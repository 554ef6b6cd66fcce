/* Divisions of a data set by a share and into folds: properties over many shapes and seeds. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "support/dataset_tree.h"

enum { CLASSES = 4, MOST = 60 };
static const int sizes[CLASSES] = {23, 1, 10, 7};
enum { IMAGES = 23 + 1 + 10 + 7 };

/* Makes directories per class with these numbers of images. */
static void make(const char *name)
{
    char path[64];
    tree_new(name);
    for (int c = 0; c < CLASSES; c++)
        for (int i = 0; i < sizes[c]; i++) {
            snprintf(path, sizeof path, "class%d/%03d.jpg", c, i);
            tree_put(path, "");
        }
}

static struct adl_dataset *open_part(const char *split, struct adl_dataset_division division,
                                     struct adl_error *err)
{
    const struct adl_dataset_options options = {
        .dir = tree_root, .split = split, .division = division};
    *err = (struct adl_error){0};
    return adl_dataset_open(&options, err);
}

/* Opens a part, and counts its images by class and by name. */
static void count(const char *split, struct adl_dataset_division division, int counts[CLASSES],
                  unsigned seen[CLASSES][MOST])
{
    struct adl_error err;
    struct adl_dataset *d = open_part(split, division, &err);
    TEST_OK(d ? 0 : -1, &err);
    CU_ASSERT_FATAL(d && d->class_count == CLASSES);
    memset(counts, 0, CLASSES * sizeof *counts);
    for (size_t i = 0; i < d->count; i++) {
        int class_id = d->images[i].class_id;
        CU_ASSERT_EQUAL_FATAL(atoi(d->images[i].id + strlen("class")), class_id);
        counts[class_id]++;
        seen[class_id][atoi(d->images[i].id + strlen("class0/"))]++;
        /* In the order of the data set. */
        CU_ASSERT(i == 0 || strcmp(d->images[i - 1].id, d->images[i].id) < 0);
    }
    adl_dataset_free(d);
}

static void every_image_once(unsigned seen[CLASSES][MOST], unsigned times)
{
    for (int c = 0; c < CLASSES; c++)
        for (int i = 0; i < sizes[c]; i++)
            CU_ASSERT_EQUAL(seen[c][i], times);
}

/* Over all folds, each image is in val once; in each fold, train and val are all images. The
 * numbers of a class in two folds differ by 1 at most, and so do the folds' sizes. */
static void folds_are_disjoint_and_even(void)
{
    make("folds-even");
    for (int folds = 2; folds <= 11; folds++)
        for (int seed = 0; seed < 3; seed++) {
            unsigned in_val[CLASSES][MOST] = {{0}};
            int least[CLASSES], most[CLASSES] = {0}, smallest = IMAGES, largest = 0;
            for (int c = 0; c < CLASSES; c++)
                least[c] = MOST;
            for (int fold = 1; fold <= folds; fold++) {
                const struct adl_dataset_division v = {.folds = folds, .fold = fold, .seed = seed};
                unsigned in_both[CLASSES][MOST] = {{0}};
                int counts[CLASSES], total = 0;
                count("train", v, counts, in_both);
                count("val", v, counts, in_both);
                every_image_once(in_both, 1);
                count("test", v, counts, in_val); /* without splits, the same as val */
                for (int c = 0; c < CLASSES; c++) {
                    least[c] = ADL_MIN(least[c], counts[c]);
                    most[c] = ADL_MAX(most[c], counts[c]);
                    total += counts[c];
                }
                smallest = ADL_MIN(smallest, total);
                largest = ADL_MAX(largest, total);
            }
            every_image_once(in_val, 1);
            for (int c = 0; c < CLASSES; c++)
                CU_ASSERT(most[c] - least[c] <= 1);
            CU_ASSERT(largest - smallest <= 1);
        }
}

/* Each class gives its rounded share, but not its last image; a tenth is as many as by default. */
static void shares_are_those_of_each_class(void)
{
    static const double shares[] = {0.1, 0.25, 0.5, 0.9};
    make("shares");
    for (size_t k = 0; k < ADL_COUNT(shares); k++) {
        const struct adl_dataset_division v = {.val_share = shares[k], .seed = 3};
        unsigned seen[CLASSES][MOST] = {{0}};
        int counts[CLASSES];
        count("train", v, counts, seen);
        count("val", v, counts, seen);
        every_image_once(seen, 1);
        for (int c = 0; c < CLASSES; c++)
            CU_ASSERT_EQUAL(counts[c], ADL_MIN((int)lround(shares[k] * sizes[c]), sizes[c] - 1));
    }
    unsigned seen[CLASSES][MOST] = {{0}};
    int own[CLASSES], usual[CLASSES];
    count("val", (struct adl_dataset_division){.val_share = 0.1}, own, seen);
    count("val", (struct adl_dataset_division){0}, usual, seen);
    CU_ASSERT_EQUAL(memcmp(own, usual, sizeof own), 0);
}

/* The same seed gives the same division, another seed another one. */
static void divisions_follow_the_seed(void)
{
    unsigned seen[3][CLASSES][MOST] = {{{0}}};
    int counts[CLASSES];
    make("division-seeds");
    for (int i = 0; i < 3; i++)
        count("val", (struct adl_dataset_division){.val_share = 0.4, .seed = i == 2 ? 8 : 7},
              counts, seen[i]);
    CU_ASSERT_EQUAL(memcmp(seen[0], seen[1], sizeof seen[0]), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(seen[0], seen[2], sizeof seen[0]), 0);
}

static void refused(const char *split, struct adl_dataset_division v, const char *part)
{
    struct adl_error err;
    struct adl_dataset *d = open_part(split, v, &err);
    if (d || err.kind != ADL_ERR_ARG || !strstr(err.message, part))
        TEST_FAIL("%s, expected %s", d ? "accepted" : err.message, part);
    adl_dataset_free(d);
}

static void what_cannot_be_divided_is_refused(void)
{
    typedef struct adl_dataset_division division;
    make("division-bad");
    refused("val", (division){.val_share = 0.5, .folds = 2, .fold = 1}, "exclude each other");
    refused("val", (division){.val_share = 1}, "below 1");
    refused("train", (division){.folds = 3}, "one of 1 to 3");
    refused("train", (division){.folds = 3, .fold = 4}, "one of 1 to 3");
    refused("train", (division){.fold = 4}, "--fold needs --folds");
    refused("val", (division){.folds = 42, .fold = 42}, "has 41 images, too few for so many");
    refused("val", (division){.val_share = 0.001}, "too few for such a share");
    tree_put("train/a/1.jpg", "");
    tree_put("train/a/2.jpg", "");
    tree_put("val/a/1.jpg", "");
    refused("val", (division){.folds = 2, .fold = 1}, "has a val split of its own");
    refused("train", (division){.val_share = 0.5}, "has a val split of its own");
}

/* Directories train and test without val, and a list with a column of splits: train is divided,
 * and test stays. */
static void train_is_divided_where_there_is_a_test_split(void)
{
    struct adl_error err;
    const struct adl_dataset_division v = {.folds = 2, .fold = 2};
    tree_new("division-test");
    for (int i = 0; i < 6; i++) {
        char path[64];
        snprintf(path, sizeof path, "train/a/%d.jpg", i);
        tree_put(path, "");
    }
    tree_put("test/a/7.jpg", "");
    static const char *const splits[] = {"train", "val", "test"};
    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        struct adl_dataset *d = open_part(splits[i], v, &err);
        TEST_OK(d ? 0 : -1, &err);
        CU_ASSERT_EQUAL(d ? d->count : 0, i < 2 ? 3 : 1);
        adl_dataset_free(d);
    }
    tree_put("list.csv", "1,a,train\n2,a,train\n3,b,train\n4,b,train\n5,a,test\n");
    snprintf(tree_root + strlen(tree_root), sizeof tree_root - strlen(tree_root), "/list.csv");
    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        struct adl_dataset *d = open_part(splits[i], v, &err);
        TEST_OK(d ? 0 : -1, &err);
        CU_ASSERT_EQUAL(d ? d->count : 0, i < 2 ? 2 : 1);
        adl_dataset_free(d);
    }
}

TEST_SUITE(divide, {"folds are disjoint and even", folds_are_disjoint_and_even},
           {"shares are those of each class", shares_are_those_of_each_class},
           {"divisions follow the seed", divisions_follow_the_seed},
           {"what cannot be divided is refused", what_cannot_be_divided_is_refused},
           {"train is divided where there is a test split",
            train_is_divided_where_there_is_a_test_split});
