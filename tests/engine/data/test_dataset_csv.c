/* data/dataset_open and the reader of one CSV file of paths and labels. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/dataset_tree.h"

/* Writes the list and opens a split of it. */
static struct adl_dataset *open_bytes(const char *bytes, size_t length, const char *split,
                                      const char *images, struct adl_error *err)
{
    char path[300];
    tree_put_bytes("list.csv", bytes, length);
    snprintf(path, sizeof path, "%s/list.csv", tree_root);
    const struct adl_dataset_options options = {.dir = path, .split = split, .images = images};
    *err = (struct adl_error){0};
    return adl_dataset_open(&options, err);
}

static struct adl_dataset *open_text(const char *text, const char *split)
{
    struct adl_error err;
    struct adl_dataset *d = open_bytes(text, strlen(text), split, NULL, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(d != NULL);
    return d;
}

static void refused_bytes(const char *bytes, size_t length, const char *split,
                          enum adl_error_kind kind, const char *part)
{
    struct adl_error err;
    struct adl_dataset *d = open_bytes(bytes, length, split, NULL, &err);
    if (d || err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("\"%s\": %s, expected %s", bytes, d ? "accepted" : err.message, part);
    else
        CU_PASS("");
    adl_dataset_free(d);
}

static void refused(const char *text, enum adl_error_kind kind, const char *part)
{
    refused_bytes(text, strlen(text), "all", kind, part);
}

static void paths_and_labels(void)
{
    tree_new("csv");
    struct adl_dataset *d = open_text("zoo/1.jpg,zebra\nape.png,ape\nzoo/2.jpg,zebra\n", "all");
    CU_ASSERT(d->layout == ADL_DATASET_CSV && d->upright && d->count == 3 && d->box_count == 0);
    CU_ASSERT_STRING_EQUAL(d->image_dir, tree_root);
    CU_ASSERT_EQUAL_FATAL(d->class_count, 2);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "ape");
    CU_ASSERT_STRING_EQUAL(d->classes[1], "zebra");
    tree_check_image(d, 0, "zoo/1.jpg", 1);
    tree_check_image(d, 1, "ape.png", 0);
    tree_check_image(d, 2, "zoo/2.jpg", 1);
    adl_dataset_free(d);
    /* A heading, a byte order mark, CRLF, empty lines, no line end after the last one. */
    d = open_text("\xef\xbb\xbfPath,Label\r\n\r\na.jpg,x\r\n\r\nb.jpg,y", "all");
    CU_ASSERT(d->count == 2 && d->class_count == 2);
    tree_check_image(d, 1, "b.jpg", 1);
    adl_dataset_free(d);
    /* Headings of other tools, and paths as find prints them. */
    d = open_text("filename,class,subset\n./a.jpg,x,train\n.//b/c.jpg,y,train\n", "train");
    CU_ASSERT(d->count == 2 && d->class_count == 2);
    tree_check_image(d, 0, "a.jpg", 0);
    tree_check_image(d, 1, "b/c.jpg", 1);
    adl_dataset_free(d);
    /* Only the first line is a heading. */
    d = open_text("a.jpg,x\npath,label\n", "all");
    CU_ASSERT_EQUAL(d->count, 2);
    adl_dataset_free(d);
}

/* The examples of RFC 4180, section 2, and what they leave open. */
static void quotes(void)
{
    tree_new("csv-quotes");
    struct adl_dataset *d = open_text("\"a,b.jpg\",\"x\"\n"
                                      "\"c\"\"d.jpg\",\"the \"\"y\"\"\"\r\n"
                                      "\"e\nf.jpg\",x\n"
                                      "\" g.jpg\",\"x\"",
                                      "all");
    CU_ASSERT_EQUAL_FATAL(d->count, 4);
    tree_check_image(d, 0, "a,b.jpg", 1);
    tree_check_image(d, 1, "c\"d.jpg", 0);
    tree_check_image(d, 2, "e\nf.jpg", 1);
    tree_check_image(d, 3, " g.jpg", 1);
    CU_ASSERT_STRING_EQUAL(d->classes[0], "the \"y\"");
    adl_dataset_free(d);
    refused("a.jpg,x\nb\"c.jpg,x\n", ADL_ERR_FORMAT, "list.csv line 2: has a quote within");
    refused("\"a\nb.jpg\",x\n\"c\"d,x\n", ADL_ERR_FORMAT, "line 3: has text after a closing quote");
    refused("a.jpg,x\n\"b.jpg,x\nc.jpg,x\n", ADL_ERR_FORMAT, "line 2: has a quote that does not");
    refused("\"", ADL_ERR_FORMAT, "line 1: has a quote that does not");
    refused("a.jpg,\"", ADL_ERR_FORMAT, "line 1: has a quote that does not");
}

static void splits_in_a_column(void)
{
    static const char text[] = "path,label,split\na,dog,train\nb,cat,Training\nc,cat,val\n"
                               "d,ant,valid\ne,cat,test\nf,bee,extra\n";
    tree_new("csv-splits");
    struct adl_dataset *d = open_text(text, "train");
    CU_ASSERT(d->count == 2 && d->class_count == 2 && !strcmp(d->classes[0], "cat"));
    tree_check_image(d, 0, "a", 1);
    adl_dataset_free(d);
    /* What train lacks comes last. */
    d = open_text(text, "validation");
    CU_ASSERT_FATAL(d->count == 2 && d->class_count == 3);
    tree_check_image(d, 0, "c", 0);
    tree_check_image(d, 1, "d", 2);
    CU_ASSERT_STRING_EQUAL(d->classes[2], "ant");
    adl_dataset_free(d);
    d = open_text(text, "all");
    CU_ASSERT(d->count == 6 && d->class_count == 4);
    adl_dataset_free(d);
    d = open_text(text, "extra");
    CU_ASSERT(d->count == 1 && d->class_count == 3);
    adl_dataset_free(d);
    refused_bytes(text, strlen(text), "other", ADL_ERR_NOT_FOUND, "no line of the split \"other\"");
    d = open_text("a,x,test\nb,y,test\n", "test");
    CU_ASSERT(d->count == 2 && d->class_count == 2);
    adl_dataset_free(d);
}

/* Without the column, the same images as in a directory per class of the same names are val. */
static void splits_without_a_column(void)
{
    char text[30 * 12] = "";
    unsigned seen[2][30] = {{0}};
    static const char *const splits[] = {"train", "val"};

    tree_new("csv-tenth");
    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d.png,%s\n", i,
                 i % 3 ? "many" : "few");
    for (size_t s = 0; s < 2; s++) {
        struct adl_dataset *d = open_text(text, splits[s]);
        CU_ASSERT_EQUAL(d->class_count, 2);
        CU_ASSERT_EQUAL(d->count, s ? 3 : 27);
        for (size_t i = 0; i < d->count; i++) {
            int number = atoi(d->images[i].id);
            CU_ASSERT_EQUAL(d->images[i].class_id, number % 3 ? 1 : 0);
            seen[s][number]++;
        }
        adl_dataset_free(d);
    }
    for (int i = 0; i < 30; i++)
        CU_ASSERT_EQUAL(seen[0][i] + seen[1][i], 1);
    struct adl_dataset *d = open_text(text, "test");
    CU_ASSERT(d->count == 3 && d->note && strstr(d->note, "val is taken"));
    adl_dataset_free(d);
    refused_bytes(text, strlen(text), "tests", ADL_ERR_NOT_FOUND, "not \"tests\"");
}

