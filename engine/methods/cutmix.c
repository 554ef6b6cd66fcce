/* CutMix (Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
 * Localizable Features", ICCV 2019): a rectangle of every image is replaced by the same rectangle
 * of another image of the batch, and the loss is shared between the labels of both in proportion
 * to their areas. The network has to recognise a class by whatever part of it is left.
 *
 * The rectangle is drawn once for a batch, as in the authors' code: with lambda drawn from
 * Beta(--cutmix-beta, --cutmix-beta), which is uniform in 0..1 for the default of 1, its sides are
 * sqrt(1 - lambda) of the image's, its centre is uniform over the pixels, and what is outside the
 * image is cut off. Its half sides are rounded down, so an odd side loses a pixel; the share of the
 * loss is computed from the pixels that were really replaced. Partners are a random order of the
 * batch, in which an image may be its own partner. */

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "methods/mixing.h"

/* Tells the generator of this purpose from those of other purposes with the same key. */
#define CUTMIX_STREAM 0x6375746d6978U

/* The options, in the order of the list below. */
enum { PROBABILITY, BETA };

struct span {
    int from, to; /* `to` is excluded */
};

/* Returns the part of 0..size that lies within `side` / 2 of `centre`. */
static struct span cut_span(int centre, int side, int size)
{
    return (struct span){ADL_MAX(centre - side / 2, 0), ADL_MIN(centre + side / 2, size)};
}

static struct span draw_span(struct adl_rng *rng, int size, double fraction)
{
    int centre = (int)adl_rng_below(rng, (uint64_t)size);
    return cut_span(centre, (int)((double)size * fraction), size);
}

/* Copies the rectangle of the image `from` into `to`; both are rows of `width` pixels of three
 * values. */
static void paste(const float *from, float *to, int width, struct span x, struct span y)
{
    if (x.to <= x.from)
        return;
    for (int row = y.from; row < y.to; row++) {
        size_t at = ((size_t)row * (size_t)width + (size_t)x.from) * 3;
        memcpy(to + at, from + at, (size_t)(x.to - x.from) * 3 * sizeof(float));
    }
}

static void mix(struct adl_method_batch *batch)
{
    size_t image = (size_t)batch->height * (size_t)batch->width * 3;
    struct adl_rng rng;

    adl_rng_seed(&rng, batch->key, 0, CUTMIX_STREAM);
    if (!(adl_rng_uniform(&rng) < batch->values[PROBABILITY].number))
        return;
    double fraction = sqrt(1 - adl_mixing_draw(&rng, batch->values[BETA].number));
    struct span x = draw_span(&rng, batch->width, fraction);
    struct span y = draw_span(&rng, batch->height, fraction);
    adl_mixing_pair(&rng, batch);
    for (size_t i = 0; i < batch->count; i++)
        paste(batch->images + batch->partners[i] * image, batch->input + i * image, batch->width, x,
              y);
    batch->share =
        (double)(x.to - x.from) * (y.to - y.from) / ((double)batch->width * batch->height);
}

static const struct adl_method_option options[] = {
    {"cutmix-prob", ADL_METHOD_NUMBER, 1, 0, 1, .metavar = "P",
     .help = "probability that the images of a batch are mixed by CutMix"},
    {"cutmix-beta", ADL_METHOD_NUMBER, 1, 0.001, 1000, .metavar = "B",
     .help = "the area that stays is drawn from Beta(B, B); 1: uniformly"},
    {0},
};

const struct adl_method adl_method_cutmix = {.name = "cutmix", .mix = mix, .options = options};
