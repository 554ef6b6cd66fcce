#ifndef ADL_SERVER_SERVING_NOTIFY_H
#define ADL_SERVER_SERVING_NOTIFY_H

/* Communicates with the service manager by systemd's protocol: messages to
 * $NOTIFY_SOCKET, the watchdog, and listening sockets that are passed to the process. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

/* Sends a message such as "READY=1"; does nothing without a service manager. A message
 * that cannot be sent is lost. */
void adl_notify(const char *fmt, ...) ADL_PRINTF(1, 2);

/* Sends RELOADING=1 with the time that systemd 253 and later require. */
void adl_notify_reloading(void);

/* Returns the longest time between two WATCHDOG=1 messages, in nanoseconds; 0 if the service
 * manager expects none. */
uint64_t adl_notify_watchdog_ns(void);

/* Gets the listening sockets that were passed to this process. They are shared with the service
 * manager, so only the flags of this process's descriptors are changed. Fails with ADL_ERR_ARG
 * if there are more than ADL_LIMIT_LISTENERS or one is not a listening stream socket, with
 * ADL_ERR_IO if a descriptor is not open. */
int adl_notify_listen_fds(int fds[ADL_LIMIT_LISTENERS], size_t *count,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
