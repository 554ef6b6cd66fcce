/* Closes connections gradually: one thread reads from them until the client closes them.
 *
 * DESIGN
 *
 * If a socket is closed while received bytes are unread, the kernel answers with a reset, and
 * a reset makes the client's kernel discard the response that it has received but not yet
 * delivered to the client. A client that is refused early (401, 413) is still sending its
 * body, so it would get "connection reset" instead of the reason. The remedy is to close only
 * the writing side and to read until the client closes the connection (RFC 9112, 9.6).
 *
 * libmicrohttpd 0.9.75 closes at once. So a duplicate of the descriptor is kept here: when the
 * library closes the original, only one reference goes away, the connection stays open, and
 * this thread reads from the duplicate.
 *
 * Threads and lock. I/O threads call adl_linger_add(); the linger thread polls. The lock
 * protects `slots`, `count` and `stop`, and is not held during poll(). Only the linger
 * thread removes slots, so the first `count` slots that it passed to poll() are unchanged
 * after poll(), whatever was appended meanwhile. An eventfd ends the poll when a slot was
 * added.
 *
 * Limits. At most SLOTS connections, LONGEST_NS each and ADL_LIMIT_SWALLOW_BYTES each:
 * reading from clients that were refused must not become a way to occupy the server. If
 * all slots are taken, the connection is closed at once, which is no worse than without this
 * file. Because the slots are few, an array that is searched completely suffices. */

#include "server/http/linger.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

#define SLOTS 64
#define LONGEST_NS (3 * (uint64_t)1000000000)

struct slot {
    int fd;
    uint64_t until_ns;
    size_t bytes;
};

struct adl_linger {
    pthread_t thread;
    int wake; /* eventfd */
    pthread_mutex_t lock;
    struct slot slots[SLOTS]; /* under the lock */
    size_t count;
    bool stop;
};

/* Reads and discards what has arrived. Returns whether the connection is finished: the
 * client has closed it, or a limit is reached. */
static bool linger_drain(struct slot *slot)
{
    static _Thread_local char sink[65536];
    for (;;) {
        ssize_t got = recv(slot->fd, sink, sizeof sink, MSG_DONTWAIT);
        if (got <= 0)
            return got == 0 || adl_clock_ns() > slot->until_ns ||
                   recv(slot->fd, sink, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
        slot->bytes += (size_t)got;
        if (slot->bytes > ADL_LIMIT_SWALLOW_BYTES || adl_clock_ns() > slot->until_ns)
            return true;
    }
}

static void *linger_run(void *argument)
{
    struct adl_linger *linger = argument;
    struct pollfd polls[SLOTS + 1];

    pthread_mutex_lock(&linger->lock);
    while (!linger->stop) {
        size_t count = linger->count;
        polls[0] = (struct pollfd){.fd = linger->wake, .events = POLLIN};
        for (size_t i = 0; i < count; i++)
            polls[i + 1] = (struct pollfd){.fd = linger->slots[i].fd, .events = POLLIN};
        pthread_mutex_unlock(&linger->lock);
        poll(polls, count + 1, count > 0 ? 200 : -1);
        if (polls[0].revents) {
            uint64_t value;
            if (read(linger->wake, &value, sizeof value) < 0) {
                /* The wake-up was spurious. */
            }
        }
        pthread_mutex_lock(&linger->lock);
        /* From the end, because a removed slot is replaced by the last one. */
        for (size_t i = count; i-- > 0;) {
            struct slot *slot = &linger->slots[i];
            bool over = adl_clock_ns() > slot->until_ns;
            if (polls[i + 1].revents)
                over |=
                    (polls[i + 1].revents & (POLLERR | POLLHUP | POLLNVAL)) || linger_drain(slot);
            if (over) {
                close(slot->fd);
                *slot = linger->slots[--linger->count];
            }
        }
    }
    pthread_mutex_unlock(&linger->lock);
    return NULL;
}

struct adl_linger *adl_linger_create(struct adl_error *err)
{
    struct adl_linger *linger = adl_calloc(1, sizeof *linger);
    if (!linger) {
        adl_fail_nomem(err, "connections");
        return NULL;
    }
    pthread_mutex_init(&linger->lock, NULL);
    linger->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (linger->wake < 0 || pthread_create(&linger->thread, NULL, linger_run, linger) != 0) {
        adl_fail(err, ADL_ERR_IO, "cannot start a thread");
        if (linger->wake >= 0)
            close(linger->wake);
        pthread_mutex_destroy(&linger->lock);
        adl_free(linger);
        return NULL;
    }
    return linger;
}

static void linger_wake(struct adl_linger *linger)
{
    uint64_t one = 1;
    if (write(linger->wake, &one, sizeof one) < 0) {
        /* The counter is full, so the thread is about to wake in any case. */
    }
}

void adl_linger_free(struct adl_linger *linger)
{
    if (!linger)
        return;
    pthread_mutex_lock(&linger->lock);
    linger->stop = true;
    pthread_mutex_unlock(&linger->lock);
    linger_wake(linger);
    pthread_join(linger->thread, NULL);
    for (size_t i = 0; i < linger->count; i++)
        close(linger->slots[i].fd);
    close(linger->wake);
    pthread_mutex_destroy(&linger->lock);
    adl_free(linger);
}

void adl_linger_add(struct adl_linger *linger, int fd)
{
    int copy = dup(fd);
    if (copy < 0)
        return;
    shutdown(copy, SHUT_WR);
    pthread_mutex_lock(&linger->lock);
    if (linger->count < SLOTS) {
        linger->slots[linger->count++] =
            (struct slot){.fd = copy, .until_ns = adl_clock_ns() + LONGEST_NS};
        copy = -1;
    }
    pthread_mutex_unlock(&linger->lock);
    if (copy >= 0)
        close(copy);
    linger_wake(linger);
}
