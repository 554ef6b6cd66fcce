/* eval/range_fit: the range of a map serves each image, also beside one whose map is many times as
 * large, against a search over all ends. */

#include "support/test.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/range_fit.h"
#include "ops/ops.h"
#include "support/plan_run.h"

enum { SIDE = 12, CHANNELS = 3, VALUES = SIDE * SIDE * CHANNELS, IMAGES = 8 };

/* Draws the pixels of an image; the last one is `times` as large as the others. */
static void draw(float *input, int image, float times)
{
    struct adl_rng rng;
    adl_rng_seed(&rng, 11, (uint64_t)image, 0);
    for (int i = 0; i < VALUES; i++)
        input[i] = (float)adl_rng_normal(&rng) * (image == IMAGES - 1 ? times : 1);
}

/* The mean over the images of the squared error that rounding to the range makes, relative to the
 * squares of the image, or to the square of that. */
static double error_with(enum adl_range_weight weight, double scale, double zero, float times)
{
    float x[VALUES];
    double sum = 0;

    for (int image = 0; image < IMAGES; image++) {
        double error = 0, squares = 0;
        draw(x, image, times);
        for (int i = 0; i < VALUES; i++) {
            double byte = fmin(fmax(round((double)x[i] / scale) + zero, 0), 255);
            error += pow((byte - zero) * scale - (double)x[i], 2);
            squares += pow((double)x[i], 2);
        }
        sum += error / (weight == ADL_RANGE_ALIKE ? squares : squares * squares) / IMAGES;
    }
    return sum;
}

/* A network whose first map is its input: a 1x1 convolution whose weights are the identity. */
static struct adl_int8_range range_of(enum adl_range_weight weight, float times)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, CHANNELS}, &err);
    int map = adl_conv(g, 0, "same", adl_conv_centred(CHANNELS, 1, 1, 1));
    test_plan_classifier(g, map);
    float **params = test_plan_params(g, 0.3);
    for (int i = 0; i < CHANNELS * CHANNELS; i++)
        params[0][i] = i % (CHANNELS + 1) == 0;
    struct adl_range_fit *fit =
        adl_range_fit_create(g, (const float *const *)params, SIDE, SIDE, &err);
    TEST_OK(fit ? 0 : -1, &err);
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            TEST_OK(adl_range_fit_begin_second(fit, &err), &err);
        for (int i = 0; i < IMAGES; i++) {
            draw(adl_range_fit_input(fit), i, times);
            adl_range_fit_observe(fit);
        }
    }
    struct adl_quantisation *q = adl_range_fit_finish(fit, &err);
    TEST_OK(q ? 0 : -1, &err);
    if (weight != ADL_RANGE_ALIKE)
        adl_range_fit_ranges(fit, weight, q);
    struct adl_int8_range range = q->ranges[map];
    adl_quantisation_free(q);
    adl_range_fit_free(fit);
    test_plan_params_free(g, params);
    adl_graph_free(g);
    return range;
}

static void check_weight(enum adl_range_weight weight)
{
    static const float times[] = {1, 5, 40, 300};

    for (size_t t = 0; t < ADL_COUNT(times); t++) {
        struct adl_int8_range range = range_of(weight, times[t]);
        double error = error_with(weight, (double)range.scale, range.zero, times[t]),
               best = HUGE_VAL;
        for (double most = 0.5; most < 5 * (double)times[t]; most *= 1.02)
            best = fmin(best, error_with(weight, 2 * most / 255, 128, times[t]));
        if (!(error < 1.15 * best))
            TEST_FAIL("one image %g times as large: %g, where %g is possible", (double)times[t],
                      error, best);
    }
}

static void the_range_is_the_best_for_all_images(void)
{
    check_weight(ADL_RANGE_ALIKE);
}

static void the_range_is_the_best_for_small_maps(void)
{
    check_weight(ADL_RANGE_SMALL);
}

TEST_SUITE(range_fit,
           {"the range is the best for all images", the_range_is_the_best_for_all_images},
           {"or for those with small maps", the_range_is_the_best_for_small_maps});
