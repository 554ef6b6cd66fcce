/* data/dataset_open and the readers of lists and of CUB, on directory trees made here. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/dataset_tree.h"

/* --- lists ------------------------------------------------------------------------ */

static void write_lists(const char *name)
{
    tree_new(name);
    tree_put("images/a/1.jpg", "");
    tree_put("classes.txt", "ant\nbee, the\n3 wasps\n");
    tree_put("metadata/val/image_ids.txt", "b/2.jpg\na/1.jpg\nc, d/3 4.png");
    tree_put("metadata/val/class_labels.txt",
             "a/1.jpg,0\r\nb/2.jpg,1\nelse.jpg,7\nc, d/3 4.png,2\n\n");
    tree_put("metadata/val/localization.txt", "b/2.jpg,1,2,3,4\na/1.jpg,0,0,0,0\nb/2.jpg,5,6,7,8\n"
                                              "c, d/3 4.png,10,20,30,40");
    tree_put("metadata/val/image_sizes.txt",
             "b/2.jpg,100,50\na/1.jpg,1,1\nc, d/3 4.png,1000000000,2\n");
    tree_put("metadata/train/image_ids.txt", "a/1.jpg\n");
    tree_put("metadata/train/class_labels.txt", "a/1.jpg,2\n");
    tree_put("metadata/train/localization.txt", "");
}

static void lists_are_read(void)
{
    struct adl_error err = {0};
    struct adl_str path = {0};
    write_lists("lists");
    struct adl_dataset *d = tree_must_open("val");
    CU_ASSERT_FATAL(d && d->count == 3 && d->box_count == 4 && d->class_count == 3);
    CU_ASSERT_EQUAL(d->layout, ADL_DATASET_LISTS);
    tree_check_image(d, 0, "b/2.jpg", 1);
    tree_check_image(d, 1, "a/1.jpg", 0);
    tree_check_image(d, 2, "c, d/3 4.png", 2);
    CU_ASSERT(tree_has_box(d, 0, 0, 1, 2, 3, 4) && tree_has_box(d, 0, 1, 5, 6, 7, 8));
    CU_ASSERT(tree_has_box(d, 1, 0, 0, 0, 0, 0) && tree_has_box(d, 2, 0, 10, 20, 30, 40));
    CU_ASSERT(d->images[0].width == 100 && d->images[0].height == 50);
    CU_ASSERT(d->images[2].width == 1000000000 && d->images[2].height == 2);
    CU_ASSERT_STRING_EQUAL(d->classes[1], "bee, the");
    CU_ASSERT_STRING_EQUAL(d->classes[2], "3 wasps");
    const char *text = adl_dataset_path(d, 0, &path, &err);
    CU_ASSERT_FATAL(text && strlen(text) > strlen(tree_root));
    CU_ASSERT_STRING_EQUAL(text + strlen(tree_root), "/images/b/2.jpg");
    adl_str_release(&path);
    adl_dataset_free(d);

    d = tree_must_open("train");
    CU_ASSERT_FATAL(d && d->count == 1 && d->box_count == 0 && d->images[0].box_count == 0);
    CU_ASSERT(d->images[0].width == 0 && d->class_count == 3);
    adl_dataset_free(d);
}

