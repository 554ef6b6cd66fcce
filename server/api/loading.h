#ifndef ADL_SERVER_API_LOADING_H
#define ADL_SERVER_API_LOADING_H

/* Loads all models, and counts and logs each load. On the thread that loads models. */

#include "server/api/server.h"

/* Loads every model, and continues after a failure; *first becomes the first error. `again`: all
 * were loaded before. At the start a file that was found in the folder of models and cannot be
 * loaded is no error: its name is removed. */
void adl_loading_all(struct adl_server *server, bool again, struct adl_error *first);

/* Counts and logs a load that began at `begin_ns` (base/clock.h) and ended with `err`. `event` is
 * that of the log; `again`: the name had a version before. */
void adl_loading_note(struct adl_server *server, const char *event, const char *name, bool again,
                      uint64_t begin_ns, const struct adl_error *err);

#endif
