/* CUB-200-2011 (Wah et al., 2011) as distributed: five lists that share an
 * image number, one for each property. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_parts.h"

/* Sides and coordinates; exact in float as in int. */
#define MAX_COORDINATE 1000000.0

/* One line of images.txt and what the other lists say. */
struct bird {
    const char *id;
    int class_id; /* -1: not said */
    int train;    /* 0, 1; -1: not said */
    bool boxed;
    struct adl_dataset_box box;
};

struct cub {
    struct adl_draft *draft;
    struct bird *birds; /* by number - 1; an id of NULL is no image */
    size_t count;       /* the largest number */
    size_t capacity;
};

/* Splits at blanks; the last field is the rest of the line. The fields stay
 * inside the line, which is cut. */
static int split_fields(struct adl_lines *lines, char **fields, size_t count, const char *form,
                        struct adl_error *err)
{
    char *at = lines->line;

    assert(count >= 2);
    for (size_t i = 0; i < count; i++) {
        fields[i] = at;
        char *stop = i + 1 < count ? at + strcspn(at, " \t") : at + strlen(at);
        if (stop == at || (i + 1 < count && !*stop)) {
            lines->length = strlen(lines->line);
            return adl_lines_fail(lines, form, err);
        }
        at = stop + strspn(stop, " \t");
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

static int take_name(struct cub *c, int number, char **fields, struct adl_lines *lines,
                     struct adl_error *err)
{
    size_t needed = (size_t)number;

    if (!adl_is_id(fields[1]))
        return fail_at(lines, fields[1], "is not a path below the image folder", err);
    struct bird *birds = adl_array_grow(c->birds, &c->capacity, needed, sizeof *birds);
    if (!birds)
        return adl_fail_nomem(err, "the data set's images");
    c->birds = birds;
    for (; c->count < needed; c->count++)
        c->birds[c->count] = (struct bird){.class_id = -1, .train = -1};
    struct bird *bird = &c->birds[number - 1];
    if (bird->id)
        return fail_at(lines, fields[1], "has the number of another image", err);
    bird->id = adl_draft_text(c->draft, err, "%s", fields[1]);
    return bird->id ? 0 : -1;
}

static int take_split(struct bird *bird, char **fields, struct adl_lines *lines,
                      struct adl_error *err)
{
    if (bird->train >= 0)
        return fail_at(lines, bird->id, "is in a split already", err);
    if (!adl_parse_count(fields[1], strlen(fields[1]), 1, &bird->train))
        return fail_at(lines, bird->id, "is neither in split 0 nor 1", err);
    return 0;
}

static int take_class(struct bird *bird, char **fields, struct adl_lines *lines,
                      struct adl_error *err)
{
    int number;

    if (bird->class_id >= 0)
        return fail_at(lines, bird->id, "has a class already", err);
    if (!adl_parse_count(fields[1], strlen(fields[1]), ADL_LIMIT_CLASSES, &number) || number < 1)
        return fail_at(lines, bird->id, "has a class that is no number from 1", err);
    bird->class_id = number - 1;
    return 0;
}

static int take_box(struct bird *bird, char **fields, struct adl_lines *lines,
                    struct adl_error *err)
{
    double v[4];

    if (bird->boxed)
        return fail_at(lines, bird->id, "has a box already", err);
    for (size_t i = 0; i < ADL_COUNT(v); i++) {
        char *end;
        v[i] = strtod(fields[i + 1], &end);
        if (*end || !(v[i] >= 0 && v[i] <= MAX_COORDINATE))
            return fail_at(lines, bird->id, "has a box that is not X Y WIDTH HEIGHT", err);
    }
    int x0 = (int)v[0], y0 = (int)v[1];
    bird->box = (struct adl_dataset_box){x0, y0, (int)(x0 + v[2]), (int)(y0 + v[3])};
    bird->boxed = true;
    return 0;
}

/* --- the lists ---------------------------------------------------------------------- */

typedef int take_property(struct bird *bird, char **fields, struct adl_lines *lines,
                          struct adl_error *err);

static const struct list {
    const char *file;
    size_t fields;
    const char *form;
    take_property *take; /* NULL: the images themselves */
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
    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0) {
        ADL_TRY(split_fields(&lines, fields, list->fields, list->form, err));
        if (!adl_parse_count(fields[0], strlen(fields[0]), ADL_LIMIT_CUB_NUMBER, &number) ||
            number < 1) {
            fail_at(&lines, fields[0], "is no number of an image", err);
            goto out;
        }
        if (!list->take) {
            ADL_TRY(take_name(c, number, fields, &lines, err));
            continue;
        }
        struct bird *bird = (size_t)number <= c->count ? &c->birds[number - 1] : NULL;
        if (!bird || !bird->id) {
            fail_at(&lines, fields[0], "is the number of no image", err);
            goto out;
        }
        ADL_TRY(list->take(bird, fields, &lines, err));
    }
    result = more;
out:
    adl_lines_close(&lines);
    return result;
}

static int check_bird(const struct cub *c, const struct bird *bird, struct adl_error *err)
{
    const struct adl_dataset *d = c->draft->dataset;
    const char *missing = bird->train < 0      ? lists[1].file
                          : bird->class_id < 0 ? lists[2].file
                          : !bird->boxed       ? lists[3].file
                                               : NULL;

    if (missing)
        return adl_fail(err, ADL_ERR_FORMAT, "%s/%s: has no line for %.200s",
                        c->draft->options->dir, missing, bird->id);
    if (d->classes && (size_t)bird->class_id >= d->class_count)
        return adl_fail(err, ADL_ERR_FORMAT, "%s/%s: %.200s has class %d, but there are %zu",
                        c->draft->options->dir, lists[2].file, bird->id, bird->class_id + 1,
                        d->class_count);
    return 0;
}

static int keep_split(struct cub *c, int train, struct adl_error *err)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct bird *bird = &c->birds[i];
        if (!bird->id)
            continue;
        if (check_bird(c, bird, err) < 0)
            return -1;
        if (bird->train == train &&
            (adl_draft_add_image(c->draft, bird->id, bird->class_id, err) < 0 ||
             adl_draft_add_box(c->draft, c->draft->dataset->count - 1, bird->box, err) < 0))
            return -1;
    }
    return 0;
}

int adl_dataset_read_cub(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    struct cub c = {.draft = draft};
    bool train = !strcmp(o->split, "train"), test = !strcmp(o->split, "test");
    int result = -1;

    draft->dataset->layout = ADL_DATASET_CUB;
    if (!train && !test && strcmp(o->split, "val") != 0)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: CUB has no split \"%.60s\", only train and "
                        "test",
                        o->dir, o->split);
    const char *classes = adl_draft_text(draft, err, "%s/classes.txt", o->dir);
    draft->dataset->image_dir = o->images ? adl_draft_text(draft, err, "%s", o->images)
                                          : adl_draft_text(draft, err, "%s/images", o->dir);
    if (!classes || !draft->dataset->image_dir)
        return -1;
    if (adl_is_file(classes))
        ADL_TRY(adl_draft_read_classes(draft, classes, err));
    for (size_t i = 0; i < ADL_COUNT(lists); i++)
        ADL_TRY(read_list(&c, &lists[i], err));
    ADL_TRY(keep_split(&c, train ? 1 : test ? 0 : -1, err));
    result = 0;
out:
    adl_free(c.birds);
    return result;
}
