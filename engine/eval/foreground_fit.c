/* Fits regularised logistic regressions that tell object from background at each position.
 *
 * With x a position's features, standardised over all positions, y the fraction of the position
 * inside a box, and p = 1 / (1 + exp(-(w x + b))), the head minimises
 *
 *     sum of -y log p - (1 - y) log(1 - p)  +  n * LAMBDA / 2 * |w|^2
 *
 * over the n positions. The problem is convex, so the solution is unique and does not depend on
 * where the solver begins. Newton's method would need the Hessian X' S X in every step, by far the
 * most expensive computation here; but the Hessian is never larger than X' X / 4, since p (1 - p)
 * is at most 1/4. With this bound in place of the Hessian, every step descends and the steps reach
 * the same minimum (D. Boehning and B. Lindsay, 1988). The bound is computed and factorised once,
 * and a step then costs one pass over the data.
 *
 * For cross-validation, a head is also fitted without each of the folds. X' X is a sum over
 * samples, so it is computed once for each fold, and a head adds those of the folds that it is
 * fitted to.
 *
 * LAMBDA was chosen on val of the data set objects104 (0.03 and 0.1 were the best of 0.001 to 1,
 * with 30 as well as with 140 images). It is large because neighbouring positions are strongly
 * correlated, so that many thousands of them carry the information of far fewer. */

#include "eval/foreground_fit.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/blas.h"

#define LAMBDA 0.05
#define MAX_STEPS 300
/* The first step in which every standardised weight changes by less than this is the last. */
#define TOLERANCE 1e-5
#define LANES 8

struct fit {
    const struct adl_foreground_data *data;
    int folds;
    double *mean, *scale; /* of each channel; scale 0: the channel is constant */
    float *grams;         /* [folds][channels][channels]: X' X of the fold's samples */
    double *sums;         /* [folds][channels]: the sums of their features */
    size_t *counts;       /* [folds]: the numbers of their positions */
    float *heads;
    struct adl_error *errors; /* [folds + 1] */
};

/* --- standardisation ------------------------------------------------------------------ */

static void standardise(struct fit *fit)
{
    const struct adl_foreground_data *d = fit->data;
    size_t channels = d->channels, positions = d->samples * d->rows;

    for (size_t i = 0; i < positions; i++)
        for (size_t k = 0; k < channels; k++)
            fit->mean[k] += (double)d->features[i * channels + k];
    for (size_t k = 0; k < channels; k++)
        fit->mean[k] /= (double)positions;
    for (size_t i = 0; i < positions; i++)
        for (size_t k = 0; k < channels; k++) {
            double away = (double)d->features[i * channels + k] - fit->mean[k];
            fit->scale[k] += away * away;
        }
    for (size_t k = 0; k < channels; k++) {
        double deviation = sqrt(fit->scale[k] / (double)positions);
        fit->scale[k] = isnormal(deviation) ? 1 / deviation : 0;
    }
    for (size_t i = 0; i < positions; i++)
        for (size_t k = 0; k < channels; k++) {
            float *x = &d->features[i * channels + k];
            *x = (float)(((double)*x - fit->mean[k]) * fit->scale[k]);
        }
}

static void restore(const struct fit *fit)
{
    const struct adl_foreground_data *d = fit->data;

    for (size_t i = 0; i < d->samples * d->rows; i++)
        for (size_t k = 0; k < d->channels; k++) {
            float *x = &d->features[i * d->channels + k];
            double away = fit->scale[k] > 0 ? (double)*x / fit->scale[k] : 0;
            *x = (float)(fit->mean[k] + away);
        }
}

static const float *sample_features(const struct fit *fit, size_t sample)
{
    return fit->data->features + sample * fit->data->rows * fit->data->channels;
}

/* Computes X' X, the sums and the count of one fold. */
static void gram_task(void *context, size_t fold, int worker)
{
    struct fit *fit = context;
    size_t channels = fit->data->channels, rows = fit->data->rows;
    float *gram = fit->grams + fold * channels * channels;
    double *sums = fit->sums + fold * channels;

    (void)worker;
    for (size_t i = fold; i < fit->data->samples; i += (size_t)fit->folds) {
        const float *x = sample_features(fit, i);
        adl_sgemm(true, false, channels, channels, rows, x, channels, x, channels, 1, gram,
                  channels);
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < channels; k++)
                sums[k] += (double)x[r * channels + k];
        fit->counts[fold] += rows;
    }
}

