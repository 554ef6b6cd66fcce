/* Hints for people at a terminal; see hint.h. A row is a kind of error and words that its message
 * has; the first that fits is taken. */

#include "server/commands/hint.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

static const struct {
    enum adl_error_kind kind;
    const char *words; /* "": any message */
    const char *hint;
} rows[] = {
    {ADL_ERR_IO, "Address already in use",
     "another program listens there: ss -ltnp shows it, --listen 127.0.0.1:0 takes a free port"},
    {ADL_ERR_IO, "Too many open files", "raise the limit: ulimit -n 4096"},
    {ADL_ERR_IO, "No space left", "free space, or write to another disk"},
    {ADL_ERR_IO, "Permission denied",
     "adl-server doctor says which files and directories a "
     "server cannot use"},
    {ADL_ERR_NOMEM, "",
     "adl-server doctor shows what limits the memory; smaller --batch and "
     "--threads need less"},
    {ADL_ERR_NOT_FOUND, "no class", "adl-server info FILE lists the classes"},
};

/* Of the messages that end with what to do, these have a hint of their own. */
const char *adl_hint(const char *command, const struct adl_error *err, char *text, size_t size)
{
    char folder[300];

    for (size_t i = 0; i < ADL_COUNT(rows); i++)
        if (rows[i].kind == err->kind && strstr(err->message, rows[i].words)) {
            snprintf(text, size, "%s", rows[i].hint);
            return text;
        }
    if (err->kind == ADL_ERR_ARG) {
        snprintf(text, size, "adl-server help %s lists the options", command);
        return text;
    }
    if (err->kind == ADL_ERR_NOT_FOUND && strstr(err->message, "No such file") &&
        getcwd(folder, sizeof folder)) {
        snprintf(text, size, "names of files are relative to %s", folder);
        return text;
    }
    return NULL;
}
