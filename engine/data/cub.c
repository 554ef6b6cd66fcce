/* Reads CUB-200-2011 (Wah et al., 2011) as distributed: one text file for each property of the
 * images, whose lines begin with the number of the image they are about:
 *
 *   images.txt              1 001.Black_footed_Albatross/NAME.jpg
 *   train_test_split.txt    1 0            1: train, 0: test
 *   image_class_labels.txt  1 1            class ids start at 1
 *   bounding_boxes.txt      1 60.0 27.0 325.0 304.0    x y width height, one box per image
 *   classes.txt             1 001.Black_footed_Albatross
 *
 * The files are joined on the number: images.txt is read first and makes the table, and each of
 * the others fills in a column, so that the order of their lines does not matter. Numbers may have
 * gaps (a subset of the images is a valid data set), and every image, in the wanted split or not,
 * needs a split and a class. Boxes are optional: without their list, and in a train split that
 * lacks some, there are none. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "data/draft.h"
#include "data/lines.h"
#include "io/file.h"

/* Largest side and coordinate: exact in a float as well as in an int. */
#define MAX_COORDINATE 1000000.0

/* One row of the table: an image and its properties. */
struct cub_image {
    const char *id;
    int class_id; /* from 0; -1: not given yet */
    int train;    /* 1: train, 0: test; -1: not given yet */
    bool boxed;
    struct adl_dataset_box box;
};

struct cub {
    struct adl_draft *draft;
    struct cub_image *images; /* by number - 1; the id of a gap is NULL */
    size_t count;             /* the largest number */
    size_t capacity;
    bool has_boxes; /* there is a list of boxes */
};

/* Splits the line at blanks into `count` fields; the last one is the rest of the line, since a path
 * may contain blanks. The fields point into the line, which is cut. `problem` is the message if
 * there are fewer fields. */
static int split_fields(struct adl_lines *lines, char **fields, size_t count, const char *problem,
                        struct adl_error *err)
{
    char *next = lines->line;

    assert(count >= 2);
    for (size_t i = 0; i < count; i++) {
        fields[i] = next;
        char *stop = i + 1 < count ? next + strcspn(next, " \t") : next + strlen(next);
        if (stop == next || (i + 1 < count && !*stop)) {
            lines->length = strlen(lines->line);
            return adl_lines_fail(lines, problem, err);
        }
        next = stop + strspn(stop, " \t");
        *stop = '\0';
    }
    return 0;
}

static int fail_at(const struct adl_lines *lines, const char *id, const char *problem,
                   struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s line %zu: %.200s %s", lines->path, lines->number, id,
                    problem);
}

/* --- the properties ------------------------------------------------------------- */

/* Makes the row of an image; the table grows up to its number. */
static int take_name(struct cub *c, int number, char **fields, struct adl_lines *lines,
                     struct adl_error *err)
{
    size_t needed = (size_t)number;

    if (!adl_dataset_id_valid(fields[1]))
        return fail_at(lines, fields[1], "is not a path below the image directory", err);
    struct cub_image *images = adl_array_grow(c->images, &c->capacity, needed, sizeof *images);
    if (!images)
        return adl_fail_nomem(err, "the data set's images");
    c->images = images;
    for (; c->count < needed; c->count++)
        c->images[c->count] = (struct cub_image){.class_id = -1, .train = -1};
    struct cub_image *image = &c->images[number - 1];
    if (image->id)
        return fail_at(lines, fields[1], "has the number of another image", err);
    image->id = adl_draft_text(c->draft, err, "%s", fields[1]);
    return image->id ? 0 : -1;
}

static int take_split(struct cub_image *image, char **fields, struct adl_lines *lines,
                      struct adl_error *err)
{
    if (image->train >= 0)
        return fail_at(lines, image->id, "is in a split already", err);
    if (!adl_parse_count(fields[1], strlen(fields[1]), 1, &image->train))
        return fail_at(lines, image->id, "is neither in split 0 nor 1", err);
    return 0;
}

static int take_class(struct cub_image *image, char **fields, struct adl_lines *lines,
                      struct adl_error *err)
{
    int number;

    if (image->class_id >= 0)
        return fail_at(lines, image->id, "has a class already", err);
    if (!adl_parse_count(fields[1], strlen(fields[1]), ADL_LIMIT_CLASSES, &number) || number < 1)
        return fail_at(lines, image->id, "has a class that is not a number from 1", err);
    image->class_id = number - 1;
    return 0;
}

/* Sets the box of an image. Its end is its truncated start plus its size, truncated, as in the
 * metadata of the reference evaluation code. */
static int take_box(struct cub_image *image, char **fields, struct adl_lines *lines,
                    struct adl_error *err)
{
    double v[4];

    if (image->boxed)
        return fail_at(lines, image->id, "has a box already", err);
    for (size_t i = 0; i < ADL_COUNT(v); i++) {
        char *end;
        v[i] = strtod(fields[i + 1], &end);
        if (*end || !(v[i] >= 0 && v[i] <= MAX_COORDINATE))
            return fail_at(lines, image->id, "has a box that is not X Y WIDTH HEIGHT", err);
    }
    int x0 = (int)v[0], y0 = (int)v[1];
    image->box = (struct adl_dataset_box){x0, y0, (int)(x0 + v[2]), (int)(y0 + v[3])};
    image->boxed = true;
    return 0;
}

/* --- the lists ---------------------------------------------------------------------- */

/* Writes the fields of a line into the row of its image. */
typedef int take_property(struct cub_image *image, char **fields, struct adl_lines *lines,
                          struct adl_error *err);

