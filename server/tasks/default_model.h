#ifndef ADL_SERVER_TASKS_DEFAULT_MODEL_H
#define ADL_SERVER_TASKS_DEFAULT_MODEL_H

/* Where the model that ships with the program is. */

#include <limits.h>

#include "base/error.h"

#define ADL_DEFAULT_MODEL_PATH (PATH_MAX + 64)

/* Finds the model that ships: in the source tree that the program runs from, next to the
 * directory that it is installed in, or in the data directory given to the build. Fails with
 * NOT_FOUND. */
int adl_default_model(char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err) ADL_MUST_CHECK;

#endif
