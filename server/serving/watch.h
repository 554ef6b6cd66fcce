#ifndef ADL_SERVER_SERVING_WATCH_H
#define ADL_SERVER_SERVING_WATCH_H

/* Watches the files of models, and the folder of --models-dir for new ones. A thread of its own
 * does, because looking at a file may hang; it tells what is to be done and does nothing itself. */

#include "server/serving/registry.h"

struct adl_watch;

struct adl_watch_config {
    struct adl_registry *registry; /* has to outlive the watch */
    const char *folder;            /* path of the folder; NULL: there is none */
    bool poll_only;                /* without inotify, as where there is none */
};

/* What the thread calls. Each returns whether it took the message; if not, it comes again a little
 * later. `file` is the path of --model, or a name in the folder. */
struct adl_watch_hooks {
    /* A file is there that the name's current version was not read from, and has not changed for a
     * moment. */
    bool (*changed)(void *context, const char *name, const char *file);
    /* The file of a model in the folder is gone, for a moment by now. */
    bool (*gone)(void *context, const char *name, const char *file);
    void *context;
};

/* Adds the files "NAME.safetensors" that are in the folder to the registry, as far as their names
 * are free; those that cannot be added are logged. To be called before other threads start. */
struct adl_watch *adl_watch_create(const struct adl_watch_config *config,
                                   struct adl_error *err) ADL_MUST_CHECK;

/* Starts the thread. Fails with ADL_ERR_NOMEM. */
int adl_watch_start(struct adl_watch *watch, const struct adl_watch_hooks *hooks,
                    struct adl_error *err) ADL_MUST_CHECK;
/* Stops the thread. Returns false if it does not end within `patience_ms`, as on a file system that
 * hangs: then nothing that it uses may be freed. Returns true for NULL. */
bool adl_watch_stop(struct adl_watch *watch, unsigned patience_ms) ADL_MUST_CHECK;
/* Frees it when the thread does not run. NULL is ignored. */
void adl_watch_free(struct adl_watch *watch);

#endif
