#ifndef ADL_SERVER_EXPERIMENT_CHILD_H
#define ADL_SERVER_EXPERIMENT_CHILD_H

/* Runs this program as a child process and passes on the signals that are to stop it. */

#include <signal.h>
#include <stdbool.h>

#include "base/error.h"

/* While a guard is held, the signals that end a program (INT, TERM, HUP) are not delivered but
 * waited for: none can arrive at the wrong moment. SIGPIPE is ignored, but not by the children,
 * and stays ignored, so that the tables are written too. One at a time, by the main thread. */
struct adl_child_guard {
    sigset_t watched, before;
    struct sigaction pipe; /* that of SIGPIPE before */
    bool stopped;          /* such a signal has arrived */
};

void adl_child_guard_begin(struct adl_child_guard *guard);
void adl_child_guard_end(struct adl_child_guard *guard);

/* Waits for a signal for some seconds at most; returns guard->stopped. */
bool adl_child_guard_wait(struct adl_child_guard *guard, int seconds);

/* Runs this program with the words, standard output to the file `out` (replaced) and standard error
 * to the file `log` (appended), until it ends. A signal that arrives is passed on, SIGINT as
 * SIGTERM, upon which `train` saves and ends. The child is in a process group of its own, so that
 * Ctrl-C reaches it only once, by this function. Returns its exit status, 128 plus the number of
 * the signal that killed it; -1 with ADL_ERR_IO if it could not be started. */
int adl_child_run(struct adl_child_guard *guard, char *const *words, const char *out,
                  const char *log, struct adl_error *err) ADL_MUST_CHECK;

#endif
