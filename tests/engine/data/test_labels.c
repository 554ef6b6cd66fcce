/* data/labels: data sets whose images may have several labels, from lists and CSV files. */

#include "data/labels.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/dataset_tree.h"
#include "support/test.h"

static struct adl_dataset *open_several(const char *file, const char *split, struct adl_error *err)
{
    char path[300];
    snprintf(path, sizeof path, "%s%s%s", tree_root, file ? "/" : "", file ? file : "");
    const struct adl_dataset_options options = {.dir = path, .split = split, .multi_label = true};
    *err = (struct adl_error){0};
    return adl_dataset_open(&options, err);
}

static struct adl_dataset *must_open(const char *file, const char *split)
{
    struct adl_error err;
    struct adl_dataset *d = open_several(file, split, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(d != NULL);
    return d;
}

static void refused(const char *file, const char *split, enum adl_error_kind kind, const char *part)
{
    struct adl_error err;
    struct adl_dataset *d = open_several(file, split, &err);
    if (d || err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("%s, expected %s", d ? "accepted" : err.message, part);
    else
        CU_PASS("");
    adl_dataset_free(d);
}

/* Returns the labels of an image as text, "1 5". */
static const char *labels_of(const struct adl_dataset *d, size_t index)
{
    static char text[100];
    const struct adl_dataset_image *image = &d->images[index];
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < image->label_count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%d", i ? " " : "",
                                   d->labels[image->first_label + i]);
    return text;
}

static void put_lists(const char *ids, const char *labels, const char *boxes)
{
    tree_new("labels");
    tree_put("images/keep", "");
    tree_put("metadata/train/image_ids.txt", ids);
    tree_put("metadata/train/class_labels.txt", labels);
    if (boxes)
        tree_put("metadata/train/localization.txt", boxes);
}

static void lists_name_several(void)
{
    static const char ids[] = "a.jpg\nb,2.jpg\nc.jpg\nd.jpg\n";
    float present[6];
    size_t counts[6];

    put_lists(ids, "a.jpg,5,1\nb,2.jpg,1\nc.jpg,\nother.jpg,3\nd.jpg,1\nd.jpg,4,0\n", NULL);
    struct adl_dataset *d = must_open(NULL, "train");
    CU_ASSERT(d->several && !d->paired && d->count == 4 && d->class_count == 6);
    CU_ASSERT_STRING_EQUAL(labels_of(d, 0), "1 5");
    CU_ASSERT_STRING_EQUAL(labels_of(d, 1), "1");
    CU_ASSERT_STRING_EQUAL(labels_of(d, 2), "");
    CU_ASSERT_STRING_EQUAL(labels_of(d, 3), "0 1 4");
    /* The class is the rarest label, of equally rare ones the first. */
    tree_check_image(d, 0, "a.jpg", 5);
    tree_check_image(d, 1, "b,2.jpg", 1);
    CU_ASSERT(!d->images[0].bare && d->images[2].bare && d->images[2].class_id == 0);
    tree_check_image(d, 3, "d.jpg", 0);
    adl_dataset_count_labels(d, counts);
    CU_ASSERT(counts[0] == 1 && counts[1] == 3 && counts[3] == 0 && counts[5] == 1);
    adl_dataset_present(d, 3, 6, present);
    CU_ASSERT(present[0] == 1 && present[1] == 1 && present[2] == 0 && present[4] == 1);
    CU_ASSERT_EQUAL(adl_dataset_image_count(d), 4);
    adl_dataset_free(d);
}

/* Boxes name their class, but for images of one label; pairs have the boxes of their label. */
static void boxes_belong_to_labels(void)
{
    struct adl_error err = {0};

    put_lists("a.jpg\nb.jpg\nc.jpg\n", "a.jpg,2,0\nb.jpg,1\nc.jpg,\n",
              "a.jpg,1,1,9,9,2\nb.jpg,3,3,4,4\na.jpg,2,2,8,8,0\na.jpg,5,5,6,6,2\n");
    struct adl_dataset *d = must_open(NULL, "train");
    CU_ASSERT(d->box_count == 4 && d->images[0].box_count == 3 && d->images[2].box_count == 0);
    TEST_OK(adl_dataset_pair_labels(d, &err), &err);
    TEST_OK(adl_dataset_pair_labels(d, &err), &err);
    CU_ASSERT(d->paired && d->count == 4 && adl_dataset_image_count(d) == 3);
    tree_check_image(d, 0, "a.jpg", 0);
    tree_check_image(d, 1, "a.jpg", 2);
    CU_ASSERT(adl_dataset_has_label(d, 0, 2) && adl_dataset_has_label(d, 1, 0) &&
              !adl_dataset_has_label(d, 1, 1) && !adl_dataset_has_label(d, 3, 0));
    CU_ASSERT(adl_dataset_same_image(d, 0, 1) && !adl_dataset_same_image(d, 1, 2));
    CU_ASSERT(d->images[0].box_count == 1 && tree_has_box(d, 0, 0, 2, 2, 8, 8));
    CU_ASSERT(d->images[1].box_count == 2 && tree_has_box(d, 1, 0, 1, 1, 9, 9) &&
              tree_has_box(d, 1, 1, 5, 5, 6, 6));
    CU_ASSERT(tree_has_box(d, 2, 0, 3, 3, 4, 4));
    CU_ASSERT(d->images[3].bare && d->images[3].box_count == 0);
    adl_dataset_free(d);
}

static void wrong_lists_are_refused(void)
{
    static const struct {
        const char *labels, *boxes, *part;
    } cases[] = {
        {"a.jpg\nb.jpg,1\n", NULL,
         "line 1: is not PATH,CLASS,CLASS,... or, without a class, PATH,"},
        {"a.jpg,x\nb.jpg,1\n", NULL, "is not PATH,CLASS"},
        {",1\nb.jpg,1\n", NULL, "is not PATH,CLASS"},
        {"a.jpg,1,1\nb.jpg,1\n", NULL, "a.jpg has the class 1 twice"},
        {"a.jpg,1\na.jpg,1\nb.jpg,1\n", NULL, "a.jpg has the class 1 twice"},
        {"a.jpg,1\na.jpg,\nb.jpg,1\n", NULL, "line 2: has no class here and is listed twice"},
        {"a.jpg,\na.jpg,1\nb.jpg,1\n", NULL, "has no class here and is listed twice"},
        {"a.jpg,\na.jpg,\nb.jpg,1\n", NULL, "has no class here and is listed twice"},
        {"a.jpg,1\n", NULL, "has no line for b.jpg"},
        {"a.jpg,1,2\nb.jpg,1\n", "a.jpg,0,0,1,1\n", "a.jpg has 2 labels, so a box has to name"},
        {"a.jpg,1,2\nb.jpg,1\n", "a.jpg,0,0,1,1,3\n", "a.jpg has a box of class 3, which it lacks"},
        {"a.jpg,\nb.jpg,1\n", "a.jpg,0,0,1,1\n", "a.jpg has 0 labels"},
        {"a.jpg,1,2\nb.jpg,1\n", "a.jpg,0,0,1,1,1\nb.jpg,0,0,1,1\n", "but none of class 2"},
        {"a.jpg,1,2\nb.jpg,1\n", "a.jpg,0,0,1,1,1\na.jpg,5,0,1,1,2\n", "ends before it begins"},
        {"a.jpg,1,2\nb.jpg,1\n", "a.jpg,m.png,\nb.jpg,m.png,\n",
         "masks do not say which of several"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_lists("a.jpg\nb.jpg\n", cases[i].labels, cases[i].boxes);
        struct adl_error err;
        struct adl_dataset *d = open_several(NULL, "train", &err);
        if (d || !strstr(err.message, cases[i].part))
            TEST_FAIL("%zu: %s", i, d ? "accepted" : err.message);
        adl_dataset_free(d);
    }
    put_lists("a.jpg\n", "a.jpg,1,99999\n", NULL);
    refused(NULL, "train", ADL_ERR_LIMIT, "class ids must be below");
    tree_put("classes.txt", "x\ny\n");
    refused(NULL, "train", ADL_ERR_FORMAT, "there are only 2 classes");
    /* One label an image, in the same lists, is what it was. */
    put_lists("a.jpg\n", "a.jpg,1,2\n", NULL);
    tree_refused("train", ADL_ERR_FORMAT, "has no class for a.jpg");
}

static void csv_files_name_several(void)
{
    tree_new("labels-csv");
    tree_put("list.csv", "path,labels of it\na.jpg,dog|cat\nb.jpg,\n\"c, 1.jpg\",ape\na.jpg,ape\n");
    struct adl_dataset *d = must_open("list.csv", "all");
    CU_ASSERT_EQUAL_FATAL(d->count, 4); /* "path" is no heading with such a label */
    adl_dataset_free(d);
    tree_put("list.csv", "path,label\na.jpg,dog|cat\nb.jpg,\n\"c, 1.jpg\",ape\na.jpg,ape\n");
    d = must_open("list.csv", "all");
    CU_ASSERT(d->several && d->count == 3);
    CU_ASSERT_EQUAL_FATAL(d->class_count, 3);
    CU_ASSERT_STRING_EQUAL(d->classes[1], "cat");
    CU_ASSERT_STRING_EQUAL(labels_of(d, 0), "0 1 2");
    CU_ASSERT_STRING_EQUAL(labels_of(d, 1), "");
    CU_ASSERT_STRING_EQUAL(labels_of(d, 2), "0");
    CU_ASSERT(d->images[1].bare);
    tree_check_image(d, 0, "a.jpg", 1);
    adl_dataset_free(d);
    /* The splits of the file. */
    tree_put("list.csv", "a.jpg,x|y,train\nb.jpg,y,val\na.jpg,z,train\nb.jpg,x,val\n");
    d = must_open("list.csv", "val");
    CU_ASSERT(d->count == 1 && d->class_count == 3);
    CU_ASSERT_STRING_EQUAL(labels_of(d, 0), "0 1");
    adl_dataset_free(d);
}

static void wrong_csv_files_are_refused(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a.jpg,x|x\n", "line 1: lists \"a.jpg\" again with the same label, after line 1"},
        {"a.jpg,x\nb.jpg,y\na.jpg,x\n", "line 3: lists \"a.jpg\" again with the same label"},
        {"a.jpg,x\na.jpg,\n", "again, and one of the lines has no label, after line 1"},
        {"a.jpg,\na.jpg,\n", "again, and one of the lines has no label"},
        {"a.jpg,x,train\na.jpg,y,val\n", "line 2: lists \"a.jpg\" again in another split"},
        {"a.jpg,x|\n", "has no label"},
        {"a.jpg,|x\n", "has no label"},
        {"a.jpg,x | y\n", "has a space before or after its label"},
    };
    tree_new("labels-csv-wrong");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tree_put("list.csv", cases[i].text);
        refused("list.csv", "train", ADL_ERR_FORMAT, cases[i].part);
    }
    /* Without --multi-label, the bar is a part of a label, and twins are refused as ever. */
    char path[300];
    struct adl_error err = {0};
    snprintf(path, sizeof path, "%s/list.csv", tree_root);
    tree_put("list.csv", "a.jpg,x|y\nb.jpg,z\n");
    const struct adl_dataset_options options = {.dir = path, .split = "all"};
    struct adl_dataset *d = adl_dataset_open(&options, &err);
    CU_ASSERT_FATAL(d != NULL);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "x|y");
    adl_dataset_free(d);
    tree_put("list.csv", "a.jpg,x\nb.jpg,z\na.jpg,z\n");
    CU_ASSERT_PTR_NULL(adl_dataset_open(&options, &err));
    CU_ASSERT(strstr(err.message, "line 3: lists \"a.jpg\" again, after line 1") != NULL);
}

