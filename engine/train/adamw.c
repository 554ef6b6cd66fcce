/* AdamW, on one thread and one parameter: the optimizer divides the parameters among the
 * threads. */

#include "train/adamw.h"

#include <math.h>

void adl_adamw_step(const struct adl_adamw *adamw, double lr, uint64_t t, size_t count,
                    const float *grad, float *param, float *moment, float *square)
{
    double correction1 = 1 - pow(adamw->beta1, (double)t);
    double correction2 = 1 - pow(adamw->beta2, (double)t);
    float keep = (float)(1 - lr * adamw->weight_decay), eps = (float)adamw->eps;
    float new1 = (float)(1 - adamw->beta1), new2 = (float)(1 - adamw->beta2);
    float rate = (float)(lr / correction1), scale = (float)(1 / sqrt(correction2));

    for (size_t i = 0; i < count; i++) {
        float g = grad[i];
        float m = moment[i] + new1 * (g - moment[i]);
        float s = square[i] + new2 * (g * g - square[i]);
        moment[i] = m;
        square[i] = s;
        param[i] = keep * param[i] - rate * m / (sqrtf(s) * scale + eps);
    }
}
