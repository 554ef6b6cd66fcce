/* data/dataset_open and the readers of the three layouts, on directory trees made here. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_open.h"

/* --- trees ---------------------------------------------------------------------- */

static char root[256]; /* of the current tree */

static void new_tree(const char *name)
{
    snprintf(root, sizeof root, "%s/dataset-%s", test_tmp_dir(), name);
    for (char *slash = root + strlen(test_tmp_dir()) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(root, 0777);
        *slash = '/';
    }
    mkdir(root, 0777);
}

static void put_bytes(const char *path, const char *text, size_t length)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0777);
        *slash = '/';
    }
    FILE *file = fopen(full, "wb");
    CU_ASSERT_FATAL(file && fwrite(text, 1, length, file) == length);
    fclose(file);
}

static void put(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

static struct adl_dataset *open_split(const char *split, struct adl_error *err)
{
    const struct adl_dataset_options options = {.dir = root, .split = split};
    return adl_dataset_open(&options, err);
}

static struct adl_dataset *must_open(const char *split)
{
    struct adl_error err = {0};
    struct adl_dataset *d = open_split(split, &err);
    if (!d) {
        TEST_FAIL("%s: %s", split, err.message);
        CU_FAIL_FATAL("no data set");
    }
    return d;
}

static void refused(const char *split, enum adl_error_kind kind, const char *part)
{
    struct adl_error err = {0};
    struct adl_dataset *d = open_split(split, &err);
    if (d)
        TEST_FAIL("accepted, expected \"%s\"", part);
    else if (err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("refused as %s \"%s\", expected %s with \"%s\"", adl_error_kind_name(err.kind),
                  err.message, adl_error_kind_name(kind), part);
    else
        CU_PASS("");
    adl_dataset_free(d);
}

static void check_image(const struct adl_dataset *d, size_t i, const char *id, int class_id)
{
    CU_ASSERT_FATAL(i < d->count);
    CU_ASSERT_STRING_EQUAL(d->images[i].id, id);
    CU_ASSERT_EQUAL(d->images[i].class_id, class_id);
}

static bool has_box(const struct adl_dataset *d, size_t i, size_t box, int x0, int y0, int x1,
                    int y1)
{
    const struct adl_dataset_image *image = &d->images[i];
    if (box >= image->box_count)
        return false;
    struct adl_dataset_box b = d->boxes[image->first_box + box];
    return b.x0 == x0 && b.y0 == y0 && b.x1 == x1 && b.y1 == y1;
}

/* --- lists ------------------------------------------------------------------------ */

static void write_lists(const char *name)
{
    new_tree(name);
    put("images/a/1.jpg", "");
    put("classes.txt", "ant\nbee, the\n3 wasps\n");
    put("metadata/val/image_ids.txt", "b/2.jpg\na/1.jpg\nc, d/3 4.png");
    put("metadata/val/class_labels.txt", "a/1.jpg,0\r\nb/2.jpg,1\nelse.jpg,7\nc, d/3 4.png,2\n\n");
    put("metadata/val/localization.txt", "b/2.jpg,1,2,3,4\na/1.jpg,0,0,0,0\nb/2.jpg,5,6,7,8\n"
                                         "c, d/3 4.png,10,20,30,40");
    put("metadata/val/image_sizes.txt", "b/2.jpg,100,50\na/1.jpg,1,1\nc, d/3 4.png,1000000000,2\n");
    put("metadata/train/image_ids.txt", "a/1.jpg\n");
    put("metadata/train/class_labels.txt", "a/1.jpg,2\n");
    put("metadata/train/localization.txt", "");
}

static void lists_are_read(void)
{
    struct adl_error err = {0};
    struct adl_str path = {0};
    write_lists("lists");
    struct adl_dataset *d = must_open("val");
    CU_ASSERT_FATAL(d && d->count == 3 && d->box_count == 4 && d->class_count == 3);
    CU_ASSERT_EQUAL(d->layout, ADL_DATASET_LISTS);
    check_image(d, 0, "b/2.jpg", 1);
    check_image(d, 1, "a/1.jpg", 0);
    check_image(d, 2, "c, d/3 4.png", 2);
    CU_ASSERT(has_box(d, 0, 0, 1, 2, 3, 4) && has_box(d, 0, 1, 5, 6, 7, 8));
    CU_ASSERT(has_box(d, 1, 0, 0, 0, 0, 0) && has_box(d, 2, 0, 10, 20, 30, 40));
    CU_ASSERT(d->images[0].width == 100 && d->images[0].height == 50);
    CU_ASSERT(d->images[2].width == 1000000000 && d->images[2].height == 2);
    CU_ASSERT_STRING_EQUAL(d->classes[1], "bee, the");
    CU_ASSERT_STRING_EQUAL(d->classes[2], "3 wasps");
    const char *text = adl_dataset_path(d, 0, &path, &err);
    CU_ASSERT_FATAL(text && strlen(text) > strlen(root));
    CU_ASSERT_STRING_EQUAL(text + strlen(root), "/images/b/2.jpg");
    adl_str_release(&path);
    adl_dataset_free(d);

    d = must_open("train");
    CU_ASSERT_FATAL(d && d->count == 1 && d->box_count == 0 && d->images[0].box_count == 0);
    CU_ASSERT(d->images[0].width == 0 && d->class_count == 3);
    adl_dataset_free(d);
}

static void lists_may_lie_apart(void)
{
    struct adl_error err = {0};
    char metadata[512], images[512];
    write_lists("apart");
    put("elsewhere/images/x.jpg", "");
    snprintf(metadata, sizeof metadata, "%s/metadata", root);
    snprintf(images, sizeof images, "%s/elsewhere/images", root);
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
        {"localization.txt", "a.jpg,mask.png,ignore.png\n", "is not PATH,X0,Y0,X1,Y1"},
        {"localization.txt", "a.jpg,5,2,3,4\n", "ends before it begins"},
        {"localization.txt", "a.jpg,-5,2,3,4\n", "is not PATH"},
        {"image_sizes.txt", "a.jpg,0,7\n", "has a width or height of 0"},
        {"image_sizes.txt", "a.jpg,1,7\na.jpg,1,7\n", "line 2: has a size already: \"a.jpg\""},
        {"../../classes.txt", "", "is empty"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char name[300];
        new_tree("broken");
        put("images/a.jpg", "");
        put("classes.txt", "one\ntwo\n");
        put("metadata/test/image_ids.txt", "a.jpg\nb.jpg\n");
        put("metadata/test/class_labels.txt", "a.jpg,0\nb.jpg,1\n");
        put("metadata/test/localization.txt", "");
        put("metadata/test/image_sizes.txt", "");
        snprintf(name, sizeof name, "metadata/test/%s", cases[i].file);
        put(name, cases[i].text);
        refused("test", ADL_ERR_FORMAT, cases[i].part);
    }
    static char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    put("classes.txt", "one\ntwo\n");
    put("metadata/test/image_ids.txt", longer);
    refused("test", ADL_ERR_LIMIT, "has 4999 bytes");
    put_bytes("metadata/test/image_ids.txt", "a\0b\n", 4);
    refused("test", ADL_ERR_FORMAT, "zero byte");
    refused("tset", ADL_ERR_NOT_FOUND, "metadata/tset: there is no such split");
    refused("../test", ADL_ERR_ARG, "cannot be the name of a split");
    refused("", ADL_ERR_ARG, "cannot be the name of a split");
}

/* A list that is cut off or has a byte replaced leads to a data set or an error. */
static void damaged_lists_end_in_an_answer(void)
{
    static const char text[] = "b/2.jpg,1,2,3,4\na/1.jpg,0,0,0,0\nc, d/3 4.png,1,2,30,40";
    static const char bytes[] = {'\0', '\n', ',', '9', '-', '\r', '/', '\xff'};
    char copy[sizeof text];
    write_lists("damaged");
    struct adl_mem_stats before = adl_mem_stats();
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (size_t j = 0; j <= sizeof bytes; j++) {
            struct adl_error err = {0};
            memcpy(copy, text, sizeof text);
            if (j < sizeof bytes)
                copy[i] = bytes[j];
            put_bytes("metadata/val/localization.txt", copy,
                      j < sizeof bytes ? sizeof text - 1 : i);
            struct adl_dataset *d = open_split("val", &err);
            CU_ASSERT((d != NULL) == (err.kind == ADL_ERR_NONE));
            adl_dataset_free(d);
        }
    }
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

/* --- CUB ---------------------------------------------------------------------------- */

static void write_cub(const char *name)
{
    new_tree(name);
    put("images.txt", "1 001.Albatross/a.jpg\n2 001.Albatross/b.jpg\n4 002.Auk/c d.jpg\n");
    put("train_test_split.txt", "1 0\n2 1\n4 0\n");
    put("image_class_labels.txt", "1 1\n2 1\n4 2\n");
    put("bounding_boxes.txt", "1 60.0 27.0 325.0 304.0\n2 1.9 2.9 10.5 10.0\n4 0.0 0.0 1.0 1.0\n");
    put("classes.txt", "1 001.Albatross\n2 002.Auk\n");
}

static void cub_is_read(void)
{
    write_cub("cub");
    struct adl_dataset *d = must_open("test");
    CU_ASSERT_FATAL(d && d->count == 2 && d->box_count == 2 && d->class_count == 2);
    CU_ASSERT_EQUAL(d->layout, ADL_DATASET_CUB);
    check_image(d, 0, "001.Albatross/a.jpg", 0);
    check_image(d, 1, "002.Auk/c d.jpg", 1);
    /* The first line of the distributed file, and the same box in the metadata of the
     * reference evaluation code. */
    CU_ASSERT(has_box(d, 0, 0, 60, 27, 385, 331));
    CU_ASSERT(d->images[0].width == 0);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "001.Albatross");
    CU_ASSERT_STRING_EQUAL(d->image_dir + strlen(root), "/images");
    adl_dataset_free(d);

    d = must_open("train");
    CU_ASSERT_FATAL(d && d->count == 1);
    CU_ASSERT(has_box(d, 0, 0, 1, 2, 11, 12));
    adl_dataset_free(d);
    d = must_open("val");
    CU_ASSERT(d && d->count == 0 && d->class_count == 2);
    adl_dataset_free(d);
    put("metadata/val/image_ids.txt", "new.jpg\n");
    put("metadata/val/class_labels.txt", "new.jpg,1\n");
    d = must_open("val");
    CU_ASSERT_FATAL(d && d->count == 1 && d->layout == ADL_DATASET_LISTS);
    CU_ASSERT_STRING_EQUAL(d->classes[1], "002.Auk");
    adl_dataset_free(d);
    refused("other", ADL_ERR_NOT_FOUND, "no split \"other\"");
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
        put(cases[i].file, cases[i].text);
        refused("test", ADL_ERR_FORMAT, cases[i].part);
    }
}

