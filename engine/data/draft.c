/* A data set being built; see draft.h. */

#include "data/draft.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "data/lines.h"

/* --- images and boxes ------------------------------------------------------------- */

const char *adl_draft_text(struct adl_draft *draft, struct adl_error *err, const char *fmt, ...)
{
    char text[2 * ADL_LIMIT_LIST_LINE_BYTES];
    va_list args;

    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof text) {
        adl_fail(err, ADL_ERR_LIMIT, "a path is longer than %zu bytes: %.60s...", sizeof text - 1,
                 text);
        return NULL;
    }
    const char *copy = adl_arena_printf(&draft->dataset->arena, "%s", text);
    if (!copy)
        adl_fail_nomem(err, "the data set");
    return copy;
}

int adl_draft_add_image(struct adl_draft *draft, const char *id, int class_id,
                        struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;

    if (d->count == ADL_LIMIT_DATASET_IMAGES)
        return adl_fail(err, ADL_ERR_LIMIT, "the data set has more than %d images",
                        ADL_LIMIT_DATASET_IMAGES);
    struct adl_dataset_image *images =
        adl_array_grow(d->images, &draft->image_capacity, d->count + 1, sizeof *images);
    if (!images)
        return adl_fail_nomem(err, "the data set's images");
    d->images = images;
    const char *copy = adl_draft_text(draft, err, "%s", id);
    if (!copy)
        return -1;
    d->images[d->count++] = (struct adl_dataset_image){.id = copy, .class_id = class_id};
    return 0;
}

int adl_draft_add_box(struct adl_draft *draft, size_t image, struct adl_dataset_box box,
                      struct adl_error *err)
{
    struct adl_draft_box *boxes =
        adl_array_grow(draft->boxes, &draft->box_capacity, draft->box_count + 1, sizeof *boxes);
    if (!boxes)
        return adl_fail_nomem(err, "the data set's boxes");
    draft->boxes = boxes;
    draft->boxes[draft->box_count++] = (struct adl_draft_box){image, box};
    return 0;
}

int adl_draft_place_boxes(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;
    size_t first = 0;

    /* A counting sort: count the boxes of each image, turn the counts into offsets, and
     * count again while filling in. */
    d->boxes = adl_malloc(draft->box_count, sizeof *d->boxes);
    if (!d->boxes)
        return adl_fail_nomem(err, "the data set's boxes");
    d->box_count = draft->box_count;
    for (size_t i = 0; i < draft->box_count; i++)
        d->images[draft->boxes[i].image].box_count++;
    for (size_t i = 0; i < d->count; i++) {
        d->images[i].first_box = first;
        first += d->images[i].box_count;
        d->images[i].box_count = 0;
    }
    for (size_t i = 0; i < draft->box_count; i++) {
        struct adl_dataset_image *image = &d->images[draft->boxes[i].image];
        d->boxes[image->first_box + image->box_count++] = draft->boxes[i].box;
    }
    return 0;
}

/* --- class names ---------------------------------------------------------------- */

/* What follows "12 " if the line begins with its own number, 12; otherwise NULL. */
static const char *after_number(const char *line, size_t number)
{
    size_t digits = strcspn(line, " \t");
    int value;

    if (!adl_parse_count(line, digits, ADL_LIMIT_CLASSES, &value) || (size_t)value != number)
        return NULL;
    line += digits;
    line += strspn(line, " \t");
    return *line ? line : NULL;
}

int adl_draft_read_classes(struct adl_draft *draft, const char *path, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;
    bool numbered = true;
    struct adl_lines lines;
    size_t capacity = 0;
    int result = -1, more;

    ADL_TRY(adl_lines_open(&lines, path, err));
    while ((more = adl_lines_next(&lines, err)) > 0) {
        if (d->class_count == ADL_LIMIT_CLASSES || lines.length > ADL_LIMIT_CLASS_NAME_BYTES) {
            adl_fail(err, ADL_ERR_LIMIT, "%s: at most %d classes with names of up to %d bytes",
                     path, ADL_LIMIT_CLASSES, ADL_LIMIT_CLASS_NAME_BYTES);
            goto out;
        }
        const char **names =
            adl_array_grow(d->classes, &capacity, d->class_count + 1, sizeof *names);
        if (!names) {
            adl_fail_nomem(err, "class names");
            goto out;
        }
        d->classes = names;
        const char *name = adl_draft_text(draft, err, "%s", lines.line);
        if (!name)
            goto out;
        d->classes[d->class_count++] = name;
        numbered &= after_number(name, lines.number) != NULL;
    }
    if (more < 0)
        goto out;
    if (d->class_count == 0) {
        adl_fail(err, ADL_ERR_FORMAT, "%s: is empty", path);
        goto out;
    }
    for (size_t i = 0; numbered && i < d->class_count; i++)
        d->classes[i] = after_number(d->classes[i], i + 1);
    result = 0;
out:
    adl_lines_close(&lines);
    return result;
}
