#ifndef ADL_MODELS_FILE_FOREGROUND_H
#define ADL_MODELS_FILE_FOREGROUND_H

/* The few-box head in a model file: the tensors foreground.weight [channels] and foreground.bias
 * [1]. */

#include "models/model.h"

/* Takes a copy of the head, if the file has one, into the model, whose description and graph have
 * been read; the map rule uses it unless "cam" says "foreground": false. Fails with
 * ADL_ERR_FORMAT for a half or misshapen head or a value that is not finite, and with
 * ADL_ERR_NOMEM. */
int adl_model_read_foreground(struct adl_model *model, const struct adl_tensors *tensors,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Adds the head's two tensors to a set that is to be written. Fails with ADL_ERR_NOMEM. */
int adl_model_add_foreground(const struct adl_model *model, struct adl_tensors *set,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
