#ifndef ADL_SERVER_COMMANDS_SERVE_MODELS_H
#define ADL_SERVER_COMMANDS_SERVE_MODELS_H

/* Which models `serve` begins with, and where others come from. */

#include "server/api/server.h"
#include "server/options/option.h"

/* What the options say. */
struct adl_serve_models {
    const struct adl_option_list *models; /* --model */
    bool example;                         /* --example: the pair that ships as well */
    const char *folder;                   /* --models-dir; NULL: none */
    bool watch;
    int keep_versions;
    bool check_only;
};

/* Adds the names to the server's registry, opens the folder, and prepares the watch. Fails if a
 * file of --model cannot be read again later, and as adl_registry_add() and adl_watch_create() do.
 */
int adl_serve_models_open(struct adl_server *server, const struct adl_serve_models *options,
                          struct adl_error *err) ADL_MUST_CHECK;

/* Starts the watch, if there is one. Fails as adl_watch_start() does. */
int adl_serve_models_watch(struct adl_server *server, struct adl_error *err) ADL_MUST_CHECK;

#endif
