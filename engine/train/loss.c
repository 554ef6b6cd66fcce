/* Softmax cross-entropy in double. The largest logit is subtracted before the exponential,
 * so that it cannot overflow: log p[k] = z[k] - (log sum exp(z - max) + max). */

#include "train/loss.h"

#include <math.h>

double adl_cross_entropy(const float *logits, const struct adl_targets *targets, size_t n,
                         size_t classes, float *grad, size_t *correct)
{
    double loss = 0, smoothing = targets->smoothing, share = targets->share;
    const int *labels = targets->labels;
    if (correct)
        *correct = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * classes;
        size_t label = (size_t)labels[i], best = 0;
        size_t other = share > 0 ? (size_t)labels[targets->partners[i]] : label;
        double sum = 0, off = smoothing / (double)classes;
        for (size_t k = 1; k < classes; k++)
            best = z[k] > z[best] || (isnan(z[k]) && !isnan(z[best])) ? k : best;
        for (size_t k = 0; k < classes; k++)
            sum += exp((double)z[k] - (double)z[best]);
        double log_sum = log(sum) + (double)z[best];
        for (size_t k = 0; k < classes; k++) {
            double own = other == label ? 1 : 1 - share;
            double target = off + (k == label   ? (1 - smoothing) * own
                                   : k == other ? (1 - smoothing) * share
                                                : 0);
            double log_p = (double)z[k] - log_sum;
            if (target > 0)
                loss -= target * log_p;
            if (grad)
                grad[i * classes + k] = (float)((exp(log_p) - target) / (double)n);
        }
        if (correct)
            *correct += best == label;
    }
    return loss / (double)n;
}
