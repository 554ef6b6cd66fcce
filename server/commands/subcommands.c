/* Makes the list of subcommands, and searches it. */

#include "server/commands/subcommands.h"

#include <string.h>

#define ROW(name) &adl_command_##name,
const struct adl_command *const adl_commands[] = {ADL_SUBCOMMANDS(ROW) NULL};
#undef ROW

const struct adl_command *adl_command_find(const char *name)
{
    for (size_t i = 0; adl_commands[i]; i++)
        if (!strcmp(adl_commands[i]->name, name))
            return adl_commands[i];
    return NULL;
}