static void lists_may_lie_apart(void)
{
    struct adl_error err = {0};
    char metadata[512], images[512];
    write_lists("apart");
    tree_put("elsewhere/images/x.jpg", "");
    snprintf(metadata, sizeof metadata, "%s/metadata", tree_root);
    snprintf(images, sizeof images, "%s/elsewhere/images", tree_root);
    const struct adl_dataset_options alone = {.metadata = metadata, .split = "val"};
    struct adl_dataset *d = adl_dataset_open(&alone, &err);
    CU_ASSERT_FATAL(d && d->count == 3);
    CU_ASSERT_PTR_NULL(d->image_dir);
    CU_ASSERT_PTR_NULL(d->classes);
    CU_ASSERT_EQUAL(d->class_count, 3);
    adl_dataset_free(d);
    const struct adl_dataset_options both = {
        .metadata = metadata, .images = images, .split = "val"};
    d = adl_dataset_open(&both, &err);
    CU_ASSERT(d && d->image_dir && !strcmp(d->image_dir, images));
    adl_dataset_free(d);
    const struct adl_dataset_options neither = {.split = "val"};
    CU_ASSERT_PTR_NULL(adl_dataset_open(&neither, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void broken_lists_are_refused(void)
{
    static const struct {
        const char *file, *text, *part;
    } cases[] = {
        {"image_ids.txt", "a.jpg\n../b.jpg\n", "image_ids.txt line 2: is not a path below"},
        {"image_ids.txt", "/etc/passwd\n", "line 1: is not a path below"},
        {"image_ids.txt", "a/../../b\n", "is not a path below"},
        {"image_ids.txt", "a.jpg\n\nb.jpg\n", "line 2: is empty"},
        {"image_ids.txt", "a.jpg\nb.jpg\na.jpg\n", "lists a.jpg twice"},
        {"image_ids.txt", "\n", "lists no image"},
        {"class_labels.txt", "a.jpg,0\n", "no class for b.jpg"},
        {"class_labels.txt", "a.jpg,0\nb.jpg,1\na.jpg,1\n",
         "line 3: has a class already: \"a.jpg\""},
        {"class_labels.txt", "a.jpg,0\nb.jpg,2\n",
         "line 2: b.jpg has class 2, but there are only 2 classes"},
        {"class_labels.txt", "a.jpg,-1\n", "line 1: is not PATH,CLASS: \"a.jpg,-1\""},
        {"class_labels.txt", "a.jpg,1.0\n", "is not PATH,CLASS"},
        {"class_labels.txt", "a.jpg,\n", "is not PATH,CLASS"},
        {"class_labels.txt", "a.jpg, 1\n", "is not PATH,CLASS"},
        {"class_labels.txt", ",1\n", "is not PATH,CLASS"},
        {"class_labels.txt", "nothing\n", "is not PATH,CLASS: \"nothing\""},
        {"class_labels.txt", "a.jpg,99999999999999999999\n", "is not PATH,CLASS"},
        {"localization.txt", "a.jpg,1,2,3,4\n", "none for b.jpg"},
        {"localization.txt", "a.jpg,1,2,3\n", "line 1: is not PATH,X0,Y0,X1,Y1"},
        {"localization.txt", "a.jpg,mask.jpg,ignore.png\n", "is not PATH,X0,Y0,X1,Y1"},
        {"localization.txt", "a.jpg,m.png,i.png\n", "has masks, but none for b.jpg"},
        {"localization.txt", "a.jpg,m.png,\na.jpg,1,2,3,4\n", "line 2: is not PATH,MASK.png"},
        {"localization.txt", "a.jpg,m.png,i.png\na.jpg,n.png,j.png\n", "ignored pixels already"},
        {"localization.txt", "a.jpg,../m.png,\n", "not a path below the directory of masks"},
        {"localization.txt", "a.jpg,/m.png,\n", "not a path below the directory of masks"},
        {"localization.txt", "a.jpg,m.png,x/../../i\n", "not a path below the directory of masks"},
        {"localization.txt", "a.jpg,5,2,3,4\n", "ends before it begins"},
        {"localization.txt", "a.jpg,-5,2,3,4\n", "is not PATH"},
        {"image_sizes.txt", "a.jpg,0,7\n", "has a width or height of 0"},
        {"image_sizes.txt", "a.jpg,1,7\na.jpg,1,7\n", "line 2: has a size already: \"a.jpg\""},
        {"../../classes.txt", "", "is empty"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char name[300];
        tree_new("broken");
        tree_put("images/a.jpg", "");
        tree_put("classes.txt", "one\ntwo\n");
        tree_put("metadata/test/image_ids.txt", "a.jpg\nb.jpg\n");
        tree_put("metadata/test/class_labels.txt", "a.jpg,0\nb.jpg,1\n");
        tree_put("metadata/test/localization.txt", "");
        tree_put("metadata/test/image_sizes.txt", "");
        snprintf(name, sizeof name, "metadata/test/%s", cases[i].file);
        tree_put(name, cases[i].text);
        tree_refused("test", ADL_ERR_FORMAT, cases[i].part);
    }
    static char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    tree_put("classes.txt", "one\ntwo\n");
    tree_put("metadata/test/image_ids.txt", longer);
    tree_refused("test", ADL_ERR_LIMIT, "has 4999 bytes");
    tree_put_bytes("metadata/test/image_ids.txt", "a\0b\n", 4);
    tree_refused("test", ADL_ERR_FORMAT, "zero byte");
    tree_refused("tset", ADL_ERR_NOT_FOUND, "metadata/tset: there is no such split");
    tree_refused("../test", ADL_ERR_ARG, "cannot be the name of a split");
    tree_refused("", ADL_ERR_ARG, "cannot be the name of a split");
}

/* A list that is cut off or has a byte replaced leads to a data set or an error. */
static void damage_localization(const char *text)
{
    static const char bytes[] = {'\0', '\n', ',', '9', '-', '\r', '/', '.', '\xff'};
    size_t length = strlen(text);
    char *copy = strdup(text);
    CU_ASSERT_FATAL(copy != NULL);
    for (size_t i = 0; copy && i < length; i++) {
        for (size_t j = 0; j <= sizeof bytes; j++) {
            struct adl_error err = {0};
            memcpy(copy, text, length);
            if (j < sizeof bytes)
                copy[i] = bytes[j];
            tree_put_bytes("metadata/val/localization.txt", copy, j < sizeof bytes ? length : i);
            struct adl_dataset *d = tree_open("val", &err);
            CU_ASSERT((d != NULL) == (err.kind == ADL_ERR_NONE));
            adl_dataset_free(d);
        }
    }
    free(copy);
}

static void damaged_lists_end_in_an_answer(void)
{
    write_lists("damaged");
    struct adl_mem_stats before = adl_mem_stats();
    damage_localization("b/2.jpg,1,2,3,4\na/1.jpg,0,0,0,0\nc, d/3 4.png,1,2,30,40");
    damage_localization("b/2.jpg,m/1.png,i.png\na/1.jpg,2.png,\nc, d/3 4.png,3.png,\n"
                        "b/2.jpg,4.png,");
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

/* --- CUB ---------------------------------------------------------------------------- */

static void write_cub(const char *name)
{
    tree_new(name);
    tree_put("images.txt", "1 001.Albatross/a.jpg\n2 001.Albatross/b.jpg\n4 002.Auk/c d.jpg\n");
    tree_put("train_test_split.txt", "1 0\n2 1\n4 0\n");
    tree_put("image_class_labels.txt", "1 1\n2 1\n4 2\n");
    tree_put("bounding_boxes.txt",
             "1 60.0 27.0 325.0 304.0\n2 1.9 2.9 10.5 10.0\n4 0.0 0.0 1.0 1.0\n");
    tree_put("classes.txt", "1 001.Albatross\n2 002.Auk\n");
}

static void cub_is_read(void)
{
    write_cub("cub");
    struct adl_dataset *d = tree_must_open("test");
    CU_ASSERT_FATAL(d && d->count == 2 && d->box_count == 2 && d->class_count == 2);
    CU_ASSERT_EQUAL(d->layout, ADL_DATASET_CUB);
    tree_check_image(d, 0, "001.Albatross/a.jpg", 0);
    tree_check_image(d, 1, "002.Auk/c d.jpg", 1);
    /* The first line of the distributed file, and the same box in the metadata of the
     * reference evaluation code. */
    CU_ASSERT(tree_has_box(d, 0, 0, 60, 27, 385, 331));
    CU_ASSERT(d->images[0].width == 0);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "001.Albatross");
    CU_ASSERT_STRING_EQUAL(d->image_dir + strlen(tree_root), "/images");
    adl_dataset_free(d);

    d = tree_must_open("train");
    CU_ASSERT_FATAL(d && d->count == 1);
    CU_ASSERT(tree_has_box(d, 0, 0, 1, 2, 11, 12));
    adl_dataset_free(d);
    d = tree_must_open("val");
    CU_ASSERT(d && d->count == 0 && d->class_count == 2);
    adl_dataset_free(d);
    tree_put("metadata/val/image_ids.txt", "new.jpg\n");
    tree_put("metadata/val/class_labels.txt", "new.jpg,1\n");
    d = tree_must_open("val");
    CU_ASSERT_FATAL(d && d->count == 1 && d->layout == ADL_DATASET_LISTS);
    CU_ASSERT_STRING_EQUAL(d->classes[1], "002.Auk");
    adl_dataset_free(d);
    tree_refused("other", ADL_ERR_NOT_FOUND, "no split \"other\"");
}

static void broken_cub_is_refused(void)
{
    static const struct {
        const char *file, *text, *part;
    } cases[] = {
        {"images.txt", "1 a.jpg\n1 b.jpg\n", "images.txt line 2: b.jpg has the number of another"},
        {"images.txt", "0 a.jpg\n", "line 1: 0 is not an image number"},
        {"images.txt", "2000000 a.jpg\n", "is not an image number"},
        {"images.txt", "1 ../a.jpg\n", "../a.jpg is not a path below"},
        {"images.txt", "1\n", "line 1: is not NUMBER PATH: \"1\""},
        {"images.txt", "1 a.jpg\n2 b.jpg\n3 c.jpg\n4 d.jpg\n", "has no line for c.jpg"},
        {"train_test_split.txt", "1 0\n2 2\n", "001.Albatross/b.jpg is neither"},
        {"train_test_split.txt", "3 0\n", "3 is not the number of an image"},
        {"train_test_split.txt", "1 0\n1 1\n", "is in a split already"},
        {"image_class_labels.txt", "1 0\n", "a.jpg has a class that is not a number"},
        {"image_class_labels.txt", "1 1\n1 1\n", "has a class already"},
        {"image_class_labels.txt", "1 1\n2 1\n4 3\n",
         "c d.jpg has class 3, but there are only 2 classes"},
        {"image_class_labels.txt", "1 1\n2 1\n", "image_class_labels.txt: has no line for 002.Auk"},
        {"bounding_boxes.txt", "1 1 2 3\n", "is not NUMBER X Y WIDTH HEIGHT"},
        {"bounding_boxes.txt", "1 1 2 3 4 5\n", "is not X Y WIDTH HEIGHT"},
        {"bounding_boxes.txt", "1 1 2 3 nan\n", "is not X Y WIDTH HEIGHT"},
        {"bounding_boxes.txt", "1 1 2 -3 4\n", "is not X Y WIDTH HEIGHT"},
        {"bounding_boxes.txt", "1 1 2 3e9 4\n", "is not X Y WIDTH HEIGHT"},
        {"bounding_boxes.txt", "1 1 2 3 4\n1 1 2 3 4\n", "has a box already"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        write_cub("broken-cub");
        tree_put(cases[i].file, cases[i].text);
        tree_refused("test", ADL_ERR_FORMAT, cases[i].part);
    }
}

#define MARK "\xef\xbb\xbf"

/* A byte order mark (Unicode 15, section 23.8) belongs to no name and no number. */
static void byte_order_marks_are_skipped(void)
{
    tree_new("marks");
    tree_put("classes.txt", MARK "ant\nbee\n");
    tree_put("metadata/test/image_ids.txt", MARK "a.jpg\nb.jpg\n");
    tree_put("metadata/test/class_labels.txt", MARK "a.jpg,0\nb.jpg,1\n");
    tree_put("metadata/test/localization.txt", MARK "a.jpg,1,2,3,4\nb.jpg,1,2,3,4\n");
    tree_put("metadata/test/image_sizes.txt", MARK "a.jpg,10,20\r\n");
    struct adl_dataset *d = tree_must_open("test");
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    tree_check_image(d, 0, "a.jpg", 0);
    CU_ASSERT(d->images[0].width == 10 && tree_has_box(d, 0, 0, 1, 2, 3, 4));
    CU_ASSERT_STRING_EQUAL(d->classes[0], "ant");
    adl_dataset_free(d);
    write_cub("marks-cub");
    tree_put("images.txt", MARK "1 001.Albatross/a.jpg\n");
    tree_put("train_test_split.txt", MARK "1 0\n");
    tree_put("image_class_labels.txt", MARK "1 1\n");
    tree_put("bounding_boxes.txt", MARK "1 1 2 3 4\n");
    tree_put("classes.txt", MARK "1 001.Albatross\n2 002.Auk\n");
    d = tree_must_open("test");
    CU_ASSERT_EQUAL_FATAL(d->count, 1);
    tree_check_image(d, 0, "001.Albatross/a.jpg", 0);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "001.Albatross");
    adl_dataset_free(d);
}

static void cub_without_boxes_and_nested(void)
{
    write_cub("cub-few-boxes/CUB_200_2011");
    char *slash = strrchr(tree_root, '/');
    tree_put("bounding_boxes.txt", "1 1 2 3 4\n4 1 2 3 4\n");
    *slash = '\0'; /* the directory above */
    struct adl_dataset *d = tree_must_open("train");
    CU_ASSERT(d->layout == ADL_DATASET_CUB && d->count == 1 && d->box_count == 0);
    CU_ASSERT_STRING_EQUAL(d->image_dir + strlen(tree_root), "/CUB_200_2011/images");
    adl_dataset_free(d);
    d = tree_must_open("test");
    CU_ASSERT(d->count == 2 && d->box_count == 2);
    adl_dataset_free(d);
    *slash = '/';
    tree_put("bounding_boxes.txt", "1 1 2 3 4\n");
    tree_refused("test", ADL_ERR_FORMAT, "bounding_boxes.txt: has no line for 002.Auk/c d.jpg");
    char list[512];
    snprintf(list, sizeof list, "%s/bounding_boxes.txt", tree_root);
    CU_ASSERT_EQUAL(unlink(list), 0);
    d = tree_must_open("test");
    CU_ASSERT(d->count == 2 && d->box_count == 0);
    adl_dataset_free(d);
}

static void classes_are_matched_by_name(void)
{
    static const char *const model[] = {"zebra", "bee", "ape", "cat"};
    struct adl_error err = {0};
    tree_new("match");
    tree_put("ape/1.jpg", "");
    tree_put("bee/1.jpg", "");
    struct adl_dataset *d = tree_must_open("all");
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, model, 1, &err), 0);
    tree_check_image(d, 0, "ape/1.jpg", 0);
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, model, 4, &err), 1);
    tree_check_image(d, 0, "ape/1.jpg", 2);
    tree_check_image(d, 1, "bee/1.jpg", 1);
    CU_ASSERT(d->class_count == 4 && !strcmp(d->classes[3], "cat"));
    adl_dataset_free(d);

    /* What the model lacks is left out, with the names. */
    tree_put("ape/2.jpg", "");
    d = tree_must_open("all");
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, model, 2, &err), 1);
    CU_ASSERT_FATAL(d->count == 1 && d->class_count == 2);
    tree_check_image(d, 0, "bee/1.jpg", 1);
    tree_check_left_out(d, ADL_LEFT_OUT_UNKNOWN, 2, "ape");
    adl_dataset_free(d);

    /* Lists of as many classes may spell one differently. */
    write_lists("spelling");
    d = tree_must_open("val");
    CU_ASSERT_FATAL(d->classes && d->class_count > 1);
    const char *names[100];
    for (size_t i = 0; i < d->class_count; i++)
        names[i] = (int)i != d->images[0].class_id ? d->classes[i] : "another spelling";
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, names, d->class_count, &err), 0);
    adl_dataset_free(d);
}

