/* Handles standard streams that are closed, or that cannot be written. */

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
        /* open() returns the lowest free number, which is this one. The access mode is the
         * opposite of the stream's, so that using the stream fails and output is not lost
         * silently. */
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return -1;
    }
    return 0;
}

int adl_streams_end(int status)
{
    /* The reason of an earlier failed write is no longer known. */
    int known = !ferror(stdout);

    /* A full disk may cause an error only here. If the reader has closed the pipe, as `head`
     * does, no message is printed. */
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