/* --- Cholesky -------------------------------------------------------------------------- */

/* Factorises the symmetric positive definite matrix a, size x size, into L L' in place; only its
 * lower triangle is used. */
static void factorise(double *a, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        double *row = a + i * size;
        for (size_t j = 0; j <= i; j++) {
            const double *other = a + j * size;
            double lanes[LANES] = {0}, sum = row[j];
            size_t k = 0;
            for (; k + LANES <= j; k += LANES)
                for (size_t l = 0; l < LANES; l++)
                    lanes[l] += row[k + l] * other[k + l];
            for (; k < j; k++)
                sum -= row[k] * other[k];
            for (size_t l = 0; l < LANES; l++)
                sum -= lanes[l];
            row[j] = i == j ? sqrt(sum) : sum / other[j];
        }
    }
}

/* Replaces x by (L L')^-1 x, where `a` is L as factorise() leaves it. */
static void solve(const double *a, size_t size, double *x)
{
    for (size_t i = 0; i < size; i++) {
        for (size_t k = 0; k < i; k++)
            x[i] -= a[i * size + k] * x[k];
        x[i] /= a[i * size + i];
    }
    for (size_t i = size; i-- > 0;) {
        x[i] /= a[i * size + i];
        for (size_t k = 0; k < i; k++)
            x[k] -= a[i * size + k] * x[i];
    }
}

/* --- one head --------------------------------------------------------------------------- */

/* Fills in the matrix of the steps: X' X / 4 of all folds but `without`, with a column of ones for
 * the bias, plus the regulariser. */
static void fill_bound(const struct fit *fit, size_t without, double *bound)
{
    size_t channels = fit->data->channels, size = channels + 1;
    double n = 0;

    memset(bound, 0, size * size * sizeof *bound);
    for (size_t f = 0; f < (size_t)fit->folds; f++) {
        const float *gram = fit->grams + f * channels * channels;
        const double *sums = fit->sums + f * channels;
        if (f == without)
            continue;
        for (size_t i = 0; i < channels; i++)
            for (size_t j = 0; j <= i; j++)
                bound[i * size + j] += 0.25 * (double)gram[i * channels + j];
        for (size_t j = 0; j < channels; j++)
            bound[channels * size + j] += 0.25 * sums[j];
        n += (double)fit->counts[f];
    }
    for (size_t i = 0; i < channels; i++)
        bound[i * size + i] += LAMBDA * n;
    bound[channels * size + channels] = 0.25 * n;
}

