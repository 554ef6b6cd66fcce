#ifndef ADL_SERVER_SERVING_NOTIFY_H
#define ADL_SERVER_SERVING_NOTIFY_H

/* What a service manager is told and gives, by systemd's protocol: messages to
 * $NOTIFY_SOCKET, and open sockets from descriptor 3 on. */

#include <stdint.h>

#include "base/error.h"

/* Sends "READY=1" and the like; nothing happens without a service manager. */
void adl_notify(const char *fmt, ...) ADL_PRINTF(1, 2);

/* RELOADING=1 with the time that newer versions of systemd ask for. */
void adl_notify_reloading(void);

/* Nanoseconds between two WATCHDOG=1 that the service manager wants at most;
 * 0: none wanted. */
uint64_t adl_notify_watchdog_ns(void);

/* The listening socket that was passed to this process; *fd is -1 without one.
 * Fails when there is more than one. */
int adl_notify_listen_fd(int *fd, struct adl_error *err) ADL_MUST_CHECK;

#endif
