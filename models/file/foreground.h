#ifndef ADL_MODELS_FILE_FOREGROUND_H
#define ADL_MODELS_FILE_FOREGROUND_H

/* Reads and writes the few-box head (wsol/foreground.h) in a model file: the tensors
 * foreground.weight [channels of the last map], foreground.LAYER.weight [channels of the layer] for
 * each other layer that it reads, and foreground.bias [1]. */

#include "models/model.h"

/* Copies the head, if the file has one, into the model, whose description and graph have been read;
 * the map rule uses it unless "cam" has "foreground": false. Fails with ADL_ERR_FORMAT for a head
 * that is incomplete or misshapen or has a value that is not finite, and with ADL_ERR_NOMEM. */
int adl_model_read_foreground(struct adl_model *model, const struct adl_tensors *tensors,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Adds the head's tensors, if the model has a head, to a set that is to be written. Fails with
 * ADL_ERR_NOMEM. */
int adl_model_add_foreground(const struct adl_model *model, struct adl_tensors *set,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
