#ifndef ADL_SERVER_API_ACCESS_LOG_H
#define ADL_SERVER_API_ACCESS_LOG_H

/* One line for each request: in the log, or in a file of its own, as JSON or in the combined format
 * of Apache and nginx. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct adl_exchange;

enum adl_access_format { ADL_ACCESS_JSON, ADL_ACCESS_COMBINED };
extern const char *const adl_access_format_names[]; /* ends with NULL */

/* Opens the file to which requests are logged from now on instead of the log; to be called once,
 * before the first request. `path` is borrowed. Fails with ADL_ERR_IO. */
int adl_access_log_open(const char *path, enum adl_access_format format,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Opens the file again, which a program may have moved away. Does nothing without a file. */
void adl_access_log_reopen(void);
/* Returns how many lines were dropped, because the file could not be written fast enough. */
uint64_t adl_access_log_dropped(void);

/* Logs a request that is done: `sent` if its answer was, after `ms` milliseconds. */
void adl_access_log(const struct adl_exchange *exchange, bool sent, double ms);

#endif
