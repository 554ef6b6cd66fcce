/* Data sets in the files of annotation tools: COCO, Label Studio, Pascal VOC, YOLO. Expected boxes
 * are worked out from the definitions of the formats by hand;
 * tests/browser/exports_program.test.mjs and the command line read what others and this program
 * write. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/dataset_tree.h"

/* A PNG's header is all that YOLO needs of an image: 10 x 8 pixels, grey. */
static const char png[] =
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\n\0\0\0\x08\x08\0\0\0\0\xdf\x9c\x5c\x8e";

static struct adl_dataset *open_file(const char *name, const char *split, bool several,
                                     struct adl_error *err)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", tree_root, name);
    const struct adl_dataset_options options = {
        .dir = path, .split = split, .multi_label = several};
    *err = (struct adl_error){0};
    return adl_dataset_open(&options, err);
}

static struct adl_dataset *must_open(const char *name, const char *split, bool several)
{
    struct adl_error err;
    struct adl_dataset *d = open_file(name, split, several, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(d != NULL);
    return d;
}

static void refused(const char *name, const char *text, enum adl_error_kind kind, const char *part)
{
    struct adl_error err;
    tree_put(name, text);
    struct adl_dataset *d = open_file(name, "val", false, &err);
    if (d || err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("%s: %s, expected %s", text, d ? "accepted" : err.message, part);
    else
        CU_PASS("");
    adl_dataset_free(d);
}

#define CATEGORIES                                                                                 \
    "\"categories\": [{\"id\": 7, \"name\": \"dog\"}, {\"id\": 3, \"name\": \"cat\"}]"
#define IMAGES                                                                                     \
    "\"images\": [{\"id\": 5, \"file_name\": \"b/1.jpg\", \"width\": 100, \"height\": 80},"        \
    "{\"id\": \"x\", \"file_name\": \"2.jpg\", \"width\": 50, \"height\": 50},"                    \
    "{\"id\": 9, \"file_name\": \"3.jpg\", \"width\": 50, \"height\": 50}]"

static void coco(void)
{
    tree_new("boxes_coco");
    /* Edges 10 and 10 + 20.4 = 30.4, rounded: pixels 10 to 29, and the reference's end is 30. A box
     * that reaches the right border ends there. */
    tree_put("set.json", "\xef\xbb\xbf{" CATEGORIES "," IMAGES ", \"annotations\": ["
                         "{\"image_id\": \"x\", \"category_id\": 3, \"bbox\": [0, 1, 50, 49]},"
                         "{\"image_id\": 5, \"category_id\": 7, \"bbox\": [10, 4.6, 20.4, 10]},"
                         "{\"image_id\": 5, \"category_id\": 3, \"bbox\": [1, 1, 3, 3]},"
                         "{\"image_id\": 5, \"category_id\": 7, \"bbox\": [90, 70, 40, 5]},"
                         "{\"image_id\": 5, \"category_id\": 7, \"bbox\": [5, 5, 0.2, 5]},"
                         "{\"image_id\": 5, \"category_id\": 3, \"bbox\": [0, 0, 99, 79],"
                         " \"iscrowd\": 1}]}");
    struct adl_dataset *d = must_open("set.json", "test", false);
    CU_ASSERT(d->layout == ADL_DATASET_BOXES && d->upright && d->whole && d->drawn);
    CU_ASSERT_STRING_EQUAL(d->image_dir, tree_root);
    CU_ASSERT_EQUAL_FATAL(d->class_count, 2);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "dog");
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    tree_check_image(d, 0, "b/1.jpg", 0);
    tree_check_image(d, 1, "2.jpg", 1);
    CU_ASSERT(d->images[0].width == 100 && d->images[0].height == 80);
    CU_ASSERT_EQUAL_FATAL(d->box_count, 3);
    CU_ASSERT(tree_has_box(d, 0, 0, 10, 5, 30, 15));
    CU_ASSERT(tree_has_box(d, 0, 1, 90, 70, 99, 75));
    CU_ASSERT(tree_has_box(d, 1, 0, 0, 1, 49, 49));
    CU_ASSERT(d->note && strstr(d->note, "1 images without a box") &&
              strstr(d->note, "1 boxes of other labels") &&
              strstr(d->note, "1 boxes without a pixel"));
    adl_dataset_free(d);
    /* With several labels nothing but the box without a pixel is left out. */
    d = must_open("set.json", "test", true);
    CU_ASSERT(d->count == 3 && d->box_count == 4 && d->images[0].label_count == 2 &&
              d->images[2].bare);
    adl_dataset_free(d);
    /* The images may be in a directory beside the file. */
    tree_put("images/b/1.jpg", "");
    d = must_open("set.json", "val", false);
    CU_ASSERT(strstr(d->image_dir, "/images") != NULL);
    adl_dataset_free(d);
}

static void coco_is_checked(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "line"},
        {"{\"images\": [", "line 1"},
        {"[]", "is neither COCO"},
        {"[{\"image_id\": 1, \"bbox\": [1, 1, 2, 2], \"score\": 1}]", "results of COCO"},
        {"{" CATEGORIES "," IMAGES ", \"annotations\": []}", "has no boxes"},
        {"{" CATEGORIES "," IMAGES ", \"annotations\": [{\"image_id\": 8}]}",
         "annotations[0] has an image_id"},
        {"{" CATEGORIES "," IMAGES ", \"annotations\": [{\"image_id\": 5, \"category_id\": 1}]}",
         "annotations[0] has a category_id"},
        {"{" CATEGORIES "," IMAGES ", \"annotations\": [{\"image_id\": 5, \"category_id\": 3,"
         "\"bbox\": [1, 2, 3]}]}",
         "has no bbox"},
        {"{" CATEGORIES "," IMAGES ", \"annotations\": [{\"image_id\": 5, \"category_id\": 3,"
         "\"bbox\": [1, 2, 3, 1e300]}]}",
         "edge at 1e+300"},
        {"{" CATEGORIES ", \"images\": [{\"id\": 1, \"file_name\": \"../a.jpg\"}],"
         "\"annotations\": []}",
         "not a path below"},
        {"{" CATEGORIES ", \"images\": [{\"id\": 1, \"file_name\": \"a.jpg\", \"width\": -1}],"
         "\"annotations\": []}",
         "pixels large"},
        {"{\"categories\": [{\"id\": 1, \"name\": \"a\"}, {\"id\": 1, \"name\": \"b\"}]," IMAGES
         ", \"annotations\": []}",
         "has the id of another one"},
        {"{\"categories\": [{\"id\": 1, \"name\": \"\"}]," IMAGES ", \"annotations\": []}",
         "has 0 bytes"},
    };
    tree_new("coco_bad");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused("set.json", cases[i].text, ADL_ERR_FORMAT, cases[i].part);
}

