#ifndef ADL_SERVER_API_LIFECYCLE_H
#define ADL_SERVER_API_LIFECYCLE_H

/* Runs a server from its start to its end: loads models while the I/O threads already answer,
 * handles signals, notifies the service manager. */

#include "server/api/server.h"

/* Makes SIGTERM, SIGINT and SIGHUP wait for adl_lifecycle_run() from now on, and ignores
 * SIGPIPE. To be called once per process. Fails with ADL_ERR_IO. */
int adl_lifecycle_take_signals(struct adl_error *err) ADL_MUST_CHECK;

/* Loads all models, then serves until SIGTERM or SIGINT; SIGHUP reloads the models and
 * the tokens of `token_file` (NULL: none). Requests in flight may finish for at most
 * `drain_s` seconds after the signal; a second SIGTERM or SIGINT ends the process at once.
 * Returns when the HTTP daemon is stopped, which frees server->http. Fails if a model cannot
 * be loaded at the start, or if a thread cannot be started. */
int adl_lifecycle_run(struct adl_server *server, const char *token_file, int drain_s,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
