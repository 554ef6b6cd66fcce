#ifndef ADL_SERVER_TASKS_LABELLED_H
#define ADL_SERVER_TASKS_LABELLED_H

/* Images with known classes that a model is measured on, or calibrated with. */

#include "data/dataset_open.h"
#include "models/model.h"

/* Returns the directory of the data set as the user named it, for messages. */
const char *adl_labelled_place(const struct adl_dataset_options *where);

/* Opens a split, which has to have images. The caller frees it. Fails as adl_dataset_open(), with
 * ADL_ERR_ARG if there is neither a directory nor metadata, and with ADL_ERR_NOT_FOUND without
 * images. */
struct adl_dataset *adl_labelled_open(const struct adl_dataset_options *where,
                                      struct adl_error *err) ADL_MUST_CHECK;

/* Matches the classes of the data set to those of the model, by name if the names allow it,
 * otherwise by index; images of classes that the model does not know are left out. Differing names
 * are only a warning, which `command` prints (NULL: nobody), because lists may spell them
 * differently. Fails with ADL_ERR_FORMAT if the model was evidently trained on other classes, and
 * with ADL_ERR_NOMEM. */
int adl_labelled_match(struct adl_dataset *dataset, const struct adl_model *model,
                       const char *model_path, const char *place, const char *command,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_UNSUPPORTED if images may have several classes for the model. */
int adl_labelled_one_class(const struct adl_model *model, const char *model_path,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Says on standard error where val of data without splits is all of it, so that what is measured or
 * fitted on it was probably learned. `place` and `command` are names for people. */
void adl_labelled_log_whole(const struct adl_dataset *dataset, const char *place,
                            const char *command);

#endif
