/* data/augment: crops, mirrors and colours of images whose pixels encode their position. */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/augment.h"
#include "data/colour.h"

static struct adl_image picture(int width, int height)
{
    struct adl_error err = {0};
    struct adl_image image;
    TEST_OK(adl_image_init(&image, width, height, &err), &err);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *pixel = image.rgb + ((size_t)y * (size_t)width + (size_t)x) * 3;
            pixel[0] = (uint8_t)x;
            pixel[1] = (uint8_t)y;
            pixel[2] = (uint8_t)(x + y);
        }
    return image;
}

static struct adl_image augmented(const struct adl_image *image,
                                  const struct adl_augment_options *options, uint64_t seed)
{
    struct adl_error err = {0};
    struct adl_image out = {0};
    struct adl_rng rng;
    adl_rng_seed(&rng, seed, 0, 0);
    TEST_OK(adl_augment_check(options, &err), &err);
    TEST_OK(adl_augment(image, options, &rng, &out, &err), &err);
    return out;
}

static bool same(const struct adl_image *a, const struct adl_image *b)
{
    return a->width == b->width && a->height == b->height &&
           !memcmp(a->rgb, b->rgb, (size_t)a->width * (size_t)a->height * 3);
}

static void testing_only_resizes(void)
{
    const struct adl_augment_options options = {.crop_size = 20, .flip = 1};
    struct adl_image image = picture(31, 47), want;
    struct adl_error err = {0};
    struct adl_image got = augmented(&image, &options, 1);
    TEST_OK(adl_image_resize(&image, 20, 20, &want, &err), &err);
    CU_ASSERT(same(&got, &want));
    adl_image_release(&image);
    adl_image_release(&got);
    adl_image_release(&want);
}

/* An image that has the resize size already is cropped without filtering, so each pixel gives
 * its former position. Every offset and both directions have to occur. */
static void crops_and_mirrors_are_parts_of_the_picture(void)
{
    const struct adl_augment_options options = {
        .train = true, .resize_size = 12, .crop_size = 9, .flip = 0.5};
    struct adl_image image = picture(12, 12);
    unsigned seen[2][4][4] = {{{0}}}, mirrored = 0;
    enum { DRAWS = 2000 };
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        struct adl_image out = augmented(&image, &options, seed);
        int step = out.rgb[3] > out.rgb[0] ? 1 : -1;
        int left = step > 0 ? out.rgb[0] : out.rgb[0] - 8, top = out.rgb[1];
        CU_ASSERT_FATAL(left >= 0 && left <= 3 && top >= 0 && top <= 3);
        for (int y = 0; y < 9; y++)
            for (int x = 0; x < 9; x++) {
                const uint8_t *pixel = out.rgb + (y * 9 + x) * 3;
                if (pixel[0] != out.rgb[0] + step * x || pixel[1] != top + y ||
                    pixel[2] != pixel[0] + pixel[1])
                    TEST_FAIL("seed %d: pixel %d,%d is from elsewhere", (int)seed, x, y);
            }
        seen[step > 0][left][top]++;
        mirrored += step < 0;
        adl_image_release(&out);
    }
    CU_ASSERT(abs((int)mirrored - DRAWS / 2) < 120); /* five standard deviations */
    for (int i = 0; i < 32; i++)
        CU_ASSERT(seen[i / 16][i / 4 % 4][i % 4] > 20); /* 62 on average */
    adl_image_release(&image);
}

