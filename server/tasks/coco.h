#ifndef ADL_SERVER_TASKS_COCO_H
#define ADL_SERVER_TASKS_COCO_H

/* Boxes as COCO results, with a companion file that explains their ids. */

#include <jansson.h>

#include "models/model.h"
#include "server/tasks/predict.h"

struct adl_coco {
    json_t *results; /* [{"image_id", "category_id", "bbox": [x, y, w, h], "score"}] */
    json_t *images;  /* [{"id", "file_name", "width", "height"}] */
};

/* Starts with no image. Fails with NOMEM; release it in any case. */
int adl_coco_init(struct adl_coco *coco, struct adl_error *err) ADL_MUST_CHECK;
void adl_coco_release(struct adl_coco *coco);

/* Adds an image, whose id is the number of the call, from 1, and the boxes of its located
 * predictions. Boxes are inclusive, so w = x1 - x0 + 1. category_id is the class's id, score its
 * probability. `file` is a JSON string, which is borrowed. Fails with NOMEM. */
int adl_coco_add(struct adl_coco *coco, json_t *file, int width, int height,
                 const struct adl_predictions *predictions, struct adl_error *err) ADL_MUST_CHECK;

/* Writes the results to `path` ("boxes.json"), and images and categories beside it
 * ("boxes_images.json"). Fails as adl_write_json(). */
int adl_coco_write(const struct adl_coco *coco, const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
