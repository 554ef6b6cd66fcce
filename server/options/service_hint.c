/* What the sandbox of adl-server.service means for files. */

#include "server/options/service_hint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* systemd sets the variable to the process id of what it starts; a shell that was started
 * somewhere below a service inherits it with another one. */
static bool is_service(void)
{
    const char *pid = getenv("SYSTEMD_EXEC_PID");
    return pid && strtol(pid, NULL, 10) == (long)getpid();
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return !strncmp(path, directory, length) && (path[length] == '/' || !path[length]);
}

static const char *hint(const char *path, int why)
{
    if (*path != '/')
        return "; a service starts in the directory /, so give the whole path";
    if (is_below(path, "/home") || is_below(path, "/root") || is_below(path, "/run/user"))
        return "; the service does not see /home, /root and /run/user (ProtectHome= in its unit): "
               "move the file to " ADL_DATADIR;
    if (is_below(path, "/tmp") || is_below(path, "/var/tmp"))
        return "; the service has a /tmp and a /var/tmp of its own (PrivateTmp= in its unit): move "
               "the file to " ADL_DATADIR;
    if (why == EACCES)
        return "; the service runs as a user of its own, who has to be allowed to read the file "
               "(chmod a+r) and to enter its directories (chmod a+x); LoadCredential= in its unit "
               "passes it a secret";
    return "";
}

void adl_service_explain(const char *path, struct adl_error *err)
{
    size_t length = strlen(err->message);

    if (err->kind == ADL_ERR_NONE || !is_service() || access(path, R_OK) == 0)
        return;
    snprintf(err->message + length, sizeof err->message - length, "%s", hint(path, errno));
}
