#ifndef ADL_METHODS_MIXING_H
#define ADL_METHODS_MIXING_H

/* What methods that mix the images of a batch draw. */

#include "base/rng.h"
#include "methods/method.h"

/* Returns a number from Beta(beta, beta), beta > 0: 0..1, uniform for beta 1. */
double adl_mixing_draw(struct adl_rng *rng, double beta);

/* Sets batch->partners to a random order of the batch, in which an image may be its own partner. */
void adl_mixing_pair(struct adl_rng *rng, struct adl_method_batch *batch);

#endif
