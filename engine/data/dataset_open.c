/* Opens data sets: finds the layout of a directory and lets that layout's reader fill in a
 * draft. A new layout needs a file that defines a struct adl_layout, its declaration in
 * draft.h, a value of enum adl_dataset_layout, and a row here. */

#include "data/dataset_open.h"

#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "data/draft.h"
#include "data/split.h"
#include "io/file.h"

/* In order of precedence. Lists come before CUB so that lists can be added to a directory
 * of CUB; any directory could be a folder data set, so that layout comes last. */
static const struct adl_layout *const layouts[] = {
    &adl_layout_json, &adl_layout_csv,  &adl_layout_lists,  &adl_layout_cub,
    &adl_layout_voc,  &adl_layout_yolo, &adl_layout_folder,
};

/* Refuses a split that cannot be the name of one directory. */
static int check_split(const char *split, struct adl_error *err)
{
    if (!*split || strchr(split, '/') || !adl_dataset_id_valid(split))
        return adl_fail(err, ADL_ERR_ARG, "\"%s\" cannot be the name of a split", ADL_SHORT(split));
    return 0;
}

/* Returns the first layout that matches for certain, or else the first that is possible; NULL on
 * failure. */
static const struct adl_layout *find_layout(struct adl_draft *draft, struct adl_error *err)
{
    const struct adl_layout *possible = NULL;

    for (size_t i = 0; i < ADL_COUNT(layouts); i++) {
        enum adl_layout_fit fit = ADL_LAYOUT_NO;
        if (layouts[i]->match(draft, &fit, err) < 0)
            return NULL;
        if (fit == ADL_LAYOUT_CERTAIN)
            return layouts[i];
        if (fit == ADL_LAYOUT_POSSIBLE && !possible)
            possible = layouts[i];
    }
    return possible;
}

/* Sets nested->dir to the directory of CUB's lists, which may be DIR/CUB_200_2011 or
 * DIR/CUB_200_2011/CUB_200_2011: the archive holds the lists in a directory of that name,
 * and some tools unpack it into another one. Leaves it unchanged if there are no
 * lists. */
static int find_nested(struct adl_draft *draft, struct adl_dataset_options *nested,
                       struct adl_error *err)
{
    static const char name[] = "CUB_200_2011", list[] = "train_test_split.txt";
    const char *dir = draft->options->dir;

    for (int depth = 0; depth < 3; depth++) {
        const char *path = adl_draft_text(draft, err, "%s/%s", dir, list);
        if (!path)
            return -1;
        if (adl_file_is_regular(path)) {
            nested->dir = dir;
            return 0;
        }
        dir = adl_draft_text(draft, err, "%s/%s", dir, name);
        if (!dir)
            return -1;
        if (!adl_file_is_folder(dir))
            return 0;
    }
    return 0;
}

/* Finds the layout and reads the data set. `nested` is memory for the options of a data set in a
 * subdirectory. */
static int read_layout(struct adl_draft *draft, struct adl_dataset_options *nested,
                       struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;

    if (!o->dir && !o->metadata)
        return adl_fail(err, ADL_ERR_ARG,
                        "neither the directory of the data set nor that of its metadata "
                        "is given");
    if (o->dir && !adl_file_is_folder(o->dir) && !adl_file_is_regular(o->dir))
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: is neither a directory nor a file", o->dir);
    *nested = *o;
    const struct adl_layout *layout = find_layout(draft, err);
    if (layout == &adl_layout_folder) {
        if (find_nested(draft, nested, err) < 0)
            return -1;
        draft->options = nested;
        layout = find_layout(draft, err);
    }
    if (!layout)
        return -1;
    draft->dataset->layout = layout->id;
    int result = layout->read(draft, err);
    draft->options = o;
    return result;
}

/* Sets the number of classes from the labels if the classes have no names. */
static void count_classes(struct adl_dataset *d)
{
    for (size_t i = 0; !d->classes && i < d->count; i++) {
        const struct adl_dataset_image *image = &d->images[i];
        size_t last = image->label_count
                          ? (size_t)d->labels[image->first_label + image->label_count - 1]
                          : (size_t)image->class_id;
        d->class_count = ADL_MAX(d->class_count, last + 1);
    }
}

/* Sets the directory of the masks: the one that is given, or else that of the images if lists name
 * masks. */
