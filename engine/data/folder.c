/* Reads a directory of images for each class, the layout of torchvision's ImageFolder. Classes are
 * the directories with at least one image in them or below, numbered in the order of their names.
 * Only files with the extension of an image count, and hidden ones do not; folder_list.c finds them
 * and counts the items that are left out. Without train, val and test directories, split.c splits a
 * validation part off by the paths of the images in their class directory. */

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "data/draft.h"
#include "data/folder_list.h"
#include "data/split.h"
#include "io/file.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* --- images --------------------------------------------------------------------- */

/* Adds those of a class's images that belong to the part. */
static int add_images(struct adl_draft *draft, const char *name, const struct adl_names *images,
                      int class_id, enum adl_part part, struct adl_error *err)
{
    bool *chosen = adl_malloc(images->count, sizeof *chosen);
    int result = -1;

    if (!chosen)
        return adl_fail_nomem(err, "the split");
    ADL_TRY(adl_split_choose(images->items, images->count, part, chosen, err));
    for (size_t i = 0; i < images->count; i++) {
        if (!chosen[i])
            continue;
        const char *id = adl_draft_text(draft, err, "%s/%s", name, images->items[i]);
        if (!id)
            goto out;
        ADL_TRY(adl_draft_add_image(draft, id, class_id, err));
    }
    result = 0;
out:
    adl_free(chosen);
    return result;
}

/* --- the layout --------------------------------------------------------------------- */

/* Sets *holds to whether `path` is a directory with subdirectories and, if `strict`, without images
 * beside them. A data set may have a class called "train", whose directory holds images and is not
 * a split. */
static int holds_classes(struct adl_draft *draft, const char *path, bool strict, bool *holds,
                         struct adl_error *err)
{
    struct adl_names dirs = {0};
    size_t images;

    *holds = false;
    if (!path || !adl_file_is_folder(path))
        return 0;
    int result = adl_folder_classes(draft, path, true, &dirs, &images, err);
    *holds = dirs.count > 0 && !(strict && images > 0);
    adl_free(dirs.items);
    return result;
}

/* Sets *parted to whether there are directories for the splits: a directory with one of the usual
 * names holds class directories, or one with another spelling of "train" holds class directories
 * and no images beside them. */
static int find_parts(struct adl_draft *draft, bool *parted, struct adl_error *err)
{
    static const char *const splits[] = {"train", "val", "test"};
    const char *dir = draft->options->dir, *train;
    bool holds;

    *parted = false;
    for (size_t i = 0; i < ADL_COUNT(splits); i++) {
        const char *path = adl_draft_text(draft, err, "%s/%s", dir, splits[i]);
        if (!path || holds_classes(draft, path, false, &holds, err) < 0)
            return -1;
        *parted |= holds;
    }
    if (*parted)
        return 0;
    if (adl_draft_find_split(draft, dir, "train", &train, err) < 0 ||
        holds_classes(draft, train, true, parted, err) < 0)
        return -1;
    return 0;
}

/* Sets the image directory to the one that holds the split's class directories, *part to the part
 * of their images that belongs to the split, and *parted to whether there are directories for the
 * splits. */
static int find_split(struct adl_draft *draft, bool *parted, enum adl_part *part,
                      struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    struct adl_dataset *d = draft->dataset;

    if (find_parts(draft, parted, err) < 0)
        return -1;
    *part = ADL_PART_ALL;
    if (*parted) {
        if (adl_draft_find_split(draft, o->dir, o->split, &d->image_dir, err) < 0)
            return -1;
        if (!d->image_dir)
            return adl_fail(err, ADL_ERR_NOT_FOUND, "%s/%s: there is no such split", o->dir,
                            o->split);
        return 0;
    }
    d->image_dir = adl_draft_text(draft, err, "%s", o->dir);
    if (!d->image_dir)
        return -1;
    return adl_split_find(draft, "a directory for each class", "create train, val and test in it",
                          part, err);
}

/* Reads the classes of train if there are directories for the splits: another split may lack some
 * of them, and its class ids have to agree with those of train. Leaves `classes` empty if the split
 * itself determines them. */
