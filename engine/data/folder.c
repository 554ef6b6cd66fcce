/* A directory of images for each class, the layout of torchvision's ImageFolder. Classes are
 * numbered by name. Only files with the extension of an image count, and hidden ones do not.
 *
 * Without train, val and test directories, a validation part is split off: within each class,
 * images are ordered by a hash of their file name, and every tenth one is taken. The split
 * needs no random numbers and no list on disk, and it depends on nothing but the names. */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/draft.h"
#include "image/image_decode.h"
#include "io/file.h"

/* One image in ten is for validation: the fifth of each run of ten in the order of the hash, so
 * that a class of five images already has one. */
#define VAL_EVERY 10
#define VAL_OFFSET 4

enum part { PART_ALL, PART_TRAIN, PART_VAL };

struct names {
    const char **items; /* owned; the texts belong to the data set's arena */
    size_t count;
    size_t capacity;
};

static int append(struct names *names, const char *name, struct adl_error *err)
{
    const char **items =
        adl_array_grow(names->items, &names->capacity, names->count + 1, sizeof *items);
    if (!items)
        return adl_fail_nomem(err, "names of files");
    names->items = items;
    names->items[names->count++] = name;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The subdirectories (`dirs`) or the images of a directory, sorted by name, without hidden
 * ones. */
static int list_directory(struct adl_draft *draft, const char *path, bool dirs, struct names *names,
                          struct adl_error *err)
{
    DIR *dir = opendir(path);
    struct adl_str child = {0};
    int result = -1;

    if (!dir)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || (!dirs && !adl_image_named(entry->d_name)))
            continue;
        child.length = 0;
        adl_str_printf(&child, "%s/%s", path, entry->d_name);
        if (child.failed) {
            adl_fail_nomem(err, "a path");
            goto out;
        }
        if (!(dirs ? adl_file_is_folder(child.data) : adl_file_is_regular(child.data)))
            continue;
        const char *name = adl_draft_text(draft, err, "%s", entry->d_name);
        if (!name)
            goto out;
        ADL_TRY(append(names, name, err));
    }
    if (names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, by_name);
    result = 0;
out:
    adl_str_release(&child);
    closedir(dir);
    return result;
}

/* --- the split -------------------------------------------------------------------- */

struct hashed {
    uint64_t hash;
    size_t index; /* of the name */
};

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Sets chosen[i] for the images that belong to the part. */
static int choose(const struct names *names, enum part part, bool *chosen, struct adl_error *err)
{
    struct hashed *order = adl_malloc(names->count, sizeof *order);

    if (!order)
        return adl_fail_nomem(err, "the split");
    for (size_t i = 0; i < names->count; i++)
        order[i] = (struct hashed){adl_hash_text(ADL_FNV_BASIS, names->items[i]), i};
    qsort(order, names->count, sizeof *order, by_hash);
    for (size_t i = 0; i < names->count; i++)
        chosen[order[i].index] =
            part == PART_ALL || (i % VAL_EVERY == VAL_OFFSET) == (part == PART_VAL);
    adl_free(order);
    return 0;
}

/* Adds the images of one class directory that belong to the part. */
static int add_class(struct adl_draft *draft, const char *path, const char *name, int class_id,
                     enum part part, struct adl_error *err)
{
    const char *dir = adl_draft_text(draft, err, "%s/%s", path, name);
    struct names images = {0};
    bool *chosen = NULL;
    int result = -1;

    if (!dir)
        return -1;
    ADL_TRY(list_directory(draft, dir, false, &images, err));
    chosen = adl_malloc(images.count, sizeof *chosen);
    if (!chosen) {
        adl_fail_nomem(err, "the split");
        goto out;
    }
    ADL_TRY(choose(&images, part, chosen, err));
    for (size_t i = 0; i < images.count; i++) {
        if (!chosen[i])
            continue;
        const char *id = adl_draft_text(draft, err, "%s/%s", name, images.items[i]);
        if (!id)
            goto out;
        ADL_TRY(adl_draft_add_image(draft, id, class_id, err));
    }
    result = 0;
out:
    adl_free(chosen);
    adl_free(images.items);
    return result;
}

/* --- the layout --------------------------------------------------------------------- */

/* Whether `path` is a directory with subdirectories. A data set may have a class called "train",
 * whose directory holds images and is not a split. */