/* --- folders ------------------------------------------------------------------------- */

static void folders_are_split_by_name(void)
{
    char path[64];
    unsigned seen[2][30] = {{0}};
    new_tree("folders");
    put("notes.txt", "");
    put("zebra/.hidden.jpg", "");
    put("zebra/readme.txt", "");
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof path, "zebra/%d.%s", i, i % 2 ? "JPEG" : "webp");
        put(path, "");
    }
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "ape/%d.png", i);
        put(path, "");
    }
    static const char *const splits[] = {"train", "val"};
    static const size_t want[2][2] = {{6, 27}, {1, 3}}; /* apes, zebras */
    for (size_t s = 0; s < 2; s++) {
        struct adl_dataset *d = must_open(splits[s]);
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
    struct adl_dataset *d = must_open("all");
    CU_ASSERT_EQUAL(d->count, 37);
    adl_dataset_free(d);
    d = must_open("test");
    CU_ASSERT(d->count == 4 && d->note && strstr(d->note, "val is taken"));
    adl_dataset_free(d);
    refused("tests", ADL_ERR_NOT_FOUND, "not \"tests\"");
}

/* "train" is a split only if it holds class directories. */
static void classes_may_be_called_as_splits(void)
{
    new_tree("trains");
    put("train/1.jpg", "");
    put("train/2.jpg", "");
    put("bus/1.jpg", "");
    struct adl_dataset *d = must_open("all");
    CU_ASSERT(d && d->class_count == 2 && d->count == 3 && !d->note);
    adl_dataset_free(d);
}

