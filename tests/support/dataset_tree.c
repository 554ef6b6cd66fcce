#include "support/dataset_tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/test.h"

char tree_root[256];

void tree_new(const char *name)
{
    snprintf(tree_root, sizeof tree_root, "%s/dataset-%s", test_tmp_dir(), name);
    for (char *slash = tree_root + strlen(test_tmp_dir()) + 1; (slash = strchr(slash, '/'));
         slash++) {
        *slash = '\0';
        mkdir(tree_root, 0777);
        *slash = '/';
    }
    mkdir(tree_root, 0777);
}

void tree_put_bytes(const char *path, const char *text, size_t length)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", tree_root, path);
    for (char *slash = full + strlen(tree_root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0777);
        *slash = '/';
    }
    FILE *file = fopen(full, "wb");
    CU_ASSERT_FATAL(file && fwrite(text, 1, length, file) == length);
    fclose(file);
}

void tree_put(const char *path, const char *text)
{
    tree_put_bytes(path, text, strlen(text));
}

struct adl_dataset *tree_open(const char *split, struct adl_error *err)
{
    const struct adl_dataset_options options = {.dir = tree_root, .split = split};
    return adl_dataset_open(&options, err);
}

struct adl_dataset *tree_must_open(const char *split)
{
    struct adl_error err = {0};
    struct adl_dataset *d = tree_open(split, &err);
    if (!d) {
        TEST_FAIL("%s: %s", split, err.message);
        CU_FAIL_FATAL("no data set");
    }
    return d;
}

void tree_refused(const char *split, enum adl_error_kind kind, const char *part)
{
    struct adl_error err = {0};
    struct adl_dataset *d = tree_open(split, &err);
    if (d)
        TEST_FAIL("accepted, expected \"%s\"", part);
    else if (err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("refused as %s \"%s\", expected %s with \"%s\"", test_error_kind(err.kind),
                  err.message, test_error_kind(kind), part);
    else
        CU_PASS("");
    adl_dataset_free(d);
}

void tree_check_image(const struct adl_dataset *d, size_t i, const char *id, int class_id)
{
    CU_ASSERT_FATAL(i < d->count);
    CU_ASSERT_STRING_EQUAL(d->images[i].id, id);
    CU_ASSERT_EQUAL(d->images[i].class_id, class_id);
}

bool tree_has_box(const struct adl_dataset *d, size_t i, size_t box, int x0, int y0, int x1, int y1)
{
    const struct adl_dataset_image *image = &d->images[i];
    if (box >= image->box_count)
        return false;
    struct adl_dataset_box b = d->boxes[image->first_box + box];
    return b.x0 == x0 && b.y0 == y0 && b.x1 == x1 && b.y1 == y1;
}

void tree_check_left_out(const struct adl_dataset *d, enum adl_left_out why, size_t count,
                         const char *first)
{
    const struct adl_left_out_count *l = &d->left_out[why];
    if (l->count != count || (count > 0 && strcmp(l->names[0], first) != 0))
        TEST_FAIL("kind %d: %zu, the first is %s", (int)why, l->count, count ? l->names[0] : "-");
    else
        CU_PASS("");
}
