/* The images that the operands of `localize` name, and COCO results. */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/tasks/coco.h"
#include "server/tasks/image_list.h"
#include "support/test.h"

static const char *at(const char *name)
{
    static char paths[4][300];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/list%s%s", test_tmp_dir(), *name ? "/" : "", name);
    return path;
}

static void make_tree(void)
{
    static const char *const files[] = {"b.jpg",      "a.PNG",  "c.txt",     ".hidden.jpg",
                                        "sub/z.webp", "sub/.d", "[odd].jpeg"};
    mkdir(at(""), 0700);
    mkdir(at("sub"), 0700);
    mkdir(at("empty"), 0700);
    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        FILE *file = fopen(at(files[i]), "w");
        if (!file || fclose(file) != 0)
            TEST_FAIL("cannot write %s", at(files[i]));
    }
    if (symlink("..", at("sub/loop")) < 0 && access(at("sub/loop"), F_OK) < 0)
        TEST_FAIL("cannot make a link");
}

/* Checks that the operand yields these names, in this order. */
static void gives(const char *operand, const char *const *names, size_t count)
{
    struct adl_image_list list = {0};
    struct adl_error err = {0};

    TEST_OK(adl_image_list_add(&list, operand, &err), &err);
    CU_ASSERT_EQUAL(list.count, count);
    for (size_t i = 0; i < list.count && i < count; i++)
        if (strcmp(list.paths[i], at(names[i])) != 0)
            TEST_FAIL("%s: image %zu is %s, expected %s", operand, i, list.paths[i], at(names[i]));
    adl_image_list_release(&list);
}

/* A FIFO, a text and a directory behind a link are counted; a hidden file is not. */
static void counts_what_is_left_out(void)
{
    struct adl_image_list list = {0};
    struct adl_error err = {0};

    make_tree();
    (void)unlink(at("sub/pipe.jpg"));
    CU_ASSERT_EQUAL(mkfifo(at("sub/pipe.jpg"), 0600), 0);
    TEST_OK(adl_image_list_add(&list, at(""), &err), &err);
    CU_ASSERT_EQUAL(list.count, 4);
    CU_ASSERT_EQUAL_FATAL(list.left_out, 3);
    CU_ASSERT_STRING_EQUAL(list.left_first, at("c.txt"));
    adl_image_list_release(&list);
    (void)unlink(at("sub/pipe.jpg"));
}

static void lists(void)
{
    make_tree();
    gives(at(""), (const char *[]){"[odd].jpeg", "a.PNG", "b.jpg", "sub/z.webp"}, 4);
    gives(at("*.jpg"), (const char *[]){"b.jpg"}, 1);
    gives(at("s?b"), (const char *[]){"sub/z.webp"}, 1);
    gives(at("[odd].jpeg"), (const char *[]){"[odd].jpeg"}, 1);
    gives(at("c.txt"), (const char *[]){"c.txt"}, 1);
    gives(at("none.jpg"), (const char *[]){"none.jpg"}, 1);
}

static void refuses_nothing(void)
{
    static const char *const operands[] = {"empty", "*.gif"};
    make_tree();
    for (size_t i = 0; i < ADL_COUNT(operands); i++) {
        struct adl_image_list list = {0};
        struct adl_error err = {0};
        CU_ASSERT_EQUAL(adl_image_list_add(&list, at(operands[i]), &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, operands[i]));
        adl_image_list_release(&list);
    }
}

