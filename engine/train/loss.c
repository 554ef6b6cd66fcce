/* Softmax cross-entropy in double. The largest logit is subtracted before the exponential,
 * so that it cannot overflow: log p[k] = z[k] - (log sum exp(z - max) + max). */

#include "train/loss.h"

#include <math.h>

/* What a row of targets is made of. */
struct row {
    const float *weights; /* or NULL */
    double off, label_share, other_share;
    size_t label, other;
};

static double target_of(const struct row *row, size_t k)
{
    double target = row->off + (k == row->label   ? row->label_share
                                : k == row->other ? row->other_share
                                                  : 0);
    return row->weights ? target * (double)row->weights[k] : target;
}

/* Returns the sum of a row of targets. */
static double target_sum(const struct row *row, size_t classes)
{
    double sum = 0;
    if (!row->weights)
        return 1;
    for (size_t k = 0; k < classes; k++)
        sum += target_of(row, k);
    return sum;
}

double adl_targets_weight(const struct adl_targets *targets, size_t n)
{
    double sum = 0;
    if (!targets->weights || targets->present)
        return (double)n;
    for (size_t i = 0; i < n; i++)
        sum += (double)targets->weights[targets->labels[i]];
    return sum;
}

double adl_cross_entropy(const float *logits, const struct adl_targets *targets, size_t n,
                         size_t classes, float *grad, size_t *correct)
{
    double loss = 0, smoothing = targets->smoothing, share = targets->share;
    double divisor = adl_targets_weight(targets, n);
    const int *labels = targets->labels;
    if (correct)
        *correct = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * classes;
        size_t label = (size_t)labels[i], best = 0;
        size_t other = share > 0 ? (size_t)labels[targets->partners[i]] : label;
        double sum = 0, own = other == label ? 1 : 1 - share;
        const struct row row = {targets->weights,
                                smoothing / (double)classes,
                                (1 - smoothing) * own,
                                (1 - smoothing) * share,
                                label,
                                other};
        double all = target_sum(&row, classes);
        for (size_t k = 1; k < classes; k++)
            best = z[k] > z[best] || (isnan(z[k]) && !isnan(z[best])) ? k : best;
        for (size_t k = 0; k < classes; k++)
            sum += exp((double)z[k] - (double)z[best]);
        double log_sum = log(sum) + (double)z[best];
        for (size_t k = 0; k < classes; k++) {
            double target = target_of(&row, k);
            double log_p = (double)z[k] - log_sum;
            if (target > 0)
                loss -= target * log_p;
            if (grad)
                grad[i * classes + k] = (float)((all * exp(log_p) - target) / divisor);
        }
        if (correct)
            *correct += best == label;
    }
    return loss / divisor;
}
