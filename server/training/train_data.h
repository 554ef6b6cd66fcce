#ifndef ADL_SERVER_TRAINING_TRAIN_DATA_H
#define ADL_SERVER_TRAINING_TRAIN_DATA_H

/* The identity of a run's data: what --resume compares, since other images or
 * classes that moved would make the resumed run another one. */

#include <jansson.h>

#include "data/dataset.h"

/* {"digest": 64 hexadecimal digits, "images": [images of each class],
 *  "classes": [names]}; "classes" is left out where the layout names none. The digest
 * covers the class names and the id and label of each image, in order. NULL is out of
 * memory. */
json_t *adl_train_data_identity(const struct adl_dataset *data) ADL_MUST_CHECK;

/* Fails with ARG where the two identities differ; the message begins with `path` and
 * says which classes or images changed. */
int adl_train_data_compare(const json_t *saved, const json_t *current, const char *path,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
