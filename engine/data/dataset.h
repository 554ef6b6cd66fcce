#ifndef ADL_DATA_DATASET_H
#define ADL_DATA_DATASET_H

/* A data set: its images, the class of each image, and the boxes of its objects.
 * The loader reads the pixels. data/dataset_open.h reads a data set from disk. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* A true box in pixels of the original image, with the ends that the reference's
 * metadata has: one pixel past the inclusive box, except at the image's border. */
struct adl_dataset_box {
    int x0, y0, x1, y1; /* 0 <= x0 <= x1, 0 <= y0 <= y1 */
};

struct adl_dataset_image {
    const char *id; /* path relative to the image directory, extension included */
    /* With several labels: that of its labels which the fewest images have, of equally rare ones
     * the first; 0 for an image without a label, which is `bare`. */
    int class_id;
    bool bare;          /* it has no label: every class is absent */
    size_t first_label; /* index into the data set's labels */
    size_t label_count;
    int width, height; /* pixels; 0 if the layout does not record the size */
    size_t first_box;  /* index into the data set's boxes */
    size_t box_count;
    size_t first_mask; /* index into the data set's masks */
    size_t mask_count;
    const char *ignore; /* path of the mask of the pixels that do not count; NULL: all count */
};

/* The layouts of a data set on disk; see data/dataset_open.h. */
enum adl_dataset_layout {
    ADL_DATASET_LISTS,
    ADL_DATASET_CUB,
    ADL_DATASET_FOLDER,
    ADL_DATASET_CSV,
    ADL_DATASET_BOXES, /* files of annotation tools */
};

/* Why an item in the directory of a data set is left out. */
enum adl_left_out {
    ADL_LEFT_OUT_CLASS,      /* class directories without a file that is named as an image */
    ADL_LEFT_OUT_RUN,        /* directories that `train` wrote to */
    ADL_LEFT_OUT_FORMAT,     /* files in class directories without the extension of an image */
    ADL_LEFT_OUT_OUTSIDE,    /* images beside the class directories */
    ADL_LEFT_OUT_SPECIAL,    /* FIFOs, sockets and devices */
    ADL_LEFT_OUT_DANGLING,   /* symbolic links to nothing */
    ADL_LEFT_OUT_LOOP,       /* links in a loop, or to a directory that was read already */
    ADL_LEFT_OUT_DEEP,       /* directories too many levels down */
    ADL_LEFT_OUT_UNREADABLE, /* directories or links that cannot be opened */
    ADL_LEFT_OUT_UNKNOWN,    /* images of classes that a network lacks; `names` are the classes */
    ADL_LEFT_OUT_KINDS
};

/* How many names of items that were left out are kept for a message. */
#define ADL_LEFT_OUT_NAMES 4

struct adl_left_out_count {
    size_t count;
    /* The first ones, as paths below the image directory; NULL if memory was short. */
    const char *names[ADL_LEFT_OUT_NAMES];
    bool more; /* only for ADL_LEFT_OUT_UNKNOWN: there are more classes than names */
};

/* Immutable once open, so any number of threads may read it. */
struct adl_dataset {
    enum adl_dataset_layout layout;
    /* Its images are turned as EXIF says before anything is done with them, as `localize` and
     * `serve` do. By default false in lists and CUB, whose boxes and sizes are those of the stored
     * image. */
    bool upright;
    /* Any number of classes may be present in an image. Then `labels` has those of each image, in
     * ascending order; or, if it is `paired`, `images` has an entry for each label of an image,
     * with the boxes of that label (data/labels.h). */
    bool several, paired;
    int *labels;      /* class ids, grouped by image; NULL: each image has its class_id; owned */
    int *box_classes; /* the class of each box; NULL: that of its image; owned */
    const char *image_dir; /* NULL: there are only lists, no images */
    struct adl_dataset_image *images;
    size_t count;
    struct adl_dataset_box *boxes; /* grouped by image, in the order of the images */
    size_t box_count;              /* 0: for classification only; otherwise every image has a box */
    /* True masks instead of the boxes, or beside them; data/mask.h reads them. Their paths are
     * relative to mask_dir. Without paths (mask_count 0), the mask of an image is found by the
     * image's id. */
    bool masked;          /* every image has a mask */
    const char *mask_dir; /* NULL if there are no masks, or their paths are relative to nothing */
    const char **masks;   /* paths, grouped by image, in the order of the images; owned */
    size_t mask_count;
    const char **classes; /* names by class id; NULL if the layout names none */
    size_t class_count;   /* number of names, or the largest class id plus one */
    bool drawn;           /* the data has no splits of its own; this one was made by a rule */
    bool whole;           /* and that rule is that each split is all of it, undivided */
    const char *split; /* that was read: the one asked for, or "val" where there is no test split */
    const char *note;  /* a remark on the split for the user; NULL: none */
    /* The items that were left out, by enum adl_left_out. Hidden files are not counted. */
    struct adl_left_out_count left_out[ADL_LEFT_OUT_KINDS];
    struct adl_arena arena; /* owns every text above */
};

/* Whether the images are turned as EXIF says; see `upright`. ADL_EXIF_AUTO takes the default of
 * the layout. Boxes and sizes are taken as they are: with ADL_EXIF_APPLY they have to be those of
 * the turned images. */