/* The corners of the part, read from a smooth image to within the filter's blur. */
static void check_parts(double min_area, double max_area, double min_ratio, double max_ratio)
{
    const struct adl_augment_options options = {.train = true,
                                                .crop_size = 64,
                                                .random_resized_crop = true,
                                                .min_area = min_area,
                                                .max_area = max_area,
                                                .min_ratio = min_ratio,
                                                .max_ratio = max_ratio};
    struct adl_image image = picture(128, 100);
    double least = 1, most = 0, narrow = 9, wide = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct adl_image out = augmented(&image, &options, seed);
        const uint8_t *last = out.rgb + (64 * 64 - 1) * 3;
        /* Pixel centres of the outermost pixels lie 63/64 of a side apart. */
        double w = (last[0] - out.rgb[0]) * 64 / 63.0, h = (last[1] - out.rgb[1]) * 64 / 63.0;
        least = fmin(least, w * h / (128 * 100));
        most = fmax(most, w * h / (128 * 100));
        narrow = fmin(narrow, w / h);
        wide = fmax(wide, w / h);
        adl_image_release(&out);
    }
    CU_ASSERT(least > min_area - 0.02 && least < min_area + 0.04);
    max_area = max_area > 0 ? max_area : 1;
    min_ratio = min_ratio > 0 ? min_ratio : 0.75;
    max_ratio = max_ratio > 0 ? max_ratio : 4 / 3.0;
    CU_ASSERT(most > 0.8 * max_area && most < max_area + 0.02);
    CU_ASSERT(narrow > min_ratio - 0.05 && narrow < min_ratio + 0.05);
    CU_ASSERT(wide > max_ratio - 0.1 && wide < max_ratio + 0.1);
    adl_image_release(&image);
    /* No part of so long an image has an allowed ratio, so the middle is taken. */
    image = picture(200, 2);
    struct adl_image out = augmented(&image, &options, 1);
    CU_ASSERT(out.rgb[0] >= 98 && out.rgb[(64 * 64 - 1) * 3] <= 101);
    adl_image_release(&out);
    adl_image_release(&image);
}

static void any_part_keeps_area_and_shape(void)
{
    check_parts(0.08, 0, 0, 0);
    check_parts(0.4, 0, 0, 0);
    check_parts(0.2, 0.5, 0, 0);
    check_parts(0.1, 0.3, 0.5, 2);
    check_parts(0.1, 0.5, 1.2, 1.5);
}

static double spread(const struct adl_image *image, size_t channel)
{
    double sum = 0, squares = 0, n = image->width * image->height;
    for (size_t i = 0; i < (size_t)n; i++) {
        sum += image->rgb[i * 3 + channel];
        squares += pow(image->rgb[i * 3 + channel], 2);
    }
    return sqrt(squares / n - sum * sum / (n * n));
}

static void colours_change_as_they_should(void)
{
    struct adl_augment_options options = {.train = true, .resize_size = 16, .crop_size = 16};
    struct adl_image image = picture(16, 16), plain = augmented(&image, &options, 3);
    double darkest = 9, lightest = 0, flattest = 9, steepest = 0;
    CU_ASSERT(same(&image, &plain));
    options.brightness = 0.5;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct adl_image out = augmented(&image, &options, seed);
        double factor = out.rgb[45] / 15.0; /* the top right pixel's red */
        for (size_t i = 0; i < 16 * 16 * 3; i++)
            if (fabs(out.rgb[i] - image.rgb[i] * factor) > 1.6)
                TEST_FAIL("byte %zu is %d", i, out.rgb[i]);
        darkest = fmin(darkest, factor);
        lightest = fmax(lightest, factor);
        adl_image_release(&out);
    }
    CU_ASSERT(darkest >= 0.45 && darkest < 0.6 && lightest <= 1.55 && lightest > 1.4);
    options.brightness = 0;
    options.contrast = 0.5;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct adl_image out = augmented(&image, &options, seed);
        double factor = spread(&out, 0) / spread(&image, 0);
        flattest = fmin(flattest, factor);
        steepest = fmax(steepest, factor);
        adl_image_release(&out);
    }
    CU_ASSERT(flattest > 0.45 && flattest < 0.6 && steepest > 1.3 && steepest < 1.55);
    options.contrast = 0;
    options.saturation = 1;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct adl_image out = augmented(&image, &options, seed);
        for (size_t i = 0; i < 16 * 16; i++) { /* the luma stays where nothing is cut off */
            const uint8_t *a = image.rgb + i * 3, *b = out.rgb + i * 3;
            bool cut = !b[0] || !b[1] || !b[2];
            if (!cut &&
                fabs(0.299 * (a[0] - b[0]) + 0.587 * (a[1] - b[1]) + 0.114 * (a[2] - b[2])) > 0.6)
                TEST_FAIL("pixel %zu has another luma", i);
        }
        adl_image_release(&out);
    }
    adl_image_release(&plain);
    adl_image_release(&image);
}

/* Eight pixels, and what they become. Brightness, contrast and saturation are those of Pillow
 * 9.4's ImageEnhance, which rounds greys and cuts blends off; the hue is that of
 *
 *     h, s, v = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)
 *     [round(x * 255) for x in colorsys.hsv_to_rgb((h + turn) % 1, s, v)] */
