/* Stochastic gradient descent, on one thread and one parameter: the optimizer divides the
 * parameters among the threads. */

#include "train/sgd.h"

void adl_sgd_step(const struct adl_sgd *sgd, double lr, size_t count, const float *grad,
                  float *param, float *velocity)
{
    float momentum = (float)sgd->momentum, decay = (float)sgd->weight_decay, rate = (float)lr;
    for (size_t i = 0; i < count; i++) {
        float g = grad[i] + decay * param[i];
        float v = momentum * velocity[i] + g;
        velocity[i] = v;
        param[i] -= rate * (sgd->nesterov ? g + momentum * v : v);
    }
}
