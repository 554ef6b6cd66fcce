#ifndef ADL_MODELS_FILE_SAVE_H
#define ADL_MODELS_FILE_SAVE_H

/* Writes model files. */

#include "models/model.h"

/* Writes weights and description as safetensors, in one step (io/file.h). No other thread may read
 * model->weights meanwhile, since the description is first added to them as metadata. Fails with
 * ADL_ERR_INTERNAL if the weights were dropped, with ADL_ERR_NOMEM, and as adl_safetensors_write()
 * does. */
int adl_model_save(const struct adl_model *model, const char *path,
                   struct adl_error *err) ADL_MUST_CHECK;

/* Sets *bytes to the length of the file that adl_model_save() would write. Under the same
 * conditions, and fails as it does before it writes. */
int adl_model_file_bytes(const struct adl_model *model, size_t *bytes,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
