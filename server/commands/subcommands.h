#ifndef ADL_SERVER_COMMANDS_SUBCOMMANDS_H
#define ADL_SERVER_COMMANDS_SUBCOMMANDS_H

/* Lists the subcommands, in the order of --help. To add one, add a file cmd_NAME.c and a row
 * here. */

#include "server/options/options.h"

#define ADL_SUBCOMMANDS(ROW)                                                                       \
    ROW(serve)                                                                                     \
    ROW(reload)                                                                                    \
    ROW(run)                                                                                       \
    ROW(localize)                                                                                  \
    ROW(eval)                                                                                      \
    ROW(train)                                                                                     \
    ROW(calibrate)                                                                                 \
    ROW(report)                                                                                    \
    ROW(experiment)                                                                                \
    ROW(convert)                                                                                   \
    ROW(info)                                                                                      \
    ROW(attention)                                                                                 \
    ROW(forward)                                                                                   \
    ROW(step)                                                                                      \
    ROW(bench)                                                                                     \
    ROW(doctor)                                                                                    \
    ROW(completion)

#define ADL_SUBCOMMAND_DECLARE(name) extern const struct adl_command adl_command_##name;
ADL_SUBCOMMANDS(ADL_SUBCOMMAND_DECLARE)
#undef ADL_SUBCOMMAND_DECLARE

/* NULL-terminated. */
extern const struct adl_command *const adl_commands[];

/* Returns the subcommand of this name; NULL if there is none. */
const struct adl_command *adl_command_find(const char *name);

#endif
