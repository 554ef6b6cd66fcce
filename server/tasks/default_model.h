#ifndef ADL_SERVER_TASKS_DEFAULT_MODEL_H
#define ADL_SERVER_TASKS_DEFAULT_MODEL_H

/* Where the model that ships with the program is. */

#include <limits.h>

#include "base/error.h"

#define ADL_DEFAULT_MODEL_PATH (PATH_MAX + 64)

/* Finds the model that ships: in the source tree that the program was built in, next to the
 * directory that it is installed in, or in the data directory given to the build. Fails with
 * NOT_FOUND, and says where it looked. */
int adl_default_model(char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err) ADL_MUST_CHECK;

/* The model to use where a command's --model is `given`, or NULL: then the model that ships,
 * whose path is written to `path`. NULL where there is none. */
const char *adl_model_or_default(const char *given, char path[ADL_DEFAULT_MODEL_PATH],
                                 struct adl_error *err) ADL_MUST_CHECK;

#endif
