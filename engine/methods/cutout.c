/* Cutout (DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
 * 2017): one square of every training image is hidden, that is, set to 0 after normalisation. The
 * centre is uniform over the pixels, and what is outside the image is cut off, so that less than
 * the whole square is hidden near the border. As in the authors' code the square reaches half its
 * side, rounded down, to both sides of the centre.
 *
 * The side is given as a fraction of the image's shorter side. Half of it, 112 of 224 pixels, is
 * what comparisons on ImageNet use. */

#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "methods/method.h"

/* Tells the generator of this purpose from those of other purposes with the same key. */
#define CUTOUT_STREAM 0x6375746f7574U

/* The options, in the order of the list below. */
enum { SIDE };

static void hide(struct adl_method_batch *batch)
{
    int height = batch->height, width = batch->width;
    size_t image = (size_t)height * (size_t)width * 3;
    int half = (int)(batch->values[SIDE].number * ADL_MIN(height, width)) / 2;

    for (size_t i = 0; i < batch->count; i++) {
        struct adl_rng rng;
        adl_rng_seed(&rng, batch->key, i, CUTOUT_STREAM);
        int y = (int)adl_rng_below(&rng, (uint64_t)height);
        int x = (int)adl_rng_below(&rng, (uint64_t)width);
        int left = ADL_MAX(x - half, 0), right = ADL_MIN(x + half, width);
        for (int row = ADL_MAX(y - half, 0); row < ADL_MIN(y + half, height); row++)
            memset(batch->input + i * image + ((size_t)row * (size_t)width + (size_t)left) * 3, 0,
                   (size_t)(right - left) * 3 * sizeof(float));
    }
}

static const struct adl_method_option options[] = {
    {"cutout-size", ADL_METHOD_NUMBER, 0.5, 0, 1, .metavar = "SHARE",
     .help = "side of the square that Cutout hides, as a fraction of the image's shorter side"},
    {0},
};

const struct adl_method adl_method_cutout = {.name = "cutout", .hide = hide, .options = options};
