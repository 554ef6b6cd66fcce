#ifndef ADL_SERVER_TASKS_DATASET_LOG_H
#define ADL_SERVER_TASKS_DATASET_LOG_H

/* Tells the user what was left out of a data set that was opened, and which classes have no
 * image. */

#include <stdbool.h>

#include "data/dataset.h"

/* Prints lines to standard error that begin with the name of the command: one for each kind of
 * file that was left out, with the number and the first names. With `training`, also one for the
 * classes without an image, and one if all images are of a single class. Prints nothing if none
 * of this is the case. */
void adl_log_dataset(const struct adl_dataset *dataset, const char *command, bool training);

#endif
