#ifndef ADL_SERVER_SERVING_SANDBOX_H
#define ADL_SERVER_SERVING_SANDBOX_H

/* Takes from this process, for good, what decoding an image does not need. */

#include <stddef.h>

#include "base/error.h"

/* From now on the process, which must have one thread (others may just be ending), can compute,
 * start threads, allocate memory, and send and receive on the connected socket `fd`; any other
 * system call ends it with SIGSYS. It cannot take more than `memory` bytes of addresses besides
 * those that it has. Fails with ADL_ERR_UNSUPPORTED where the kernel has no such filters or does
 * not allow one. */
int adl_sandbox_enter(int fd, size_t memory, struct adl_error *err) ADL_MUST_CHECK;

#endif