static float dot(const float *a, const float *b, size_t count)
{
    float lanes[LANES] = {0}, sum = 0;
    size_t k = 0;
    for (; k + LANES <= count; k += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += a[k + l] * b[k + l];
    for (; k < count; k++)
        sum += a[k] * b[k];
    for (size_t l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

/* Adds the gradient of one sample to `gradient`. part: scratch, [channels]. */
static void add_gradient(const struct fit *fit, size_t sample, const float *weights, float bias,
                         float *part, double *gradient)
{
    size_t channels = fit->data->channels, rows = fit->data->rows;
    const float *x = sample_features(fit, sample), *labels = fit->data->labels + sample * rows;

    memset(part, 0, channels * sizeof *part);
    for (size_t r = 0; r < rows; r++, x += channels) {
        double p = 1 / (1 + exp(-(double)(dot(weights, x, channels) + bias)));
        float error = (float)(p - (double)labels[r]);
        for (size_t k = 0; k < channels; k++)
            part[k] += error * x[k];
        gradient[channels] += p - (double)labels[r];
    }
    for (size_t k = 0; k < channels; k++)
        gradient[k] += (double)part[k];
}

/* Minimises from the weights `theta`, which are zero, on all folds but `without`. theta and step:
 * [channels + 1]; weights: scratch, [2][channels]. */
static void descend(const struct fit *fit, size_t without, const double *bound, double *theta,
                    double *step, float *weights)
{
    size_t channels = fit->data->channels, rows = 0;

    for (size_t f = 0; f < (size_t)fit->folds; f++)
        rows += f == without ? 0 : fit->counts[f];
    for (int n = 0; n < MAX_STEPS; n++) {
        double largest = 0;
        for (size_t k = 0; k < channels; k++) {
            weights[k] = (float)theta[k];
            step[k] = LAMBDA * (double)rows * theta[k];
        }
        step[channels] = 0;
        for (size_t i = 0; i < fit->data->samples; i++)
            if (i % (size_t)fit->folds != without)
                add_gradient(fit, i, weights, (float)theta[channels], weights + channels, step);
        solve(bound, channels + 1, step);
        for (size_t k = 0; k <= channels; k++) {
            theta[k] -= step[k];
            largest = fmax(largest, fabs(step[k]));
        }
        if (largest < TOLERANCE)
            break;
    }
}

/* Fits head number `index`, which leaves out fold `index`; the last head leaves out none. */
static void head_task(void *context, size_t index, int worker)
{
    struct fit *fit = context;
    size_t channels = fit->data->channels, size = channels + 1, entries;
    float *head = fit->heads + index * size;
    double *bound = NULL, *theta = adl_calloc(size, 2 * sizeof *theta);
    float *weights = adl_malloc(channels, 2 * sizeof *weights);

    (void)worker;
    if (adl_size_mul(size, size, &entries) == 0)
        bound = adl_malloc(entries, sizeof *bound);
    if (!bound || !theta || !weights) {
        (void)!adl_fail_nomem(&fit->errors[index], "the foreground head");
        goto out;
    }
    fill_bound(fit, index, bound);
    factorise(bound, size);
    descend(fit, index, bound, theta, theta + size, weights);
    /* Converts the head for standardised features into one for the original features. */
    double bias = theta[channels];
    for (size_t k = 0; k < channels; k++) {
        head[k] = (float)(theta[k] * fit->scale[k]);
        bias -= theta[k] * fit->scale[k] * fit->mean[k];
    }
    head[channels] = (float)bias;
out:
    adl_free(bound);
    adl_free(theta);
    adl_free(weights);
}

int adl_foreground_fit(const struct adl_foreground_data *data, int folds, struct adl_pool *pool,
                       float *heads, struct adl_error *err)
{
    struct fit fit = {.data = data, .folds = folds, .heads = heads};
    size_t channels = data->channels, squares, count = (size_t)folds;
    int result = -1;

    if (data->samples == 0 || data->rows == 0 || channels == 0 || folds < 1)
        return adl_fail(err, ADL_ERR_ARG, "the foreground head needs images with boxes");
    fit.mean = adl_calloc(channels, sizeof *fit.mean);
    fit.scale = adl_calloc(channels, sizeof *fit.scale);
    fit.sums = adl_calloc(count * channels, sizeof *fit.sums);
    fit.counts = adl_calloc(count, sizeof *fit.counts);
    fit.errors = adl_calloc(count + 1, sizeof *fit.errors);
    if (adl_size_mul(channels * count, channels, &squares) == 0)
        fit.grams = adl_calloc(squares, sizeof *fit.grams);
    if (!fit.mean || !fit.scale || !fit.sums || !fit.counts || !fit.errors || !fit.grams) {
        adl_fail_nomem(err, "the foreground head");
        goto out;
    }
    if (adl_blas_reserve(adl_pool_threads(pool), err) < 0)
        goto out;
    standardise(&fit);
    adl_pool_for(pool, count, gram_task, &fit);
    adl_pool_for(pool, count + 1, head_task, &fit);
    restore(&fit);
    for (size_t i = 0; i <= count; i++)
        if (fit.errors[i].kind != ADL_ERR_NONE) {
            adl_fail(err, fit.errors[i].kind, "%s", fit.errors[i].message);
            goto out;
        }
    result = 0;
out:
    adl_free(fit.mean);
    adl_free(fit.scale);
    adl_free(fit.sums);
    adl_free(fit.counts);
    adl_free(fit.errors);
    adl_free(fit.grams);
    return result;
}
