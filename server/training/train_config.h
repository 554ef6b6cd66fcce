#ifndef ADL_SERVER_TRAINING_TRAIN_CONFIG_H
#define ADL_SERVER_TRAINING_TRAIN_CONFIG_H

/* The settings of a run, as its records keep them, in words and compared. */

#include <jansson.h>

#include "base/error.h"

/* A setting that is no object, as the command line would have it; long ones are shortened. To be
 * used as adl_train_config_text(...).text within one expression. */
struct adl_train_config_text {
    char text[100];
};
struct adl_train_config_text adl_train_config_text(const char *key, const json_t *value);

/* Fails with ARG on the first setting that differs between a saved run and the current one; the
 * message begins with `path`. A setting that only one of them has differs, too. */
int adl_train_config_compare(const json_t *saved, const json_t *current, const char *path,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
