/* Draws for methods that mix images. A number from Beta(b, b) is X / (X + Y) with X and Y from the
 * gamma distribution of shape b. */

#include "methods/mixing.h"

#include <math.h>

/* Returns the logarithm of a number from the gamma distribution of this shape and scale 1, by the
 * method of Marsaglia & Tsang ("A Simple Method for Generating Gamma Variables", ACM TOMS 2000).
 * Shapes below 1 use G(shape) = G(shape + 1) U^(1 / shape); with small shapes that would underflow
 * without the logarithm. */
static double draw_log_gamma(struct adl_rng *rng, double shape)
{
    double below = shape < 1 ? log(1 - adl_rng_uniform(rng)) / shape : 0;
    double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / sqrt(9 * d);

    for (;;) {
        double normal = adl_rng_normal(rng), v = 1 + c * normal;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(1 - adl_rng_uniform(rng)) < normal * normal / 2 + d - d * v + d * log(v))
            return log(d * v) + below;
    }
}

double adl_mixing_draw(struct adl_rng *rng, double beta)
{
    if (!(fabs(beta - 1) > 0))
        return adl_rng_uniform(rng);
    double a = draw_log_gamma(rng, beta), b = draw_log_gamma(rng, beta);
    return 1 / (1 + exp(b - a));
}

void adl_mixing_pair(struct adl_rng *rng, struct adl_method_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        batch->partners[i] = i;
    adl_rng_shuffle(rng, batch->partners, batch->count);
}
