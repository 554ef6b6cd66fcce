#ifndef ADL_SERVER_API_LIFECYCLE_H
#define ADL_SERVER_API_LIFECYCLE_H

/* From the start of a server to its end: models are loaded beside the answering
 * threads, signals are taken, the service manager is told. */

#include "server/api/server.h"

/* SIGTERM, SIGINT and SIGHUP are from now on taken by adl_lifecycle_run(), and
 * SIGPIPE is ignored. Once per process. */
int adl_lifecycle_take_signals(struct adl_error *err) ADL_MUST_CHECK;

/* Loads all models, then serves until SIGTERM or SIGINT; SIGHUP loads models
 * and tokens (of `token_file`; NULL: none) anew. Returns when the server has
 * drained, at most `drain_s` seconds after that signal, and its daemon is
 * stopped. Fails when a model cannot be loaded at the start. */
int adl_lifecycle_run(struct adl_server *server, const char *token_file, int drain_s,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
