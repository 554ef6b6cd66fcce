#ifndef ADL_SERVER_COMMANDS_COMMAND_H
#define ADL_SERVER_COMMANDS_COMMAND_H

/* How a subcommand is run. Each one is a file cmd_NAME.c that defines
 * `const struct adl_command adl_command_NAME` (options.h) and includes this;
 * subcommands.h lists them. */

#include "server/options/options.h"

/* Parses the command line, runs the subcommand, and reports: argv[0] is its name.
 * Returns the exit status; a failure is one line on standard error, as JSON where
 * the log is. `all`, which the subcommand finds as options->commands, is the
 * NULL-terminated list it belongs to. */
int adl_command_main(const struct adl_command *command, const struct adl_command *const *all,
                     int argc, char **argv);

/* 0 success, 1 failure, 2 wrong usage. */
int adl_exit_status(enum adl_error_kind kind);

#endif