static void label_studio(void)
{
    tree_new("studio");
    tree_put("here.jpg", "");
    tree_put("set.json",
             /* Uploaded: eight digits before the name. A cancelled annotation does not count, the
              * later of the two others does. 200 x 100: 10 % is 20, 25 % of the height 25. */
             "[{\"data\": {\"image\": \"/data/upload/4/1a2b3c4d-dog%201.jpg\"}, \"annotations\": ["
             "{\"was_cancelled\": true, \"result\": 3},"
             "{\"result\": [{\"original_width\": 200, \"original_height\": 100, \"value\": {"
             "\"x\": 0, \"y\": 0, \"width\": 5, \"height\": 5, \"rectanglelabels\": [\"cat\"]}}]},"
             "{\"result\": [{\"original_width\": 200, \"original_height\": 100, \"value\": {"
             "\"x\": 10, \"y\": 25, \"width\": 40, \"height\": 50, \"rotation\": 0,"
             "\"rectanglelabels\": [\"dog\"]}}, {\"value\": {\"points\": []}}]}]},"
             /* Turned by a quarter around its corner, clockwise: 20 high becomes 20 to the left. */
             "{\"data\": {\"pic\": \"/data/local-files/?d=sub/2.png\"}, \"annotations\": [{"
             "\"ground_truth\": true, \"result\": [{\"original_width\": 100,"
             "\"original_height\": 100, \"value\": {\"x\": 50, \"y\": 10, \"width\": 30,"
             "\"height\": 20, \"rotation\": 90, \"rectanglelabels\": [\"ant\"]}}]},"
             "{\"result\": []}]},"
             "{\"data\": {\"image\": \"s3://bucket/deep/here.jpg\"}, \"annotations\": [],"
             "\"predictions\": [{\"result\": [{\"value\": {}}]}]}]");
    struct adl_dataset *d = must_open("set.json", "val", false);
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    CU_ASSERT(d->class_count == 2 && !strcmp(d->classes[0], "ant") &&
              !strcmp(d->classes[1], "dog"));
    tree_check_image(d, 0, "dog 1.jpg", 1);
    CU_ASSERT(tree_has_box(d, 0, 0, 20, 25, 100, 75));
    tree_check_image(d, 1, "sub/2.png", 0);
    CU_ASSERT(tree_has_box(d, 1, 0, 30, 10, 50, 40));
    adl_dataset_free(d);
    /* What says nothing of the image may stand before the rectangles. */
    tree_put(
        "set.json",
        "[{\"data\": {\"image\": \"a.jpg\"}, \"annotations\": [{\"result\": ["
        "{\"type\": \"choices\", \"value\": {\"choices\": [\"sharp\"]}},"
        "{\"type\": \"relation\", \"from_id\": \"r\", \"to_id\": \"r\", \"direction\": \"right\"},"
        "{\"original_width\": 200, \"original_height\": 100, \"value\": {\"x\": 10,"
        "\"y\": 25, \"width\": 40, \"height\": 50, \"rectanglelabels\": [\"dog\"]}}]}]}]");
    d = must_open("set.json", "val", false);
    CU_ASSERT_EQUAL_FATAL(d->count, 1);
    CU_ASSERT(tree_has_box(d, 0, 0, 20, 25, 100, 75));
    adl_dataset_free(d);
    refused("set.json", "[{\"data\": {\"image\": \"a.jpg\"}, \"predictions\": []}]", ADL_ERR_FORMAT,
            "predictions do not count");
    refused("set.json", "[{\"data\": {\"text\": \"a\"}}]", ADL_ERR_FORMAT,
            "tasks[0] names no image");
    refused("set.json",
            "[{\"data\": {\"image\": \"a.jpg\"}, \"annotations\": [{\"result\": [{\"value\": {"
            "\"x\": 1, \"y\": 1, \"width\": 1, \"height\": 1, \"rectanglelabels\": [\"a\"]}}]}]}]",
            ADL_ERR_FORMAT, "original_width");
}

