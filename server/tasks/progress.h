#ifndef ADL_SERVER_TASKS_PROGRESS_H
#define ADL_SERVER_TASKS_PROGRESS_H

/* Shows the progress of a long run on stderr: a bar with rate and remaining time on a terminal,
 * one line a minute otherwise. One thread at a time. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adl_progress {
    const char *unit; /* what is counted, a plural with s: "images" */
    char note[96];    /* shown at the end of the line; the caller may change it at any time */
    size_t total;     /* 0: unknown */
    size_t done;
    uint64_t start_ns;
    uint64_t shown_ns; /* time of the last display */
    bool terminal;     /* stderr is a terminal that can move its cursor */
    bool drawn;        /* the bar is on the terminal's current line */
};

/* Starts to measure. `unit` has to outlive the progress. */
void adl_progress_start(struct adl_progress *progress, const char *unit, size_t total);
/* Sets the number of items that are done. Cheap enough to be called after every item. */
void adl_progress_update(struct adl_progress *progress, size_t done);
/* Calls adl_progress_update(), as a callback such as that of struct adl_evaluate_options;
 * `progress` is a struct adl_progress. */
void adl_progress_callback(void *progress, size_t done);
/* Erases the bar. To be called before any other output to the terminal. */
void adl_progress_clear(struct adl_progress *progress);
/* Erases the bar; without a terminal, writes a last line if a line was written before. */
void adl_progress_finish(struct adl_progress *progress);

#endif
