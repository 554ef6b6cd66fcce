#ifndef ADL_SERVER_REPORT_REPORT_PICTURES_H
#define ADL_SERVER_REPORT_REPORT_PICTURES_H

/* Writes what the network of a run sees in some pictures of val after an epoch
 * (server/training/run_pictures.h names the files), for the page /training. */

#include <jansson.h>

#include "image/image.h"
#include "server/training/train_event.h"

/* Writes the pictures, unless they are there, and those of the event's epoch, unless a long run
 * skips this epoch. Does nothing without val. The model's layer for maps is kept anew. Fails as
 * adl_dataset_image_read(), adl_views_create() and adl_file_write() do. */
int adl_report_pictures(const struct adl_train_event *event, struct adl_error *err) ADL_MUST_CHECK;

/* Runs a model on an image as in training, with batch norm frozen, and adds to the object `out`
 * what its layers that hide by attention see, as "layers": the same as after an epoch. The options
 * of the method are those that the model was trained with, as far as its file says. Fails with
 * ADL_ERR_ARG for a model without such layers, and as adl_tape_create() does. */
int adl_report_attention_json(struct adl_model *model, const struct adl_image *image,
                              struct adl_pool *pool, json_t *out,
                              struct adl_error *err) ADL_MUST_CHECK;

#endif
