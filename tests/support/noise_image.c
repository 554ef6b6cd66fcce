#include "support/noise_image.h"

#include "base/rng.h"
#include "support/test.h"

struct adl_image noise_image(int width, int height, uint64_t seed, uint64_t second, uint64_t third)
{
    struct adl_error err = {0};
    struct adl_image image = {0};
    struct adl_rng rng;
    adl_rng_seed(&rng, seed, second, third);
    TEST_OK(adl_image_init(&image, width, height, &err), &err);
    for (size_t i = 0; image.rgb && i < (size_t)width * (size_t)height * 3; i++)
        image.rgb[i] = (uint8_t)adl_rng_below(&rng, 256);
    return image;
}
