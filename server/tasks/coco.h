#ifndef ADL_SERVER_TASKS_COCO_H
#define ADL_SERVER_TASKS_COCO_H

/* Writes boxes in COCO's formats: as results, with a companion file for the images and
 * categories that their ids refer to, and as a data set with annotations. All ids begin at 1,
 * as COCO's do, and are the same in every file of a run: category 1 is class 0 of the model. */

#include <jansson.h>

#include "models/model.h"
#include "server/tasks/predict.h"

struct adl_coco {
    json_t *results;     /* [{"image_id", "category_id", "bbox": [x, y, w, h], "score"}] */
    json_t *images;      /* [{"id", "file_name", "width", "height"}] */
    json_t *relative;    /* as `images`, but with a relative "file_name"; for annotations */
    json_t *annotations; /* results with "id", "area", "iscrowd" and "segmentation" */
    json_t *names;       /* the "file_name"s of `relative`, an object used as a set */
};

/* An image to be added; both texts are borrowed. */
struct adl_coco_image {
    json_t *file;     /* its path as the user gave it, a JSON string */
    const char *name; /* its path relative to a directory that contains all images; unique */
    int width, height;
};

/* Starts without images. Fails with ADL_ERR_NOMEM; `coco` has to be released in any case. */
int adl_coco_init(struct adl_coco *coco, struct adl_error *err) ADL_MUST_CHECK;
void adl_coco_release(struct adl_coco *coco);

/* Adds an image, whose id is its number in order, from 1, and the boxes of its located
 * predictions; an image whose name was added before is left out. Boxes are inclusive, so
 * w = x1 - x0 + 1. category_id is the class's id + 1; score is the class's probability, times the
 * box's confidence if that is known: the chance that both are right, by which COCO's evaluation
 * ranks boxes. Fails with ADL_ERR_NOMEM. */
int adl_coco_add(struct adl_coco *coco, const struct adl_coco_image *image,
                 const struct adl_predictions *predictions, struct adl_error *err) ADL_MUST_CHECK;

/* Appends the name of the file that adl_coco_write() writes beside `path` to `companion`:
 * "boxes_images.json" for "boxes.json". Fails with ADL_ERR_NOMEM; the caller releases
 * `companion` in any case. */
int adl_coco_companion(const char *path, struct adl_str *companion,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Writes the results to `path`, and images and categories to its companion. Fails as
 * adl_write_json() does. */
int adl_coco_write(const struct adl_coco *coco, const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Writes one file with info, images, annotations and categories, the format of tools that show
 * and edit annotations ("-" is stdout). Fails as adl_write_json() does. */
int adl_coco_write_annotations(const struct adl_coco *coco, const struct adl_model *model,
                               const char *path, struct adl_error *err) ADL_MUST_CHECK;

#endif
