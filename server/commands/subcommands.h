#ifndef ADL_SERVER_COMMANDS_SUBCOMMANDS_H
#define ADL_SERVER_COMMANDS_SUBCOMMANDS_H

/* The subcommands: one file each, listed here and nowhere else. */

#include "server/options/options.h"

extern const struct adl_command adl_command_serve;
extern const struct adl_command adl_command_localize;
extern const struct adl_command adl_command_eval;
extern const struct adl_command adl_command_train;
extern const struct adl_command adl_command_convert;
extern const struct adl_command adl_command_info;
extern const struct adl_command adl_command_forward;
extern const struct adl_command adl_command_step;
extern const struct adl_command adl_command_bench;
extern const struct adl_command adl_command_completion;

/* NULL-terminated, in the order of --help. */
extern const struct adl_command *const adl_commands[];

/* NULL when there is none of that name. */
const struct adl_command *adl_command_find(const char *name);

/* Parses, runs, and reports: argv[0] is the subcommand's name. Returns the exit
 * status; a failure is one line on stderr, of JSON where the log is. */
int adl_command_main(const struct adl_command *command, int argc, char **argv);

/* 0 done, 1 failed, 2 wrong usage. */
int adl_exit_status(enum adl_error_kind kind);

#endif
