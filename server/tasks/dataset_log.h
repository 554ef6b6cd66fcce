#ifndef ADL_SERVER_TASKS_DATASET_LOG_H
#define ADL_SERVER_TASKS_DATASET_LOG_H

/* What a user has to know about a data set that was opened. */

#include <stdbool.h>

#include "data/dataset.h"

/* Prints to standard error, a line each, after the name of the command: what was left out, with
 * the number and the first names of each kind, and, if the images are to be trained on, the
 * classes that have none and a single class. Prints nothing if there is nothing to say. */
void adl_log_dataset(const struct adl_dataset *dataset, const char *command, bool training);

#endif
