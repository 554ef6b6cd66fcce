/* Implements the service manager's protocol, as described in sd_notify(3) and
 * sd_listen_fds(3), because this is short and avoids a dependency on libsystemd. */

#include "server/serving/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3 /* the first descriptor that is passed, SD_LISTEN_FDS_START */

void adl_notify(const char *fmt, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[512];
    size_t length;
    va_list args;
    int fd;

    /* "@name" is a socket in the abstract namespace, whose address begins with a NUL. */
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (*path == '@')
        address.sun_path[0] = '\0';
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
           (socklen_t)length);
    close(fd);
}

void adl_notify_reloading(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    adl_notify("RELOADING=1\nMONOTONIC_USEC=%lld",
               (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* Returns the value of an environment variable that holds a whole number; 0 if it is not set or
 * malformed. */
static unsigned long long number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long value;

    if (!text || *text < '0' || *text > '9')
        return 0;
    value = strtoull(text, &end, 10);
    return *end ? 0 : value;
}

/* Returns whether the variables of the service manager are meant for this process: the variable
 * `name`, if it is set, has the id of the process that they are meant for, and a child of that
 * process may have inherited them. */
static int is_for_us(const char *name)
{
    return !getenv(name) || number(name) == (unsigned long long)getpid();
}

uint64_t adl_notify_watchdog_ns(void)
{
    return is_for_us("WATCHDOG_PID") ? number("WATCHDOG_USEC") * 1000 : 0;
}

static int check_listening(int fd, struct adl_error *err)
{
    int type = 0, listening = 0;
    socklen_t size = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
        return adl_fail(err, ADL_ERR_ARG,
                        "the socket that was passed to the server is not one that accepts "
                        "connections; use ListenStream= in its socket unit");
    size = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        return adl_fail(err, ADL_ERR_ARG,
                        "the socket that was passed to the server is a single connection, not "
                        "a listening socket; set Accept=no in its socket unit");
    return 0;
}

int adl_notify_listen_fds(int fds[ADL_LIMIT_LISTENERS], size_t *count, struct adl_error *err)
{
    unsigned long long passed = is_for_us("LISTEN_PID") ? number("LISTEN_FDS") : 0;

    *count = 0;
    if (passed > ADL_LIMIT_LISTENERS)
        return adl_fail(err, ADL_ERR_ARG,
                        "%llu sockets were passed to the server, which takes up to %d; keep fewer "
                        "ListenStream= in its socket unit",
                        passed, ADL_LIMIT_LISTENERS);
    for (size_t i = 0; i < passed; i++) {
        int fd = FIRST_FD + (int)i;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return adl_fail(err, ADL_ERR_IO, "LISTEN_FDS names descriptor %d, which is not open",
                            fd);
        if (check_listening(fd, err) < 0)
            return -1;
        fds[i] = fd;
    }
    *count = (size_t)passed;
    return 0;
}
