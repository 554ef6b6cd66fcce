#ifndef ADL_TRAIN_OPTIMIZER_H
#define ADL_TRAIN_OPTIMIZER_H

/* The parameters of a graph being trained, with their gradients and
 * velocities, each in one block; and the step that updates them. */

#include "base/pool.h"
#include "graph/graph.h"
#include "train/sgd.h"

struct adl_optimizer;

/* Starts from a copy of `start` (by parameter id). The graph is borrowed. */
struct adl_optimizer *adl_optimizer_create(const struct adl_graph *graph, const float *const *start,
                                           struct adl_error *err) ADL_MUST_CHECK;
void adl_optimizer_free(struct adl_optimizer *optimizer);

/* By parameter id; gradients and velocities of running statistics are NULL. */
float *const *adl_optimizer_params(const struct adl_optimizer *optimizer);
float *const *adl_optimizer_grads(const struct adl_optimizer *optimizer);
float *const *adl_optimizer_velocities(const struct adl_optimizer *optimizer);

/* The parameter learns at the rate times the classifier's ratio. */
void adl_optimizer_set_head(struct adl_optimizer *optimizer, int param);

void adl_optimizer_zero_grads(struct adl_optimizer *optimizer);

/* The gradients' common L2 norm; where it is above `limit` (> 0) they are scaled
 * down to it, as torch.nn.utils.clip_grad_norm_. */
double adl_optimizer_clip(struct adl_optimizer *optimizer, double limit);

/* One step with rate `lr`, `lr * head_ratio` for heads. */
void adl_optimizer_step(struct adl_optimizer *optimizer, const struct adl_sgd *sgd, double lr,
                        double head_ratio, struct adl_pool *pool);

/* Trainable parameters, and the bytes of all three blocks. */
size_t adl_optimizer_bytes(const struct adl_optimizer *optimizer);

#endif