static const struct list {
    const char *file;
    size_t fields;
    const char *problem; /* the message for a line with too few fields */
    take_property *take; /* NULL: the list makes the rows */
} lists[] = {
    {"images.txt", 2, "is not NUMBER PATH", NULL},
    {"train_test_split.txt", 2, "is not NUMBER 0|1", take_split},
    {"image_class_labels.txt", 2, "is not NUMBER CLASS", take_class},
    {"bounding_boxes.txt", 5, "is not NUMBER X Y WIDTH HEIGHT", take_box},
};

static int read_list(struct cub *c, const struct list *list, struct adl_error *err)
{
    struct adl_lines lines = {0};
    char *fields[5];
    int result = -1, more, number;
    const char *path = adl_draft_text(c->draft, err, "%s/%s", c->draft->options->dir, list->file);

    if (!path)
        return -1;
    if (list->take == take_box && !adl_file_is_regular(path))
        return 0;
    c->has_boxes |= list->take == take_box;
    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0) {
        ADL_TRY(split_fields(&lines, fields, list->fields, list->problem, err));
        if (!adl_parse_count(fields[0], strlen(fields[0]), ADL_LIMIT_CUB_NUMBER, &number) ||
            number < 1) {
            fail_at(&lines, fields[0], "is not an image number", err);
            goto out;
        }
        if (!list->take) {
            ADL_TRY(take_name(c, number, fields, &lines, err));
            continue;
        }
        struct cub_image *image = (size_t)number <= c->count ? &c->images[number - 1] : NULL;
        if (!image || !image->id) {
            fail_at(&lines, fields[0], "is not the number of an image", err);
            goto out;
        }
        ADL_TRY(list->take(image, fields, &lines, err));
    }
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

static int check_image(const struct cub *c, const struct cub_image *image, struct adl_error *err)
{
    const struct adl_dataset *d = c->draft->dataset;
    const char *missing = image->train < 0      ? lists[1].file
                          : image->class_id < 0 ? lists[2].file
                                                : NULL;

    if (missing)
        return adl_fail(err, ADL_ERR_FORMAT, "%s/%s: has no line for %.200s",
                        c->draft->options->dir, missing, image->id);
    if (d->classes && (size_t)image->class_id >= d->class_count)
        return adl_fail(
            err, ADL_ERR_FORMAT, "%s/%s: %.200s has class %d, but there are only %zu classes",
            c->draft->options->dir, lists[2].file, image->id, image->class_id + 1, d->class_count);
    return 0;
}

/* Sets *boxed to whether every image of the split has a box. Training needs no boxes, so a train
 * split that lacks some is read without any; in other splits a missing box is an error. */
static int check_boxes(const struct cub *c, int train, bool *boxed, struct adl_error *err)
{
    *boxed = c->has_boxes;
    for (size_t i = 0; *boxed && i < c->count; i++) {
        const struct cub_image *image = &c->images[i];
        if (!image->id || image->train != train || image->boxed)
            continue;
        *boxed = false;
        if (train != 1)
            return adl_fail(err, ADL_ERR_FORMAT, "%s/%s: has no line for %.200s",
                            c->draft->options->dir, lists[3].file, image->id);
    }
    return 0;
}

/* Checks every row, and adds the images of the split to the data set. */
static int keep_split(struct cub *c, int train, struct adl_error *err)
{
    bool boxed;

    if (check_boxes(c, train, &boxed, err) < 0)
        return -1;
    for (size_t i = 0; i < c->count; i++) {
        const struct cub_image *image = &c->images[i];
        if (!image->id)
            continue;
        if (check_image(c, image, err) < 0)
            return -1;
        if (image->train == train &&
            (adl_draft_add_image(c->draft, image->id, image->class_id, err) < 0 ||
             (boxed &&
              adl_draft_add_box(c->draft, c->draft->dataset->count - 1, image->box, err) < 0)))
            return -1;
    }
    return 0;
}

static int cub_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    const char *split = adl_draft_text(draft, err, "%s/%s", draft->options->dir, lists[1].file);

    if (!split)
        return -1;
    *fit = adl_file_is_regular(split) ? ADL_LAYOUT_CERTAIN : ADL_LAYOUT_NO;
    return 0;
}

static int cub_read(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    struct cub c = {.draft = draft};
    const char *split = adl_draft_split_name(o->split);
    bool train = !strcmp(split, "train"), test = !strcmp(split, "test");
    int result = -1;

    if (!train && !test && strcmp(split, "val") != 0)
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: CUB has no split \"%s\", only train and test",
                        o->dir, ADL_SHORT(o->split));
    const char *classes = adl_draft_text(draft, err, "%s/classes.txt", o->dir);
    draft->dataset->image_dir = o->images ? adl_draft_text(draft, err, "%s", o->images)
                                          : adl_draft_text(draft, err, "%s/images", o->dir);
    if (!classes || !draft->dataset->image_dir)
        return -1;
    if (adl_file_is_regular(classes))
        ADL_TRY(adl_draft_read_classes(draft, classes, err));
    for (size_t i = 0; i < ADL_COUNT(lists); i++)
        ADL_TRY(read_list(&c, &lists[i], err));
    ADL_TRY(keep_split(&c, train ? 1 : test ? 0 : -1, err));
    result = 0;
out:
    adl_free(c.images);
    return result;
}

const struct adl_layout adl_layout_cub = {ADL_DATASET_CUB, cub_match, cub_read};
