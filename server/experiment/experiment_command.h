#ifndef ADL_SERVER_EXPERIMENT_EXPERIMENT_COMMAND_H
#define ADL_SERVER_EXPERIMENT_EXPERIMENT_COMMAND_H

/* The command lines that an experiment is made of. All functions return a NULL-terminated list
 * whose first word is the program's name, in memory of `arena`; NULL with ADL_ERR_NOMEM. */

#include "base/str.h"
#include "server/experiment/experiment.h"

/* `seed` is an index, as in all of them. */
char **adl_experiment_train(const struct adl_experiment *experiment, size_t row, size_t seed,
                            bool resume, struct adl_arena *arena,
                            struct adl_error *err) ADL_MUST_CHECK;
/* Of a measure that calibrates. */
char **adl_experiment_calibrate(const struct adl_experiment *experiment, size_t row, size_t seed,
                                size_t measure, struct adl_arena *arena,
                                struct adl_error *err) ADL_MUST_CHECK;
char **adl_experiment_eval(const struct adl_experiment *experiment, size_t row, size_t seed,
                           size_t measure, struct adl_arena *arena,
                           struct adl_error *err) ADL_MUST_CHECK;
char **adl_experiment_info(const struct adl_experiment *experiment, size_t row, size_t seed,
                           struct adl_arena *arena, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the path of the model that a measure evaluates. */
const char *adl_experiment_model(const struct adl_experiment *experiment, size_t row, size_t seed,
                                 size_t measure, struct adl_arena *arena,
                                 struct adl_error *err) ADL_MUST_CHECK;

/* Has the subcommands parse the options of every row and measure, so that a mistake is found before
 * anything is trained. Fails with ADL_ERR_FORMAT and the subcommand's message. */
int adl_experiment_check(const struct adl_experiment *experiment,
                         struct adl_error *err) ADL_MUST_CHECK;

/* Appends all command lines as a shell takes them, each with a comment that says what it is. */
int adl_experiment_list(const struct adl_experiment *experiment, struct adl_str *text,
                        struct adl_error *err) ADL_MUST_CHECK;

/* Appends options as they stand on a command line, for people. */
void adl_experiment_options(const json_t *options, struct adl_str *text);

/* Returns the value that a measure takes for an option that says which images are val (val-share,
 * folds, fold) or how they are turned (exif): that of the measure's own options, or else that of
 * the row's, or else what `train` takes by itself. NULL if there is none. `measure` may be NULL. */
const json_t *adl_experiment_data_option(const struct adl_experiment *experiment,
                                         const json_t *measure, size_t row, const char *key);

#endif
