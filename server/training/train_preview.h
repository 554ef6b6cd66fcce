#ifndef ADL_SERVER_TRAINING_TRAIN_PREVIEW_H
#define ADL_SERVER_TRAINING_TRAIN_PREVIEW_H

/* Shows what a network would be trained on. */

#include "server/training/train_state.h"

/* Fails with ADL_ERR_ARG if `path` is not named as a PNG or JPEG, and as adl_file_check_place()
 * does. */
int adl_train_preview_check(const char *path, struct adl_error *err) ADL_MUST_CHECK;

/* Writes settings->augment_preview: a row for each of some training images, with the whole image
 * and then draws of it, as the augmentation and the methods change them. The data and the model of
 * the run have to be open. Fails as the loader and adl_file_write() do. */
int adl_train_preview(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

#endif