static void folders_may_hold_splits(void)
{
    new_tree("split-folders");
    put("train/ape/1.jpg", "");
    put("train/bee/1.jpg", "");
    put("train/cat/2.jpg", "");
    put("test/cat/3.jpg", "");
    struct adl_dataset *d = must_open("test");
    CU_ASSERT_FATAL(d && d->count == 1 && d->class_count == 3);
    check_image(d, 0, "cat/3.jpg", 2);
    CU_ASSERT_STRING_EQUAL(d->image_dir + strlen(root), "/test");
    adl_dataset_free(d);
    d = must_open("train");
    CU_ASSERT_EQUAL(d->count, 3);
    adl_dataset_free(d);
    refused("val", ADL_ERR_NOT_FOUND, "val: there is no such split");
    /* A class that train lacks comes after those of train, whatever its name. */
    put("test/ass/1.jpg", "");
    d = must_open("test");
    CU_ASSERT_FATAL(d && d->count == 2 && d->class_count == 4);
    check_image(d, 0, "ass/1.jpg", 3);
    check_image(d, 1, "cat/3.jpg", 2);
    CU_ASSERT_STRING_EQUAL(d->classes[3], "ass");
    adl_dataset_free(d);
}

static void link_to(const char *target, const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    (void)unlink(full);
    CU_ASSERT_EQUAL_FATAL(symlink(target, full), 0);
}

