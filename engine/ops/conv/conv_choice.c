/* Chooses the algorithm for each pass of a training convolution.
 *
 * The choice is made by estimated cost and not by timing, so that it depends on the shape
 * alone: a run that is resumed or repeated uses the same algorithms and gets the same bits.
 * Winograd's cost is the one that inference plans use (kernels/conv_cost.h), with a training
 * step's own terms: all tiles of the batch count, whole ones even at the edge of the map, and
 * the weights have to be transformed in every step, because the optimizer has changed them. */

#include "ops/conv/conv_choice.h"

#include "kernels/conv_cost.h"
#include "ops/conv/conv_batch_winograd.h"
#include "ops/conv/conv_grad_winograd.h"
#include "ops/conv/conv_tiles.h"

/* Multiply-adds in the time that the transform of one weight at one position takes,
 * there and back; measured on an AMD Zen 4. */
#define WEIGHT_TRANSFORM 60
/* Winograd's algorithm is chosen if its cost is below this fraction of the direct product's:
 * its rounding errors are larger, and those of larger tiles are larger still. */
#define WINOGRAD_FRACTION 0.9
#define WINOGRAD_FRACTION8 0.8
/* An image with more tiles than this reads the transformed weights often enough on its own:
 * its tiles are then not multiplied together with those of the other images. */
#define BATCH_TILES ((size_t)128)
/* With fewer channels than this, the additions of Strassen's algorithm do not pay off. */
#define STRASSEN_CHANNELS 256

/* The time of products of bfloat16, rounding included, as a fraction of that of float32. */
#define DOT_TIME 0.6

/* Returns the estimated cost of Winograd's algorithm over a batch, as a multiple of the N P Q
 * R S C K multiply-adds of the direct product. */
static double conv_choice_winograd_cost(const struct adl_conv *conv, int batch, int points)
{
    struct adl_tiles tiles = adl_tiles_of(conv, batch, points);
    struct adl_winograd_pass pass = {
        .c = conv->c,
        .k = conv->k,
        .tiles = (double)tiles.all,
        .positions = (double)tiles.positions,
        .products = (double)tiles.all * (double)tiles.positions,
        .weights = WEIGHT_TRANSFORM * (double)tiles.positions,
    };
    double outputs = (double)batch * conv->p * conv->q;
    return adl_winograd_cost(&pass) / (outputs * conv->r * conv->s * conv->c * conv->k);
}

/* Returns the time of a direct product relative to one in float32. */
static double conv_choice_direct(const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    bool dot = conv->precision == ADL_PRECISION_BF16 &&
               adl_conv_dot_bf16.supports(&adl_conv_dot_bf16, conv, kernels);
    return dot ? DOT_TIME : 1;
}

bool adl_conv_choose_grad_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                   int batch)
{
    return adl_conv_grad_winograd_supports(conv, kernels) &&
           conv_choice_winograd_cost(conv, batch, ADL_GRAD_WINOGRAD_POINTS) <
               WINOGRAD_FRACTION * conv_choice_direct(conv, kernels);
}

/* Returns the points of a tile's side, or 0 if the direct product is expected to be faster. */
static int conv_choice_points(const struct adl_conv *conv, const struct adl_kernels *kernels,
                              int batch)
{
    double best = conv_choice_direct(conv, kernels);
    int points = 0;
    for (int n = 6; n <= 8; n += 2) {
        if (!adl_conv_batch_winograd_supports(conv, kernels, n))
            continue;
        double cost = conv_choice_winograd_cost(conv, batch, n) /
                      (n == 6 ? WINOGRAD_FRACTION : WINOGRAD_FRACTION8);
        if (cost < best) {
            best = cost;
            points = n;
        }
    }
    return points;
}

int adl_conv_choose_batch_winograd(const struct adl_conv *conv, const struct adl_kernels *kernels,
                                   int batch)
{
    int points = conv_choice_points(conv, kernels, batch);
    return points && adl_tiles_of(conv, batch, points).image <= BATCH_TILES ? points : 0;
}

/* Returns whether Strassen's algorithm is used for a 1x1 convolution whose batch has been
 * joined to one map. If that map is so small that its left factors would be computed
 * beforehand (prepare_tasks), it has too few rows for the algorithm. */
static bool conv_choice_strassen(const struct adl_conv *conv, const struct adl_kernels *kernels)
{
    struct adl_conv overwriting = *conv;
    overwriting.accumulate = false; /* conv_train.c passes the output as a residual instead */
    return conv->c >= STRASSEN_CHANNELS && conv->k >= STRASSEN_CHANNELS &&
           adl_conv_strassen.supports(&adl_conv_strassen, &overwriting, kernels) &&
           adl_conv_strassen.prepare_tasks(&adl_conv_strassen, &overwriting, kernels) == 0;
}

const struct adl_conv_algorithm *adl_conv_choose_algorithm(const struct adl_conv *conv,
                                                           const struct adl_kernels *kernels,
                                                           int batch)
{
    int points = conv_choice_points(conv, kernels, batch);
    const struct adl_conv_algorithm *winograd =
        points == 8 ? &adl_conv_winograd8 : &adl_conv_winograd6;
    if (adl_conv_depthwise.supports(&adl_conv_depthwise, conv, kernels))
        return &adl_conv_depthwise;
    if (points && winograd->supports(winograd, conv, kernels))
        return winograd;
    if (conv_choice_direct(conv, kernels) < 1)
        return &adl_conv_dot_bf16;
    if (conv_choice_strassen(conv, kernels))
        return &adl_conv_strassen;
    return adl_conv_gemm.supports(&adl_conv_gemm, conv, kernels) ? &adl_conv_gemm : &adl_conv_blas;
}
