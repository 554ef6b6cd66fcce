/* Accepts connections from a socket that other processes may use as well.
 *
 * DESIGN
 *
 * libmicrohttpd could accept connections, but must not get the listening socket: to stop, it
 * calls shutdown(), which ends the socket itself, for every process that has it open. A socket
 * that systemd passed would be dead, its unit would fail, and the clients would be refused.
 * close() only gives up the descriptor of this process; the connections that wait in the
 * kernel's queue stay there for the next one. (MHD_quiesce_daemon() of 0.9.75 does not
 * shut the socket down, but may abort the process: its threads and its caller both remove
 * the socket from the same epoll set.)
 *
 * The flags of an open file are shared as well, so O_NONBLOCK is not set here. On a socket
 * that blocks, which is how systemd passes it, one connection is accepted each time that
 * poll() reports a waiting one. If another process accepted it in between, accept4() waits for
 * the next one; adl_acceptor_stop() therefore interrupts it by a signal, again and again until
 * the thread has noticed, because the first signal may arrive just before the call of
 * accept4(). The signal is SIGURG, which is ignored by default and not used otherwise.
 *
 * Closing a socket that no other process has resets the connections in its queue, and those whose
 * handshake has begun, which come into the queue a moment later. So no handshake may begin any more
 * while the queue is emptied for the last time: a filter on the socket drops segments with SYN. A
 * client whose SYN was dropped sends it again after a second, and is refused as by any port where
 * nobody listens. */

#include "server/http/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

#define FULL_PAUSE_MS 10      /* how often to check whether a connection was closed */
#define SHORTAGE_PAUSE_MS 100 /* after accept4() failed for lack of memory or descriptors */
#define HANDSHAKE_MS 200      /* how long one that has begun may take in the end */
#define LOOPBACK_MS 10        /* the same between processes of one machine */
#define REST_MS 1000          /* how long connections are accepted in the end, at most */
#define BURST 64              /* connections accepted before checking whether to stop */

struct adl_acceptor {
    struct adl_acceptor_config config;
    pthread_t thread;
    int wake; /* eventfd: adl_acceptor_stop() was called */
    bool blocking;
    _Atomic bool rest;
    _Atomic bool ended;
};

static void on_interruption(int number)
{
    (void)number;
}

/* Accepts one connection and passes it to `take`. Returns for how many milliseconds to pause;
 * -1: no connection waits. */
static int accept_one(struct adl_acceptor *acceptor)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    int fd = accept4(acceptor->config.fd, (struct sockaddr *)&address, &length,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        acceptor->config.take(acceptor->config.context, fd, (struct sockaddr *)&address, length);
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return -1;
    /* Linux also reports errors of the connection that was to be accepted. */
    return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ||
                   errno == EBADF || errno == EINVAL || errno == ENOTSOCK || errno == EFAULT
               ? SHORTAGE_PAUSE_MS
               : 0;
}

/* Accepts the waiting connections, at most BURST; only one if the socket blocks, since a
 * further call could wait. Returns for how many milliseconds to pause. */
static int accept_some(struct adl_acceptor *acceptor)
{
    int pause_ms = 0;

    for (int i = 0; i < (acceptor->blocking ? 1 : BURST) && pause_ms == 0; i++)
        pause_ms =
            acceptor->config.full(acceptor->config.context) ? FULL_PAUSE_MS : accept_one(acceptor);
    return pause_ms < 0 ? 0 : pause_ms;
}

/* Makes the kernel ignore new connections: of the segments for a listening socket it drops those
 * with SYN, the second lowest bit of byte 13 of their header. Other sockets than TCP's, to which
 * this does not apply, have no handshakes. */
static void refuse_handshakes(int fd)
{
    static const unsigned char syn = 0x02;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, syn, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = ADL_COUNT(code), .filter = code};
    int domain = 0;
    socklen_t length = sizeof domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX &&
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) {
        /* Without it, connections of the last moment are reset, as they would be anyway. */
    }
}

/* Returns how long a handshake that has begun may take. */
static int handshake_ms(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    const struct sockaddr_in *v4 = (const void *)&address;
    const struct sockaddr_in6 *v6 = (const void *)&address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return HANDSHAKE_MS;
    bool near = address.ss_family == AF_UNIX ||
                (address.ss_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127) ||
                (address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
    return near ? LOOPBACK_MS : HANDSHAKE_MS;
}

/* Accepts what the queue has, until no handshake that had begun can end any more. */
static void accept_rest(struct adl_acceptor *acceptor)
{
    struct pollfd queue = {.fd = acceptor->config.fd, .events = POLLIN};
    uint64_t until = adl_clock_ns() + (uint64_t)REST_MS * 1000000;
    const int pause_ms = handshake_ms(acceptor->config.fd);

    refuse_handshakes(acceptor->config.fd);
    while (adl_clock_ns() < until && poll(&queue, 1, pause_ms) > 0)
        while (accept_one(acceptor) == 0)
            ;
}

static void *run(void *argument)
{
    struct adl_acceptor *acceptor = argument;
    struct pollfd polls[2] = {{.fd = acceptor->wake, .events = POLLIN},
                              {.fd = acceptor->config.fd, .events = POLLIN}};
    int pause_ms = 0;

    for (;;) {
        /* During a pause, only `wake` is polled. */
        int events = poll(polls, pause_ms > 0 ? 1 : 2, pause_ms > 0 ? pause_ms : -1);
        bool waiting = pause_ms == 0 && events > 0 && polls[1].revents;
        pause_ms = 0;
        if (events > 0 && polls[0].revents)
            break;
        if (waiting)
            pause_ms = accept_some(acceptor);
    }
    if (atomic_load(&acceptor->rest) && !acceptor->blocking)
        accept_rest(acceptor);
    close(acceptor->config.fd);
    atomic_store(&acceptor->ended, true);
    return NULL;
}

struct adl_acceptor *adl_acceptor_start(const struct adl_acceptor_config *config,
                                        struct adl_error *err)
{
    struct adl_acceptor *acceptor = adl_calloc(1, sizeof *acceptor);
    struct sigaction interrupt = {.sa_handler = on_interruption}; /* without SA_RESTART */

    if (!acceptor) {
        adl_fail_nomem(err, "connections");
        return NULL;
    }
    acceptor->config = *config;
    acceptor->blocking = !(fcntl(config->fd, F_GETFL) & O_NONBLOCK);
    acceptor->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (acceptor->wake < 0 || (acceptor->blocking && sigaction(SIGURG, &interrupt, NULL) < 0) ||
        pthread_create(&acceptor->thread, NULL, run, acceptor) != 0) {
        adl_fail(err, ADL_ERR_IO, "cannot start a thread that accepts connections");
        if (acceptor->wake >= 0)
            close(acceptor->wake);
        adl_free(acceptor);
        return NULL;
    }
    return acceptor;
}

void adl_acceptor_stop(struct adl_acceptor *acceptor, bool rest)
{
    uint64_t one = 1;

    if (!acceptor)
        return;
    atomic_store(&acceptor->rest, rest);
    if (write(acceptor->wake, &one, sizeof one) < 0) {
        /* The counter cannot be full: this is the only write. */
    }
    while (acceptor->blocking && !atomic_load(&acceptor->ended)) {
        pthread_kill(acceptor->thread, SIGURG);
        poll(NULL, 0, 1);
    }
    pthread_join(acceptor->thread, NULL);
    close(acceptor->wake);
    adl_free(acceptor);
}
