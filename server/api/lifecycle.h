#ifndef ADL_SERVER_API_LIFECYCLE_H
#define ADL_SERVER_API_LIFECYCLE_H

/* A server from its start to its end: loading models beside the threads that answer,
 * handling signals, notifying the service manager. */

#include "server/api/server.h"

/* From now on SIGTERM, SIGINT and SIGHUP are kept for adl_lifecycle_run(), and SIGPIPE is
 * ignored. Call it once per process. */
int adl_lifecycle_take_signals(struct adl_error *err) ADL_MUST_CHECK;

/* Loads all models, then serves until SIGTERM or SIGINT; SIGHUP reloads the models and
 * the tokens of `token_file` (NULL: none). Requests in flight may finish for at most
 * `drain_s` seconds after the signal; a second SIGTERM or SIGINT ends the process at once.
 * Returns when the HTTP daemon is stopped, which frees server->http. Fails when a model cannot be
 * loaded at the start. */
int adl_lifecycle_run(struct adl_server *server, const char *token_file, int drain_s,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
