#ifndef ADL_SERVER_COMMANDS_HINT_H
#define ADL_SERVER_COMMANDS_HINT_H

/* What to do about the most common mistakes. */

#include <stddef.h>

#include "base/error.h"

/* Writes a hint for the error of a subcommand into `text` of `size` bytes and returns it; NULL if
 * there is nothing to say that the message does not. */
const char *adl_hint(const char *command, const struct adl_error *err, char *text, size_t size);

#endif
