/* Builds a data set; see draft.h. */

#include "data/draft.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/lines.h"
#include "io/file.h"

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

int adl_draft_add_class_box(struct adl_draft *draft, size_t image, int class_id,
                            struct adl_dataset_box box, struct adl_error *err)
{
    struct adl_draft_box *boxes =
        adl_array_grow(draft->boxes, &draft->box_capacity, draft->box_count + 1, sizeof *boxes);
    if (!boxes)
        return adl_fail_nomem(err, "the data set's boxes");
    draft->boxes = boxes;
    draft->boxes[draft->box_count++] = (struct adl_draft_box){image, class_id, box};
    return 0;
}

int adl_draft_add_box(struct adl_draft *draft, size_t image, struct adl_dataset_box box,
                      struct adl_error *err)
{
    return adl_draft_add_class_box(draft, image, -1, box, err);
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

int adl_draft_add_mask(struct adl_draft *draft, size_t image, const char *path,
                       struct adl_error *err)
{
    struct adl_draft_mask *masks =
        adl_array_grow(draft->masks, &draft->mask_capacity, draft->mask_count + 1, sizeof *masks);
    if (!masks)
        return adl_fail_nomem(err, "the data set's masks");
    draft->masks = masks;
    const char *copy = adl_draft_text(draft, err, "%s", path);
    if (!copy)
        return -1;
    draft->masks[draft->mask_count++] = (struct adl_draft_mask){image, copy};
    return 0;
}

int adl_draft_place_masks(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;
    size_t first = 0;

    if (draft->mask_count == 0)
        return 0;
    d->masks = adl_malloc(draft->mask_count, sizeof *d->masks);
    if (!d->masks)
        return adl_fail_nomem(err, "the data set's masks");
    d->mask_count = draft->mask_count;
    for (size_t i = 0; i < draft->mask_count; i++)
        d->images[draft->masks[i].image].mask_count++;
    for (size_t i = 0; i < d->count; i++) {
        d->images[i].first_mask = first;
        first += d->images[i].mask_count;
        d->images[i].mask_count = 0;
    }
    for (size_t i = 0; i < draft->mask_count; i++) {
        struct adl_dataset_image *image = &d->images[draft->masks[i].image];
        d->masks[image->first_mask + image->mask_count++] = draft->masks[i].path;
    }
    return 0;
}

void adl_draft_leave_out(struct adl_draft *draft, enum adl_left_out why, const char *fmt, ...)
{
    struct adl_left_out_count *left_out = &draft->dataset->left_out[why];
    char text[ADL_LIMIT_LIST_LINE_BYTES];
    va_list args;

    if (left_out->count < ADL_LEFT_OUT_NAMES) {
        va_start(args, fmt);
        (void)vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        /* NULL when out of memory, which only leaves the name out of the message. */
        left_out->names[left_out->count] = adl_arena_printf(&draft->dataset->arena, "%s", text);
    }
    left_out->count++;
}

/* --- splits --------------------------------------------------------------------- */

/* The names of one split, its usual one first. Keras writes "validation", Roboflow and Kaggle
 * "valid", OpenImages and MATLAB "training". */
static const char *const split_names[][4] = {
    {"train", "training"},
    {"val", "valid", "validation"},
    {"test", "testing"},
};

/* Returns the row of split_names that has `split`, in any case; NULL: it has one name only. */
static const char *const *names_of(const char *split)
{
    for (size_t i = 0; i < ADL_COUNT(split_names); i++)
        for (size_t k = 0; k < ADL_COUNT(split_names[i]) && split_names[i][k]; k++)
            if (!strcasecmp(split, split_names[i][k]))
                return split_names[i];
    return NULL;
}

const char *adl_draft_split_name(const char *split)
{
    const char *const *names = names_of(split);
    return names ? names[0] : split;
}

/* Sets *dir, which is NULL, to the path of the directory in `parent` whose name is `wanted` in any
 * case, the first in byte order if there are several. Leaves it NULL if there is none. */
static int find_any_case(struct adl_draft *draft, const char *parent, const char *wanted,
                         const char **dir, struct adl_error *err)
{
    DIR *listing = opendir(parent);
    int result = -1;

    if (!listing)
        return 0;
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (strcasecmp(entry->d_name, wanted) != 0)
            continue;
        const char *path = adl_draft_text(draft, err, "%s/%s", parent, entry->d_name);
        if (!path)
            goto out;
        if (adl_file_is_folder(path) && (!*dir || strcmp(path, *dir) < 0))
            *dir = path;
    }
    result = 0;
out:
    closedir(listing);
    return result;
}

int adl_draft_find_split(struct adl_draft *draft, const char *parent, const char *split,
                         const char **dir, struct adl_error *err)
{
    const char *const *names = names_of(split);
    const char *path = adl_draft_text(draft, err, "%s/%s", parent, split);

    *dir = NULL;
    if (!path)
        return -1;
    if (adl_file_is_folder(path))
        *dir = path;
    for (size_t k = 0; !*dir && names && k < ADL_COUNT(split_names[0]) && names[k]; k++)
        if (find_any_case(draft, parent, names[k], dir, err) < 0)
            return -1;
    return 0;
}

/* --- class names ---------------------------------------------------------------- */

/* Returns the text after "12 " if the line begins with its line number, here 12; otherwise NULL. */
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
            adl_fail(err, ADL_ERR_LIMIT,
                     "%s: has more than %d classes, or a class name of more than %d bytes", path,
                     ADL_LIMIT_CLASSES, ADL_LIMIT_CLASS_NAME_BYTES);
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
