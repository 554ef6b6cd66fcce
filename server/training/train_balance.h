#ifndef ADL_SERVER_TRAINING_TRAIN_BALANCE_H
#define ADL_SERVER_TRAINING_TRAIN_BALANCE_H

/* What makes up for classes of different sizes (--balance). */

#include "server/training/train_state.h"

enum adl_train_balance { ADL_BALANCE_NONE, ADL_BALANCE_SAMPLE, ADL_BALANCE_WEIGHT };

/* Their names by enum adl_train_balance, ended by NULL: none, sample, weight. */
extern const char *const adl_train_balance_names[];

/* Fails with ADL_ERR_ARG for a balance that images with several labels cannot have. */
int adl_train_check_balance(const struct adl_train_settings *settings,
                            struct adl_error *err) ADL_MUST_CHECK;

/* With --balance weight, sets run->class_weights: the weight of class k in the loss is N / (C
 * n[k]), for N images of C classes that have images, n[k] of class k; so all classes together weigh
 * the same. A class without images has the weight 1, which label smoothing alone sees. If images
 * may have several labels, the presence of class k has the weight (N - n[k]) / n[k], so that both
 * answers weigh the same; 1 if all images have it or none. Fails with ADL_ERR_NOMEM. */
int adl_train_weigh_classes(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

#endif