static int holds_classes(struct adl_draft *draft, const char *path, bool *holds,
                         struct adl_error *err)
{
    struct names dirs = {0};
    *holds = false;
    if (!adl_file_is_folder(path))
        return 0;
    int result = list_directory(draft, path, true, &dirs, err);
    *holds = dirs.count > 0;
    adl_free(dirs.items);
    return result;
}

/* Finds the directory of the split's class directories, and which part of their images belongs
 * to it. *parted: there are directories for the splits. */
static int find_split(struct adl_draft *draft, bool *parted, enum part *part, struct adl_error *err)
{
    static const char *const splits[] = {"train", "val", "test"};
    const struct adl_dataset_options *o = draft->options;
    struct adl_dataset *d = draft->dataset;

    *parted = false;
    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        const char *path = adl_draft_text(draft, err, "%s/%s", o->dir, splits[i]);
        bool holds;
        if (!path || holds_classes(draft, path, &holds, err) < 0)
            return -1;
        *parted |= holds;
    }
    *part = PART_ALL;
    d->image_dir = adl_draft_text(draft, err, *parted ? "%s/%s" : "%s", o->dir, o->split);
    if (!d->image_dir)
        return -1;
    if (*parted && !adl_file_is_folder(d->image_dir))
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: there is no such split", d->image_dir);
    if (*parted || !strcmp(o->split, "all"))
        return 0;
    *part = !strcmp(o->split, "train") ? PART_TRAIN : PART_VAL;
    if (!strcmp(o->split, "test")) {
        d->note = adl_draft_text(draft, err,
                                 "%s has no test split: val is taken, every tenth image of a "
                                 "class; --split all takes every image",
                                 o->dir);
        return d->note ? 0 : -1;
    }
    if (*part == PART_VAL && strcmp(o->split, "val") != 0)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: a directory for each class has the splits train, val (every tenth "
                        "image) and all, not \"%.60s\"; create train, val and test in it",
                        o->dir, o->split);
    return 0;
}

/* The class names. If there are directories for the splits, they are those of train: another
 * split may lack some classes, and its ids have to agree. */
static int read_classes(struct adl_draft *draft, bool parted, struct names *classes,
                        struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;
    const char *path = d->image_dir;

    if (parted) {
        path = adl_draft_text(draft, err, "%s/train", draft->options->dir);
        if (!path)
            return -1;
        if (!adl_file_is_folder(path))
            path = d->image_dir;
    }
    if (list_directory(draft, path, true, classes, err) < 0)
        return -1;
    if (classes->count == 0)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: is not a data set: neither metadata/%s/image_ids.txt nor CUB's lists "
                        "nor a directory for each class",
                        path, draft->options->split);
    if (classes->count > ADL_LIMIT_CLASSES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: has %zu directories; at most %d classes are read",
                        path, classes->count, ADL_LIMIT_CLASSES);
    return 0;
}

/* Any directory may be one of class directories; the reader finds out. */
static int folder_match(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err)
{
    (void)draft;
    (void)err;
    *fit = ADL_LAYOUT_POSSIBLE;
    return 0;
}

static int folder_read(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;
    struct names classes = {0}, present = {0};
    bool parted;
    enum part part;
    int result = -1;

    if (draft->options->images)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: has no metadata/%s for the images in %s; name its directory with "
                        "--metadata",
                        draft->options->dir, draft->options->split, draft->options->images);
    ADL_TRY(find_split(draft, &parted, &part, err));
    ADL_TRY(read_classes(draft, parted, &classes, err));
    ADL_TRY(list_directory(draft, d->image_dir, true, &present, err));
    for (size_t i = 0; i < present.count; i++) {
        const char **found = bsearch(&present.items[i], classes.items, classes.count,
                                     sizeof *classes.items, by_name);
        if (!found) {
            adl_fail(err, ADL_ERR_FORMAT, "%s/%s: train has no class of that name", d->image_dir,
                     present.items[i]);
            goto out;
        }
        ADL_TRY(add_class(draft, d->image_dir, present.items[i], (int)(found - classes.items), part,
                          err));
    }
    d->classes = classes.items;
    d->class_count = classes.count;
    classes.items = NULL;
    if (d->count == 0 && part != PART_VAL) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: the class directories hold no image", d->image_dir);
        goto out;
    }
    result = 0;
out:
    adl_free(classes.items);
    adl_free(present.items);
    return result;
}

const struct adl_layout adl_layout_folder = {ADL_DATASET_FOLDER, folder_match, folder_read};
