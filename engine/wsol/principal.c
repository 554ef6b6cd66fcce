/* Finds the first principal component by power iteration.
 *
 * Let Y be the centred matrix of positions x channels. Its component v is the first eigenvector of
 * Y'Y, and the map Yv that of YY'. The iteration u <- Y (Y'u) turns a map into that eigenvector
 * without either product of matrices. It begins with the class map, whose share of the eigenvector
 * keeps its sign, so the sign needs no choice. Y is not stored: with the sum of u at 0, Y'u is the
 * same with y as it is, and the mean of y is subtracted from the result.
 *
 * An iteration reads the features twice, so ten take about the time of twenty class maps. */

#include "wsol/principal.h"

#include <math.h>
#include <stdbool.h>

#include "base/limits.h"
#include "base/size.h"

#define MOST_ITERATIONS 300
#define TOLERANCE 1e-6 /* change of the map in an iteration, of its largest value */

struct search {
    const float *features, *weight;
    size_t pixels, channels;
    double direction[ADL_LIMIT_PRINCIPAL_CHANNELS]; /* weight * (y'u), of length 1 */
};

/* Subtracts the mean; returns the largest absolute value that is left. */
static double centre(float *map, size_t count)
{
    double sum = 0, greatest = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)map[i];
    for (size_t i = 0; i < count; i++) {
        map[i] = (float)((double)map[i] - sum / (double)count);
        greatest = fmax(greatest, fabs((double)map[i]));
    }
    return greatest;
}

/* Sets the direction to that of y'u, times the weights. Returns whether it has one. */
static bool project(struct search *s, const float *map)
{
    double square = 0;
    for (size_t k = 0; k < s->channels; k++)
        s->direction[k] = 0;
    for (size_t p = 0; p < s->pixels; p++)
        for (size_t k = 0; k < s->channels; k++)
            s->direction[k] += (double)map[p] * (double)s->features[p * s->channels + k];
    for (size_t k = 0; k < s->channels; k++) {
        double along = s->direction[k] * (s->weight ? (double)s->weight[k] : 1);
        square += along * along;
    }
    for (size_t k = 0; k < s->channels; k++) {
        double w = s->weight ? (double)s->weight[k] : 1;
        s->direction[k] *= w * w / sqrt(square);
    }
    return isnormal(square);
}

/* Sets the map to y v. Sums of several lanes are added in one order, whatever the compiler does. */
static void follow(const struct search *s, float *map)
{
    enum { LANES = 8 };
    for (size_t p = 0; p < s->pixels; p++) {
        const float *row = s->features + p * s->channels;
        double lanes[LANES] = {0}, sum = 0;
        size_t k = 0;
        for (; k + LANES <= s->channels; k += LANES)
            for (size_t l = 0; l < LANES; l++)
                lanes[l] += (double)row[k + l] * s->direction[k + l];
        for (; k < s->channels; k++)
            sum += (double)row[k] * s->direction[k];
        for (size_t l = 0; l < LANES; l++)
            sum += lanes[l];
        map[p] = (float)sum;
    }
}

static bool is_usable(const float *map, size_t count)
{
    bool finite = true, varies = false;
    for (size_t i = 0; i < count; i++) {
        finite &= isfinite(map[i]) != 0;
        varies |= map[i] != map[0];
    }
    return finite && varies;
}

void adl_principal_map(const float *features, size_t pixels, size_t channels, const float *weight,
                       float *cam)
{
    struct search s = {
        .features = features, .weight = weight, .pixels = pixels, .channels = channels};
    double greatest, change = INFINITY, was = 0;

    if (channels > ADL_LIMIT_PRINCIPAL_CHANNELS || !is_usable(cam, pixels))
        return;
    greatest = centre(cam, pixels);
    for (int i = 0; i < MOST_ITERATIONS && change > TOLERANCE * greatest; i++) {
        if (!project(&s, cam))
            return;
        follow(&s, cam);
        greatest = centre(cam, pixels);
        /* The largest value grows until the map is the eigenvector. */
        change = fabs(greatest - was);
        was = greatest;
    }
}
