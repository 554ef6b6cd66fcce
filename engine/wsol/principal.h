#ifndef ADL_WSOL_PRINCIPAL_H
#define ADL_WSOL_PRINCIPAL_H

/* Makes a class map from what varies most within an image, instead of from the sum over channels:
 * the first principal component of its features, weighted by the class. */

#include <stddef.h>

/* With y[p, k] = weight[k] * features[p, k] at position p and channel k, m its mean over positions,
 * and v the first principal component of y (of length 1) over the positions of this one image,
 *
 *     cam[p] = v (y[p] - m)
 *
 * `features` is pixels x channels (NHWC); `weight` NULL stands for ones. `cam` holds the class map,
 * the sum of y over k, and receives the other: the sign of v is the one for which the two
 * correlate, so positive values are the object. A constant map, one that is not finite, and one of
 * more than ADL_LIMIT_PRINCIPAL_CHANNELS channels are left as they are. Allocates nothing. */
void adl_principal_map(const float *features, size_t pixels, size_t channels, const float *weight,
                       float *cam);

#endif