static void check_left_out(const struct adl_dataset *d, enum adl_left_out why, size_t count,
                           const char *first)
{
    const struct adl_left_out_count *l = &d->left_out[why];
    if (l->count != count || (count > 0 && strcmp(l->names[0], first) != 0))
        TEST_FAIL("kind %d: %zu, the first is %s", (int)why, l->count, count ? l->names[0] : "-");
    else
        CU_PASS("");
}

/* Everything a directory may hold besides images: each thing is counted once, under its path, and
 * a directory without an image is no class. */
static void what_is_no_image_is_counted(void)
{
    static const char *const endings[] = {"jpg", "JPG",  "jpeg", "Jpeg", "jfif", "JFIF",
                                          "jpe", "webp", "WEBP", "png",  "PNG"};
    char path[1024];
    new_tree("left-out");
    for (size_t i = 0; i < ADL_COUNT(endings); i++) {
        snprintf(path, sizeof path, "cat/%zu.%s", i, endings[i]);
        put(path, "");
    }
    put("dog/1.png", "");
    put("dog/a.gif", "");
    put("dog/b.gif", "");
    put("dog/.DS_Store", "");
    put("eel/only.gif", "");
    put("__MACOSX/cat/._1.jpg", "");
    put("stray.jpg", "");
    put("labels.csv", "");
    put("empty/.keep", "");
    snprintf(path, sizeof path, "%s/dog/pipe.jpg", root);
    (void)unlink(path);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    link_to("nowhere.jpg", "dog/gone.jpg");
    link_to("self.jpg", "dog/self.jpg");
    struct adl_dataset *d = must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->class_count, 2);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "cat");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "dog");
    CU_ASSERT_EQUAL(d->count, ADL_COUNT(endings) + 1);
    check_image(d, d->count - 1, "dog/1.png", 1);
    check_left_out(d, ADL_LEFT_OUT_CLASS, 3, "__MACOSX");
    check_left_out(d, ADL_LEFT_OUT_FORMAT, 3, "dog/a.gif");
    check_left_out(d, ADL_LEFT_OUT_OUTSIDE, 1, "stray.jpg");
    check_left_out(d, ADL_LEFT_OUT_SPECIAL, 1, "dog/pipe.jpg");
    check_left_out(d, ADL_LEFT_OUT_DANGLING, 1, "dog/gone.jpg");
    check_left_out(d, ADL_LEFT_OUT_LOOP, 1, "dog/self.jpg");
    adl_dataset_free(d);
}

/* `train --out` inside the data, and pictures drawn into it. */
static void runs_are_no_classes(void)
{
    new_tree("with-runs");
    put("cat/1.jpg", "");
    put("dog/1.jpg", "");
    put("dog/old/state.safetensors", "");
    put("dog/old/overlay.jpg", "");
    put("run/run.json", "");
    put("run/overlay.jpg", "");
    put("runs/1/metrics.jsonl", "");
    put("runs/1/overlay.jpg", "");
    put("100%s.jpg", "");
    struct adl_dataset *d = must_open("all");
    CU_ASSERT_EQUAL(d->class_count, 2);
    CU_ASSERT_EQUAL(d->count, 2);
    check_left_out(d, ADL_LEFT_OUT_RUN, 3, "run");
    check_left_out(d, ADL_LEFT_OUT_CLASS, 1, "runs");
    check_left_out(d, ADL_LEFT_OUT_OUTSIDE, 1, "100%s.jpg");
    adl_dataset_free(d);
}