#define OBJECT(name, box) "<object><name>" name "</name><bndbox>" box "</bndbox></object>"

static void voc(void)
{
    tree_new("boxes_voc");
    tree_put("JPEGImages/a.jpg", "");
    tree_put("Annotations/a.xml",
             "<?xml version=\"1.0\"?><annotation><folder>x</folder><filename>a.jpg</filename>"
             "<size><width>40</width><height>30</height><depth>3</depth></size>"
             "<!-- a comment -->" OBJECT("salt &amp; pepper", "<xmin>1</xmin><ymin> 2.0 "
                                                              "</ymin><xmax>40</xmax><ymax>30</"
                                                              "ymax>") "<object><part><name>lid</"
                                                                       "name><bndbox><xmin>1</"
                                                                       "xmin><ymin>1</"
                                                                       "ymin><xmax>2</xmax>"
                                                                       "<ymax>2</ymax></bndbox></"
                                                                       "part><name>salt &#38; "
                                                                       "pepper</name><pose>x</"
                                                                       "pose><bndbox>"
                                                                       "<xmin>11</xmin><ymin>11</"
                                                                       "ymin><xmax>20</"
                                                                       "xmax><ymax>20</ymax></"
                                                                       "bndbox></object>"
                                                                       "</annotation>");
    tree_put(
        "Annotations/b.xml",
        "<annotation>" OBJECT(
            "cup", "<xmax>9</xmax><ymax>9</ymax><xmin>5</xmin><ymin>5</ymin>") "</annotation>");
    struct adl_dataset *d = tree_must_open("val");
    CU_ASSERT(d->layout == ADL_DATASET_BOXES && d->whole);
    CU_ASSERT(strstr(d->image_dir, "/JPEGImages") != NULL);
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    CU_ASSERT_STRING_EQUAL(d->classes[1], "salt & pepper");
    tree_check_image(d, 0, "a.jpg", 1);
    tree_check_image(d, 1, "b.jpg", 0);
    CU_ASSERT(tree_has_box(d, 0, 0, 0, 1, 39, 29));
    CU_ASSERT(tree_has_box(d, 0, 1, 10, 10, 20, 20));
    /* The pixels 5 to 9, counted from 1, are 4 to 8. */
    CU_ASSERT(tree_has_box(d, 1, 0, 4, 4, 9, 9));
    adl_dataset_free(d);
    tree_put("ImageSets/Main/train.txt", "b\n");
    tree_put("ImageSets/Main/val.txt", "a 1\n");
    d = tree_must_open("train");
    CU_ASSERT(d->count == 1 && !d->whole);
    tree_check_image(d, 0, "b.jpg", 0);
    adl_dataset_free(d);
    tree_refused("test", ADL_ERR_NOT_FOUND, "test.txt");
}

