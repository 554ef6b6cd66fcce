#ifndef ADL_SERVER_TRAINING_TRAIN_FIND_LR_H
#define ADL_SERVER_TRAINING_TRAIN_FIND_LR_H

/* The rate finder (--find-lr). */

#include "server/training/train_state.h"

/* Takes up to settings->find_lr_steps optimizer steps at a learning rate that grows exponentially,
 * and finds the rate to train with; the weights are of no use afterwards. The run has to be
 * prepared and new. The caller releases the rates, also after a failure: ADL_ERR_CANCELLED if the
 * run was stopped, ADL_ERR_LIMIT if the loss falls at no rate, or as adl_loader_next() fails. */
int adl_train_find_rate(struct adl_train_run *run, struct adl_train_rates *rates,
                        struct adl_error *err) ADL_MUST_CHECK;
void adl_train_rates_release(struct adl_train_rates *rates);

/* The mean loss of the batches of a step, which are a group of --accumulate batches in an epoch. A
 * zeroed struct has none. */
struct adl_train_step_mean {
    size_t group;
    double sum;
    size_t batches;
};
/* Adds the loss of a batch, and returns the mean of those of its group. A group whose last batch
 * had no readable image took no step: the next group begins anew. */
double adl_train_step_loss(struct adl_train_step_mean *mean, size_t group, double loss);

/* Chooses rates->suggested and rates->lowest by the losses of rates->count steps; returns false if
 * the loss falls nowhere by more than the losses of batches differ. */
bool adl_train_choose_rate(struct adl_train_rates *rates);

#endif
