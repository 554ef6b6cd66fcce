/* wsol/foreground: what the head sees of layers with larger maps. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "wsol/foreground.h"

enum { TALL = 5, WIDE = 7, H = 3, W = 4 };

/* The value at a row and column of the map that OpenCV was given. */
static float pattern(size_t row, size_t column)
{
    return (float)((row * WIDE + column) * 37 % 23) / 8 - 1;
}

/* cv2.resize(pattern, (4, 3), interpolation=cv2.INTER_AREA) of OpenCV 4.6. */
static const double averages[H][W] = {{0.0500000, 0.2571429, 0.3821429, 0.4250000},
                                      {0.2642857, 0.3071429, 0.7607144, 0.3107143},
                                      {0.2321429, 0.1107143, 0.4000000, 0.4428571}};

static void means_over_areas_are_those_of_opencv(void)
{
    enum { CHANNELS = 3, STRIDE = 5 };
    float map[TALL * WIDE * CHANNELS], made[H * W * STRIDE];

    for (size_t i = 0; i < (size_t)TALL * WIDE; i++)
        for (size_t k = 0; k < CHANNELS; k++)
            map[i * CHANNELS + k] = pattern(i / WIDE, i % WIDE) * (float)(k + 1);
    memset(made, 0, sizeof made);
    adl_foreground_resample(&(struct adl_foreground_map){map, TALL, WIDE}, CHANNELS, H, W, made,
                            STRIDE);
    for (size_t i = 0; i < (size_t)H * W; i++) {
        for (size_t k = 0; k < CHANNELS; k++)
            CU_ASSERT_DOUBLE_EQUAL((double)made[i * STRIDE + k],
                                   averages[i / W][i % W] * (double)(k + 1), 2e-6);
        CU_ASSERT(made[i * STRIDE + 3] == 0 && made[i * STRIDE + 4] == 0);
    }
}

static void a_map_of_the_same_size_is_copied(void)
{
    float map[H * W * 2], made[H * W * 2];
    struct adl_rng rng;

    adl_rng_seed(&rng, 8, 0, 0);
    for (size_t i = 0; i < ADL_COUNT(map); i++)
        map[i] = (float)adl_rng_normal(&rng);
    adl_foreground_resample(&(struct adl_foreground_map){map, H, W}, 2, H, W, made, 2);
    CU_ASSERT(!memcmp(map, made, sizeof map));
}

/* A head with layers is the head of the gathered features. */
static void layers_are_gathered(void)
{
    enum { LAST = 9, NEAR = 17, FAR = 4, ALL = LAST + NEAR + FAR };
    static float last[H * W * LAST], near[H * W * NEAR], far[TALL * WIDE * FAR], all[H * W * ALL];
    float weights[ALL + 1], cam[H * W], made[H * W], wanted[H * W];
    struct adl_rng rng;
    struct {
        float *values;
        size_t count;
    } random[] = {{last, ADL_COUNT(last)},
                  {near, ADL_COUNT(near)},
                  {far, ADL_COUNT(far)},
                  {weights, ADL_COUNT(weights)},
                  {cam, ADL_COUNT(cam)}};

    adl_rng_seed(&rng, 9, 0, 0);
    for (size_t i = 0; i < ADL_COUNT(random); i++)
        for (size_t k = 0; k < random[i].count; k++)
            random[i].values[k] = (float)adl_rng_normal(&rng);
    const struct adl_foreground_map maps[] = {{near, H, W}, {far, TALL, WIDE}};
    const struct adl_foreground_map base = {last, H, W}, gathered = {all, H, W};
    const struct adl_foreground_head layered = {.channels = LAST,
                                                .layer_count = 2,
                                                .layers = {{.channels = NEAR}, {.channels = FAR}},
                                                .weights = weights};
    const struct adl_foreground_head flat = {.channels = ALL, .weights = weights};
    CU_ASSERT_EQUAL(adl_foreground_channels(&layered), ALL);
    adl_foreground_resample(&base, LAST, H, W, all, ALL);
    adl_foreground_resample(&maps[0], NEAR, H, W, all + LAST, ALL);
    adl_foreground_resample(&maps[1], FAR, H, W, all + LAST + NEAR, ALL);
    memcpy(made, cam, sizeof cam);
    memcpy(wanted, cam, sizeof cam);
    adl_foreground_apply(&layered, &base, maps, made);
    adl_foreground_apply(&flat, &gathered, NULL, wanted);
    for (size_t i = 0; i < ADL_COUNT(made); i++)
        CU_ASSERT_DOUBLE_EQUAL(made[i], wanted[i], 1e-6);
}

TEST_SUITE(foreground_layers,
           {"means over areas are those of OpenCV", means_over_areas_are_those_of_opencv},
           {"a map of the same size is copied", a_map_of_the_same_size_is_copied},
           {"layers are gathered", layers_are_gathered});