enum adl_dataset_exif { ADL_EXIF_AUTO, ADL_EXIF_APPLY, ADL_EXIF_IGNORE };

/* The names by enum adl_dataset_exif, ended by NULL: auto, apply, ignore. */
extern const char *const adl_dataset_exif_names[];
/* Returns that of a name; ADL_EXIF_AUTO for NULL and for any other text. */
int adl_dataset_exif_find(const char *name);

/* How the images are divided into train and val, if not by the data set itself. Stratified: each
 * class by itself. It depends on the seed, and on the names and classes of the images. */
struct adl_dataset_division {
    double val_share; /* of the images of each class, above 0 and below 1; 0: not by a share */
    int folds;        /* number of parts, one of which is val; 0: not by folds */
    int fold;         /* which one, from 1 */
    int seed;
};

/* Where each split would be all of the data (`whole`), a training keeps this share of each class as
 * val, unless it is told to divide them in another way. */
#define ADL_DATASET_WHOLE_VAL_SHARE 0.1

/* Returns whether it divides at all. */
static inline bool adl_dataset_is_divided(const struct adl_dataset_division *division)
{
    return division->val_share != 0 || division->folds || division->fold;
}

/* Which data set to open, and which part of it. */
struct adl_dataset_options {
    const char *dir;    /* a directory, or a CSV file; may be NULL if `metadata` is given */
    const char *split;  /* train, val, test, or the name of another list directory */
    const char *images; /* the image directory of lists; NULL: DIR/images, or DIR, or the file's */
    const char *metadata; /* the directory of SPLIT/image_ids.txt; NULL: DIR/metadata */
    /* The directory of the masks that the lists name; NULL: that of the images. Where no list
     * names masks, every image has one here, called as the image, but .png. */
    const char *masks;
    int exif; /* enum adl_dataset_exif */
    /* Images may have several labels or none, as lists and CSV files then say it; in the other
     * layouts each has one. */
    bool multi_label;
    /* Sets which images are train and val, in a data set that has no val of its own: the images of
     * its train, or all of them if it has no splits at all. Zeroed: as in the data set. */
    struct adl_dataset_division division;
};

/* `dataset` may be NULL. */
void adl_dataset_free(struct adl_dataset *dataset);

/* Writes the path of image `index` into `path`, which is emptied first, and returns its text;
 * NULL with ADL_ERR_NOMEM when out of memory. Needs an image directory. */
const char *adl_dataset_path(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Renumbers each class to the index of its name in `names` (the first of equal ones), which become
 * the class names of the data set. If images may have several labels, these have to be paired, and
 * the labels of a bare image are none of them. Images of other classes are left out, as
 * ADL_LEFT_OUT_UNKNOWN. Returns 1. Returns 0 and changes nothing if the names do not identify the
 * classes: the data set has no names; or no image belongs to a class whose name was found; or some
 * names were not found, but the layout has class numbers of its own (lists, CUB), there are `count`
 * classes, and each name found has the same index in both, so that the others are probably spelled
 * differently. Returns -1 with ADL_ERR_NOMEM when out of memory. For the owner of a data set,
 * before others read it. */
int adl_dataset_match_classes(struct adl_dataset *dataset, const char *const *names, size_t count,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Makes the class ids of another split those of train, whose `count` classes are `names`: by name
 * in files of annotation tools, which number the classes of each split by themselves; by number in
 * the other layouts and if `names` is NULL. Images of other classes are left out, as
 * ADL_LEFT_OUT_UNKNOWN; with several labels, these have to be paired. Fails with ADL_ERR_NOMEM. */
int adl_dataset_follow_classes(struct adl_dataset *dataset, const char *const *names, size_t count,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Leaves out the images, or those entries of paired labels, whose class id is `count` or more, as
 * ADL_LEFT_OUT_UNKNOWN, and reduces the data set to at most `count` classes. Fails with
 * ADL_ERR_NOMEM. */
int adl_dataset_limit_classes(struct adl_dataset *dataset, size_t count,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Stray labels: class ids that are probably mistakes. */
struct adl_dataset_stray {
    size_t image;   /* the first image with the largest label */
    size_t count;   /* how many images have stray labels */
    size_t classes; /* how many classes there are without the stray labels */
    size_t next;    /* the smallest stray label; no image has a label from `classes` to next - 1 */
};

/* Looks for stray labels in a data set whose labels alone determine how many classes there are.
 * The labels above the smallest class id that no image has are stray if no two images share one of
 * them and fewer than half of the images have one. Returns 1 with `stray` filled in, 0 if there are
 * none, and -1 with ADL_ERR_NOMEM. */
int adl_dataset_find_stray(const struct adl_dataset *dataset, struct adl_dataset_stray *stray,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Keeps the first `most` images of each class, in their order, and removes the others. For the
 * owner of a data set, before others read it. Fails with ADL_ERR_NOMEM. */
int adl_dataset_keep_first(struct adl_dataset *dataset, size_t most,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether `path` may be an image's id: relative, not empty, and without a ".." component
 * that could lead out of the image directory. */
bool adl_dataset_id_valid(const char *path);

#endif