#define WHOLE(name) OBJECT(name, "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>")

/* As our own exports have it, the directories of the images are also those of their annotations,
 * and the name of a file is without its directory. */
static void voc_below_directories(void)
{
    tree_new("voc_below");
    tree_put("images/a/1.jpg", "");
    tree_put("images/b/1.png", "");
    tree_put("images/3.jpg", "");
    tree_put("images/4.jpg", "");
    tree_put(
        "Annotations/a/1.xml",
        "<annotation><folder>a</folder><filename>1.jpg</filename>" WHOLE("cat") "</annotation>");
    tree_put("Annotations/b/1.xml",
             "<annotation><filename>1.png</filename>" WHOLE("dog") "</annotation>");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT(d->layout == ADL_DATASET_BOXES);
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    tree_check_image(d, 0, "a/1.jpg", 0);
    tree_check_image(d, 1, "b/1.png", 1);
    adl_dataset_free(d);
    /* The directories may also be those of splits, with all images in one. */
    tree_put("Annotations/train/3.xml",
             "<annotation><filename>3.jpg</filename>" WHOLE("cat") "</annotation>");
    tree_put("Annotations/4.xml", "<annotation>" WHOLE("cat") "</annotation>");
    d = tree_must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->count, 4);
    tree_check_image(d, 0, "4.jpg", 0);
    tree_check_image(d, 3, "3.jpg", 0);
    adl_dataset_free(d);
    tree_put("ImageSets/Main/val.txt", "b/1\n");
    d = tree_must_open("val");
    CU_ASSERT_EQUAL_FATAL(d->count, 1);
    tree_check_image(d, 0, "b/1.png", 0);
    adl_dataset_free(d);
}

static void voc_is_checked(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "line 1"},
        {"<annotation><object>", "no element found"},
        {"<annotation>" OBJECT("a", "<xmin>1</xmin>") "</annotation>", "without a name or one of"},
        {"<annotation>" OBJECT("a", "<xmin>x</xmin>") "</annotation>", "no number"},
        {"<annotation><filename>../b.jpg</filename></annotation>", "has no boxes"},
        {"<!DOCTYPE a [<!ENTITY x \"y\">]><annotation>&x;</annotation>", "document type"},
    };
    tree_new("voc_bad");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tree_put("Annotations/a.xml", cases[i].text);
        tree_refused("val", ADL_ERR_FORMAT, cases[i].part);
    }
    char deep[2000] = "";
    for (int i = 0; i < 300; i++)
        strcat(deep, "<a>");
    tree_put("Annotations/a.xml", deep);
    tree_refused("val", ADL_ERR_FORMAT, "nested too deeply");
}