static void malformed_lines_are_refused(void)
{
    static char many[5000];
    tree_new("csv-bad");
    refused("", ADL_ERR_FORMAT, "lists no image");
    refused("path,label\n", ADL_ERR_FORMAT, "lists no image");
    refused("a.jpg;x\n", ADL_ERR_FORMAT, "list.csv line 1: is not PATH,LABEL");
    refused("a.jpg,x\nb.jpg,y,train\n", ADL_ERR_FORMAT, "line 2: has a third field");
    refused("a.jpg,x,train\nb.jpg,y\n", ADL_ERR_FORMAT, "line 2: has no third field");
    refused("a,x,train,1\n", ADL_ERR_FORMAT, "line 1: is not PATH,LABEL");
    refused("a,x,train,1,2\n", ADL_ERR_FORMAT, "line 1: has more than 4 fields");
    refused("a.jpg,\n", ADL_ERR_FORMAT, "line 1: has no label: \"a.jpg\"");
    refused(",x\n", ADL_ERR_FORMAT, "line 1: is not a path");
    refused("/etc/a.jpg,x\n", ADL_ERR_FORMAT, "line 1: is not a path below");
    refused("a/../../b.jpg,x\n", ADL_ERR_FORMAT, "line 1: is not a path below");
    refused("a.jpg, x\n", ADL_ERR_FORMAT, "a space before or after its label: \" x\"");
    refused("a.jpg,\"x\ny\"\n", ADL_ERR_FORMAT, "a control character in its label: \"x?y\"");
    refused("a.jpg,x,\n", ADL_ERR_FORMAT, "third field that cannot be the name of a split");
    refused("a.jpg,x,../b\n", ADL_ERR_FORMAT, "third field that cannot be the name of a split");
    refused("a.jpg,x\nb.jpg,x\n\na.jpg,y\n", ADL_ERR_FORMAT,
            "line 4: lists \"a.jpg\" again, after line 1");
    refused("a.jpg,x\n./a.jpg,y\n", ADL_ERR_FORMAT, "line 2: lists \"a.jpg\" again, after line 1");
    refused("b//a.jpg,x\n", ADL_ERR_FORMAT, "line 1: has a path with an empty part");
    refused("b/./a.jpg,x\n", ADL_ERR_FORMAT, "line 1: has a path with an empty part");
    refused("label,path\nx,a.jpg\n", ADL_ERR_FORMAT, "line 1: is a heading in another order");
    refused_bytes("a.jpg,x\nb\0c,x\n", 14, "all", ADL_ERR_FORMAT, "line 2: holds a zero byte");
    memset(many, 'a', sizeof many - 1);
    refused(many, ADL_ERR_LIMIT, "line 1: has a field of more than 4096 bytes");
    memcpy(many + 2, ",", 1);
    many[3000] = '\0';
    refused(many, ADL_ERR_LIMIT, "line 1: has a label of more than 1024 bytes");
}

