/* Fits the temperature of class scores and the presence of classes.
 *
 * TEMPERATURE (Guo et al., ICML 2017). With z the logits of an image, y its class and b = 1/T, the
 * fit minimises the negative log likelihood of the true classes, which is convex in b:
 *
 *     L(b) = sum over images of [log sum over c of exp(b z_c) - b z_y] + (b - 1)^2 / 2
 *
 * The last term weighs as much as one image. It only matters where every image is right, so that L
 * alone would have no minimum. With m and v the mean and the variance of z under the probabilities
 * at b, dL/db = sum of (m - z_y) + b - 1 and d2L/db2 = sum of v + 1. Newton's method finds the
 * root; a step out of the range that is known to hold it becomes a bisection.
 *
 * The images of a class are alike, and a split for calibration may hold only a few of the classes
 * that the temperature is applied to. So the standard error counts classes rather than images
 * (cluster-robust, Liang & Zeger 1986): with s_i = m_i - z_y,i,
 *
 *     var(b) = G / (G - 1) * sum over the G classes of (sum of s_i of the class)^2 / (d2L/db2)^2
 *
 * and is at least that of independent images, 1 / (d2L/db2). An estimate that is within two
 * standard errors of 1 is not used: a temperature fitted to noise would make scores worse as often
 * as better.
 *
 * PRESENCE. The log probability of a class is compared between the images of that class and the
 * others, over all classes: a logistic regression with an intercept, in which both kinds of pairs
 * weigh the same in total, so that the result is the chance of a class that is as likely as not.
 * Targets are Platt's (1999), (n + 1) / (n + 2) and 1 / (n + 2), which keep the fit finite if the
 * two kinds can be separated. One pair of parameters serves all classes: log probabilities are
 * already relative to the image's other classes, and a class has few images. */

#include "eval/certainty_fit.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"

#define STEPS_MAX 100
#define TOLERANCE 1e-12
/* 1/T within these bounds. */
#define SHARPNESS_MIN 0.05
#define SHARPNESS_MAX 20.0
/* The estimate has to differ from 1 by so many standard errors. */
#define SIGNIFICANT 2.0

static int check(const struct adl_scored *scored, struct adl_error *err)
{
    if (scored->images > 0 && scored->classes > 1)
        return 0;
    return adl_fail(err, ADL_ERR_ARG, "scores of %zu images and %zu classes cannot be calibrated",
                    scored->images, scored->classes);
}

/* --- temperature ------------------------------------------------------------------- */

/* What one image adds to the likelihood at a sharpness. */
struct terms {
    double loss, slope, curvature;
};

static struct terms image_terms(const struct adl_scored *scored, size_t image, double sharpness)
{
    const float *z = scored->logits[image];
    double greatest = (double)z[0], sum = 0, mean = 0, variance = 0;
    double own;

    for (size_t c = 1; c < scored->classes; c++)
        greatest = fmax(greatest, (double)z[c]);
    for (size_t c = 0; c < scored->classes; c++) {
        double above = (double)z[c] - greatest, p = exp(sharpness * above);
        sum += p;
        mean += p * above;
        variance += p * above * above;
    }
    mean /= sum;
    own = (double)z[scored->labels[image]] - greatest;
    return (struct terms){log(sum) - sharpness * own, mean - own, variance / sum - mean * mean};
}

static struct terms all_terms(const struct adl_scored *scored, double sharpness)
{
    struct terms sum = {0, sharpness - 1, 1};

    for (size_t i = 0; i < scored->images; i++) {
        struct terms one = image_terms(scored, i, sharpness);
        sum.loss += one.loss;
        sum.slope += one.slope;
        sum.curvature += one.curvature;
    }
    return sum;
}

static double best_sharpness(const struct adl_scored *scored)
{
    double low = SHARPNESS_MIN, high = SHARPNESS_MAX, sharpness = 1;

    for (int step = 0; step < STEPS_MAX && high - low > TOLERANCE; step++) {
        struct terms sum = all_terms(scored, sharpness);
        if (sum.slope > 0)
            high = sharpness;
        else
            low = sharpness;
        double next = sharpness - sum.slope / sum.curvature;
        if (!(next > low && next < high))
            next = (low + high) / 2;
        if (fabs(next - sharpness) < TOLERANCE)
            return next;
        sharpness = next;
    }
    return sharpness;
}

/* Returns the variance of the sharpness; infinite if all images are of one class. `slopes` is
 * scratch, [classes]; `present` tells which classes have images. */