static int find_masks(struct adl_draft *draft, struct adl_error *err)
{
    struct adl_dataset *d = draft->dataset;

    d->masked = d->mask_count > 0 || draft->options->masks;
    if (d->masked && d->several)
        return adl_fail(err, ADL_ERR_ARG,
                        "masks do not say which of several classes they show; images with "
                        "several labels can have boxes");
    if (!draft->options->masks) {
        d->mask_dir = d->mask_count > 0 ? d->image_dir : NULL;
        return 0;
    }
    if (!adl_file_is_folder(draft->options->masks))
        return adl_fail(err, ADL_ERR_NOT_FOUND, "%s: is not a directory", draft->options->masks);
    d->mask_dir = adl_draft_text(draft, err, "%s", draft->options->masks);
    return d->mask_dir ? 0 : -1;
}

static struct adl_dataset *open_split(const struct adl_dataset_options *options,
                                      struct adl_error *err)
{
    struct adl_dataset *dataset = adl_calloc(1, sizeof *dataset);
    struct adl_draft draft = {.dataset = dataset, .options = options};
    struct adl_dataset_options nested;
    int result = -1;

    if (!dataset) {
        adl_fail_nomem(err, "the data set");
        return NULL;
    }
    ADL_TRY(check_split(options->split, err));
    ADL_TRY(read_layout(&draft, &nested, err));
    if (!dataset->split && !(dataset->split = adl_draft_text(&draft, err, "%s", options->split)))
        goto out;
    if (!options->multi_label) {
        ADL_TRY(adl_draft_place_boxes(&draft, err));
    } else if (adl_draft_place_labels(&draft, err) < 0) {
        adl_error_context(err, "%s", options->dir ? options->dir : options->metadata);
        goto out;
    }
    ADL_TRY(adl_draft_place_masks(&draft, err));
    ADL_TRY(find_masks(&draft, err));
    count_classes(dataset);
    if (options->exif != ADL_EXIF_AUTO)
        dataset->upright = options->exif == ADL_EXIF_APPLY;
    result = 0;
out:
    adl_free(draft.boxes);
    adl_free(draft.masks);
    adl_free(draft.labels);
    if (result < 0) {
        adl_dataset_free(dataset);
        return NULL;
    }
    return dataset;
}

/* --- own divisions ------------------------------------------------------------------- */

/* Fails if the data set has a val split of its own. */
static int refuse_own_val(const struct adl_dataset_options *plain, struct adl_error *err)
{
    struct adl_dataset_options options = *plain;
    struct adl_error none = {0};

    options.split = "val";
    struct adl_dataset *own = open_split(&options, &none);
    size_t count = own ? own->count : 0;
    adl_dataset_free(own);
    if (!own && none.kind != ADL_ERR_NOT_FOUND)
        return adl_fail(err, none.kind, "%s", none.message);
    if (count > 0)
        return adl_fail(err, ADL_ERR_ARG,
                        "%s: has a val split of its own; --val-share and --folds are for data "
                        "without one",
                        options.dir ? options.dir : options.metadata);
    return 0;
}

/* Opens train or val as options->division says. If the data set has no splits, test is val. */
static struct adl_dataset *open_divided(const struct adl_dataset_options *options,
                                        struct adl_error *err)
{
    struct adl_dataset_options plain = *options;
    const char *split = adl_draft_split_name(options->split);
    bool train = !strcmp(split, "train"), test = !strcmp(split, "test");

    plain.division = (struct adl_dataset_division){0};
    if (!train && !test && strcmp(split, "val") != 0)
        return open_split(&plain, err);
    if (adl_division_check(&options->division, err) < 0)
        return NULL;
    plain.split = "train";
    struct adl_dataset *dataset = open_split(&plain, err);
    if (!dataset)
        return NULL;
    if (dataset->drawn || test) {
        plain.split = dataset->drawn ? "all" : "test";
        test &= !dataset->drawn;
        adl_dataset_free(dataset);
        dataset = open_split(&plain, err);
        if (!dataset || test)
            return dataset;
    } else if (refuse_own_val(&plain, err) < 0) {
        adl_dataset_free(dataset);
        return NULL;
    }
    if (adl_dataset_divide(dataset, &options->division, !train,
                           options->dir ? options->dir : options->metadata, err) < 0) {
        adl_dataset_free(dataset);
        return NULL;
    }
    dataset->whole = false;
    return dataset;
}

struct adl_dataset *adl_dataset_open(const struct adl_dataset_options *options,
                                     struct adl_error *err)
{
    return adl_dataset_is_divided(&options->division) ? open_divided(options, err)
                                                      : open_split(options, err);
}