static void yolo(void)
{
    tree_new("boxes_yolo");
    tree_put_bytes("images/one.png", png, sizeof png - 1);
    tree_put_bytes("images/deep/two.png", png, sizeof png - 1);
    /* Centre 0.5, 0.5 of 10 x 8, 0.4 wide and 0.5 high: 3 to 7, 2 to 6. */
    tree_put("labels/one.txt", "1 0.5 0.5 0.4 0.5\n");
    /* A polygon: the smallest box around it is 1 to 9, 0 to 4. */
    tree_put("labels/deep/two.txt", "0 0.1 0 0.9 0.25 0.5 0.5 0.2 0.3\n");
    tree_put("data.yaml", "path: .\nnames: ['a cat', \"dog\"]\nnc: 2\n");
    struct adl_dataset *d = tree_must_open("val");
    CU_ASSERT(d->layout == ADL_DATASET_BOXES && d->whole);
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "a cat");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "dog");
    tree_check_image(d, 0, "deep/two.png", 0);
    tree_check_image(d, 1, "one.png", 1);
    CU_ASSERT(tree_has_box(d, 0, 0, 1, 0, 9, 4));
    CU_ASSERT(tree_has_box(d, 1, 0, 3, 2, 7, 6));
    adl_dataset_free(d);
    tree_put("data.yaml", "# x\nnames:\n  0: cat\n  1: \"dog\"\ntrain: images\n");
    d = tree_must_open("val");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "dog");
    adl_dataset_free(d);
    tree_put("data.yaml", "names:\n- cat\n- dog\n");
    d = tree_must_open("val");
    CU_ASSERT_EQUAL(d->class_count, 2);
    adl_dataset_free(d);
    tree_put("classes.txt", "cat\n");
    tree_refused("val", ADL_ERR_FORMAT, "has a class that has no name");
    tree_put("classes.txt", "cat\ndog\n");
    tree_put("labels/one.txt", "0.5 0.5 0.5 0.4 0.5\n");
    tree_refused("val", ADL_ERR_FORMAT, "is not CLASS");
    tree_put("labels/one.txt", "0 0.5 0.5 0.4\n");
    tree_refused("val", ADL_ERR_FORMAT, "is not CLASS");
    tree_put_bytes("images/10:30.png", png, sizeof png - 1);
    tree_put("labels/10:30.txt", "1 0.5 0.5 1 1\n");
    tree_put("labels/one.txt", "");
    d = tree_must_open("val");
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    tree_check_image(d, 0, "10:30.png", 1);
    adl_dataset_free(d);
    tree_put("labels/three.txt", "0 0.5 0.5 0.4 0.5\n");
    tree_put("labels/one.txt", "");
    tree_refused("val", ADL_ERR_NOT_FOUND, "has no image three.jpg");
}

static void yolo_passes_over_blank_lines(void)
{
    tree_new("yolo_blank");
    tree_put_bytes("images/1.png", png, sizeof png - 1);
    tree_put_bytes("images/2.png", png, sizeof png - 1);
    tree_put("labels/1.txt", "\n0 0.5 0.5 0.4 0.5\n \t\r\n\n  0 0.5 0.5 1 1\n\n  ");
    tree_put("labels/2.txt", " \n");
    struct adl_dataset *d = tree_must_open("val");
    CU_ASSERT_EQUAL_FATAL(d->count, 1);
    CU_ASSERT_EQUAL_FATAL(d->box_count, 2);
    CU_ASSERT(tree_has_box(d, 0, 0, 3, 2, 7, 6));
    CU_ASSERT(tree_has_box(d, 0, 1, 0, 0, 9, 7));
    adl_dataset_free(d);
    tree_put("labels/1.txt", "0 0.5 0.5 0.4 0.5\n \n\n  0 0.5\n");
    tree_refused("val", ADL_ERR_FORMAT, "1.txt line 4: is not CLASS");
}

