/* Binary cross-entropy of classes that are present or absent each by itself, in double.
 *
 * With softplus(x) = log(1 + exp(x)), the cross-entropy of a logit z and a target t is
 *
 *     -t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)) = t softplus(-z) + (1 - t) softplus(z)
 *
 * and softplus(x) = max(x, 0) + log(1 + exp(-|x|)), whose exponential cannot overflow. */

#include "train/loss.h"

#include <math.h>

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double z)
{
    double small = exp(-fabs(z));
    return z >= 0 ? 1 / (1 + small) : small / (1 + small);
}

double adl_binary_cross_entropy(const float *logits, const struct adl_targets *targets, size_t n,
                                size_t classes, float *grad, size_t *right)
{
    double loss = 0, share = targets->share, count = (double)n * (double)classes;

    if (right)
        *right = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * classes, *own = targets->present + i * classes;
        const float *other = share > 0 ? targets->present + targets->partners[i] * classes : own;
        for (size_t k = 0; k < classes; k++) {
            double present = (1 - share) * (double)own[k] + share * (double)other[k];
            double t = (1 - targets->smoothing) * present + targets->smoothing / 2;
            double positive = targets->weights ? t * (double)targets->weights[k] : t;
            double x = (double)z[k];
            /* NaN and infinities go through both terms, so that the loss shows them. */
            loss += positive * softplus(-x) + (1 - t) * softplus(x);
            if (grad)
                grad[i * classes + k] =
                    (float)(((1 - t) * sigmoid(x) - positive * sigmoid(-x)) / count);
            if (right)
                *right += (x >= 0) == (own[k] > 0);
        }
    }
    return loss / count;
}
