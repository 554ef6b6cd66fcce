#ifndef ADL_SERVER_TRAINING_TRAIN_STEP_H
#define ADL_SERVER_TRAINING_TRAIN_STEP_H

/* One step of a run, and the round that it belongs to.
 *
 * A method may train several networks one after the other. The epochs of a run are then divided
 * among them: epoch e of E, counted from 0, belongs to round 1 + floor(R e / E) of R. The schedule
 * of the learning rate begins anew in each round, and so do the momentum and the count of steps. */

#include "server/training/train_state.h"

/* The epochs of a round. Of a run of one network it is the whole run. */
struct adl_train_round {
    int number; /* from 1 */
    int first;  /* epoch, from 0 */
    int epochs;
};
struct adl_train_round adl_train_round_of(const struct adl_train_run *run, int epoch);

/* Makes run->tape for the round of run->epoch, unless it is that already. */
int adl_train_enter_round(struct adl_train_run *run, struct adl_error *err) ADL_MUST_CHECK;

void adl_train_free_tape(struct adl_train_run *run);

/* Makes the networks of later rounds equal to the one that is trained, so that all of them
 * together, which is what is saved and evaluated, is as good as those that have been trained. */
void adl_train_follow(struct adl_train_run *run);

/* Returns the learning rate of a batch of the epoch run->epoch. */
double adl_train_rate(const struct adl_train_run *run, size_t batch);

/* Returns the cross-entropy of equal probabilities for all classes, about that of random weights.
 * For a single class it would be 0, so that of two classes is used; so it is where each class is
 * present or absent by itself. */
double adl_train_guessing_loss(const struct adl_train_run *run);

/* Returns the number that all random numbers of a batch are derived from. */
uint64_t adl_train_batch_key(const struct adl_train_settings *settings, int epoch, size_t batch);

/* Adds the gradients of one batch, as the method changes its images, and updates the weights if
 * the batch is the last one of its group of --accumulate batches. Adds to run->sums, sets *loss to
 * the mean loss of the batch and returns 1; 0, and nothing is done, if no process has an image of
 * it. Fails as the exchange between processes does. */
int adl_train_batch(struct adl_train_run *run, const struct adl_batch *batch, double *loss,
                    struct adl_error *err) ADL_MUST_CHECK;

#endif
