#ifndef ADL_SERVER_SERVING_RELOAD_LINK_H
#define ADL_SERVER_SERVING_RELOAD_LINK_H

/* A reload whose caller wants to know how it ended. SIGHUP alone has no answer, so that
 * `systemctl reload` would report success whatever happened. */

#include <sys/types.h>

#include "base/error.h"

/* Who asked: the process, and the number it sent with its SIGHUP. */
struct adl_reload_caller {
    pid_t pid; /* 0: nobody waits, as after kill -HUP */
    int cookie;
};

/* Makes the server with this process id reload, and waits for the end. Fails with what the
 * server says, or with IO if it cannot be reached. Call it in a process with one thread. */
int adl_reload_ask(pid_t server, struct adl_error *err) ADL_MUST_CHECK;

/* In the server: tells a caller that its signal has arrived. */
void adl_reload_acknowledge(struct adl_reload_caller caller);
/* In the server: tells a caller the end. `error` NULL: everything was reloaded. */
void adl_reload_answer(struct adl_reload_caller caller, const char *error);

#endif
