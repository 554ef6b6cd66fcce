#ifndef ADL_DATA_ANNOTATED_H
#define ADL_DATA_ANNOTATED_H

/* Collects the pictures and boxes of a file of an annotation tool, and makes a data set of them.
 * What the readers of COCO, Label Studio, Pascal VOC and YOLO share. Private to engine/data/.
 *
 * A box has a label of its own here, while an image of a data set has one class unless
 * options->multi_label is set. Then the class is that label whose boxes cover the largest sum of
 * areas, of equal ones the first, and the image keeps the boxes of this label alone. Pictures
 * without a box belong to no class; they are left out, or, with several labels, bare. The note of
 * the data set says how many of both were left out. */

#include <jansson.h>

#include "data/draft.h"
#include "data/folder_list.h"

struct adl_annotated_picture {
    const char *id;
    int width, height; /* as displayed; 0: not known, boxes are then not cut at its border */
};

struct adl_annotated_box {
    size_t picture; /* index */
    int label;
    double area;
    struct adl_dataset_box box;
};

/* To be zeroed but for the first members, and released in any case. */
struct adl_annotated {
    struct adl_draft *draft;
    const char *path; /* what messages name: the file or directory */
    bool by_name;     /* labels are numbered in byte order of their names, not as they were added */

    struct adl_annotated_picture *pictures;
    size_t picture_count, picture_capacity;
    struct adl_annotated_box *boxes;
    size_t box_count, box_capacity;
    struct adl_names labels; /* by number */
    json_t *numbers;         /* of the labels, by name */
    size_t empty;            /* boxes that are no pixel wide or high */
};

/* Appends a picture and sets *index. Fails with ADL_ERR_FORMAT if `id` is no path below the image
 * directory or a side is out of range, with ADL_ERR_LIMIT and ADL_ERR_NOMEM. */
int adl_annotated_add_picture(struct adl_annotated *a, const char *id, int width, int height,
                              size_t *index, struct adl_error *err) ADL_MUST_CHECK;

/* Sets *label to the number of a name, which is added if it is new. Fails with ADL_ERR_FORMAT for a
 * name that is empty, too long or not UTF-8, with ADL_ERR_LIMIT and ADL_ERR_NOMEM. */
int adl_annotated_add_label(struct adl_annotated *a, const char *name, int *label,
                            struct adl_error *err) ADL_MUST_CHECK;

/* Adds a box whose edges are at left, top, right and bottom pixels from the upper left corner of
 * the picture, fractions allowed: a box around the first pixel alone is 0, 0, 1, 1. Edges are
 * rounded to whole pixels and cut at the border; a box without a pixel is counted and left out.
 * Fails with ADL_ERR_FORMAT for numbers that cannot be edges, and with ADL_ERR_NOMEM. */
int adl_annotated_add_box(struct adl_annotated *a, size_t picture, int label, const double edges[4],
                          struct adl_error *err) ADL_MUST_CHECK;

/* Sets the image directory: options->images, or of `places`, which end with NULL, the first one
 * that has the first picture, or else the first one. Fails with ADL_ERR_NOMEM or ADL_ERR_LIMIT. */
int adl_annotated_find_images(struct adl_annotated *a, const char *const *places,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Adds everything to the draft's data set, with its classes and note. Fails with ADL_ERR_FORMAT if
 * no picture has a box, and as the functions of draft.h do. */
int adl_annotated_place(struct adl_annotated *a, struct adl_error *err) ADL_MUST_CHECK;

void adl_annotated_release(struct adl_annotated *a);

#endif