static double variance_of(const struct adl_scored *scored, double sharpness, double *slopes,
                          bool *present)
{
    double curvature = all_terms(scored, sharpness).curvature, sum = 0, classes = 0;

    for (size_t i = 0; i < scored->images; i++) {
        slopes[scored->labels[i]] += image_terms(scored, i, sharpness).slope;
        present[scored->labels[i]] = true;
    }
    for (size_t c = 0; c < scored->classes; c++) {
        sum += slopes[c] * slopes[c];
        classes += present[c];
    }
    if (classes < 2)
        return INFINITY;
    return fmax(classes / (classes - 1) * sum / (curvature * curvature), 1 / curvature);
}

static double mean_loss(const struct adl_scored *scored, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < scored->images; i++)
        sum += image_terms(scored, i, 1 / temperature).loss;
    return sum / (double)scored->images;
}

int adl_temperature_fit(const struct adl_scored *scored, struct adl_temperature_fit *fit,
                        struct adl_error *err)
{
    if (check(scored, err) < 0)
        return -1;
    double *slopes = adl_calloc(scored->classes, sizeof *slopes);
    bool *present = adl_calloc(scored->classes, sizeof *present);
    int result = -1;

    if (!slopes || !present) {
        adl_fail_nomem(err, "the temperature");
        goto out;
    }
    double sharpness = best_sharpness(scored);
    /* d log T = - db / b */
    double error = sqrt(variance_of(scored, sharpness, slopes, present)) / sharpness;
    bool used = fabs(log(sharpness)) > SIGNIFICANT * error;
    *fit = (struct adl_temperature_fit){.estimate = 1 / sharpness,
                                        .standard_error = error,
                                        .temperature = used ? 1 / sharpness : 1,
                                        .loss_before = mean_loss(scored, 1)};
    fit->loss = mean_loss(scored, fit->temperature);
    result = 0;
out:
    adl_free(slopes);
    adl_free(present);
    return result;
}

/* --- presence ---------------------------------------------------------------------- */

/* A logistic regression of one variable: the sums of a Newton step. */
struct regression {
    double slope, offset;
    double g[2], h[3]; /* gradient; curvature by slope-slope, slope-offset, offset-offset */
};

static void add_pair(struct regression *r, double x, double target, double weight)
{
    double p = 1 / (1 + exp(-(r->slope * x + r->offset)));
    double miss = weight * (p - target), curvature = weight * p * (1 - p);

    r->g[0] += miss * x;
    r->g[1] += miss;
    r->h[0] += curvature * x * x;
    r->h[1] += curvature * x;
    r->h[2] += curvature;
}

/* Adds every image and class: one pair of true class and image for each image. */
static void add_pairs(struct regression *r, const struct adl_scored *s, double temperature,
                      float *probabilities)
{
    double own = (double)s->images, others = own * (double)(s->classes - 1);

    for (size_t i = 0; i < s->images; i++) {
        adl_softmax_at(temperature, s->logits[i], s->classes, probabilities);
        for (size_t c = 0; c < s->classes; c++) {
            double x = log(fmax((double)probabilities[c], 1e-9));
            if ((size_t)s->labels[i] == c)
                add_pair(r, x, (own + 1) / (own + 2), 1 / own);
            else
                add_pair(r, x, 1 / (others + 2), 1 / others);
        }
    }
}

int adl_presence_fit(const struct adl_scored *scored, double temperature,
                     struct adl_presence *presence, struct adl_error *err)
{
    /* An even chance at a probability of 2 % is near the result for a hundred classes. */
    struct regression r = {.slope = 1, .offset = 4};

    if (check(scored, err) < 0)
        return -1;
    float *probabilities = adl_malloc(scored->classes, sizeof *probabilities);
    if (!probabilities)
        return adl_fail_nomem(err, "the presence of classes");
    for (int step = 0; step < STEPS_MAX; step++) {
        /* A very weak pull to 0 keeps the system solvable if all probabilities are equal. */
        const double pull = 1e-6;
        r.g[0] = pull * r.slope;
        r.g[1] = pull * r.offset;
        r.h[0] = r.h[2] = pull;
        r.h[1] = 0;
        add_pairs(&r, scored, temperature, probabilities);
        double determinant = r.h[0] * r.h[2] - r.h[1] * r.h[1];
        double by_slope = (r.g[0] * r.h[2] - r.g[1] * r.h[1]) / determinant;
        double by_offset = (r.g[1] * r.h[0] - r.g[0] * r.h[1]) / determinant;
        /* Steps are limited: where the curve is flat, a full one would overshoot. */
        double scale = fmin(1, 2 / fmax(fabs(by_slope), fabs(by_offset)));
        r.slope -= scale * by_slope;
        r.offset -= scale * by_offset;
        if (fmax(fabs(by_slope), fabs(by_offset)) < 1e-9)
            break;
    }
    adl_free(probabilities);
    presence->slope = fmax(r.slope, 0);
    presence->offset = r.offset;
    return 0;
}