/* Every tenth image of the rarest label is val, and shares and folds divide by it. */
static void divisions_go_by_the_rarest_label(void)
{
    char text[4000] = "", path[300];
    size_t length = 0, rare[2] = {0};

    for (int i = 0; i < 60; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%02d.jpg,common%s\n", i,
                                   i % 3 == 0 ? "|rare" : "");
    tree_new("labels-split");
    tree_put("list.csv", text);
    snprintf(path, sizeof path, "%s/list.csv", tree_root);
    for (int shared = 0; shared < 2; shared++) {
        for (int val = 0; val < 2; val++) {
            struct adl_dataset_options options = {
                .dir = path, .split = val ? "val" : "train", .multi_label = true};
            size_t counts[2];
            struct adl_error err = {0};
            if (shared)
                options.division.val_share = 0.1;
            struct adl_dataset *d = adl_dataset_open(&options, &err);
            CU_ASSERT_FATAL(d != NULL);
            adl_dataset_count_labels(d, counts);
            CU_ASSERT_EQUAL(counts[0], d->count);
            rare[val] = counts[1];
            CU_ASSERT_EQUAL(d->count, val ? 6 : 54);
            adl_dataset_free(d);
        }
        CU_ASSERT(rare[0] == 18 && rare[1] == 2);
    }
}

