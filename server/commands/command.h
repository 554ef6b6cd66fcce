#ifndef ADL_SERVER_COMMANDS_COMMAND_H
#define ADL_SERVER_COMMANDS_COMMAND_H

/* Runs a subcommand. Each subcommand is a file cmd_NAME.c that defines
 * `const struct adl_command adl_command_NAME` (options.h) and includes this file;
 * subcommands.h lists them. */

#include "server/options/options.h"

/* Parses the command line, of which argv[0] is the subcommand's name, and runs the subcommand.
 * Returns the exit status. A failure is reported in one line on standard error, which is JSON if
 * the log is JSON; where standard error is a terminal, a line with a hint may follow. `all` is the
 * NULL-terminated list of all subcommands; options->commands refers to it. */
int adl_command_main(const struct adl_command *command, const struct adl_command *const *all,
                     int argc, char **argv);

/* Returns the exit status for a kind of error: 0 success, 1 failure, 2 wrong usage. */
int adl_exit_status(enum adl_error_kind kind);

#endif
