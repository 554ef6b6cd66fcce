/* Implements `reload`, which makes a running server reload and reports how that ended. */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "server/commands/command.h"
#include "server/serving/reload_link.h"

static int run(const void *settings, const struct adl_options *options, struct adl_error *err)
{
    const char *text = options->operands[0];
    char *end;
    long pid;

    (void)settings;
    errno = 0;
    pid = strtol(text, &end, 10);
    /* Zero and negative numbers would signal whole groups of processes. */
    if (errno || *end || end == text || pid < 1 || pid > INT_MAX)
        return adl_fail(err, ADL_ERR_ARG, "%s is not a process id",
                        adl_name_quote(text, strlen(text)).text);
    return adl_reload_request((pid_t)pid, err);
}

static const struct adl_option table[] = {{0}};

const struct adl_command adl_command_reload = {
    .name = "reload",
    .summary = "Make a running server reload its models",
    .usage = "PID",
    .description =
        "Sends SIGHUP to the server with this process id and waits until it has read its models "
        "and tokens again. If one of them cannot be read, the server keeps the old one, and this "
        "command prints why and exits with status 1. The unit of systemd uses it for systemctl "
        "reload.",
    .examples = "  adl-server reload $(pgrep -x adl-server)\n",
    .options = table,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