/* In the other layouts, each image has the label of its class. */
static void a_directory_per_class_has_one_each(void)
{
    tree_new("labels-folder");
    tree_put("train/cat/1.jpg", "x");
    tree_put("train/dog/2.jpg", "x");
    struct adl_dataset *d = must_open(NULL, "train");
    CU_ASSERT(d->several && d->count == 2);
    CU_ASSERT_STRING_EQUAL(labels_of(d, 1), "1");
    adl_dataset_free(d);
}

/* The classes of a network are matched by name, for paired labels; bare images stay. */
static void pairs_are_matched_with_classes(void)
{
    static const char *const names[] = {"dog", "cat"};
    struct adl_error err = {0};

    tree_new("labels-match");
    tree_put("list.csv", "a.jpg,ape|cat\nb.jpg,\nc.jpg,ape\nd.jpg,dog|cat\n");
    struct adl_dataset *d = must_open("list.csv", "all");
    TEST_OK(adl_dataset_pair_labels(d, &err), &err);
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, names, 2, &err), 1);
    CU_ASSERT_EQUAL_FATAL(d->count, 4);
    tree_check_image(d, 0, "a.jpg", 1);
    CU_ASSERT(d->images[1].bare && d->images[1].class_id == 0);
    tree_check_image(d, 2, "d.jpg", 1);
    tree_check_image(d, 3, "d.jpg", 0);
    tree_check_left_out(d, ADL_LEFT_OUT_UNKNOWN, 2, "ape");
    adl_dataset_free(d);
}

