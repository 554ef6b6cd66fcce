/* Deep descriptor transforming; see ddt.h.
 *
 * The covariance of the channels is summed over the images with single precision, of centred
 * features, one matrix product an image. Its first eigenvector is found by the power method: a
 * vector is multiplied by the matrix and scaled to length 1 until it stays the same. It starts as
 * the row of the channel that varies most, so it is never orthogonal to the result by accident, and
 * two eigenvalues that are nearly equal only make it stop at a mixture of their vectors, which is
 * as good. */

#include "eval/ddt.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "kernels/blas.h"

#define ITERATIONS 1000
/* The power method ends when the cosine between two vectors is this close to 1. */
#define TOLERANCE 1e-14

struct ddt {
    const struct adl_ddt_images *images;
    double *mean;      /* channels */
    float *centred;    /* cells x channels: of one image */
    float *covariance; /* channels x channels, times the number of positions */
    double *component; /* channels: v */
    double *next;      /* channels: scratch */
};

static int ddt_allocate(struct ddt *d, struct adl_error *err)
{
    const struct adl_ddt_images *s = d->images;
    size_t image, matrix;

    if (adl_size_mul(s->cells, s->channels, &image) == 0 &&
        adl_size_mul(s->channels, s->channels, &matrix) == 0) {
        d->mean = adl_calloc(s->channels, sizeof *d->mean);
        d->centred = adl_malloc(image, sizeof *d->centred);
        d->covariance = adl_calloc(matrix, sizeof *d->covariance);
        d->component = adl_malloc(s->channels, sizeof *d->component);
        d->next = adl_malloc(s->channels, sizeof *d->next);
    }
    if (!d->mean || !d->centred || !d->covariance || !d->component || !d->next)
        return adl_fail_nomem(err, "the covariance of the features");
    return 0;
}

static void ddt_release(struct ddt *d)
{
    adl_free(d->mean);
    adl_free(d->centred);
    adl_free(d->covariance);
    adl_free(d->component);
    adl_free(d->next);
}

static int find_mean(struct ddt *d, struct adl_error *err)
{
    const struct adl_ddt_images *s = d->images;
    double positions = (double)s->count * (double)s->cells;

    for (size_t i = 0; i < s->count; i++)
        for (size_t p = 0; p < s->cells; p++)
            for (size_t k = 0; k < s->channels; k++)
                d->mean[k] += (double)s->features[i][p * s->channels + k];
    for (size_t k = 0; k < s->channels; k++) {
        d->mean[k] /= positions;
        if (!isfinite(d->mean[k]))
            return adl_fail(err, ADL_ERR_FORMAT, "the features of channel %zu are not finite", k);
    }
    return 0;
}

static void add_covariance(struct ddt *d, size_t image)
{
    const struct adl_ddt_images *s = d->images;

    for (size_t p = 0; p < s->cells; p++)
        for (size_t k = 0; k < s->channels; k++) {
            size_t at = p * s->channels + k;
            d->centred[at] = (float)((double)s->features[image][at] - d->mean[k]);
        }
    adl_sgemm(true, false, s->channels, s->channels, s->cells, d->centred, s->channels, d->centred,
              s->channels, 1, d->covariance, s->channels);
}

/* Scales a vector to length 1; returns false if it has none. */
static bool normalise(double *vector, size_t count)
{
    double squares = 0;
    for (size_t k = 0; k < count; k++)
        squares += vector[k] * vector[k];
    if (!(squares > 0) || !isfinite(squares))
        return false;
    for (size_t k = 0; k < count; k++)
        vector[k] /= sqrt(squares);
    return true;
}

/* Finds the component; returns false if the features do not vary. */
static bool find_component(struct ddt *d)
{
    size_t channels = d->images->channels, most = 0;

    for (size_t k = 1; k < channels; k++)
        if (d->covariance[k * channels + k] > d->covariance[most * channels + most])
            most = k;
    for (size_t k = 0; k < channels; k++)
        d->component[k] = (double)d->covariance[most * channels + k];
    if (!normalise(d->component, channels))
        return false;
    for (int i = 0; i < ITERATIONS; i++) {
        double cosine = 0;
        for (size_t r = 0; r < channels; r++) {
            d->next[r] = 0;
            for (size_t k = 0; k < channels; k++)
                d->next[r] += (double)d->covariance[r * channels + k] * d->component[k];
        }
        if (!normalise(d->next, channels))
            return false;
        for (size_t k = 0; k < channels; k++)
            cosine += d->next[k] * d->component[k];
        memcpy(d->component, d->next, channels * sizeof *d->next);
        if (1 - cosine < TOLERANCE)
            break;
    }
    return true;
}

/* Writes the map of an image with the present sign, and returns its covariance with the class
 * map. */
static double project(const struct ddt *d, size_t image, float *map)
{
    const struct adl_ddt_images *s = d->images;
    double sum = 0, mean = 0, cells = (double)s->cells;

    for (size_t p = 0; p < s->cells; p++)
        mean += (double)s->cams[image][p] / cells;
    for (size_t p = 0; p < s->cells; p++) {
        const float *features = s->features[image] + p * s->channels;
        double value = 0;
        for (size_t k = 0; k < s->channels; k++)
            value += d->component[k] * ((double)features[k] - d->mean[k]);
        map[p] = (float)value;
        sum += value * ((double)s->cams[image][p] - mean);
    }
    return sum;
}

int adl_ddt_maps(const struct adl_ddt_images *images, float *const *maps, struct adl_error *err)
{
    struct ddt d = {.images = images};
    double agreement = 0;
    int result = -1;

    if (images->count == 0 || images->cells == 0 || images->channels == 0)
        return adl_fail(err, ADL_ERR_ARG, "there are no features to find a component of");
    ADL_TRY(adl_blas_reserve(1, err));
    ADL_TRY(ddt_allocate(&d, err));
    ADL_TRY(find_mean(&d, err));
    for (size_t i = 0; i < images->count; i++)
        add_covariance(&d, i);
    bool varies = find_component(&d);
    for (size_t i = 0; i < images->count; i++) {
        if (varies)
            agreement += project(&d, i, maps[i]);
        else
            memset(maps[i], 0, images->cells * sizeof **maps);
    }
    if (agreement < 0)
        for (size_t i = 0; i < images->count; i++)
            for (size_t p = 0; p < images->cells; p++)
                maps[i][p] = -maps[i][p];
    result = 0;
out:
    ddt_release(&d);
    return result;
}
