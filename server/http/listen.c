/* Opens a listening socket from "HOST:PORT", and describes its address. */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/name.h"
#include "server/http/http.h"

#define BACKLOG 1024 /* connections that may wait in the kernel's queue to be accepted */

/* Splits "[::1]:80" or "host:80" into host and port; an empty host means all addresses. */
static int split(const char *where, char host[256], char port[8], struct adl_error *err)
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
            "--listen %s: has to be HOST:PORT or [ADDRESS]:PORT, such as 127.0.0.1:8080",
            ADL_SHORT(where));
    snprintf(host, 256, "%.*s", (int)length, begin);
    snprintf(port, 8, "%.5s", colon + 1);
    return 0;
}

/* Resolves the address; the caller frees *found with freeaddrinfo(). */
static int resolve(const char *where, struct addrinfo **found, struct adl_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char host[256], port[8];
    int why;

    if (split(where, host, port, err) < 0)
        return -1;
    why = getaddrinfo(*host ? host : NULL, port, &hints, found);
    /* The name has to mean the loopback address (RFC 6761, 6.3), but the C library knows it
     * from /etc/hosts only, and small containers have none. */
    if (why != 0 && (!strcasecmp(host, "localhost") || !strcasecmp(host, "localhost.")))
        why = getaddrinfo("127.0.0.1", port, &hints, found);
    if (why != 0)
        return adl_fail(err, ADL_ERR_ARG, "--listen %s: %s", ADL_SHORT(where), gai_strerror(why));
    return 0;
}

int adl_http_listen(const char *where, int *fd, struct adl_error *err)
{
    struct addrinfo *found;
    int one = 1, why;

    *fd = -1;
    if (resolve(where, &found, err) < 0)
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
        return adl_fail(err, ADL_ERR_IO, "cannot listen on %s: %s%s", ADL_SHORT(where),
                        strerror(why),
                        why == EADDRINUSE ? "; another program uses the port; choose another one "
                                            "with --listen"
                                          : "");
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

int adl_http_listen_check(const char *where, char *text, size_t size, bool *loopback,
                          struct adl_error *err)
{
    struct sockaddr_storage address = {0};
    struct addrinfo *found;

    if (resolve(where, &found, err) < 0)
        return -1;
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
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