/* Opens and pairs; every allocation fails once. */
static void survives_no_memory(void)
{
    put_lists("a.jpg\nb.jpg\nc.jpg\n", "a.jpg,1,0\nb.jpg,1\nc.jpg,\n",
              "a.jpg,1,1,9,9,1\nb.jpg,3,3,4,4\na.jpg,2,2,8,8,0\n");
    tree_put("list.csv", "a.jpg,x|y\nb.jpg,\na.jpg,z\nc.jpg,y\nd.jpg,z\n");
    for (int csv = 0; csv < 2; csv++) {
        int paired = -1;
        for (uint64_t n = 1; n < 200 && paired < 0; n++) {
            struct adl_error err;
            adl_mem_fail_nth(n);
            struct adl_dataset *d = open_several(csv ? "list.csv" : NULL, "train", &err);
            if (d)
                paired = adl_dataset_pair_labels(d, &err);
            adl_mem_fail_nth(0);
            adl_dataset_free(d);
            if (paired < 0 && err.kind != ADL_ERR_NOMEM) {
                TEST_FAIL("allocation %d: %s", (int)n, err.message);
                break;
            }
        }
        CU_ASSERT_EQUAL(paired, 0);
    }
}

TEST_SUITE(labels, {"lists name several", lists_name_several},
           {"boxes belong to labels", boxes_belong_to_labels},
           {"wrong lists are refused", wrong_lists_are_refused},
           {"CSV files name several", csv_files_name_several},
           {"wrong CSV files are refused", wrong_csv_files_are_refused},
           {"divisions go by the rarest label", divisions_go_by_the_rarest_label},
           {"a directory per class has one each", a_directory_per_class_has_one_each},
           {"pairs are matched with classes", pairs_are_matched_with_classes},
           {"survives no memory", survives_no_memory});
