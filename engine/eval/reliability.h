#ifndef ADL_EVAL_RELIABILITY_H
#define ADL_EVAL_RELIABILITY_H

/* How far probabilities agree with frequencies: of the answers given with a confidence of 80 %,
 * are 80 % right? (Guo et al., "On calibration of modern neural networks", ICML 2017.) */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bins of equal width; the last one includes 1. */
#define ADL_RELIABILITY_BINS 10

/* A zeroed struct is empty. */
struct adl_reliability {
    struct {
        uint64_t count, right;
        double sum;      /* of the confidences */
        double variance; /* of `right` if the confidences were the chances: the sum of p (1 - p) */
    } bins[ADL_RELIABILITY_BINS];
    uint64_t count;
};

/* Counts an answer that was given with a confidence of 0..1. */
void adl_reliability_add(struct adl_reliability *reliability, double confidence, bool right);

/* Returns the expected calibration error, 0..1: the mean, over the answers, of the distance between
 * the mean confidence of their bin and the fraction of its answers that are right. 0 without
 * answers. */
double adl_reliability_error(const struct adl_reliability *reliability);

/* Returns about what adl_reliability_error() gives on the average, for as many answers with these
 * confidences, if each confidence is exactly the chance that the answer is right: chance alone
 * moves the fractions of small bins. An error near this value shows no lack of calibration. */
double adl_reliability_chance(const struct adl_reliability *reliability);

#endif
