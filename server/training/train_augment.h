#ifndef ADL_SERVER_TRAINING_TRAIN_AUGMENT_H
#define ADL_SERVER_TRAINING_TRAIN_AUGMENT_H

/* What the options of `train` say about augmentation. */

#include <jansson.h>

#include "data/augment.h"
#include "server/training/train_settings.h"

/* Returns how images to train on are changed. */
struct adl_augment_options adl_train_augment(const struct adl_train_settings *settings);

/* Fails with ADL_ERR_ARG if --color-jitter is neither one strength nor four; adl_train_augment()
 * changes no colours then. */
int adl_train_check_jitter(const struct adl_train_settings *settings,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Records the settings of augmentation that are not the defaults, so that runs of versions without
 * the options can be resumed, and --color-jitter. Returns -1 if there is not enough memory. */
int adl_train_record_augment(json_t *config,
                             const struct adl_train_settings *settings) ADL_MUST_CHECK;

#endif
