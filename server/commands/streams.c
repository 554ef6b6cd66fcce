/* Standard streams that are closed, full, or broken off. */

#include "server/commands/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

int adl_streams_begin(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* The lowest free number is the one that is missing. The other direction
         * than the stream's: results that go nowhere are still an error. */
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return -1;
    }
    return 0;
}

int adl_streams_end(int status)
{
    /* Of a write that failed earlier the reason is not known any more. */
    int known = !ferror(stdout);

    /* A full disk shows only here. A reader that went away, as `| head` does,
     * is no news to anyone. */
    errno = 0;
    if ((fflush(stdout) == 0 && known) || status)
        return status;
    if (errno != EPIPE)
        fprintf(stderr, "adl-server: cannot write to standard output%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
    return 1;
}

const char *adl_streams_flush_or_forget(void)
{
    const char *why = ferror(stdout) ? "an earlier write failed" : NULL;

    if (fflush(stdout) != 0)
        why = strerror(errno);
    if (why) {
        clearerr(stdout);
        __fpurge(stdout);
    }
    return why;
}
