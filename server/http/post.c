/* Posts to another server; see post.h. A collector of spans or metrics is all that it is for: there
 * are no redirections, no encodings and no second request on a connection. */

#include "server/http/post.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/name.h"
#include "base/size.h"

#define SCHEME "http://"
#define HEAD_BYTES 4096 /* of an answer; what follows is not read */

/* --- where to ---------------------------------------------------------------------------- */

static int fail_url(const char *url, const char *what, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_ARG, "\"%s\" is not http://HOST[:PORT][/PATH]: %s", ADL_SHORT(url),
                    what);
}

int adl_http_endpoint_parse(const char *url, const char *path, struct adl_http_endpoint *to,
                            struct adl_error *err)
{
    static const char printable[] =
        "!\"$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_"
        "`abcdefghijklmnopqrstuvwxyz{|}~";
    const size_t scheme = strlen(SCHEME);

    if (!strncasecmp(url, "https://", 8))
        return fail_url(url, "only plain HTTP is spoken; put a proxy in between", err);
    if (strncasecmp(url, SCHEME, scheme) != 0)
        return fail_url(url, "it begins with another scheme", err);
    if (url[strspn(url, printable)] != '\0')
        return fail_url(url, "a character has to be written as %XX", err);
    const char *host = url + scheme, *end = host + strcspn(host, "/?");
    const char *given = *end && strcmp(end, "/") != 0 ? end : path;
    if (memchr(host, '@', (size_t)(end - host)))
        return fail_url(url, "names and passwords are not sent", err);
    const char *host_end = host, *port = "80";
    size_t port_length = 2, skip = *host == '[';
    host_end += skip ? strcspn(host, "]/") : strcspn(host, ":/?");
    size_t host_length = (size_t)(host_end - host) - skip;
    if (skip && *host_end != ']')
        return fail_url(url, "the bracket is not closed", err);
    const char *after = host_end + skip;
    if (*after == ':') {
        port = after + 1;
        port_length = strspn(port, "0123456789");
        after = port + port_length;
    }
    if (after != end || host_length == 0 || host_length >= sizeof to->host || port_length == 0 ||
        port_length > 5 || atoi(port) < 1 || atoi(port) > 65535)
        return fail_url(url, "the host or the port is not valid", err);
    if (*given != '/' || strlen(given) >= sizeof to->path)
        return fail_url(url, "the path is not valid", err);
    snprintf(to->host, sizeof to->host, "%.*s", (int)host_length, host + skip);
    snprintf(to->port, sizeof to->port, "%.*s", (int)port_length, port);
    snprintf(to->authority, sizeof to->authority, "%.*s", (int)(end - host), host);
    snprintf(to->path, sizeof to->path, "%s", given);
    return 0;
}

/* --- the exchange -------------------------------------------------------------------------- */

/* Waits until a socket is ready for `events`, at the latest until a time of adl_clock_ns(). */
static bool wait_for(int fd, short events, uint64_t until_ns)
{
    struct pollfd one = {.fd = fd, .events = events};

    for (;;) {
        uint64_t now = adl_clock_ns();
        if (now >= until_ns)
            return false;
        int ready = poll(&one, 1, (int)((until_ns - now) / 1000000 + 1));
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

static int connect_to(const struct addrinfo *address, unsigned timeout_ms)
{
    uint64_t until = adl_clock_ns() + (uint64_t)timeout_ms * 1000000;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t length = sizeof error;

    if (fd < 0)
        return -1;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && wait_for(fd, POLLOUT, until) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0)
        return fd;
    close(fd);
    errno = error ? error : errno == EINPROGRESS ? ETIMEDOUT : errno;
    return -1;
}

static int open_connection(const struct adl_http_endpoint *to, unsigned timeout_ms,
                           struct adl_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list;
    int fd = -1, failed = getaddrinfo(to->host, to->port, &hints, &list);

    if (failed)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", to->authority, gai_strerror(failed));
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = connect_to(a, timeout_ms);
    int why = errno;
    freeaddrinfo(list);
    return fd >= 0 ? fd : adl_fail(err, ADL_ERR_IO, "%s: %s", to->authority, strerror(why));
}

static bool send_all(int fd, const char *bytes, size_t length, uint64_t until_ns)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (sent == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ||
                   !wait_for(fd, POLLOUT, until_ns)) {
            return false;
        }
    }
    return true;
}

/* Reads until the head is complete, or as much of it as there is space for. */
static size_t read_head(int fd, char *head, size_t size, uint64_t until_ns)
{
    size_t length = 0;

    head[0] = '\0';
    while (length < size - 1 && !strstr(head, "\r\n\r\n") && wait_for(fd, POLLIN, until_ns)) {
        ssize_t got = recv(fd, head + length, size - 1 - length, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
        head[length] = '\0';
    }
    return length;
}

static int parse_head(const char *head, struct adl_http_post_answer *answer)
{
    if (strncmp(head, "HTTP/1.", 7) != 0 || strlen(head) < 12 || head[8] != ' ')
        return -1;
    answer->status = atoi(head + 9);
    answer->retry_after_s = 0;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, "Retry-After:", 12))
            answer->retry_after_s = (unsigned)ADL_MIN(strtoul(line + 14, NULL, 10), 3600UL);
    return answer->status >= 200 && answer->status < 600 ? 0 : -1;
}

int adl_http_post(const struct adl_http_endpoint *to, const char *type, const void *body,
                  size_t length, unsigned timeout_ms, struct adl_http_post_answer *answer,
                  struct adl_error *err)
{
    char head[HEAD_BYTES];
    int fd = open_connection(to, timeout_ms, err);
    uint64_t until = adl_clock_ns() + (uint64_t)timeout_ms * 1000000;
    int result = -1;

    if (fd < 0)
        return -1;
    int written = snprintf(head, sizeof head,
                           "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n"
                           "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                           to->path, to->authority, type, length);
    /* A server may answer, and close, before it has read everything. */
    bool sent = send_all(fd, head, (size_t)written, until) && send_all(fd, body, length, until);
    if (read_head(fd, head, sizeof head, until) > 0 && parse_head(head, answer) == 0)
        result = 0;
    else
        adl_fail(err, ADL_ERR_IO, "%s: %s", to->authority,
                 !sent                     ? "the connection broke"
                 : adl_clock_ns() >= until ? "no answer in time"
                                           : "the answer is not HTTP");
    close(fd);
    return result;
}
