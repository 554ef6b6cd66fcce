#ifndef ADL_SERVER_SERVING_RELOAD_LINK_H
#define ADL_SERVER_SERVING_RELOAD_LINK_H

/* Reloads a running server and reports how that ended. A SIGHUP alone has no answer, so that
 * `systemctl reload` would always report success. */

#include <sys/types.h>

#include "base/error.h"

/* A process that waits for the end of a reload. */
struct adl_reload_caller {
    pid_t pid;  /* 0: no process waits, as after kill -HUP */
    int cookie; /* the random number that the process sent with its SIGHUP */
};

/* Makes the server with this process id reload, and waits for the end. Fails with ADL_ERR_IO
 * and the server's message, or if the server does not answer. To be called in a process with
 * one thread. */
int adl_reload_request(pid_t server, struct adl_error *err) ADL_MUST_CHECK;

/* Acknowledges to a caller that its signal has arrived; called in the server. */
void adl_reload_acknowledge(struct adl_reload_caller caller);
/* Reports the end of the reload to a caller; called in the server. `error` NULL: everything was
 * reloaded. */
void adl_reload_answer(struct adl_reload_caller caller, const char *error);

#endif