static void images_elsewhere(void)
{
    struct adl_error err;
    char text[700];
    tree_new("csv-images");
    int length = snprintf(text, sizeof text, "a.jpg,x\n%s/photos/b/c.jpg,x\n", tree_root);
    char images[300];
    snprintf(images, sizeof images, "%s/photos/", tree_root);
    struct adl_dataset *d = open_bytes(text, (size_t)length, "all", images, &err);
    TEST_OK(d ? 0 : -1, &err);
    CU_ASSERT_FATAL(d && d->count == 2);
    CU_ASSERT_STRING_EQUAL(d->image_dir, images);
    tree_check_image(d, 1, "b/c.jpg", 0);
    adl_dataset_free(d);
    snprintf(images, sizeof images, "%s/phot", tree_root);
    CU_ASSERT_PTR_NULL(open_bytes(text, (size_t)length, "all", images, &err));
    const struct adl_dataset_options both = {.dir = __FILE__, .split = "all", .metadata = "m"};
    adl_error_clear(&err);
    CU_ASSERT_PTR_NULL(adl_dataset_open(&both, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void survives_no_memory(void)
{
    struct adl_error err;
    static const char text[] = "path,label\na,x\nb,y\n\"c\",x\n";
    tree_new("csv-memory");
    for (uint64_t n = 1; n < 100; n++) {
        adl_mem_fail_nth(n);
        struct adl_dataset *d = open_bytes(text, strlen(text), "train", NULL, &err);
        adl_mem_fail_nth(0);
        if (d) {
            adl_dataset_free(d);
            CU_ASSERT(n > 5);
            return;
        }
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    }
    TEST_FAIL("never succeeds");
}

TEST_SUITE(dataset_csv, {"paths and labels", paths_and_labels}, {"quotes", quotes},
           {"splits in a column", splits_in_a_column},
           {"splits without a column", splits_without_a_column},
           {"malformed lines are refused", malformed_lines_are_refused},
           {"images elsewhere", images_elsewhere}, {"survives no memory", survives_no_memory});