/* Labels 0..n-1 with `each` images, then the labels of `more`, one image each. */
static int find_stray(int n, int each, const int *more, int more_count,
                      struct adl_dataset_stray *stray)
{
    static struct adl_dataset_image images[100];
    struct adl_error err = {0};
    struct adl_dataset d = {.images = images};
    for (int i = 0; i < more_count; i++)
        images[d.count++].class_id = more[i];
    for (int i = 0; i < n * each; i++)
        images[d.count++].class_id = i % n;
    for (size_t i = 0; i < d.count; i++)
        if ((size_t)images[i].class_id >= d.class_count)
            d.class_count = (size_t)images[i].class_id + 1;
    return adl_dataset_find_stray(&d, stray, &err);
}

static void stray_labels_are_found(void)
{
    struct adl_dataset_stray stray;
    CU_ASSERT_EQUAL(find_stray(3, 4, NULL, 0, &stray), 0);
    CU_ASSERT_EQUAL(find_stray(3, 4, (const int[]){3}, 1, &stray), 0);
    CU_ASSERT_EQUAL(find_stray(3, 4, (const int[]){4}, 1, &stray), 1);
    CU_ASSERT(stray.image == 0 && stray.count == 1 && stray.classes == 3 && stray.next == 4);
    CU_ASSERT_EQUAL(find_stray(3, 4, (const int[]){77, 200}, 2, &stray), 1);
    CU_ASSERT(stray.image == 1 && stray.count == 2 && stray.classes == 3 && stray.next == 77);
    /* A class of two is meant, and so are labels that are mostly far apart. */
    CU_ASSERT_EQUAL(find_stray(3, 4, (const int[]){200, 200}, 2, &stray), 0);
    CU_ASSERT_EQUAL(find_stray(2, 1, (const int[]){50, 200}, 2, &stray), 0);
    CU_ASSERT_EQUAL(find_stray(0, 0, (const int[]){50, 200}, 2, &stray), 0);
}

