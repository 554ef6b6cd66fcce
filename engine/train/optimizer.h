#ifndef ADL_TRAIN_OPTIMIZER_H
#define ADL_TRAIN_OPTIMIZER_H

/* The parameters of a graph in training with their gradients, velocities and, if wanted, running
 * averages, and the step that updates them. To be used by one thread at a time. */

#include <stdint.h>

#include "base/pool.h"
#include "graph/graph.h"
#include "train/adamw.h"
#include "train/sgd.h"

struct adl_optimizer;

/* Creates an optimizer that starts from a copy of `start` (arrays by parameter id), with
 * gradients and velocities of 0. The graph is needed during this call only. Fails with
 * ADL_ERR_NOMEM. */
struct adl_optimizer *adl_optimizer_create(const struct adl_graph *graph, const float *const *start,
                                           struct adl_error *err) ADL_MUST_CHECK;
void adl_optimizer_free(struct adl_optimizer *optimizer);

/* Return arrays by parameter id, owned by the optimizer; their addresses do not change.
 * Running statistics are among the parameters, but have no gradient and no velocity (NULL). */
float *const *adl_optimizer_params(const struct adl_optimizer *optimizer);
float *const *adl_optimizer_grads(const struct adl_optimizer *optimizer);
float *const *adl_optimizer_velocities(const struct adl_optimizer *optimizer);

/* Returns all gradients as one array of *count floats, in which those of adl_optimizer_grads() lie;
 * frozen parameters have a place in it, which is 0. */
float *adl_optimizer_all_grads(const struct adl_optimizer *optimizer, size_t *count);

/* Keeps running averages of all parameters and running statistics from now on, which begin as
 * copies of them. To be called once. Fails with ADL_ERR_NOMEM. */
int adl_optimizer_keep_averages(struct adl_optimizer *optimizer,
                                struct adl_error *err) ADL_MUST_CHECK;
/* Returns the averages by parameter id; NULL if none are kept. */
float *const *adl_optimizer_averages(const struct adl_optimizer *optimizer);

/* Keeps averages of squared gradients from now on, which begin as 0, as adl_optimizer_step_adamw
 * needs them. To be called once. Fails with ADL_ERR_NOMEM. */
int adl_optimizer_keep_squares(struct adl_optimizer *optimizer,
                               struct adl_error *err) ADL_MUST_CHECK;
/* Returns them by parameter id, NULL for running statistics; NULL if none are kept. */
float *const *adl_optimizer_squares(const struct adl_optimizer *optimizer);

/* Returns the weights that a model is evaluated with and saved with, by parameter id: the averages
 * if they are kept, or else the parameters. */
float *const *adl_optimizer_evaluated(const struct adl_optimizer *optimizer);

/* The number of steps that were taken, which begins at 0. A resumed run sets it. */
uint64_t adl_optimizer_steps(const struct adl_optimizer *optimizer);
void adl_optimizer_set_steps(struct adl_optimizer *optimizer, uint64_t steps);

/* Makes a parameter part of the head, whose learning rate adl_optimizer_step multiplies by
 * `head_ratio`: new layers learn faster than pretrained ones. */
void adl_optimizer_set_head(struct adl_optimizer *optimizer, int param);

/* Leaves a parameter without weight decay. */
void adl_optimizer_set_undecayed(struct adl_optimizer *optimizer, int param);

/* From now on, adl_optimizer_step changes the parameters of one whole network alone
 * (adl_graph_begin_part), number `part`. */
void adl_optimizer_set_part(struct adl_optimizer *optimizer, int part);

/* Makes the parameters and running statistics of all networks after number `part` equal to those of
 * number `part`, and so their averages. */
void adl_optimizer_copy_part(struct adl_optimizer *optimizer, int part);

/* Makes adl_optimizer_step leave a parameter as it is: without weight decay or momentum. Its
 * gradient becomes NULL, so that a backward pass does not compute it and clipping does not count
 * it, as in PyTorch with requires_grad False. */
void adl_optimizer_freeze(struct adl_optimizer *optimizer, int param);

/* Sets all gradients to 0, since a backward pass adds to them. */
void adl_optimizer_zero_grads(struct adl_optimizer *optimizer);

/* Returns the L2 norm of all gradients taken as one vector. If it is above `limit`, and
 * `limit` is above 0, all gradients are scaled by limit / (norm + 1e-6), as by
 * torch.nn.utils.clip_grad_norm_. */
double adl_optimizer_clip(struct adl_optimizer *optimizer, double limit);

/* Calls adl_sgd_step for every parameter, with the rate lr * head_ratio for the head and `lr`
 * for all others. Threads of `pool` (may be NULL) take a parameter at a time. */
void adl_optimizer_step(struct adl_optimizer *optimizer, const struct adl_sgd *sgd, double lr,
                        double head_ratio, struct adl_pool *pool);

/* The same with adl_adamw_step. The velocities are the averages of gradients, and step t is
 * adl_optimizer_steps() + 1. Squares have to be kept. */
void adl_optimizer_step_adamw(struct adl_optimizer *optimizer, const struct adl_adamw *adamw,
                              double lr, double head_ratio, struct adl_pool *pool);

/* Moves the averages towards the parameters and running statistics after step t (from 1):
 *
 *     a <- a + (1 - d) (p - a),  d = min(decay, (1 + t) / (10 + t))
 *
 * The smaller d of the first steps lets the averages forget what they began with (as
 * tf.train.ExponentialMovingAverage does with num_updates, and torch_ema). Only those of the
 * network that is trained change (adl_optimizer_set_part). */
void adl_optimizer_average(struct adl_optimizer *optimizer, double decay, struct adl_pool *pool);

/* Returns the bytes of parameters, running statistics, gradients, velocities, averages and squares.
 */
size_t adl_optimizer_bytes(const struct adl_optimizer *optimizer);

#endif
