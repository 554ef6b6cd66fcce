#ifndef ADL_SERVER_API_SIGNALS_H
#define ADL_SERVER_API_SIGNALS_H

/* The signals of a server, as events that the main thread reads, also while it starts. */

#include "base/error.h"
#include "server/serving/reload_link.h"

#define ADL_SIGNAL_CHANGES (-1) /* an event that is no signal: changes of models wait */

/* A signal that has arrived and, if it is a SIGHUP of `adl-server reload`, its sender. */
struct adl_signal_event {
    int signal; /* 0: none */
    struct adl_reload_caller caller;
};

/* Makes SIGTERM, SIGINT, SIGHUP and SIGUSR1 events from now on, and ignores SIGPIPE. After the
 * first SIGTERM or SIGINT a second one ends the process at once. To be called once per process.
 * Fails with ADL_ERR_IO. */
int adl_signals_take(struct adl_error *err) ADL_MUST_CHECK;

/* Sees to it that SIGTERM and SIGINT end the process after a second if the calling thread, the main
 * thread, does not reach adl_signals_started(), because a file system hangs. Until then the thread
 * gets no signals; so processes that should not inherit this are to be started before. */
void adl_signals_guard_start(void);
void adl_signals_started(void);

/* Returns the descriptor that can be read when there is an event. */
int adl_signals_fd(void);
/* Returns the next event, without waiting for one. */
struct adl_signal_event adl_signals_next(void);
/* Adds an event. Thread-safe. */
void adl_signals_send(int signal);

#endif
