#ifndef ADL_DATA_DRAFT_H
#define ADL_DATA_DRAFT_H

/* A draft is a data set that is still being read: the readers of the layouts fill it in.
 * struct adl_layout is the interface of a reader. Private to engine/data/.
 *
 * Boxes are collected in the order in which a layout lists them, which need not be the
 * order of the images; once all are known, adl_draft_place_boxes() groups them by image,
 * so that a data set holds plain arrays. Masks are treated in the same way. */

#include "data/dataset.h"

struct adl_draft_box {
    size_t image; /* index among the images */
    int class_id; /* with several labels; -1: not said */
    struct adl_dataset_box box;
};

struct adl_draft_label {
    size_t image; /* index among the images */
    int class_id;
};

struct adl_draft_mask {
    size_t image; /* index among the images */
    const char *path;
};

struct adl_draft {
    struct adl_dataset *dataset;
    const struct adl_dataset_options *options;
    size_t image_capacity;
    struct adl_draft_box *boxes; /* in the order of the lists; owned */
    size_t box_count;
    size_t box_capacity;
    struct adl_draft_mask *masks; /* in the order of the lists; owned */
    size_t mask_count;
    size_t mask_capacity;
    struct adl_draft_label *labels; /* of images that may have several; owned */
    size_t label_count;
    size_t label_capacity;
    bool labelled; /* the layout says itself which labels an image has */
};

/* Formats a text into the data set's arena and returns it. NULL when out of memory (ADL_ERR_NOMEM)
 * and when it is longer than a path may be (ADL_ERR_LIMIT). */
const char *adl_draft_text(struct adl_draft *draft, struct adl_error *err, const char *fmt, ...)
    ADL_PRINTF(3, 4) ADL_MUST_CHECK;

/* Appends an image. Copies the id without checking it; see adl_dataset_id_valid(). Fails with
 * ADL_ERR_LIMIT and ADL_ERR_NOMEM. */
int adl_draft_add_image(struct adl_draft *draft, const char *id, int class_id,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Adds a box to image `image`, which has been added already. Fails with ADL_ERR_NOMEM. */
int adl_draft_add_box(struct adl_draft *draft, size_t image, struct adl_dataset_box box,
                      struct adl_error *err) ADL_MUST_CHECK;
/* The same for a box around an object of a class, with options->multi_label; -1: of the one class
 * of the image. */
int adl_draft_add_class_box(struct adl_draft *draft, size_t image, int class_id,
                            struct adl_dataset_box box, struct adl_error *err) ADL_MUST_CHECK;
/* Moves the boxes into the data set, grouped by image and within an image in the order
 * in which they were added. Called once, after the last box. Fails with ADL_ERR_NOMEM. */
int adl_draft_place_boxes(struct adl_draft *draft, struct adl_error *err) ADL_MUST_CHECK;

/* Adds a label to image `image`, with options->multi_label, and sets draft->labelled. Fails with
 * ADL_ERR_NOMEM. */
int adl_draft_add_label(struct adl_draft *draft, size_t image, int class_id,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Moves the labels into the data set, grouped by image and in ascending order, and after them the
 * boxes, sorted in the same way. In a layout that said no labels, each image has its class. Called
 * once, in place of adl_draft_place_boxes(). Fails with ADL_ERR_FORMAT if an image has a label
 * twice, a box of a class that it lacks or of none where it has several, or
 * a class without a box where others have one; and with ADL_ERR_NOMEM. */
int adl_draft_place_labels(struct adl_draft *draft, struct adl_error *err) ADL_MUST_CHECK;

/* Adds a mask to image `image`, which has been added already, and places the masks as boxes are
 * added and placed. The path is copied; it is checked by the caller. Fail with ADL_ERR_NOMEM and
 * ADL_ERR_LIMIT. */
int adl_draft_add_mask(struct adl_draft *draft, size_t image, const char *path,
                       struct adl_error *err) ADL_MUST_CHECK;
int adl_draft_place_masks(struct adl_draft *draft, struct adl_error *err) ADL_MUST_CHECK;

/* Counts an item that is left out, and keeps its name if it is among the first. */
void adl_draft_leave_out(struct adl_draft *draft, enum adl_left_out why, const char *fmt, ...)
    ADL_PRINTF(3, 4);

/* Returns the usual name of a split that has other names as well: "val" for "valid" and
 * "validation" in any case. Other names are returned as they are. */
const char *adl_draft_split_name(const char *split);
/* Sets *dir to the directory of a split below `parent`: PARENT/SPLIT, or else a directory that has
 * one of the names of that split, in any case; NULL if there is none. Fails with ADL_ERR_NOMEM or
 * ADL_ERR_LIMIT. */
int adl_draft_find_split(struct adl_draft *draft, const char *parent, const char *split,
                         const char **dir, struct adl_error *err) ADL_MUST_CHECK;

/* Reads class names, one per line. If every line begins with its line number ("1
 * 001.Albatross"), as in CUB, the numbers are removed. Fails as adl_lines_open() and
 * adl_lines_next() do, with ADL_ERR_FORMAT if the file is empty, and with ADL_ERR_LIMIT. */
int adl_draft_read_classes(struct adl_draft *draft, const char *path,
                           struct adl_error *err) ADL_MUST_CHECK;

/* How well a directory matches a layout. */
enum adl_layout_fit {
    ADL_LAYOUT_NO,
    ADL_LAYOUT_POSSIBLE, /* the first of these is taken if no layout matches for certain */
    ADL_LAYOUT_CERTAIN
};

/* One layout. Each reader defines one; dataset_open.c lists them. */
struct adl_layout {
    enum adl_dataset_layout id;
    /* Looks for the files that distinguish the layout; fails only with ADL_ERR_NOMEM or
     * ADL_ERR_LIMIT. draft->options->dir may be NULL if metadata is given. */
    int (*match)(struct adl_draft *draft, enum adl_layout_fit *fit, struct adl_error *err);
    /* Fills in images, boxes, classes, image directory and note. */
    int (*read)(struct adl_draft *draft, struct adl_error *err);
};

extern const struct adl_layout adl_layout_lists;  /* wsol_lists.c */
extern const struct adl_layout adl_layout_cub;    /* cub.c */
extern const struct adl_layout adl_layout_folder; /* folder.c */
extern const struct adl_layout adl_layout_csv;    /* csv_list.c */
extern const struct adl_layout adl_layout_json;   /* annotated_json.c */
extern const struct adl_layout adl_layout_voc;    /* voc.c */
extern const struct adl_layout adl_layout_yolo;   /* yolo.c */

#endif
