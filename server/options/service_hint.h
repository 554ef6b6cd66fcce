#ifndef ADL_SERVER_OPTIONS_SERVICE_HINT_H
#define ADL_SERVER_OPTIONS_SERVICE_HINT_H

/* Files that a user can read and the service cannot, because systemd runs it in a sandbox
 * under a user of its own. */

#include "base/error.h"

/* Adds to the error of a file that could not be read why the service does not see it, and
 * what to do. Does nothing without an error, outside a service, or where the file can be
 * read. */
void adl_service_explain(const char *path, struct adl_error *err);

#endif