/* Images of subdirectories belong to the class; no link leads to an image twice or in circles. */
static void classes_may_be_nested(void)
{
    static const char *const want[] = {"ape/10.jpg", "ape/2023/b/1.jpg", "ape/2023/z.jpg",
                                       "ape/9.jpg",  "ape/x.jpg/2.png",  "bee/more/3.jpg"};
    char deep[512] = "deep";
    new_tree("nested");
    for (size_t i = 0; i < 5; i++)
        put(want[i], "");
    put("elsewhere/.keep", "");
    link_to("..", "ape/2023/up");
    link_to("../..", "ape/2023/top");
    link_to("../2023", "ape/x.jpg/again");
    link_to("/", "ape/root");
    put("../dataset-nested-more/3.jpg", "");
    put("bee/.keep", "");
    link_to("../../dataset-nested-more", "bee/more");
    for (int i = 0; i < 70; i++)
        strcat(deep, "/d");
    strcat(deep, "/1.jpg");
    put(deep, "");
    struct adl_dataset *d = must_open("all");
    CU_ASSERT_EQUAL_FATAL(d->count, ADL_COUNT(want));
    for (size_t i = 0; i < ADL_COUNT(want); i++)
        check_image(d, i, want[i], i == 5);
    CU_ASSERT_EQUAL(d->class_count, 2);
    check_left_out(d, ADL_LEFT_OUT_LOOP, 4, "ape/2023/top");
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
        new_tree(name);
        for (size_t k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "%s/cat/%zu.jpg", names[i][k], k);
            put(name, "");
            snprintf(name, sizeof name, "%s/dog/%zu.jpg", names[i][k], k);
            put(name, "");
        }
        struct adl_dataset *d = must_open("val");
        CU_ASSERT_EQUAL_FATAL(d->count, 2);
        check_image(d, 0, "cat/1.jpg", 0);
        adl_dataset_free(d);
        d = must_open("validation");
        CU_ASSERT_EQUAL(d->count, 2);
        adl_dataset_free(d);
        d = must_open("train");
        CU_ASSERT_EQUAL_FATAL(d->count, 2);
        check_image(d, 1, "dog/0.jpg", 1);
        adl_dataset_free(d);
        refused("test", ADL_ERR_NOT_FOUND, "test: there is no such split");
    }
    /* A class of that name beside others is no split. */
    new_tree("valid-class");
    put("valid/1.jpg", "");
    put("void/1.jpg", "");
    struct adl_dataset *d = must_open("all");
    CU_ASSERT(d->class_count == 2 && d->count == 2);
    adl_dataset_free(d);
    new_tree("lists-valid");
    put("metadata/valid/image_ids.txt", "a.jpg\n");
    put("metadata/valid/class_labels.txt", "a.jpg,0\n");
    d = must_open("val");
    CU_ASSERT_EQUAL(d->count, 1);
    adl_dataset_free(d);
}

#define MARK "\xef\xbb\xbf"

/* A byte order mark (Unicode 15, section 23.8) belongs to no name and no number. */
static void byte_order_marks_are_skipped(void)
{
    new_tree("marks");
    put("classes.txt", MARK "ant\nbee\n");
    put("metadata/test/image_ids.txt", MARK "a.jpg\nb.jpg\n");
    put("metadata/test/class_labels.txt", MARK "a.jpg,0\nb.jpg,1\n");
    put("metadata/test/localization.txt", MARK "a.jpg,1,2,3,4\nb.jpg,1,2,3,4\n");
    put("metadata/test/image_sizes.txt", MARK "a.jpg,10,20\r\n");
    struct adl_dataset *d = must_open("test");
    CU_ASSERT_EQUAL_FATAL(d->count, 2);
    check_image(d, 0, "a.jpg", 0);
    CU_ASSERT(d->images[0].width == 10 && has_box(d, 0, 0, 1, 2, 3, 4));
    CU_ASSERT_STRING_EQUAL(d->classes[0], "ant");
    adl_dataset_free(d);
    write_cub("marks-cub");
    put("images.txt", MARK "1 001.Albatross/a.jpg\n");
    put("train_test_split.txt", MARK "1 0\n");
    put("image_class_labels.txt", MARK "1 1\n");
    put("bounding_boxes.txt", MARK "1 1 2 3 4\n");
    put("classes.txt", MARK "1 001.Albatross\n2 002.Auk\n");
    d = must_open("test");
    CU_ASSERT_EQUAL_FATAL(d->count, 1);
    check_image(d, 0, "001.Albatross/a.jpg", 0);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "001.Albatross");
    adl_dataset_free(d);
}

