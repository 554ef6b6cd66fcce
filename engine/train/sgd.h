#ifndef ADL_TRAIN_SGD_H
#define ADL_TRAIN_SGD_H

#include <stdbool.h>
#include <stddef.h>

struct adl_sgd {
    double momentum;
    double weight_decay;
    bool nesterov;
};

/* One step of torch.optim.SGD on one parameter, in place:
 *   g += weight_decay * p;  v = momentum * v + g;
 *   p -= lr * (nesterov ? g + momentum * v : v).
 * `velocity` starts as zeros (PyTorch's first v = g is the same). */
void adl_sgd_step(const struct adl_sgd *sgd, double lr, size_t count, const float *grad,
                  float *param, float *velocity);

#endif