static void what_is_no_data_set_is_refused(void)
{
    tree_new("nothing");
    tree_refused("train", ADL_ERR_NOT_FOUND, "is not a data set");
    tree_put("x/readme", "");
    tree_refused("train", ADL_ERR_NOT_FOUND, "hold no image");
    snprintf(tree_root, sizeof tree_root, "%s/dataset-missing", test_tmp_dir());
    tree_refused("train", ADL_ERR_NOT_FOUND, "is neither a directory nor a file");
}

static void survives_no_memory(void)
{
    static void (*const write[])(const char *) = {write_lists, write_cub};
    for (size_t i = 0; i < 3; i++) {
        struct adl_mem_stats before = adl_mem_stats();
        struct adl_dataset *d = NULL;
        if (i < 2)
            write[i]("starved");
        else {
            tree_new("starved-folder");
            tree_put("ape/1.jpg", "");
            tree_put("bee/2.png", "");
        }
        for (uint64_t n = 1; !d && n < 1000; n++) {
            struct adl_error err = {0};
            adl_mem_fail_nth(n);
            d = tree_open(i == 0 ? "val" : i == 1 ? "test" : "all", &err);
            adl_mem_fail_nth(0);
            if (!d && err.kind != ADL_ERR_NOMEM)
                TEST_FAIL("allocation %d: %s", (int)n, err.message);
        }
        CU_ASSERT_PTR_NOT_NULL(d);
        adl_dataset_free(d);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    }
}

TEST_SUITE(dataset, {"lists are read", lists_are_read},
           {"lists may lie apart", lists_may_lie_apart},
           {"broken lists are refused", broken_lists_are_refused},
           {"damaged lists end in an answer", damaged_lists_end_in_an_answer},
           {"CUB is read", cub_is_read}, {"a broken CUB is refused", broken_cub_is_refused},
           {"byte order marks are skipped", byte_order_marks_are_skipped},
           {"CUB without boxes, and nested", cub_without_boxes_and_nested},
           {"classes are matched by name", classes_are_matched_by_name},
           {"stray labels are found", stray_labels_are_found},
           {"what is no data set is refused", what_is_no_data_set_is_refused},
           {"data sets survive running out of memory", survives_no_memory});
