#ifndef ADL_SERVER_EXPERIMENT_RUN_SETTINGS_H
#define ADL_SERVER_EXPERIMENT_RUN_SETTINGS_H

/* What a run, or one of its measures, was begun with: a JSON object in a file of the run. */

#include <jansson.h>

#include "server/experiment/experiment.h"

/* The file of a run. */
#define ADL_RUNS_SETTINGS "settings.json"

/* Reads which images `train` has, whose digest then belongs to the settings of all rows. Data that
 * cannot be read have none. Fails with ADL_ERR_NOMEM. */
int adl_run_settings_identify(struct adl_experiment *experiment,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Return new objects: of a row, everything that its result depends on, apart from where the data
 * is, which may differ between machines; of a measure, the same, with the options
 * that it takes over from the row. NULL with ADL_ERR_NOMEM. */
json_t *adl_run_settings_of_row(const struct adl_experiment *experiment, size_t row,
                                struct adl_error *err) ADL_MUST_CHECK;
json_t *adl_run_settings_of_measure(const struct adl_experiment *experiment, size_t measure,
                                    size_t row, struct adl_error *err) ADL_MUST_CHECK;

/* Returns 1 if the file contains `settings`; 0 if it does not exist or contains something else,
 * which `difference` of `size` bytes then says in words ("" if the file does not exist). Fails with
 * ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_run_settings_match(const char *path, const json_t *settings, char *difference, size_t size,
                           struct adl_error *err) ADL_MUST_CHECK;

/* The same for all settings of a run, of its training and of its measures; `difference` then says
 * it as in "it was begun with --epochs 1, not --epochs 2". Paths are made in `arena`. */
int adl_run_settings_match_run(const struct adl_experiment *experiment, size_t row, size_t seed,
                               char *difference, size_t size, struct adl_arena *arena,
                               struct adl_error *err) ADL_MUST_CHECK;

/* Replaces the file. */
int adl_run_settings_write(const char *path, const json_t *settings,
                           struct adl_error *err) ADL_MUST_CHECK;

#endif
