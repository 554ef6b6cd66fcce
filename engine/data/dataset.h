#ifndef ADL_DATA_DATASET_H
#define ADL_DATA_DATASET_H

/* Which images there are, of which class, and where the object is: read from
 * one of three layouts, told apart by what lies in the folder. Pixels are the
 * loader's business.
 *
 *   lists   metadata/SPLIT/{image_ids,class_labels,localization,image_sizes}.txt
 *           as in the reference evaluation code, class names in classes.txt
 *   CUB     images.txt, train_test_split.txt, image_class_labels.txt,
 *           bounding_boxes.txt, classes.txt: CUB-200-2011 as distributed
 *   folder  a folder of images for each class */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* Pixels of the original image, as the reference's metadata has them. */
struct adl_dataset_box {
    int x0, y0, x1, y1; /* 0 <= x0 <= x1, 0 <= y0 <= y1 */
};

struct adl_dataset_image {
    const char *id; /* its path below the image folder, extension included */
    int class_id;
    int width, height; /* 0: the layout does not say */
    size_t first_box;  /* in the data set's boxes */
    size_t box_count;
};

enum adl_dataset_layout { ADL_DATASET_LISTS, ADL_DATASET_CUB, ADL_DATASET_FOLDER };

/* Immutable once open. */
struct adl_dataset {
    enum adl_dataset_layout layout;
    const char *image_dir; /* NULL: none was given, there are only lists */
    struct adl_dataset_image *images;
    size_t count;
    struct adl_dataset_box *boxes;
    size_t box_count;     /* 0: for classification only; else every image has one */
    const char **classes; /* names by class id; NULL where the layout has none */
    size_t class_count;   /* names, or else the largest class id and one */
    const char *note;     /* what whoever asked for this split should know; NULL: nothing */
    struct adl_arena arena;
};

struct adl_dataset_options {
    const char *dir;      /* may be NULL with `metadata` */
    const char *split;    /* train, val, test, or whatever the lists are called */
    const char *images;   /* the image folder of lists; NULL: DIR/images, or DIR */
    const char *metadata; /* what holds SPLIT/image_ids.txt; NULL: DIR/metadata */
};

/* Layouts and splits:
 *
 *   lists   any split that has a folder
 *   CUB     train and test by train_test_split.txt; val is empty, unless
 *           DIR/metadata/val has lists. Boxes are x, y truncated and x + w,
 *           y + h, one pixel more than the inclusive box, as the reference
 *           evaluation code has them
 *   folder  DIR/train, DIR/val, DIR/test where they are, with the classes of
 *           train. Else DIR holds the class folders; then val is every tenth
 *           image of each class in the order of a hash of its name, train the
 *           others, all everything, and test is val, with a note
 *
 * Fails with NOT_FOUND where there is no such layout or split, and with FORMAT
 * and file, line and text for a line that is not as it should be, an image
 * without a class or with two, or a class without a name. */
struct adl_dataset *adl_dataset_open(const struct adl_dataset_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;
void adl_dataset_free(struct adl_dataset *dataset);

/* The file of image `index` into `path`, which is emptied first: its text, or
 * NULL and NOMEM. Needs an image folder. */
const char *adl_dataset_path(const struct adl_dataset *dataset, size_t index, struct adl_str *path,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
