#ifndef ADL_SERVER_TASKS_DEFAULT_MODEL_H
#define ADL_SERVER_TASKS_DEFAULT_MODEL_H

#include <limits.h>

#include "base/error.h"

#define ADL_DEFAULT_MODEL_PATH (PATH_MAX + 64)

/* The path of the model that ships: in the tree that this program was built in,
 * beside where it was installed, or where the build was told. Fails with
 * NOT_FOUND. */
int adl_default_model(char path[ADL_DEFAULT_MODEL_PATH], struct adl_error *err) ADL_MUST_CHECK;

#endif
