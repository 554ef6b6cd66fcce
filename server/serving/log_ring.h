#ifndef ADL_SERVER_SERVING_LOG_RING_H
#define ADL_SERVER_SERVING_LOG_RING_H

/* A bounded buffer of lines and the thread that writes them to a descriptor, so that a thread that
 * logs never waits: see the design in log_ring.c. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define ADL_LOG_LINE_BYTES 4096
#define ADL_LOG_RING_BYTES (256 * ADL_KIB)

/* A line, which ends with its newline. */
struct adl_log_line {
    char text[ADL_LOG_LINE_BYTES];
    size_t length;
};

struct adl_log_ring {
    int fd;
    /* The file to which the descriptor belongs; borrowed. NULL: it is never opened again. */
    const char *path;
    /* Writes a line that says how many were dropped; NULL: nobody wants to know. */
    void (*report)(struct adl_log_line *line, uint64_t dropped);

    /* For log_ring.c only. */
    pthread_mutex_t lock; /* protects the rest; never held during a write */
    pthread_cond_t filled;
    char *bytes;          /* of ADL_LOG_RING_BYTES, given by the owner; whole lines */
    size_t begin, length; /* the part in use, which may wrap around */
    uint64_t written;     /* lines written; shows progress */
    uint64_t dropped;     /* lines dropped since the last report */
    uint64_t lost;        /* lines that could not be written since one could */
    uint64_t dropped_total;
    bool running; /* the thread was started */
    bool writing; /* the thread has taken a line and is not done with it */
    bool reopen;
};

#define ADL_LOG_RING(...)                                                                          \
    {                                                                                              \
        __VA_ARGS__, .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER         \
    }

/* Starts the thread. If that fails, adl_log_ring_put() writes by itself. The ring has to live as
 * long as the process. */
void adl_log_ring_start(struct adl_log_ring *ring);
/* Appends a line, or drops and counts it if there is no space. Thread-safe. */
void adl_log_ring_put(struct adl_log_ring *ring, const struct adl_log_line *line);
/* Makes the thread open the file again, before the next line. If that fails, it goes on writing to
 * the old one. Thread-safe. */
void adl_log_ring_reopen(struct adl_log_ring *ring);
/* Waits for the last lines at the end of the process, as long as there is progress. */
void adl_log_ring_flush(struct adl_log_ring *ring);
/* Returns how many lines were dropped. Thread-safe. */
uint64_t adl_log_ring_dropped(struct adl_log_ring *ring);

#endif
