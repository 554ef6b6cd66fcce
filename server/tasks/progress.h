#ifndef ADL_SERVER_TASKS_PROGRESS_H
#define ADL_SERVER_TASKS_PROGRESS_H

/* Progress of a long run on stderr: a bar with rate and remaining time on a terminal, one line a
 * minute otherwise. One thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adl_progress {
    const char *what; /* the unit, a plural with s: "images" */
    char note[96];    /* shown at the end of the line; the caller may change it at any time */
    size_t total;     /* 0: unknown */
    size_t done;
    uint64_t start_ns;
    uint64_t shown_ns; /* when it was last shown */
    bool terminal;     /* stderr is a terminal that can move its cursor */
    bool drawn;        /* the bar is on the terminal's current line */
};

/* `what` has to outlive the progress. */
void adl_progress_start(struct adl_progress *progress, const char *what, size_t total);
/* Cheap enough to call after every item. */
void adl_progress_update(struct adl_progress *progress, size_t done);
/* The same as a callback, such as that of struct adl_evaluate_options; `progress` is a
 * struct adl_progress. */
void adl_progress_callback(void *progress, size_t done);
/* Erases the bar. Call it before any other output to the terminal. */
void adl_progress_clear(struct adl_progress *progress);
/* Erases the bar; without a terminal, writes a last line if there has been one. */
void adl_progress_finish(struct adl_progress *progress);

#endif