/* Each text is a data.yaml with the classes "cat", "a dog" and "gnu"; the other way round, PyYAML
 * reads the same from it. */
static void yolo_names_are_yaml(void)
{
    static const char *const texts[] = {
        "names: [cat, a dog, gnu] # three\n",
        "names: [ 'cat' , \"a dog\",\n  gnu, # the last\n]\nnc: 3\n",
        "\xef\xbb\xbfnames : {0: cat, 1: a dog, 2: gnu}\n",
        "\"names\":\n- cat # Felis catus\n- a dog\n- \"\\u0067n\\x75\"\n",
        "train: [names, x]\nnames:\r\n  2: gnu\r\n  0: cat\r\n  # a comment\r\n  1: a dog\r\n",
        "path:\n  names: [x]\n'names': {\"0\": cat,\n  1: 'a dog',\n  2: gnu}\n",
        "download: |\n  names: [x]\nnames:\n  - cat\n  - >-\n    a\n    dog\n  - gnu\n",
        "--- {names: [cat, a dog, gnu]}\n",
    };
    tree_new("yolo_names");
    tree_put_bytes("images/1.png", png, sizeof png - 1);
    tree_put("labels/1.txt", "2 0.5 0.5 1 1\n");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct adl_error err = {0};
        tree_put("data.yaml", texts[i]);
        struct adl_dataset *d = tree_open("val", &err);
        if (!d || d->class_count != 3 || strcmp(d->classes[0], "cat") != 0 ||
            strcmp(d->classes[1], "a dog") != 0 || strcmp(d->classes[2], "gnu") != 0)
            TEST_FAIL("%s: %s", texts[i], d ? d->classes[0] : err.message);
        else
            CU_PASS("");
        adl_dataset_free(d);
    }
    /* What looks like quotes or a comment may be part of a name, and what YAML would take for
     * something else than a text is one here. */
    tree_put("data.yaml", "names: ['it''s', a#b, no]\n");
    struct adl_dataset *d = tree_must_open("val");
    CU_ASSERT_STRING_EQUAL(d->classes[0], "it's");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "a#b");
    CU_ASSERT_STRING_EQUAL(d->classes[2], "no");
    adl_dataset_free(d);
    tree_put("data.yaml", "names:\nnc: 3\n");
    d = tree_must_open("val");
    CU_ASSERT_STRING_EQUAL(d->classes[2], "2");
    adl_dataset_free(d);
    /* A line of classes.txt is a name as it stands. */
    tree_put("classes.txt", "'cat'\n- [dog],\n  \"gnu\" \n");
    d = tree_must_open("val");
    CU_ASSERT_STRING_EQUAL(d->classes[0], "'cat'");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "- [dog],");
    CU_ASSERT_STRING_EQUAL(d->classes[2], "\"gnu\"");
    adl_dataset_free(d);
}

static void yolo_names_are_checked(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"names: [cat, dog\n", "is no YAML"},
        {"names: [cat]\n\tx: [", "has a class that has no name"}, /* not read so far */
        {"a: 1\n\tb: 2\nnames: [cat]\n", "line 2: is no YAML"},
        {"names: [cat, \xff]\n", "is no YAML"},
        {"names: coco.names\n", "line 1: the names of classes are neither"},
        {"x: &x [cat, dog, gnu]\nnames: *x\n", "neither a list"},
        {"names: [[cat], dog, gnu]\n", "something else than a name"},
        {"names: [\"a\\0b\"]\n", "something else than a name"},
        {"names:\n  0: cat\n  2: gnu\n", "names class 2, but not class 1"},
        {"names:\n  1: dog\n  2: gnu\n", "names class 2, but not class 0"},
        {"names:\n  0: cat\n  0: dog\n", "line 3: has two names of one class"},
        {"names:\n  cat: 0\n", "line 2: has something else than the number"},
        {"names:\n  65536: cat\n", "something else than the number"},
        {"names: [cat, cat, gnu]\n", "two classes are called"},
        {"names: [cat, \"\", gnu]\n", "has 0 bytes"},
    };
    tree_new("yolo_names_bad");
    tree_put_bytes("images/1.png", png, sizeof png - 1);
    tree_put("labels/1.txt", "2 0.5 0.5 1 1\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tree_put("data.yaml", cases[i].text);
        tree_refused("val", ADL_ERR_FORMAT, cases[i].part);
    }
}

