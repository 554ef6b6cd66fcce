/* Mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018): the network learns
 * on sums of two images and of their labels,
 *
 *     x[i] <- lambda x[i] + (1 - lambda) x[j],  loss = lambda loss(i) + (1 - lambda) loss(j)
 *
 * where j is the partner of i in a random order of the batch, as in the authors' code, and lambda
 * is drawn from Beta(--mixup-alpha, --mixup-alpha) once for a batch, as theirs, timm's and
 * torchvision's are. Images that were normalised are summed, which is the same as normalising the
 * sum. */

#include "methods/mixing.h"

/* Tells the generator of this purpose from those of other purposes with the same key. */
#define MIXUP_STREAM 0x6d69787570U

/* The options, in the order of the list below. */
enum { PROBABILITY, ALPHA };

static void mix(struct adl_method_batch *batch)
{
    size_t image = (size_t)batch->height * (size_t)batch->width * 3;
    struct adl_rng rng;

    adl_rng_seed(&rng, batch->key, 0, MIXUP_STREAM);
    if (!(adl_rng_uniform(&rng) < batch->values[PROBABILITY].number))
        return;
    batch->share = 1 - adl_mixing_draw(&rng, batch->values[ALPHA].number);
    adl_mixing_pair(&rng, batch);
    const float share = (float)batch->share;
    for (size_t i = 0; i < batch->count; i++) {
        const float *other = batch->images + batch->partners[i] * image;
        float *input = batch->input + i * image;
        for (size_t k = 0; k < image; k++)
            input[k] += share * (other[k] - input[k]);
    }
}

static const struct adl_method_option options[] = {
    {"mixup-prob", ADL_METHOD_NUMBER, 1, 0, 1, .metavar = "P",
     .help = "probability that the images of a batch are mixed by Mixup"},
    {"mixup-alpha", ADL_METHOD_NUMBER, 0.2, 0.001, 1000, .metavar = "A",
     .help = "the weight of an image in a mixed one is drawn from Beta(A, A); 1: uniformly"},
    {0},
};

const struct adl_method adl_method_mixup = {.name = "mixup", .mix = mix, .options = options};
