#ifndef ADL_SERVER_TRAINING_NAMED_RECIPE_H
#define ADL_SERVER_TRAINING_NAMED_RECIPE_H

/* Published settings by name: a data set, an architecture and a method. */

#include "base/str.h"
#include "server/options/options.h"

/* Returns the name of choice `index` of --recipe: auto and plain (enum adl_train_recipe_choice),
 * list, and then the published ones; NULL after the last. */
const char *adl_recipe_name(int index);

/* Appends a line for each published recipe: its name and its options. */
void adl_recipe_list(struct adl_str *text);

/* Returns whether the choice is the one that lists the others. */
bool adl_recipe_is_list(int index);

/* Sets the options of a published recipe in `settings`, a copy of options->settings, where the user
 * gave none; does nothing for the other choices. Fails with ADL_ERR_ARG if `train` refuses a value,
 * which the tests exclude, and with ADL_ERR_NOMEM. */
int adl_recipe_apply(int index, const struct adl_options *options, void *settings,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
