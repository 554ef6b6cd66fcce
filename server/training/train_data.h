#ifndef ADL_SERVER_TRAINING_TRAIN_DATA_H
#define ADL_SERVER_TRAINING_TRAIN_DATA_H

/* The identity of a run's data. --resume compares it, since with other images or with classes
 * in another order it would not continue the same run. */

#include <jansson.h>

#include "data/dataset.h"

/* Returns {"digest": 64 hexadecimal digits, "images": [number of images of each class],
 * "classes": [names]}; "classes" is left out if the data set has no class names. The digest covers
 * the class names and the id and label of each image, in order. Returns NULL if there is not
 * enough memory. */
json_t *adl_train_data_identity(const struct adl_dataset *data) ADL_MUST_CHECK;

/* Fails with ADL_ERR_ARG if the two identities differ; the message begins with `path` and says
 * what changed. */
int adl_train_data_compare(const json_t *saved, const json_t *current, const char *path,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
