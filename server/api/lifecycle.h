#ifndef ADL_SERVER_API_LIFECYCLE_H
#define ADL_SERVER_API_LIFECYCLE_H

/* Runs a server from its start to its end: loads models while the I/O threads already answer,
 * handles signals, notifies the service manager. */

#include "server/api/server.h"

/* Makes adl_lifecycle_run() reload the models and tokens as after SIGHUP. Thread-safe. */
void adl_lifecycle_ask_reload(void);

/* Makes adl_lifecycle_run() make the changes of models that wait (model_changes.h). Thread-safe. */
void adl_lifecycle_ask_changes(void);

/* Loads all models, then serves until SIGTERM or SIGINT; SIGUSR1 opens the access log again, SIGHUP
 * reloads the models and the tokens of `token_file` (NULL: none). After the signal, everything but
 * /readyz is answered as before for `delay_s` seconds; then requests in flight may finish for at
 * most `drain_s` seconds; a second SIGTERM or SIGINT ends the process at once. Returns when the
 * HTTP daemons are stopped, which frees server->http and server->admin; if a file of --runs or
 * --annotations hangs, server->files_hang is set instead, the daemons still run, and nothing of the
 * server may be freed. A load that hangs is not waited for; then server->stuck is set, and the
 * registry must not be freed. Fails if a model cannot be loaded at the start, or if a thread cannot
 * be started. */
int adl_lifecycle_run(struct adl_server *server, const char *token_file, int drain_s, int delay_s,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