static const uint8_t colours[8][3] = {{255, 0, 0},  {12, 200, 99},  {250, 240, 10}, {0, 0, 255},
                                      {77, 77, 77}, {200, 30, 180}, {1, 2, 3},      {90, 180, 170}};
static const struct {
    enum adl_colour change;
    double amount;
    int slack;
} changed[] = {
    {ADL_COLOUR_HUE, 0.1, 0},        {ADL_COLOUR_HUE, -0.37, 0},
    {ADL_COLOUR_HUE, 0.5, 0},        {ADL_COLOUR_HUE, -0.5, 0},
    {ADL_COLOUR_BRIGHTNESS, 0.6, 1}, {ADL_COLOUR_BRIGHTNESS, 1.4, 1},
    {ADL_COLOUR_CONTRAST, 0.6, 1},   {ADL_COLOUR_CONTRAST, 1.4, 1},
    {ADL_COLOUR_SATURATION, 0.6, 1}, {ADL_COLOUR_SATURATION, 1.4, 1},
};
/* The pixels after each change, as 0xrrggbb. */
static const uint32_t wanted[][8] = {
    {0xff9900, 0x0cbcc8, 0x74fa0a, 0x9900ff, 0x4d4d4d, 0xc81e4e, 0x010103, 0x5a88b4},
    {0x0038ff, 0xc83a0c, 0xbb0afa, 0x38ff00, 0x4d4d4d, 0x1ec8b7, 0x020301, 0xb4965a},
    {0x00ffff, 0xc80c71, 0x0a14fa, 0xffff00, 0x4d4d4d, 0x1ec832, 0x030201, 0xb45a64},
    {0x00ffff, 0xc80c71, 0x0a14fa, 0xffff00, 0x4d4d4d, 0x1ec832, 0x030201, 0xb45a64},
    {0x990000, 0x07783b, 0x969006, 0x000099, 0x2e2e2e, 0x78126c, 0x000101, 0x366c66},
    {0xff0000, 0x10ff8a, 0xffff0e, 0x0000ff, 0x6b6b6b, 0xff2afc, 0x010204, 0x7efcee},
    {0xc02727, 0x2e9f62, 0xbdb72d, 0x2727c0, 0x555555, 0x9f3993, 0x272828, 0x5d938d},
    {0xff0000, 0x00f063, 0xffff00, 0x0000ff, 0x444444, 0xf002d4, 0x000000, 0x56d4c6},
    {0xb71e1e, 0x3cac70, 0xece65c, 0x0b0ba4, 0x4d4d4d, 0x9f3993, 0x010202, 0x72a8a2},
    {0xff0000, 0x00e355, 0xfff900, 0x0000ff, 0x4d4d4d, 0xf002d4, 0x000203, 0x41bfb1},
};

static void colours_are_those_of_others(void)
{
    for (size_t k = 0; k < ADL_COUNT(changed); k++) {
        struct adl_image image = picture(8, 1);
        memcpy(image.rgb, colours, sizeof colours);
        adl_colour_change(&image, changed[k].change, changed[k].amount);
        for (size_t i = 0; i < 24; i++)
            if (abs(image.rgb[i] - (int)(wanted[k][i / 3] >> (16 - 8 * (i % 3)) & 0xff)) >
                changed[k].slack)
                TEST_FAIL("change %zu: byte %zu is %d", k, i, image.rgb[i]);
        adl_image_release(&image);
    }
}

/* Turning the hue there and back leaves every colour where it was, within the rounding. */
static void hues_turn_back(void)
{
    struct adl_image image = picture(64, 64), before = picture(64, 64);
    for (size_t i = 0; i < 64 * 64 * 3; i++)
        before.rgb[i] = image.rgb[i] = (uint8_t)(i * 97 % 251);
    adl_colour_change(&image, ADL_COLOUR_HUE, 0.31);
    CU_ASSERT(!same(&image, &before));
    adl_colour_change(&image, ADL_COLOUR_HUE, -0.31);
    for (size_t i = 0; i < 64 * 64 * 3; i++)
        if (abs(image.rgb[i] - before.rgb[i]) > 1)
            TEST_FAIL("byte %zu is %d, was %d", i, image.rgb[i], before.rgb[i]);
    adl_image_release(&image);
    adl_image_release(&before);
}

/* The changes follow the order and the amounts that a copy of the generator draws: the offsets and
 * the mirror, the order, then the amounts. Each of the 24 orders occurs. */
