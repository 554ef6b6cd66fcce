/* Computes the map of the few-box head; see foreground.h. */

#include "wsol/foreground.h"

#include <math.h>
#include <stdbool.h>

#define LANES 8

/* Returns the logit of the head at one position. The order of the sum is fixed, so that its bits do
 * not depend on how the compiler vectorises it. */
static float logit(const float *features, const float *head, size_t channels)
{
    float lanes[LANES] = {0}, sum = head[channels];
    size_t k = 0;
    for (; k + LANES <= channels; k += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += features[k + l] * head[k + l];
    for (; k < channels; k++)
        sum += features[k] * head[k];
    for (size_t l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

void adl_foreground_map(const float *features, size_t pixels, size_t channels, const float *head,
                        float *cam)
{
    float least = INFINITY, greatest = -INFINITY;
    bool usable = true;

    for (size_t i = 0; i < pixels; i++) {
        usable &= !isnan(cam[i]);
        least = fminf(least, cam[i]);
        greatest = fmaxf(greatest, cam[i]);
    }
    double range = (double)greatest - (double)least;
    usable &= isfinite(range) && range > 0;
    for (size_t i = 0; i < pixels; i++) {
        double response = usable ? ((double)cam[i] - (double)least) / range : 1;
        double p = 1 / (1 + exp(-(double)logit(features + i * channels, head, channels)));
        cam[i] = (float)(p * sqrt(response));
    }
}
