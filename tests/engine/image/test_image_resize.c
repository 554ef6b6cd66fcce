/* image/resize.c against Pillow's own output, as hashes over all bytes. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "support/formula.h"

static int integer(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static uint64_t hash_in(const json_t *object, const char *key)
{
    return strtoull(json_string_value(json_object_get(object, key)), NULL, 16);
}

static void check_case(const json_t *c)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    struct adl_error err = {0};
    struct adl_image in, out;
    const json_t *picture = json_object_get(c, "picture"), *idx = json_object_get(c, "idx");
    const json_t *bytes = json_object_get(c, "uint8"), *normal = json_object_get(c, "normalized");
    const char *name = json_string_value(json_object_get(c, "case"));

    int result = adl_image_init(&in, integer(picture, "width"), integer(picture, "height"), &err);
    TEST_OK(result, &err);
    formula_picture(json_string_value(json_object_get(picture, "name")), in.height, in.width,
                    in.rgb);
    size_t in_bytes = (size_t)in.width * (size_t)in.height * 3;
    CU_ASSERT_EQUAL(formula_fnv1a64(in.rgb, in_bytes), hash_in(picture, "fnv1a64"));

    result = adl_image_resize(&in, integer(c, "out_width"), integer(c, "out_height"), &out, &err);
    TEST_OK(result, &err);
    size_t count = (size_t)out.width * (size_t)out.height * 3;
    if (formula_fnv1a64(out.rgb, count) != hash_in(c, "fnv1a64"))
        TEST_FAIL("%s: not the same bytes", name);
    float *input = adl_malloc(count, sizeof *input);
    adl_image_to_input(&out, mean, std, input);
    for (size_t i = 0; i < json_array_size(idx); i++) {
        size_t at = (size_t)json_integer_value(json_array_get(idx, i));
        if (out.rgb[at] != json_integer_value(json_array_get(bytes, i)))
            TEST_FAIL("%s: byte %zu is %d", name, at, out.rgb[at]);
        double want = json_number_value(json_array_get(normal, i));
        if (fabs((double)input[at] - want) > 1e-6 * fmax(1, fabs(want)))
            TEST_FAIL("%s: input %zu is %g, expected %g", name, at, (double)input[at], want);
    }
    adl_free(input);
    adl_image_release(&in);
    adl_image_release(&out);
}

static void pillow(void)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/methods/image_resize.json", test_golden_dir());
    json_t *golden = json_load_file(path, 0, &error);
    const json_t *cases = json_object_get(golden, "cases");
    if (json_array_size(cases) == 0)
        TEST_FAIL("%s: %s", path, golden ? "no cases" : error.text);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i));
    json_decref(golden);
}

/* The definition in double, without rounding of the weights; results may differ by 1. */
static double tent(const struct adl_image *image, int channel, double cx, double cy, double sx,
                   double sy)
{
    double sum = 0, weights = 0;
    double rx = fmax(sx, 1), ry = fmax(sy, 1);
    for (int y = 0; y < image->height; y++) {
        double wy = 1 - fabs(y + 0.5 - cy) / ry;
        for (int x = 0; x < image->width && wy > 0; x++) {
            double wx = 1 - fabs(x + 0.5 - cx) / rx;
            if (wx > 0) {
                sum += wx * wy * image->rgb[(y * image->width + x) * 3 + channel];
                weights += wx * wy;
            }
        }
    }
    return sum / weights;
}

/* Sides of one, primes, tails of every vector width, and enlarging one side while the other
 * shrinks. */
static void definition(void)
{
    static const int sides[][4] = {{1, 1, 5, 3},   {5, 3, 1, 1},    {7, 13, 13, 7},
                                   {31, 2, 3, 29}, {2, 31, 33, 3},  {17, 17, 17, 9},
                                   {9, 8, 16, 8},  {64, 48, 11, 5}, {200, 1, 9, 1},
                                   {1, 200, 1, 7}, {40, 30, 41, 31}};
    struct adl_error err = {0};

    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        struct adl_image in, out;
        int worst = 0;
        TEST_OK(adl_image_init(&in, sides[i][0], sides[i][1], &err), &err);
        formula_picture("resize", in.height, in.width, in.rgb);
        TEST_OK(adl_image_resize(&in, sides[i][2], sides[i][3], &out, &err), &err);
        for (int y = 0; y < out.height; y++) {
            for (int x = 0; x < out.width * 3; x++) {
                double sx = (double)in.width / out.width, sy = (double)in.height / out.height;
                double want = tent(&in, x % 3, (x / 3 + 0.5) * sx, (y + 0.5) * sy, sx, sy);
                int got = out.rgb[y * out.width * 3 + x];
                worst = (int)fmax(worst, ceil(fabs(got - want) - 1.001));
            }
        }
        if (worst > 0)
            TEST_FAIL("%d x %d to %d x %d: off by more than 1", in.width, in.height, out.width,
                      out.height);
        adl_image_release(&in);
        adl_image_release(&out);
    }
}

/* White stays white however many weights are rounded. */
static void flat_stays_flat(void)
{
    struct adl_error err = {0};
    struct adl_image in, out;
    TEST_OK(adl_image_init(&in, 1999, 501, &err), &err);
    memset(in.rgb, 255, (size_t)in.width * (size_t)in.height * 3);
    TEST_OK(adl_image_resize(&in, 37, 41, &out, &err), &err);
    for (int i = 0; i < 37 * 41 * 3; i++)
        if (out.rgb[i] != 255)
            TEST_FAIL("byte %d is %d", i, out.rgb[i]);
    adl_image_release(&in);
    adl_image_release(&out);
}

static void refuses_and_survives(void)
{
    struct adl_error err = {0};
    struct adl_image in, out;
    TEST_OK(adl_image_init(&in, 20, 10, &err), &err);
    memset(in.rgb, 1, 600);
    CU_ASSERT_EQUAL(adl_image_resize(&in, 0, 5, &out, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    size_t blocks = adl_mem_stats().live_blocks;
    for (uint64_t n = 1;; n++) {
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        int result = adl_image_resize(&in, 7, 7, &out, &err);
        adl_mem_fail_nth(0);
        if (result == 0)
            break;
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        CU_ASSERT(n < 100);
    }
    adl_image_release(&out);
    adl_image_release(&in);
}

TEST_SUITE(image_resize, {"the same bytes as Pillow", pillow},
           {"odd sizes against the definition", definition},
           {"a flat picture stays flat", flat_stays_flat},
           {"refuses no size, survives no memory", refuses_and_survives});
