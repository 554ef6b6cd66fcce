#ifndef ADL_TESTS_SUPPORT_NOISE_IMAGE_H
#define ADL_TESTS_SUPPORT_NOISE_IMAGE_H

/* Makes images of noise. */

#include <stdint.h>

#include "image/image.h"

/* Makes an image of random bytes that follow from the three keys; the caller releases it. */
struct adl_image noise_image(int width, int height, uint64_t seed, uint64_t second, uint64_t third);

#endif
