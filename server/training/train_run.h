#ifndef ADL_SERVER_TRAINING_TRAIN_RUN_H
#define ADL_SERVER_TRAINING_TRAIN_RUN_H

/* Trains on a data set and writes a directory with checkpoints. */

#include "server/training/train_event.h"
#include "server/training/train_settings.h"

/* Trains for settings->epochs epochs, or until `*stop` becomes nonzero: then it completes the
 * step, saves, and returns 0 as well. With settings->find_lr it finds a learning rate instead,
 * calls `on_event` in any case, and writes nothing itself. `command` is the command line, which
 * run.json and the model files record. `on_event` may be NULL; with settings->no_report it is not
 * called. */
int adl_train_run(const struct adl_train_settings *settings, const char *command,
                  const volatile sig_atomic_t *stop, adl_train_event_fn *on_event,
                  struct adl_error *err) ADL_MUST_CHECK;

#endif
