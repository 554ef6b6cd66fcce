/* wsol/cam: class activation maps, softmax and the best classes against plain
 * loops. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/formula.h"
#include "wsol/cam.h"

/* Whatever the number of classes that are computed together. */
static void weighted_maps_are_plain_sums(void)
{
    static const size_t shapes[][2] = {{1, 1}, {7, 5}, {8, 64}, {49, 33}, {196, 512}, {17, 0}};
    for (size_t s = 0; s < ADL_COUNT(shapes) * ADL_CAM_GROUP; s++) {
        size_t pixels = shapes[s / ADL_CAM_GROUP][0], channels = shapes[s / ADL_CAM_GROUP][1];
        size_t classes = s % ADL_CAM_GROUP + 1;
        float *features = adl_malloc(pixels * channels, sizeof *features);
        float *weight = adl_malloc(classes * channels, sizeof *weight);
        float *cam = adl_malloc(classes * pixels, sizeof *cam), *cams[ADL_CAM_GROUP];
        const float *weights[ADL_CAM_GROUP];
        for (size_t c = 0; c < classes; c++) {
            weights[c] = weight + c * channels;
            cams[c] = cam + c * pixels;
        }
        formula_param("cam.features", 0, 3, pixels * channels, features);
        formula_param("cam.weight", 0.5, 1, classes * channels, weight);
        adl_cam_weighted(features, pixels, channels, weights, ADL_MAP_WEIGHTS_ALL, classes, cams);
        for (size_t i = 0; i < classes * pixels; i++) {
            double sum = 0;
            for (size_t k = 0; k < channels; k++)
                sum += (double)weights[i / pixels][k] * (double)features[i % pixels * channels + k];
            CU_ASSERT_EQUAL(cam[i], (float)sum);
        }
        adl_free(features);
        adl_free(weight);
        adl_free(cam);
    }
}

static void channel_is_picked(void)
{
    float map[5 * 3], cam[5];
    for (size_t i = 0; i < ADL_COUNT(map); i++)
        map[i] = (float)i;
    adl_cam_channel(map, 5, 3, 2, cam);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(cam[i], (float)(3 * i + 2));
}

static void mean_of_channels(void)
{
    float map[5 * 3], cam[5];
    for (size_t i = 0; i < ADL_COUNT(map); i++)
        map[i] = (float)(i * i);
    adl_cam_mean(map, 5, 3, (const size_t[]){2, 0}, 2, cam);
    for (size_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(cam[i], (map[3 * i] + map[3 * i + 2]) / 2);
}

static void softmax_is_a_distribution(void)
{
    float logits[1000], out[1000];
    for (int round = 0; round < 20; round++) {
        double sum = 0, total = 0;
        formula_param("softmax", 0, 1 + round * 10, ADL_COUNT(logits), logits);
        for (size_t i = 0; i < ADL_COUNT(logits); i++)
            total += exp((double)logits[i]);
        adl_softmax(logits, ADL_COUNT(logits), out);
        for (size_t i = 0; i < ADL_COUNT(logits); i++) {
            sum += (double)out[i];
            CU_ASSERT_DOUBLE_EQUAL(out[i], exp((double)logits[i]) / total, 1e-7);
        }
        CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-5);
        for (size_t i = 0; i < ADL_COUNT(logits); i++)
            logits[i] += 64;
        adl_softmax(logits, ADL_COUNT(logits), logits);
        for (size_t i = 0; i < ADL_COUNT(logits); i++)
            CU_ASSERT_DOUBLE_EQUAL(out[i], logits[i], 1e-5);
    }
    float huge[3] = {3e38F, -3e38F, 3e38F}, one = 7;
    adl_softmax(huge, 3, huge);
    CU_ASSERT(huge[0] == 0.5F && huge[1] == 0 && huge[2] == 0.5F);
    adl_softmax(&one, 1, &one);
    CU_ASSERT_EQUAL(one, 1);
    adl_softmax(NULL, 0, NULL);
}

/* The class at rank n is preceded by n others: larger ones, and equal ones of lower index. */
static void best_classes_are_in_order(void)
{
    enum { COUNT = 300 };
    float values[COUNT];
    size_t indices[COUNT + 5];
    static const size_t sizes[] = {0, 1, 2, 5, 100, COUNT, COUNT + 5};
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (float)(formula_z("topk", i) % 40);
    for (size_t s = 0; s < ADL_COUNT(sizes); s++) {
        size_t kept = adl_top_k(values, COUNT, sizes[s], indices);
        CU_ASSERT_EQUAL(kept, ADL_MIN(sizes[s], COUNT));
        for (size_t n = 0; n < kept; n++) {
            size_t before = 0, at = indices[n];
            for (size_t i = 0; i < COUNT; i++)
                before += values[i] > values[at] || (values[i] == values[at] && i < at);
            CU_ASSERT_EQUAL(before, n);
        }
    }
    float odd[4] = {NAN, -INFINITY, NAN, 1};
    CU_ASSERT_EQUAL(adl_top_k(odd, 4, 4, indices), 4);
    CU_ASSERT(indices[0] == 3 && indices[1] == 1 && indices[2] == 0 && indices[3] == 2);
}

TEST_SUITE(cam, {"weighted maps are plain sums", weighted_maps_are_plain_sums},
           {"a class's channel is picked", channel_is_picked},
           {"the mean of channels", mean_of_channels},
           {"softmax is a distribution", softmax_is_a_distribution},
           {"the best classes come in order", best_classes_are_in_order});