static void changes_follow_each_other_in_any_order(void)
{
    const struct adl_augment_options options = {.train = true,
                                                .resize_size = 16,
                                                .crop_size = 16,
                                                .brightness = 0.4,
                                                .contrast = 0.5,
                                                .saturation = 0.6,
                                                .any_order = true,
                                                .hue = 0.2};
    static const double strengths[] = {0.4, 0.5, 0.6, 0.2};
    struct adl_image image = picture(16, 16);
    bool seen[256] = {false};
    int orders = 0;

    for (uint64_t seed = 0; seed < 400; seed++) {
        struct adl_image want = picture(16, 16), got = augmented(&image, &options, seed);
        struct adl_rng rng;
        size_t order[] = {0, 1, 2, 3}, code = 0;
        double amounts[4];
        adl_rng_seed(&rng, seed, 0, 0);
        (void)adl_rng_below(&rng, 1);
        (void)adl_rng_below(&rng, 1);
        adl_rng_shuffle(&rng, order, 4);
        for (size_t i = 0; i < 4; i++) {
            double middle = i == ADL_COLOUR_HUE ? 0 : 1;
            amounts[i] = adl_rng_between(&rng, middle - strengths[i], middle + strengths[i]);
        }
        for (size_t i = 0; i < 4; i++) {
            adl_colour_change(&want, (enum adl_colour)order[i], amounts[order[i]]);
            code = 4 * code + order[i];
        }
        CU_ASSERT(same(&got, &want));
        orders += !seen[code];
        seen[code] = true;
        adl_image_release(&want);
        adl_image_release(&got);
    }
    CU_ASSERT_EQUAL(orders, 24);
    adl_image_release(&image);
}

static void wrong_options_are_refused(void)
{
    static const struct adl_augment_options bad[] = {
        {.crop_size = 0},
        {.crop_size = 1000000},
        {.train = true, .crop_size = 8, .resize_size = 7},
        {.train = true, .crop_size = 8, .resize_size = 8, .flip = 1.5},
        {.train = true, .crop_size = 8, .resize_size = 8, .flip = NAN},
        {.train = true, .crop_size = 8, .resize_size = 8, .contrast = -1},
        {.train = true, .crop_size = 8, .resize_size = 8, .any_order = true, .hue = 0.6},
        {.train = true,
         .crop_size = 8,
         .random_resized_crop = true,
         .min_area = 0.5,
         .max_area = 0.4},
        {.train = true,
         .crop_size = 8,
         .random_resized_crop = true,
         .min_area = 0.5,
         .min_ratio = 2},
    };
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        struct adl_error err = {0};
        CU_ASSERT_EQUAL(adl_augment_check(&bad[i], &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
}

static void survives_no_memory(void)
{
    struct adl_augment_options options = {
        .train = true, .resize_size = 12, .crop_size = 9, .flip = 0.5, .contrast = 0.5};
    struct adl_image image = picture(13, 7);
    struct adl_mem_stats before = adl_mem_stats();
    for (int kind = 0; kind < 2; kind++) {
        struct adl_image out;
        struct adl_error err;
        uint64_t n = 0;
        options.random_resized_crop = kind;
        options.min_area = 0.08;
        do {
            struct adl_rng rng = {{1, 2, 3, 4}};
            err.kind = ADL_ERR_NONE;
            adl_mem_fail_nth(++n);
            if (adl_augment(&image, &options, &rng, &out, &err) == 0)
                adl_image_release(&out);
            adl_mem_fail_nth(0);
            CU_ASSERT(err.kind == ADL_ERR_NONE || err.kind == ADL_ERR_NOMEM);
        } while (err.kind != ADL_ERR_NONE && n < 100);
        CU_ASSERT(n > 2 && n < 100);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    }
    adl_image_release(&image);
}

TEST_SUITE(augment, {"testing only resizes", testing_only_resizes},
           {"crops and mirrors are parts of the picture",
            crops_and_mirrors_are_parts_of_the_picture},
           {"any part keeps area and shape", any_part_keeps_area_and_shape},
           {"colours change as they should", colours_change_as_they_should},
           {"colours are those of others", colours_are_those_of_others},
           {"hues turn back", hues_turn_back},
           {"changes follow each other in any order", changes_follow_each_other_in_any_order},
           {"wrong options are refused", wrong_options_are_refused},
           {"pictures survive running out of memory", survives_no_memory});
