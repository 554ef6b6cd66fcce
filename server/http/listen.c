/* Opens a listening socket from "HOST:PORT" or "unix:PATH", and describes its address. */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/name.h"
#include "server/http/http.h"

#define BACKLOG 1024 /* connections that may wait in the kernel's queue to be accepted */

/* Splits "[::1]:80" or "host:80" into host and port; an empty host means all addresses. */
static int split(const char *option, const char *where, char host[256], char port[8],
                 struct adl_error *err)
{
    const char *colon = strrchr(where, ':');
    size_t length = colon ? (size_t)(colon - where) : 0;
    const char *begin = where;

    if (length > 1 && *where == '[' && where[length - 1] == ']') {
        begin++;
        length -= 2;
    } else if (colon && memchr(where, ':', length)) {
        colon = NULL; /* an IPv6 address without brackets: its port is ambiguous */
    }
    if (!colon || length > 255 || strlen(colon + 1) < 1 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535)
        return adl_fail(
            err, ADL_ERR_ARG,
            "%s %s: has to be HOST:PORT or [ADDRESS]:PORT, such as 127.0.0.1:8080, or unix:PATH",
            option, ADL_SHORT(where));
    snprintf(host, 256, "%.*s", (int)length, begin);
    snprintf(port, 8, "%.5s", colon + 1);
    return 0;
}

/* Resolves the address; the caller frees *found with freeaddrinfo(). */
static int resolve(const char *option, const char *where, struct addrinfo **found,
                   struct adl_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char host[256], port[8];
    int why;

    if (split(option, where, host, port, err) < 0)
        return -1;
    why = getaddrinfo(*host ? host : NULL, port, &hints, found);
    /* The name has to mean the loopback address (RFC 6761, 6.3), but the C library knows it
     * from /etc/hosts only, and small containers have none. */
    if (why != 0 && (!strcasecmp(host, "localhost") || !strcasecmp(host, "localhost.")))
        why = getaddrinfo("127.0.0.1", port, &hints, found);
    if (why != 0)
        return adl_fail(err, ADL_ERR_ARG, "%s %s: %s", option, ADL_SHORT(where), gai_strerror(why));
    return 0;
}

/* Writes the address of "unix:PATH" and returns 1; returns 0 if `where` has another form. */
static int unix_address(const char *option, const char *where, struct sockaddr_un *address,
                        struct adl_error *err)
{
    const char *path = where + sizeof "unix:" - 1;

    if (strncmp(where, "unix:", sizeof "unix:" - 1) != 0)
        return 0;
    if (!*path || strlen(path) >= sizeof address->sun_path)
        return adl_fail(err, ADL_ERR_ARG, "%s %s: the path has to have 1 to %zu bytes", option,
                        ADL_SHORT(where), sizeof address->sun_path - 1);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, strlen(path));
    return 1;
}

/* Removes a socket file that a process has left behind, on which nobody listens any more. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat status;
    int fd;

    if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static int listen_unix(const char *option, const struct sockaddr_un *address, int *fd,
                       struct adl_error *err)
{
    int why;

    remove_stale(address);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the mode of the socket, less the bits of the umask: never more than 660. */
    if (*fd >= 0 && fchmod(*fd, 0660) == 0 &&
        bind(*fd, (const struct sockaddr *)address, sizeof *address) == 0 &&
        chmod(address->sun_path, 0660) == 0 && listen(*fd, BACKLOG) == 0)
        return 0;
    why = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return adl_fail(err, ADL_ERR_IO, "%s unix:%s: cannot listen there: %s%s", option,
                    ADL_SHORT(address->sun_path), strerror(why),
                    why == EADDRINUSE ? "; another program listens on it, or it is no socket" : "");
}

void adl_http_listen_remove(const char *where)
{
    struct adl_error none = {0};
    struct sockaddr_un address;

    if (where && unix_address("", where, &address, &none) > 0)
        unlink(address.sun_path);
}

int adl_http_listen(const char *option, const char *where, int *fd, struct adl_error *err)
{
    struct sockaddr_un local;
    struct addrinfo *found;
    int one = 1, why;

    *fd = -1;
    why = unix_address(option, where, &local, err);
    if (why != 0)
        return why < 0 ? -1 : listen_unix(option, &local, fd, err);
    if (resolve(option, where, &found, err) < 0)
        return -1;
    for (struct addrinfo *a = found; a && *fd < 0; a = a->ai_next) {
        *fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
        if (*fd < 0)
            continue;
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(*fd, a->ai_addr, a->ai_addrlen) < 0 || listen(*fd, BACKLOG) < 0) {
            why = errno;
            close(*fd);
            *fd = -1;
            errno = why;
        }
    }
    why = errno;
    freeaddrinfo(found);
    if (*fd < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot listen on %s: %s%s%s", ADL_SHORT(where),
                        strerror(why),
                        why == EADDRINUSE ? "; another program uses the port; choose another one "
                                            "with "
                                          : "",
                        why == EADDRINUSE ? option : "");
    return 0;
}

static void describe(const struct sockaddr_storage *address, char *text, size_t size,
                     bool *loopback)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        *loopback = (ntohl(four->sin_addr.s_addr) >> 24) == 127;
        snprintf(text, size, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        *loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
        snprintf(text, size, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else {
        /* The name of an abstract address begins with a NUL; the bytes after it are the text. */
        const struct sockaddr_un *un = (const void *)address;
        bool abstract = un->sun_path[0] == '\0';
        *loopback = address->ss_family == AF_UNIX;
        snprintf(text, size, "unix:%s%.100s", abstract ? "@" : "", un->sun_path + abstract);
    }
}

int adl_http_listen_check(const char *option, const char *where, char *text, size_t size,
                          bool *loopback, struct adl_error *err)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_un local;
    struct addrinfo *found;
    int is_unix = unix_address(option, where, &local, err);

    if (is_unix < 0 || (!is_unix && resolve(option, where, &found, err) < 0))
        return -1;
    if (is_unix) {
        memcpy(&address, &local, sizeof local);
    } else {
        memcpy(&address, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
    }
    describe(&address, text, size, loopback);
    return 0;
}

int adl_http_listen_name(int fd, char *text, size_t size, bool *loopback, struct adl_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return adl_fail(err, ADL_ERR_IO, "the listening socket: %s", strerror(errno));
    describe(&address, text, size, loopback);
    return 0;
}