/* Every match of a pattern counts, whatever is wrong with the ones before it. */
static void goes_on_after_what_cannot_be_read(void)
{
    struct adl_image_list list = {0};
    struct adl_error err = {0};
    make_tree();
    mkdir(at("aa"), 0700); /* sorts before the images */
    mkdir(at("zz"), 0700); /* and after them */
    (void)unlink(at("ab"));
    CU_ASSERT_EQUAL(mkfifo(at("ab"), 0600), 0); /* nothing writes to it */
    mkdir(at("sub/none"), 0700);                /* below a directory with images it is no problem */
    TEST_OK(adl_image_list_add(&list, at("*"), &err), &err);
    CU_ASSERT_EQUAL(list.count, 5); /* four images and the text */
    CU_ASSERT_PTR_NOT_NULL(list.left_first);
    CU_ASSERT_EQUAL_FATAL(list.problem_count, 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(list.problems[0].message, "/aa: contains no"));
    CU_ASSERT_PTR_NOT_NULL(strstr(list.problems[1].message, "/empty: contains no"));
    CU_ASSERT_PTR_NOT_NULL(strstr(list.problems[2].message, "/zz: contains no"));
    adl_image_list_release(&list);
    /* Where no match has an image, one of the problems is the failure. */
    CU_ASSERT_EQUAL(adl_image_list_add(&list, at("[az][az]"), &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/zz: contains no"));
    CU_ASSERT_EQUAL(list.problem_count, 1);
    adl_image_list_release(&list);
    rmdir(at("aa"));
    (void)unlink(at("ab"));
    rmdir(at("zz"));
    rmdir(at("sub/none"));
}

static void refuses_deep_directories(void)
{
    char path[2000];
    int length = snprintf(path, sizeof path, "%s/deep", test_tmp_dir());
    mkdir(path, 0700);
    for (int i = 0; i <= ADL_LIMIT_FOLDER_DEPTH; i++) {
        length += snprintf(path + length, sizeof path - (size_t)length, "/d");
        mkdir(path, 0700);
    }
    struct adl_image_list list = {0};
    struct adl_error err = {0};
    snprintf(path, sizeof path, "%s/deep", test_tmp_dir());
    CU_ASSERT_EQUAL(adl_image_list_add(&list, path, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_image_list_release(&list);
}

/* Two images, three boxes: x, y, width and height from inclusive corners. */
static int export(struct adl_error *err)
{
    struct adl_localized_box boxes[] = {{.box = {2, 3, 2, 3}, .score = 0.5},
                                        {.box = {0, 0, 9, 4}, .score = 0.25, .confidence = 0.5}};
    struct adl_prediction first = {
        .class_id = 1, .score = 0.75F, .place = {.boxes = boxes, .box_count = 2}};
    struct adl_prediction second = {.class_id = 0,
                                    .score = 0.5F,
                                    .place = {.boxes = boxes + 1, .box_count = 1, .judged = true}};
    char *names[] = {"cat", "dog"};
    struct adl_model model = {.arch = {.num_classes = 2}, .classes = names, .class_count = 2};
    struct adl_coco coco;
    json_t *a = json_string("a.jpg"), *b = json_string("b.jpg");
    int result = -1;

    ADL_TRY(adl_coco_init(&coco, err));
    const struct adl_coco_image images[] = {{a, "a.jpg", 10, 5}, {b, "d/b.jpg", 20, 8}};
    const struct adl_predictions found[] = {{.items = &first, .count = 1},
                                            {.items = &second, .count = 1}};
    ADL_TRY(adl_coco_add(&coco, &images[0], &found[0], err));
    ADL_TRY(adl_coco_add(&coco, &images[1], &found[1], err));
    ADL_TRY(adl_coco_add(&coco, &images[0], &found[0], err)); /* known */
    ADL_TRY(adl_coco_write(&coco, &model, at("boxes.v1.json"), err));
    ADL_TRY(adl_coco_write_annotations(&coco, &model, at("all.json"), err));
    result = 0;
out:
    adl_coco_release(&coco);
    json_decref(a);
    json_decref(b);
    return result;
}

static void exports_coco(void)
{
    struct adl_error err = {0};
    make_tree();
    TEST_OK(export(&err), &err);
    json_t *results = json_load_file(at("boxes.v1.json"), 0, NULL);
    json_t *about = json_load_file(at("boxes.v1_images.json"), 0, NULL);
    json_t *want_results =
        json_pack("[{s:i, s:i, s:[i, i, i, i], s:f}, {s:i, s:i, s:[i, i, i, i], s:f},"
                  " {s:i, s:i, s:[i, i, i, i], s:f}]",
                  "image_id", 1, "category_id", 2, "bbox", 2, 3, 1, 1, "score", 0.75, "image_id", 1,
                  "category_id", 2, "bbox", 0, 0, 10, 5, "score", 0.75, "image_id", 2,
                  "category_id", 1, "bbox", 0, 0, 10, 5, "score", 0.25);
    CU_ASSERT_TRUE(json_is_object(json_object_get(about, "info")));
    json_object_del(about, "info");
    json_t *want_about = json_loads(
        "{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\", \"width\": 10, \"height\": 5},"
        " {\"id\": 2, \"file_name\": \"b.jpg\", \"width\": 20, \"height\": 8}],"
        " \"categories\": [{\"id\": 1, \"name\": \"cat\", \"supercategory\": \"\"},"
        " {\"id\": 2, \"name\": \"dog\", \"supercategory\": \"\"}]}",
        0, NULL);
    CU_ASSERT_TRUE(json_equal(results, want_results));
    CU_ASSERT_TRUE(json_equal(about, want_about));
    json_decref(results);
    json_decref(about);
    json_decref(want_results);
    json_decref(want_about);
}

/* What pycocotools reads: boxes are x, y, w, h, areas w * h, ids unique and from 1. */
static void exports_coco_annotations(void)
{
    struct adl_error err = {0};
    make_tree();
    TEST_OK(export(&err), &err);
    json_t *all = json_load_file(at("all.json"), 0, NULL);
    json_t *want = json_loads(
        "[{\"id\": 1, \"image_id\": 1, \"category_id\": 2, \"bbox\": [2, 3, 1, 1], \"area\": 1,"
        " \"iscrowd\": 0, \"segmentation\": [[2, 3, 3, 3, 3, 4, 2, 4]], \"score\": 0.75},"
        " {\"id\": 2, \"image_id\": 1, \"category_id\": 2, \"bbox\": [0, 0, 10, 5], \"area\": 50,"
        " \"iscrowd\": 0, \"segmentation\": [[0, 0, 10, 0, 10, 5, 0, 5]], \"score\": 0.75},"
        " {\"id\": 3, \"image_id\": 2, \"category_id\": 1, \"bbox\": [0, 0, 10, 5], \"area\": 50,"
        " \"iscrowd\": 0, \"segmentation\": [[0, 0, 10, 0, 10, 5, 0, 5]], \"score\": 0.25}]",
        0, NULL);
    CU_ASSERT_TRUE(json_equal(json_object_get(all, "annotations"), want));
    const json_t *images = json_object_get(all, "images");
    CU_ASSERT_EQUAL(json_array_size(images), 2);
    CU_ASSERT_STRING_EQUAL(
        json_string_value(json_object_get(json_array_get(images, 1), "file_name")), "d/b.jpg");
    CU_ASSERT_TRUE(json_is_object(json_object_get(all, "info")));
    CU_ASSERT_TRUE(json_is_array(json_object_get(all, "licenses")));
    CU_ASSERT_EQUAL(json_array_size(json_object_get(all, "categories")), 2);
    json_decref(all);
    json_decref(want);
}

static void names_are_relative_to_what_holds_all(void)
{
    static const struct {
        const char *operands[2];
        const char *path, *relative;
    } cases[] = {
        {{"", NULL}, "a.PNG", "a.PNG"},
        {{"", NULL}, "sub/z.webp", "sub/z.webp"},
        {{"", NULL}, "sub/../a.PNG", "a.PNG"},
        {{"sub", NULL}, "sub/z.webp", "z.webp"},
        {{"sub/z.webp", NULL}, "sub/z.webp", "z.webp"},
        {{"sub/z.webp", "a.PNG"}, "sub/z.webp", "sub/z.webp"},
        {{"sub/z.webp", "a.PNG"}, "a.PNG", "a.PNG"},
        {{"*.PNG", "sub"}, "sub//z.webp", "sub/z.webp"},
    };
    make_tree();
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_image_list list = {0};
        struct adl_error err = {0};
        struct adl_str text = {0};
        for (size_t k = 0; k < 2 && cases[i].operands[k]; k++)
            TEST_OK(adl_image_list_add(&list, at(cases[i].operands[k]), &err), &err);
        TEST_OK(adl_image_list_relative(&list, at(cases[i].path), &text, &err), &err);
        CU_ASSERT_STRING_EQUAL(text.data, cases[i].relative);
        adl_str_release(&text);
        adl_image_list_release(&list);
    }
}

static void survives_out_of_memory(void)
{
    make_tree();
    size_t before = adl_mem_stats().live_blocks;
    for (uint64_t nth = 1;; nth++) {
        struct adl_image_list list = {0};
        struct adl_error err = {0};
        adl_mem_fail_nth(nth);
        int result = adl_image_list_add(&list, at(""), &err);
        if (result == 0)
            result = export(&err);
        adl_mem_fail_nth(0);
        adl_image_list_release(&list);
        CU_ASSERT_EQUAL_FATAL(adl_mem_stats().live_blocks, before);
        if (result == 0)
            break;
        CU_ASSERT_EQUAL_FATAL(err.kind, ADL_ERR_NOMEM);
    }
}

TEST_SUITE(image_list, {"lists files, directories, patterns", lists},
           {"counts what is left out", counts_what_is_left_out},
           {"refuses operands without images", refuses_nothing},
           {"refuses deep directories", refuses_deep_directories},
           {"goes on after what cannot be read", goes_on_after_what_cannot_be_read},
           {"exports COCO", exports_coco}, {"exports COCO annotations", exports_coco_annotations},
           {"names are relative to what holds all", names_are_relative_to_what_holds_all},
           {"survives running out of memory", survives_out_of_memory});