static void yolo_splits(void)
{
    tree_new("yolo_splits");
    tree_put_bytes("images/train/1.png", png, sizeof png - 1);
    tree_put_bytes("images/valid/2.png", png, sizeof png - 1);
    tree_put("labels/train/1.txt", "0 0.5 0.5 1 1\n");
    tree_put("labels/valid/2.txt", "2 0.5 0.5 1 1 0.9\n");
    struct adl_dataset *d = tree_must_open("val");
    CU_ASSERT(d->count == 1 && !d->whole && d->class_count == 3);
    tree_check_image(d, 0, "valid/2.png", 2);
    CU_ASSERT(tree_has_box(d, 0, 0, 0, 0, 9, 7));
    adl_dataset_free(d);
    tree_refused("test", ADL_ERR_NOT_FOUND, "no labels of a split \"test\"");
    d = tree_must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    CU_ASSERT(!d->whole && !d->drawn);
    tree_check_image(d, 0, "train/1.png", 0);
    tree_check_image(d, 1, "valid/2.png", 2);
    adl_dataset_free(d);
    /* Directories that are no splits are part of each. */
    tree_new("yolo_deep");
    tree_put_bytes("images/a/1.png", png, sizeof png - 1);
    tree_put("labels/a/1.txt", "0 0.5 0.5 1 1\n");
    d = tree_must_open("val");
    CU_ASSERT(d->layout == ADL_DATASET_BOXES && d->whole);
    tree_check_image(d, 0, "a/1.png", 0);
    adl_dataset_free(d);
    tree_new("roboflow");
    tree_put_bytes("train/images/1.png", png, sizeof png - 1);
    tree_put("train/labels/1.txt", "0 0.5 0.5 1 1\n");
    tree_put("data.yaml", "names:\n- cat\n");
    d = tree_must_open("train");
    tree_check_image(d, 0, "1.png", 0);
    CU_ASSERT(strstr(d->image_dir, "train/images") && !d->whole);
    adl_dataset_free(d);
    tree_refused("val", ADL_ERR_NOT_FOUND, "no labels of a split \"val\"");
    tree_put_bytes("valid/images/1.png", png, sizeof png - 1);
    tree_put("valid/labels/1.txt", "0 0.5 0.5 0.2 0.5\n");
    d = tree_must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    CU_ASSERT(!d->whole && !d->drawn);
    CU_ASSERT_STRING_EQUAL(d->image_dir, tree_root);
    tree_check_image(d, 0, "train/images/1.png", 0);
    tree_check_image(d, 1, "valid/images/1.png", 0);
    adl_dataset_free(d);
}

/* Directories of classes may have the names that annotation tools use. */
static void folders_are_still_folders(void)
{
    tree_new("boxes_folders");
    tree_put("labels/1.jpg", "");
    tree_put("Annotations/1.jpg", "");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT(d->layout == ADL_DATASET_FOLDER && d->class_count == 2);
    adl_dataset_free(d);
}

TEST_SUITE(dataset_boxes, {"COCO", coco}, {"COCO is checked", coco_is_checked},
           {"Label Studio", label_studio}, {"Pascal VOC", voc},
           {"Pascal VOC below directories", voc_below_directories},
           {"Pascal VOC is checked", voc_is_checked}, {"YOLO", yolo},
           {"YOLO passes over blank lines", yolo_passes_over_blank_lines},
           {"YOLO's names are YAML", yolo_names_are_yaml},
           {"YOLO's names are checked", yolo_names_are_checked}, {"YOLO's splits", yolo_splits},
           {"folders are still folders", folders_are_still_folders});
