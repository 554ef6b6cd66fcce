/* Compares confidences with frequencies; see reliability.h.
 *
 * With B the bins, n_b the answers of bin b, r_b those that are right and s_b the sum of their
 * confidences, the expected calibration error is
 *
 *     ECE = 1/n sum over b of |s_b - r_b|
 *
 * If each confidence p_i is the chance that answer i is right, s_b - r_b has the mean 0 and the
 * variance V_b = sum over i in b of p_i (1 - p_i). The mean of its magnitude is then about
 * sqrt(2 V_b / pi), that of a normal distribution, and at most 2 V_b, the sum of the answers' own
 * mean magnitudes, which is exact for a bin with one answer. The lesser of the two is used. */

#include "eval/reliability.h"

#include <math.h>

#include "base/size.h"

void adl_reliability_add(struct adl_reliability *reliability, double confidence, bool right)
{
    double p = fmin(fmax(confidence, 0), 1);
    int bin = ADL_MIN((int)(p * ADL_RELIABILITY_BINS), ADL_RELIABILITY_BINS - 1);

    reliability->count++;
    reliability->bins[bin].count++;
    reliability->bins[bin].right += right;
    reliability->bins[bin].sum += p;
    reliability->bins[bin].variance += p * (1 - p);
}

double adl_reliability_error(const struct adl_reliability *reliability)
{
    double sum = 0;

    for (int b = 0; b < ADL_RELIABILITY_BINS; b++)
        sum += fabs(reliability->bins[b].sum - (double)reliability->bins[b].right);
    return reliability->count ? sum / (double)reliability->count : 0;
}

double adl_reliability_chance(const struct adl_reliability *reliability)
{
    const double pi = 3.14159265358979323846;
    double sum = 0;

    for (int b = 0; b < ADL_RELIABILITY_BINS; b++) {
        double variance = reliability->bins[b].variance;
        sum += fmin(2 * variance, sqrt(2 * variance / pi));
    }
    return reliability->count ? sum / (double)reliability->count : 0;
}
