#ifndef ADL_SERVER_TASKS_DEFAULT_MODEL_H
#define ADL_SERVER_TASKS_DEFAULT_MODEL_H

/* Finds the models that ship with the program. */

#include <limits.h>

#include "base/error.h"

#define ADL_DEFAULT_MODEL_PATH (PATH_MAX + 64)

/* Finds the model file `name` that ships: in the source tree that the program was built in, next to
 * the directory that it is installed in, or in the data directory given to the build. Fails with
 * ADL_ERR_NOT_FOUND and a message that names these directories. */
int adl_shipped_model(const char *name, char path[ADL_DEFAULT_MODEL_PATH],
                      struct adl_error *err) ADL_MUST_CHECK;

/* The same for default.safetensors, which is used where no model is named. */
int adl_default_model(char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err) ADL_MUST_CHECK;

/* Returns the model file that a command uses: `given`, the value of --model, or, if that is
 * NULL, the model that ships, whose path is written to `path`. Fails as adl_default_model()
 * does, and then returns NULL. */
const char *adl_model_or_default(const char *given, char path[ADL_DEFAULT_MODEL_PATH],
                                 struct adl_error *err) ADL_MUST_CHECK;

#endif
