#ifndef ADL_SERVER_TASKS_PROGRESS_H
#define ADL_SERVER_TASKS_PROGRESS_H

/* Progress of a long run on stderr: a bar with rate and remaining time on a
 * terminal, one line a minute otherwise. One thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adl_progress {
    const char *what; /* "images" */
    char note[96];    /* the caller's, shown behind the rest; may change at any time */
    size_t total;     /* 0: not known */
    size_t done;
    uint64_t start_ns;
    uint64_t shown_ns;
    bool terminal;
    bool drawn; /* a bar stands on the terminal's line */
};

void adl_progress_start(struct adl_progress *progress, const char *what, size_t total);
/* Cheap enough to call after every item. */
void adl_progress_update(struct adl_progress *progress, size_t done);
/* The same as a callback, such as that of struct adl_evaluate_options; `progress` is a
 * struct adl_progress. */
void adl_progress_callback(void *progress, size_t done);
/* Takes the bar away; call before any other output to the terminal. */
void adl_progress_clear(struct adl_progress *progress);
/* Takes the bar away, or writes the last line if there has been one. */
void adl_progress_finish(struct adl_progress *progress);

#endif
