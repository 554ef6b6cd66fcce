/* Data sets: which layout a folder has, and what the layouts fill in. */

#include "data/dataset.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/dataset_parts.h"

bool adl_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool adl_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool adl_is_id(const char *path)
{
    const char *part = path;

    if (!*path || *path == '/')
        return false;
    while (part) {
        size_t length = strcspn(part, "/");
        if (length == 2 && part[0] == '.' && part[1] == '.')
            return false;
        part = part[length] ? part + length + 1 : NULL;
    }
    return true;
}

/* --- filling ----------------------------------------------------------------- */

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

/* Past "12 ", where the line begins with its own number; else NULL. */
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

/* --- opening ---------------------------------------------------------------------- */

/* A split is the name of one folder. */
static int check_split(const char *split, struct adl_error *err)
{
    if (!*split || strchr(split, '/') || !adl_is_id(split))
        return adl_fail(err, ADL_ERR_ARG, "\"%.60s\" is no name of a split", split);
    return 0;
}

static int read_layout(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    const char *dir = o->dir, *metadata = o->metadata, *lists;

    if (!dir && !metadata)
        return adl_fail(err, ADL_ERR_ARG, "the folder of the data set is missing");
    if (dir && !adl_is_folder(dir))
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: is no folder", dir);
    if (!metadata)
        metadata = adl_draft_text(draft, err, "%s/metadata", dir);
    lists = metadata ? adl_draft_text(draft, err, "%s/%s", metadata, o->split) : NULL;
    if (!lists)
        return -1;
    if (o->metadata || adl_is_folder(lists))
        return adl_dataset_read_lists(draft, lists, err);

    const char *cub = adl_draft_text(draft, err, "%s/train_test_split.txt", dir);
    if (!cub)
        return -1;
    if (adl_is_file(cub))
        return adl_dataset_read_cub(draft, err);
    if (adl_is_folder(metadata))
        return adl_dataset_read_lists(draft, lists, err);
    if (o->images)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: has no metadata/%s for the images in %s; --metadata names the folder",
                        dir, o->split, o->images);
    return adl_dataset_read_folder(draft, err);
}

/* Without names the labels say how many classes there are. */
static void count_classes(struct adl_dataset *d)
{
    for (size_t i = 0; !d->classes && i < d->count; i++)
        d->class_count = ADL_MAX(d->class_count, (size_t)d->images[i].class_id + 1);
}

struct adl_dataset *adl_dataset_open(const struct adl_dataset_options *options,
                                     struct adl_error *err)
{
    struct adl_dataset *dataset = adl_calloc(1, sizeof *dataset);
    struct adl_draft draft = {.dataset = dataset, .options = options};
    int result = -1;

    if (!dataset) {
        adl_fail_nomem(err, "the data set");
        return NULL;
    }
    ADL_TRY(check_split(options->split, err));
    ADL_TRY(read_layout(&draft, err));
    ADL_TRY(adl_draft_place_boxes(&draft, err));
    count_classes(dataset);
    result = 0;
out:
    adl_free(draft.boxes);
    if (result < 0) {
        adl_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

void adl_dataset_free(struct adl_dataset *dataset)
{
    if (!dataset)
        return;
    adl_free(dataset->images);
    adl_free(dataset->boxes);
    adl_free(dataset->classes);
    adl_arena_release(&dataset->arena);
    adl_free(dataset);
}

const char *adl_dataset_path(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                             struct adl_error *err)
{
    path->length = 0;
    adl_str_printf(path, "%s/%s", dataset->image_dir, dataset->images[index].id);
    if (path->failed) {
        path->failed = false;
        adl_fail_nomem(err, "a path");
        return NULL;
    }
    return path->data;
}
