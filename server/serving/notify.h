#ifndef ADL_SERVER_SERVING_NOTIFY_H
#define ADL_SERVER_SERVING_NOTIFY_H

/* Communication with the service manager by systemd's protocol: messages to
 * $NOTIFY_SOCKET, the watchdog, and listening sockets that are passed to the process. */

#include <stdint.h>

#include "base/error.h"

/* Sends a message such as "READY=1"; does nothing without a service manager. A message
 * that cannot be sent is lost. */
void adl_notify(const char *fmt, ...) ADL_PRINTF(1, 2);

/* Sends RELOADING=1 with the time that systemd 253 and later require. */
void adl_notify_reloading(void);

/* The longest time between two WATCHDOG=1 messages, in nanoseconds; 0: the service
 * manager expects none. */
uint64_t adl_notify_watchdog_ns(void);

/* The listening socket that was passed to this process; *fd is -1 without one. It is shared
 * with the service manager: nothing is changed but the descriptor's own flags. Fails when
 * there is more than one, or when it is anything but a listening stream socket. */
int adl_notify_listen_fd(int *fd, struct adl_error *err) ADL_MUST_CHECK;

#endif
