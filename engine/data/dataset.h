#ifndef ADL_DATA_DATASET_H
#define ADL_DATA_DATASET_H

/* A data set: which images there are, the class of each, and where the object is.
 * Pixels are the loader's business. data/dataset_open.h reads one from disk. */

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
    int class_id;
    int width, height; /* pixels; 0 if the layout does not record the size */
    size_t first_box;  /* index into the data set's boxes */
    size_t box_count;
};

/* The three forms of a data set on disk; see data/dataset_open.h. */
enum adl_dataset_layout { ADL_DATASET_LISTS, ADL_DATASET_CUB, ADL_DATASET_FOLDER };

/* Why something in the directory of a data set is left out. */
enum adl_left_out {
    ADL_LEFT_OUT_CLASS,      /* directories for a class without an image that can be read */
    ADL_LEFT_OUT_RUN,        /* directories that `train` wrote to */
    ADL_LEFT_OUT_FORMAT,     /* files in class directories without the extension of an image */
    ADL_LEFT_OUT_OUTSIDE,    /* images beside the class directories */
    ADL_LEFT_OUT_SPECIAL,    /* FIFOs, sockets and devices */
    ADL_LEFT_OUT_DANGLING,   /* symbolic links to nothing */
    ADL_LEFT_OUT_LOOP,       /* links in a loop, or to a directory that was read already */
    ADL_LEFT_OUT_DEEP,       /* directories too many levels down */
    ADL_LEFT_OUT_UNREADABLE, /* directories that cannot be opened */
    ADL_LEFT_OUT_UNKNOWN, /* images of classes that a network lacks; the names are the classes' */
    ADL_LEFT_OUT_KINDS
};

/* How many of those names a count keeps, for a message. */
#define ADL_LEFT_OUT_NAMES 4

struct adl_left_out_count {
    size_t count;
    const char *names[ADL_LEFT_OUT_NAMES]; /* the first ones; paths below the image directory */
    bool more; /* of ADL_LEFT_OUT_UNKNOWN: there are more classes than names */
};

/* Immutable once open, so any number of threads may read it. */
struct adl_dataset {
    enum adl_dataset_layout layout;
    /* Its images are turned as EXIF says before anything is done with them, as `localize` and
     * `serve` do. Not where boxes and sizes are those of the stored image: in lists and CUB. */
    bool upright;
    const char *image_dir; /* NULL: there are only lists, no images */
    struct adl_dataset_image *images;
    size_t count;
    struct adl_dataset_box *boxes; /* grouped by image, in the order of the images */
    size_t box_count;              /* 0: for classification only; otherwise every image has a box */
    const char **classes;          /* names by class id; NULL if the layout names none */
    size_t class_count;            /* number of names, or the largest class id plus one */
    const char *note;              /* a remark on the split for the user; NULL: none */
    /* What was found and left out, by enum adl_left_out. Hidden files are not counted. */
    struct adl_left_out_count left_out[ADL_LEFT_OUT_KINDS];
    struct adl_arena arena; /* owns every text above */
};

/* Whether the images are turned as EXIF says; see `upright`. AUTO is the layout's way. Boxes and
 * sizes are taken as they are: with APPLY they have to be those of the turned images. */
enum adl_dataset_exif { ADL_EXIF_AUTO, ADL_EXIF_APPLY, ADL_EXIF_IGNORE };

/* Their names by enum adl_dataset_exif, ended by NULL: auto, apply, ignore. */
extern const char *const adl_dataset_exif_names[];

/* Which data set to open, and which part of it. */
struct adl_dataset_options {
    const char *dir;      /* may be NULL if `metadata` is given */
    const char *split;    /* train, val, test, or the name of another list directory */
    const char *images;   /* the image directory of lists; NULL: DIR/images, or DIR */
    const char *metadata; /* the directory of SPLIT/image_ids.txt; NULL: DIR/metadata */
    int exif;             /* enum adl_dataset_exif */
};

/* NULL is fine. */
void adl_dataset_free(struct adl_dataset *dataset);

/* Writes the path of image `index` into `path`, which is emptied first, and returns
 * its text; NULL and NOMEM when out of memory. Needs an image directory. */
const char *adl_dataset_path(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                             struct adl_error *err) ADL_MUST_CHECK;

/* Renumbers the classes by name, as they are in `names`, which become the names of the data set.
 * Images of a class that is not among them are left out, as ADL_LEFT_OUT_UNKNOWN. Returns 1; or
 * 0, and leaves everything as it is, where the names are no guide: the data set has none, or no
 * image is of a class that is found, or lists have as many classes and those that are found have
 * the same numbers, so that the others are probably spelled differently. -1 and NOMEM when out of
 * memory. For the owner of a data set, before others read it. Of equal names the first counts. */
int adl_dataset_match_classes(struct adl_dataset *dataset, const char *const *names, size_t count,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Leaves out the images of the classes from number `count` on, as ADL_LEFT_OUT_UNKNOWN, and has
 * the data set end with class count - 1 at the latest. Fails with NOMEM. */
int adl_dataset_limit_classes(struct adl_dataset *dataset, size_t count,
                              struct adl_error *err) ADL_MUST_CHECK;

/* A label that is probably a slip. */
struct adl_dataset_stray {
    size_t image;   /* the image with the largest label */
    size_t count;   /* how many images have such labels */
    size_t classes; /* how many classes there are without them */
    size_t next;    /* the smallest of these labels; no image has one from `classes` to here */
};

/* Looks for stray labels in a data set whose labels alone say how many classes there are. They
 * are those behind the first class that no image has, if no two images share one of them and
 * fewer images have such a label than not. Returns 1 with `stray`, 0 if there is none, -1 and
 * NOMEM. */
int adl_dataset_find_stray(const struct adl_dataset *dataset, struct adl_dataset_stray *stray,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Keeps the first `most` images of each class, in their order, and forgets the others. For the
 * owner of a data set, before others read it. Fails with ADL_ERR_NOMEM. */
int adl_dataset_keep_first(struct adl_dataset *dataset, size_t most,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Whether `path` may be an image's id: relative, not empty, and without a ".." part
 * that could lead out of the image directory. */
bool adl_dataset_id_valid(const char *path);

#endif
