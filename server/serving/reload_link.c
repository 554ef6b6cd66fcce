/* Connects `adl-server reload` with a running server.
 *
 * DESIGN
 *
 * The caller opens a datagram socket in the abstract namespace, whose name contains its process
 * id and a random number, and sends SIGHUP with that number by sigqueue(3). The server
 * learns the process id and the number from the signal and answers to that name: first an
 * acknowledgement, later how the reload ended. So the server needs neither a file nor a socket
 * that exists all the time, and a plain `kill -HUP` works as well. If two equal signals are
 * pending at once, the kernel drops one; therefore the caller repeats its signal until it is
 * acknowledged.
 *
 * Trust. Every process can send to an abstract name. The kernel attaches the sender's process
 * id, and the caller ignores messages that do not come from the server. The server only sends
 * one short message, without waiting. */

#include "server/serving/reload_link.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ACKNOWLEDGED 'n'
#define DONE 'd'
#define FAILED 'f'

#define REPEAT_MS 1000 /* time without an acknowledgement after which the signal is repeated */
#define REPEATS 10

static socklen_t name_of(struct adl_reload_caller caller, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    /* The first byte stays 0: the abstract namespace. */
    int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                          "adl-server-reload-%d-%d", (int)caller.pid, caller.cookie);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

/* --- the server ------------------------------------------------------------------ */

static void send_message(struct adl_reload_caller caller, char kind, const char *text)
{
    struct sockaddr_un address;
    char message[sizeof((struct adl_error *)0)->message + 1];
    socklen_t length = name_of(caller, &address);
    int fd;

    if (caller.pid <= 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    snprintf(message, sizeof message, "%c%s", kind, text);
    sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
           length);
    close(fd);
}

void adl_reload_acknowledge(struct adl_reload_caller caller)
{
    send_message(caller, ACKNOWLEDGED, "");
}

void adl_reload_answer(struct adl_reload_caller caller, const char *error)
{
    send_message(caller, error ? FAILED : DONE, error ? error : "");
}

/* --- the caller ------------------------------------------------------------------ */

static int open_socket(struct adl_reload_caller *caller, struct adl_error *err)
{
    struct sockaddr_un address;
    int one = 1, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    caller->pid = getpid();
    if (fd >= 0 && getrandom(&caller->cookie, sizeof caller->cookie, 0) == sizeof caller->cookie &&
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0 &&
        bind(fd, (struct sockaddr *)&address, name_of(*caller, &address)) == 0)
        return fd;
    adl_fail(err, ADL_ERR_IO, "cannot open a socket for the server's answer: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Receives one message; returns whether it comes from the server. */
static bool receive(int fd, pid_t server, char *text, size_t size)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec into = {text, size - 1};
    struct msghdr message = {.msg_iov = &into,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
    const struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    struct ucred sender;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
        header->cmsg_len < CMSG_LEN(sizeof sender))
        return false;
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
    text[length] = '\0';
    return sender.pid == server;
}

static int wait_for_answer(int fd, struct adl_reload_caller caller, pid_t server,
                           struct adl_error *err)
{
    char text[sizeof err->message + 1];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool acknowledged = false;

    for (int sent = 0;;) {
        if (acknowledged ? kill(server, 0) < 0
                         : sigqueue(server, SIGHUP, (union sigval){.sival_int = caller.cookie}) < 0)
            return adl_fail(err, ADL_ERR_IO, "cannot make process %d reload: %s", (int)server,
                            strerror(errno));
        if (!acknowledged && sent++ == REPEATS)
            return adl_fail(err, ADL_ERR_IO,
                            "process %d does not answer; it may be another program, or a server "
                            "that is about to stop",
                            (int)server);
        while (poll(&wait, 1, REPEAT_MS) > 0) {
            if (!receive(fd, server, text, sizeof text))
                continue;
            acknowledged = true;
            if (text[0] == DONE)
                return 0;
            if (text[0] == FAILED)
                return adl_fail(err, ADL_ERR_IO, "%s", text + 1);
        }
    }
}

int adl_reload_request(pid_t server, struct adl_error *err)
{
    struct adl_reload_caller caller = {0};
    int fd = open_socket(&caller, err), result = -1;

    if (fd < 0)
        return -1;
    result = wait_for_answer(fd, caller, server, err);
    close(fd);
    return result;
}
