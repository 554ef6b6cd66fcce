#ifndef ADL_SERVER_TASKS_COCO_H
#define ADL_SERVER_TASKS_COCO_H

/* Boxes as COCO results, with the file that says what their ids stand for. */

#include <jansson.h>

#include "models/model.h"
#include "server/tasks/predict.h"

struct adl_coco {
    json_t *results; /* [{"image_id", "category_id", "bbox": [x, y, w, h], "score"}] */
    json_t *images;  /* [{"id", "file_name", "width", "height"}] */
};

int adl_coco_init(struct adl_coco *coco, struct adl_error *err) ADL_MUST_CHECK;
void adl_coco_release(struct adl_coco *coco);

/* One image, numbered from 1 in the order of the calls. Boxes are inclusive, so
 * w = x1 - x0 + 1. category_id is the class's id, score its probability.
 * `file` is a JSON string. */
int adl_coco_add(struct adl_coco *coco, json_t *file, int width, int height,
                 const struct adl_predictions *predictions, struct adl_error *err) ADL_MUST_CHECK;

/* Writes the results to PATH ("boxes.json") and images and categories beside it
 * ("boxes_images.json"). */
int adl_coco_write(const struct adl_coco *coco, const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
