/* wsol/foreground: what the head sees of layers with larger maps. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "wsol/foreground.h"

enum { TALL = 5, WIDE = 7, H = 3, W = 4 };

/* The value at a row and column of the small map that OpenCV was given. */
static float pattern(size_t row, size_t column)
{
    return (float)((row * WIDE + column) * 37 % 23) / 8 - 1;
}

/* cv2.resize(pattern, (7, 5), interpolation=cv2.INTER_LINEAR) of OpenCV 4.6. */
static const double between[TALL][WIDE] = {
    {-1.0, -0.375, 0.6249999, 0.1875, -0.2500001, 0.7499999, 1.375},
    {-0.7, -0.075, 0.925, 0.4875, -0.0321429, 0.3107143, 0.525},
    {-0.25, 0.375, 1.3749999, 0.9375, 0.2946429, -0.3482142, -0.75},
    {0.2, 0.2089286, 0.2232142, 0.525, 0.7446429, 0.1017858, -0.3},
    {0.5, 0.0982143, -0.5446428, 0.25, 1.0446429, 0.4017858, 0.0}};

static void smaller_maps_are_enlarged_as_opencv_does(void)
{
    enum { CHANNELS = 3 };
    float map[H * W * CHANNELS], made[CHANNELS];

    for (size_t i = 0; i < (size_t)H * W; i++)
        for (size_t k = 0; k < CHANNELS; k++)
            map[i * CHANNELS + k] = pattern(i / W, i % W) * (float)(k + 1);
    for (size_t y = 0; y < TALL; y++)
        for (size_t x = 0; x < WIDE; x++) {
            adl_foreground_sample(&(struct adl_foreground_map){map, H, W}, CHANNELS, y, x, TALL,
                                  WIDE, made);
            for (size_t k = 0; k < CHANNELS; k++)
                CU_ASSERT_DOUBLE_EQUAL((double)made[k], between[y][x] * (double)(k + 1), 2e-6);
        }
}

static void a_map_of_the_same_size_is_copied(void)
{
    float map[H * W * 2], made[2];
    struct adl_rng rng;

    adl_rng_seed(&rng, 8, 0, 0);
    for (size_t i = 0; i < ADL_COUNT(map); i++)
        map[i] = (float)adl_rng_normal(&rng);
    for (size_t i = 0; i < (size_t)H * W; i++) {
        adl_foreground_sample(&(struct adl_foreground_map){map, H, W}, 2, i / W, i % W, H, W, made);
        CU_ASSERT(!memcmp(map + 2 * i, made, sizeof made));
    }
}

static void draw(float *values, size_t count, struct adl_rng *rng)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)adl_rng_normal(rng);
}

/* A head with layers is the head of the features that are sampled at each position of the largest
 * map, times the root of the class map, which is enlarged in the same way. */
static void the_grid_is_that_of_the_largest_map(void)
{
    enum { LAST = 9, NEAR = 17, FAR = 4, ALL = LAST + NEAR + FAR };
    static float last[H * W * LAST], near[H * W * NEAR], far[TALL * WIDE * FAR];
    float weights[ALL + 1], cam[H * W], made[TALL * WIDE], sample[ALL], response;
    double scratch[2 * TALL * WIDE];
    struct adl_rng rng;
    size_t h, w;

    adl_rng_seed(&rng, 9, 0, 0);
    draw(last, ADL_COUNT(last), &rng);
    draw(near, ADL_COUNT(near), &rng);
    draw(far, ADL_COUNT(far), &rng);
    draw(weights, ADL_COUNT(weights), &rng);
    /* Of a range that is 0..1 already. */
    for (size_t i = 0; i < ADL_COUNT(cam); i++)
        cam[i] = (float)i / (H * W - 1);
    const struct adl_foreground_map maps[] = {{near, H, W}, {far, TALL, WIDE}};
    const struct adl_foreground_map base = {last, H, W}, class_map = {cam, H, W};
    const struct adl_foreground_head head = {.channels = LAST,
                                             .layer_count = 2,
                                             .layers = {{.channels = NEAR}, {.channels = FAR}},
                                             .weights = weights};
    CU_ASSERT_EQUAL(adl_foreground_channels(&head), ALL);
    adl_foreground_grid(&head, &base, maps, &h, &w);
    CU_ASSERT(h == TALL && w == WIDE);
    adl_foreground_probability(&head, &base, maps, scratch + TALL * WIDE, scratch);
    adl_foreground_combine(scratch, TALL, WIDE, cam, H, W, scratch + TALL * WIDE, made);
    for (size_t i = 0; i < ADL_COUNT(made); i++) {
        size_t y = i / WIDE, x = i % WIDE;
        adl_foreground_sample(&base, LAST, y, x, TALL, WIDE, sample);
        adl_foreground_sample(&maps[0], NEAR, y, x, TALL, WIDE, sample + LAST);
        adl_foreground_sample(&maps[1], FAR, y, x, TALL, WIDE, sample + LAST + NEAR);
        adl_foreground_sample(&class_map, 1, y, x, TALL, WIDE, &response);
        double logit = (double)weights[ALL];
        for (size_t k = 0; k < ALL; k++)
            logit += (double)weights[k] * (double)sample[k];
        CU_ASSERT_DOUBLE_EQUAL((double)made[i], sqrt((double)response) / (1 + exp(-logit)), 2e-6);
    }
}

TEST_SUITE(foreground_layers,
           {"smaller maps are enlarged as OpenCV does", smaller_maps_are_enlarged_as_opencv_does},
           {"a map of the same size is copied", a_map_of_the_same_size_is_copied},
           {"the grid is that of the largest map", the_grid_is_that_of_the_largest_map});
