#ifndef ADL_TESTS_SUPPORT_COMMAND_CALL_H
#define ADL_TESTS_SUPPORT_COMMAND_CALL_H

/* Calls a subcommand within the process of the tests, which then have its error and count its
 * memory; command_run.h runs the whole program. */

#include "server/options/options.h"

/* Parses the words up to NULL as the command's arguments and runs it. What it prints goes to the
 * file `out` of the scratch directory. Returns its result. */
int command_call(const struct adl_command *command, const char *const *words, const char *out,
                 struct adl_error *err);

#endif