static void cub_without_boxes_and_nested(void)
{
    write_cub("cub-few-boxes/CUB_200_2011");
    char *slash = strrchr(root, '/');
    put("bounding_boxes.txt", "1 1 2 3 4\n4 1 2 3 4\n");
    *slash = '\0'; /* the directory above */
    struct adl_dataset *d = must_open("train");
    CU_ASSERT(d->layout == ADL_DATASET_CUB && d->count == 1 && d->box_count == 0);
    CU_ASSERT_STRING_EQUAL(d->image_dir + strlen(root), "/CUB_200_2011/images");
    adl_dataset_free(d);
    d = must_open("test");
    CU_ASSERT(d->count == 2 && d->box_count == 2);
    adl_dataset_free(d);
    *slash = '/';
    put("bounding_boxes.txt", "1 1 2 3 4\n");
    refused("test", ADL_ERR_FORMAT, "bounding_boxes.txt: has no line for 002.Auk/c d.jpg");
    char list[512];
    snprintf(list, sizeof list, "%s/bounding_boxes.txt", root);
    CU_ASSERT_EQUAL(unlink(list), 0);
    d = must_open("test");
    CU_ASSERT(d->count == 2 && d->box_count == 0);
    adl_dataset_free(d);
}

static void classes_are_matched_by_name(void)
{
    static const char *const model[] = {"zebra", "bee", "ape", "cat"};
    struct adl_error err = {0};
    new_tree("match");
    put("ape/1.jpg", "");
    put("bee/1.jpg", "");
    struct adl_dataset *d = must_open("all");
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, model, 1, &err), 0);
    check_image(d, 0, "ape/1.jpg", 0);
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, model, 4, &err), 1);
    check_image(d, 0, "ape/1.jpg", 2);
    check_image(d, 1, "bee/1.jpg", 1);
    CU_ASSERT(d->class_count == 4 && !strcmp(d->classes[3], "cat"));
    adl_dataset_free(d);

    /* What the model lacks is left out, with the names. */
    put("ape/2.jpg", "");
    d = must_open("all");
    CU_ASSERT_EQUAL(adl_dataset_match_classes(d, model, 2, &err), 1);
    CU_ASSERT_FATAL(d->count == 1 && d->class_count == 2);
    check_image(d, 0, "bee/1.jpg", 1);
    check_left_out(d, ADL_LEFT_OUT_UNKNOWN, 2, "ape");
    adl_dataset_free(d);

    /* Lists of as many classes may spell one differently. */
    write_lists("spelling");
    d = must_open("val");
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
    new_tree("nothing");
    refused("train", ADL_ERR_NOT_FOUND, "is not a data set");
    put("x/readme", "");
    refused("train", ADL_ERR_NOT_FOUND, "hold no image");
    snprintf(root, sizeof root, "%s/dataset-missing", test_tmp_dir());
    refused("train", ADL_ERR_NOT_FOUND, "is not a directory");
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
            new_tree("starved-folder");
            put("ape/1.jpg", "");
            put("bee/2.png", "");
        }
        for (uint64_t n = 1; !d && n < 1000; n++) {
            struct adl_error err = {0};
            adl_mem_fail_nth(n);
            d = open_split(i == 0 ? "val" : i == 1 ? "test" : "all", &err);
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
           {"folders are split by name", folders_are_split_by_name},
           {"classes may be called as splits", classes_may_be_called_as_splits},
           {"folders may hold splits", folders_may_hold_splits},
           {"what is no image is counted", what_is_no_image_is_counted},
           {"runs are no classes", runs_are_no_classes},
           {"classes may be nested", classes_may_be_nested},
           {"splits have other names", splits_have_other_names},
           {"byte order marks are skipped", byte_order_marks_are_skipped},
           {"CUB without boxes, and nested", cub_without_boxes_and_nested},
           {"classes are matched by name", classes_are_matched_by_name},
           {"stray labels are found", stray_labels_are_found},
           {"what is no data set is refused", what_is_no_data_set_is_refused},
           {"data sets survive running out of memory", survives_no_memory});
