/* Writes lines to a descriptor in a thread of its own.
 *
 * DESIGN
 *
 * A thread that logs never waits. The descriptor may be a pipe whose reader sleeps, a terminal that
 * was stopped or a file on a dead file server, and then write(2) blocks; if I/O threads made that
 * call, the server would stop answering. So adl_log_ring_put() appends the line to a ring buffer in
 * memory, and a thread that does nothing else writes the buffer's lines. Making the descriptor
 * non-blocking instead would change it for every process that shares it, and if poll(2) reports
 * that it is writable, another process may fill the pipe before the write(2). The thread opens the
 * file again, too, since open(2) may block as well.
 *
 * The ring is bounded. A line that does not fit, or that the disk does not take, is dropped and
 * counted. When there is space again, a line in the place of the dropped ones says how many were
 * dropped.
 *
 * Lock. `lock` protects the ring and is never held during write(2) and open(2).
 *
 * At the end of the process adl_log_ring_flush() gives the thread time to write the remaining
 * lines, as long as it makes progress; a reader that sleeps does not delay the end by more than
 * FLUSH_PATIENCE_MS. The thread is detached: it may be in a write(2) that never returns. */

#include "server/serving/log_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

#define FLUSH_PATIENCE_MS 250

/* Writes a line, however long that takes. Returns false if it cannot be written, because the disk
 * is full, for example. */
static bool write_out(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t got = write(fd, text, length);
        if (got > 0) {
            text += got;
            length -= (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            /* Another process has made the descriptor non-blocking. */
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (got == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Appends a line if it fits; under the lock. */
static bool append(struct adl_log_ring *ring, const struct adl_log_line *line)
{
    size_t end = (ring->begin + ring->length) % ADL_LOG_RING_BYTES;
    size_t first = ADL_MIN(line->length, ADL_LOG_RING_BYTES - end);

    if (line->length > ADL_LOG_RING_BYTES - ring->length)
        return false;
    memcpy(ring->bytes + end, line->text, first);
    memcpy(ring->bytes, line->text + first, line->length - first);
    ring->length += line->length;
    return true;
}

/* Takes the first line of the ring, which is not empty; under the lock. */
static void take(struct adl_log_ring *ring, struct adl_log_line *line)
{
    line->length = 0;
    do {
        line->text[line->length++] = ring->bytes[ring->begin];
        ring->begin = (ring->begin + 1) % ADL_LOG_RING_BYTES;
        ring->length--;
    } while (line->text[line->length - 1] != '\n' && line->length < ADL_LOG_LINE_BYTES &&
             ring->length > 0);
}

/* Appends a line that says how many lines were dropped, if any were; under the lock. */
static void report_dropped(struct adl_log_ring *ring)
{
    struct adl_log_line line;

    if (ring->dropped == 0)
        return;
    line.length = 0;
    if (ring->report)
        ring->report(&line, ring->dropped);
    if (append(ring, &line))
        ring->dropped = 0;
}

/* Notes whether a line could be written; under the lock. Those that could not are reported when one
 * can: a report in their place could not be written either. */
static void note_result(struct adl_log_ring *ring, bool any, bool written)
{
    if (any && !written) {
        ring->lost++;
        ring->dropped_total++;
    } else if (written) {
        ring->dropped += ring->lost;
        ring->lost = 0;
    }
}

/* Opens the file again, which a program may have moved away. */
static void open_again(struct adl_log_ring *ring)
{
    int fd = open(ring->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

    if (fd < 0)
        return;
    close(ring->fd);
    ring->fd = fd;
}

static void *run(void *argument)
{
    struct adl_log_ring *ring = argument;
    struct adl_log_line line;

    pthread_mutex_lock(&ring->lock);
    for (;;) {
        while (ring->length == 0 && !ring->reopen)
            pthread_cond_wait(&ring->filled, &ring->lock);
        bool reopen = ring->reopen, any = ring->length > 0;
        ring->reopen = false;
        if (any)
            take(ring, &line);
        ring->writing = true;
        pthread_mutex_unlock(&ring->lock);
        if (reopen && ring->path)
            open_again(ring);
        bool written = any && write_out(ring->fd, line.text, line.length);
        pthread_mutex_lock(&ring->lock);
        ring->writing = false;
        ring->written += any;
        note_result(ring, any, written);
        if (ring->length == 0)
            report_dropped(ring);
    }
    return NULL;
}

void adl_log_ring_start(struct adl_log_ring *ring)
{
    pthread_t thread;

    if (!ring->running && pthread_create(&thread, NULL, run, ring) == 0) {
        pthread_detach(thread);
        ring->running = true;
    }
}

void adl_log_ring_flush(struct adl_log_ring *ring)
{
    uint64_t written = 0;

    for (int waited = 0; ring->running && waited < FLUSH_PATIENCE_MS; waited++) {
        pthread_mutex_lock(&ring->lock);
        bool empty = ring->length == 0 && !ring->writing;
        if (ring->written != written)
            waited = 0;
        written = ring->written;
        pthread_mutex_unlock(&ring->lock);
        if (empty)
            return;
        poll(NULL, 0, 1);
    }
}

void adl_log_ring_put(struct adl_log_ring *ring, const struct adl_log_line *line)
{
    if (!ring->running) {
        (void)!write_out(ring->fd, line->text, line->length);
        return;
    }
    pthread_mutex_lock(&ring->lock);
    /* There has to be space for the report and for the line that follows it. */
    if (ring->dropped > 0 && ADL_LOG_RING_BYTES - ring->length >= 2 * (size_t)ADL_LOG_LINE_BYTES)
        report_dropped(ring);
    if (ring->dropped > 0 || !append(ring, line)) {
        ring->dropped++;
        ring->dropped_total++;
    }
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

void adl_log_ring_reopen(struct adl_log_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->reopen = true;
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

uint64_t adl_log_ring_dropped(struct adl_log_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    uint64_t dropped = ring->dropped_total;
    pthread_mutex_unlock(&ring->lock);
    return dropped;
}
