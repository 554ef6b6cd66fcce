#ifndef ADL_SERVER_TRAINING_TRAIN_CONFIG_H
#define ADL_SERVER_TRAINING_TRAIN_CONFIG_H

/* Collects the settings that a run records, formats them, and compares those of two runs. */

#include <jansson.h>

#include "base/error.h"

struct adl_train_run;

/* Sets run->config to every setting that affects the resulting bits; a resumed run has to have the
 * same ones. The number of epochs is not one of them, unless the schedule or the method depends on
 * it, so that a finished run can be extended. run->model and run->train have to be open, and
 * run->state too if the run is resumed. */
int adl_train_make_config(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Formats a setting that is not an object as on the command line; a long value is shortened. To be
 * used as adl_train_config_text(...).text within one expression. */
struct adl_train_config_text {
    char text[100];
};
struct adl_train_config_text adl_train_config_text(const char *key, const json_t *value);

/* Fails with ADL_ERR_ARG on the first setting that differs between a saved run and the current
 * one; the message begins with `path`. A setting that only one of the runs has is a difference,
 * too. */
int adl_train_config_compare(const json_t *saved, const json_t *current, const char *path,
                             struct adl_error *err) ADL_MUST_CHECK;

#endif