static int read_train_classes(struct adl_draft *draft, bool parted, struct adl_names *classes,
                              struct adl_error *err)
{
    struct adl_names dirs = {0};
    const char *train = NULL;
    int result = -1;

    if (parted && adl_draft_find_split(draft, draft->options->dir, "train", &train, err) < 0)
        return -1;
    if (!train || !strcmp(train, draft->dataset->image_dir))
        return 0;
    ADL_TRY(adl_folder_classes(draft, train, true, &dirs, NULL, err));
    for (size_t i = 0; i < dirs.count; i++) {
        struct adl_names images = {0};
        int listed = adl_folder_images(draft, train, dirs.items[i], true, &images, err);
        adl_free(images.items);
        if (listed < 0)
            goto out;
        if (images.count > 0)
            ADL_TRY(adl_names_add(classes, dirs.items[i], err));
    }
    if (classes->count == 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: the class directories hold no image", train);
        goto out;
    }
    result = 0;
out:
    adl_free(dirs.items);
    return result;
}

/* Adds the images of one directory. If its name is not among the first `fixed` classes, those of
 * train, which are sorted, it is appended to the classes. Without an image it is left out. */
static int add_class(struct adl_draft *draft, const char *name, size_t fixed,
                     struct adl_names *classes, enum adl_part part, struct adl_error *err)
{
    const char *dir = draft->dataset->image_dir;
    struct adl_names images = {0};
    size_t class_id = classes->count;
    int result = -1;

    ADL_TRY(adl_folder_images(draft, dir, name, false, &images, err));
    if (images.count == 0) {
        adl_draft_leave_out(draft, ADL_LEFT_OUT_CLASS, "%s", name);
        result = 0;
        goto out;
    }
    const char **found =
        fixed ? bsearch(&name, classes->items, fixed, sizeof *classes->items, by_name) : NULL;
    if (found)
        class_id = (size_t)(found - classes->items);
    else
        ADL_TRY(adl_names_add(classes, name, err));
    if (class_id >= ADL_LIMIT_CLASSES) {
        adl_fail(err, ADL_ERR_LIMIT,
                 "%s: has more than %d directories with images; that is the limit for classes", dir,
                 ADL_LIMIT_CLASSES);
        goto out;
    }
    result = add_images(draft, name, &images, (int)class_id, part, err);
out:
    adl_free(images.items);
    return result;
}

/* Any directory may hold class directories; folder_read() finds out. */
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
    struct adl_names classes = {0}, present = {0};
    bool parted;
    enum adl_part part;
    int result = -1;

    if (draft->options->images)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: has no metadata/%s for the images in %s; name its directory with "
                        "--metadata",
                        draft->options->dir, draft->options->split, draft->options->images);
    d->upright = true;
    ADL_TRY(find_split(draft, &parted, &part, err));
    ADL_TRY(read_train_classes(draft, parted, &classes, err));
    ADL_TRY(adl_folder_classes(draft, d->image_dir, false, &present, NULL, err));
    if (present.count == 0) {
        adl_fail(err, ADL_ERR_NOT_FOUND,
                 "%s: is not a data set: neither metadata/%s/image_ids.txt nor CUB's lists "
                 "nor a directory for each class",
                 d->image_dir, draft->options->split);
        goto out;
    }
    const size_t fixed = classes.count;
    for (size_t i = 0; i < present.count; i++)
        ADL_TRY(add_class(draft, present.items[i], fixed, &classes, part, err));
    if (d->count == 0 && (part != ADL_PART_VAL || classes.count == 0)) {
        adl_fail(err, ADL_ERR_NOT_FOUND, "%s: the class directories hold no image", d->image_dir);
        goto out;
    }
    d->classes = classes.items;
    d->class_count = classes.count;
    classes.items = NULL;
    result = 0;
out:
    adl_free(classes.items);
    adl_free(present.items);
    return result;
}

const struct adl_layout adl_layout_folder = {ADL_DATASET_FOLDER, folder_match, folder_read};
