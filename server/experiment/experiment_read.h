#ifndef ADL_SERVER_EXPERIMENT_EXPERIMENT_READ_H
#define ADL_SERVER_EXPERIMENT_EXPERIMENT_READ_H

#include "server/experiment/experiment.h"

/* Reads the file and checks every option of every row. `settings` and `commands` have to outlive
 * the experiment, which has to be released in any case. Fails with ADL_ERR_NOT_FOUND,
 * ADL_ERR_FORMAT, ADL_ERR_ARG for settings of the command line, and ADL_ERR_NOMEM. */
int adl_experiment_read(struct adl_experiment *experiment, const char *path,
                        const struct adl_experiment_settings *settings,
                        const struct adl_experiment_commands *commands,
                        struct adl_error *err) ADL_MUST_CHECK;

#endif
