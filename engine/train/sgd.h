#ifndef ADL_TRAIN_SGD_H
#define ADL_TRAIN_SGD_H

/* Stochastic gradient descent with momentum and weight decay, as torch.optim.SGD defines
 * it with dampening 0. */

#include <stdbool.h>
#include <stddef.h>

struct adl_sgd {
    double momentum;     /* 0: none */
    double weight_decay; /* L2 penalty, added to the gradient */
    bool nesterov;       /* Nesterov's momentum: looks one step ahead */
};

/* Makes one step on one parameter p of `count` values with the gradient g, in place:
 *
 *     g <- g + weight_decay p
 *     v <- momentum v + g
 *     p <- p - lr (nesterov ? g + momentum v : v)
 *
 * `velocity` (v) starts as zeros; PyTorch starts it as the first g, which gives the same
 * result with dampening 0. The learning rate is applied when p is updated and is not part of
 * v (unlike Sutskever et al. 2013), so a change of the rate takes effect at once. `grad` is
 * not changed. */
void adl_sgd_step(const struct adl_sgd *sgd, double lr, size_t count, const float *grad,
                  float *param, float *velocity);

#endif
