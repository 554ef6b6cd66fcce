#ifndef ADL_SERVER_OPTIONS_OPTION_LAYERS_H
#define ADL_SERVER_OPTIONS_OPTION_LAYERS_H

/* The layers of values below the command line. They are applied from the weakest to the
 * strongest, each replacing what an earlier one set. All fail with ADL_ERR_ARG and a message
 * that names the option and where it was set. */

#include "server/options/option_value.h"

/* Sets the defaults of the rows; choices without a default become -1. */
int option_apply_defaults(struct option_values *values);

/* Reads a configuration file: one JSON object whose members are named like the options. */
int option_apply_config(struct option_values *values, const char *path);

/* Variables ADL_SERVER_NAME; an empty one counts as unset. Those that name no option are
 * left to option_strangers.h. */
int option_apply_environment(struct option_values *values);

#endif
