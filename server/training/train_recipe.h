#ifndef ADL_SERVER_TRAINING_TRAIN_RECIPE_H
#define ADL_SERVER_TRAINING_TRAIN_RECIPE_H

/* What a run does by itself where the user leaves it open. */

#include "server/training/train_state.h"

/* If the run begins from other weights (--init) and has few images, chooses the settings that the
 * user did not give so that the boxes do not get worse, says so in run->remarks, and sets
 * run->fine_tunes. A resumed run does what its state says. To be called once the data is open and
 * the state is read, before the network is made. */
void adl_train_choose_recipe(struct adl_train_run *run);

/* Multiplies the learning rate by the images of a step, as a share of those that it is meant for
 * (--lr-scale-batch), and says so in run->remarks. After the recipe. Fails with ADL_ERR_ARG if the
 * rate becomes one that --lr could not be. */
int adl_train_scale_rate(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

/* Chooses what the user does not give: the limit of the gradient's norm (that of the method, and
 * one of its own for few images), and, unless the images are few, the ratio of the new layers'
 * learning rate that the method asks for. After the model is made. */
void adl_train_choose_by_method(struct adl_train_run *run);

#endif
