#ifndef ADL_MODELS_FILE_SAVE_H
#define ADL_MODELS_FILE_SAVE_H

/* From a model to a model file. */

#include "models/model.h"

/* Writes weights and description as safetensors, in one step (io/file.h). Not while
 * other threads read model->weights: the description becomes their metadata first.
 * Fails with INTERNAL when the weights were dropped, else as adl_safetensors_write. */
int adl_model_save(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
