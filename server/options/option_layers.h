#ifndef ADL_SERVER_OPTIONS_OPTION_LAYERS_H
#define ADL_SERVER_OPTIONS_OPTION_LAYERS_H

/* The layers of values below the command line. They are applied from the weakest to
 * the strongest, each replacing what an earlier one set. All fail with ARG and a
 * message that names the option and its place. */

#include "server/options/option_value.h"

/* Defaults of the rows; a CHOICE without one becomes -1. */
int option_apply_defaults(struct option_values *values);

/* A configuration file: one JSON object whose members are named like the options. */
int option_apply_config(struct option_values *values, const char *path);

/* Variables ADL_SERVER_NAME. Variables with this prefix that name no option are
 * ignored: Kubernetes sets ADL_SERVER_PORT and more for a service called adl-server. */
int option_apply_environment(struct option_values *values);

#endif
