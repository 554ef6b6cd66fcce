#ifndef ADL_SERVER_API_MODEL_CHANGES_H
#define ADL_SERVER_API_MODEL_CHANGES_H

/* Changes of the models while the server runs: those that requests ask for (PUT and DELETE of
 * /models/NAME), and those that --watch has noticed. They wait in a queue for the thread that loads
 * models. All functions are thread-safe. */

#include <stdbool.h>

#include "base/error.h"

struct adl_exchange;
struct adl_model_changes;
struct adl_server;

enum adl_model_change {
    ADL_MODEL_PUT,     /* a file of the folder becomes the current version */
    ADL_MODEL_ALIAS,   /* a name becomes another name of a model or version */
    ADL_MODEL_DELETE,  /* a name, or one version, goes */
    ADL_MODEL_CHANGED, /* noticed: the file of a model, or a new one in the folder, is there */
    ADL_MODEL_GONE     /* noticed: the file of a model in the folder is gone */
};

/* `ask` makes the server call adl_model_changes_run() soon, on the thread that loads models. */
struct adl_model_changes *adl_model_changes_create(struct adl_server *server, void (*ask)(void),
                                                   struct adl_error *err) ADL_MUST_CHECK;
/* Frees the queue, in which no request may wait. NULL is ignored. */
void adl_model_changes_free(struct adl_model_changes *changes);

/* Suspends a request until its change is made and answered; to be called in the hook `complete`.
 * Answers it at once if another change of this name waits or is being made, or if the server is
 * shutting down. `text` is the file or the target of an alias. The texts are copied. */
void adl_model_changes_submit(struct adl_model_changes *changes, struct adl_exchange *exchange,
                              enum adl_model_change kind, const char *name, const char *text);
/* Adds a change that was noticed. Returns false if it cannot be taken now. */
bool adl_model_changes_notice(struct adl_model_changes *changes, enum adl_model_change kind,
                              const char *name, const char *file);

/* Returns whether changes wait. */
bool adl_model_changes_wait(struct adl_model_changes *changes);
/* Makes all changes that wait, one after the other. On the thread that loads models. */
void adl_model_changes_run(struct adl_model_changes *changes);

/* Answers all requests that the server is shutting down, also that whose change is being made, and
 * takes no more. */
void adl_model_changes_close(struct adl_model_changes *changes);

#endif
