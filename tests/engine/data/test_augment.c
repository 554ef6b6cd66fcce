/* data/augment: crops, mirrors and colours of images whose pixels encode their position. */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/augment.h"

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
static void check_parts(double min_area)
{
    const struct adl_augment_options options = {
        .train = true, .crop_size = 64, .random_resized_crop = true, .min_area = min_area};
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
    CU_ASSERT(most > 0.8 && most < 1.02);
    CU_ASSERT(narrow > 0.70 && narrow < 0.8);
    CU_ASSERT(wide > 1.25 && wide < 1.43);
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
    check_parts(0.08);
    check_parts(0.4);
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

static void wrong_options_are_refused(void)
{
    static const struct adl_augment_options bad[] = {
        {.crop_size = 0},
        {.crop_size = 1000000},
        {.train = true, .crop_size = 8, .resize_size = 7},
        {.train = true, .crop_size = 8, .resize_size = 8, .flip = 1.5},
        {.train = true, .crop_size = 8, .resize_size = 8, .flip = NAN},
        {.train = true, .crop_size = 8, .resize_size = 8, .contrast = -1},
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
           {"wrong options are refused", wrong_options_are_refused},
           {"pictures survive running out of memory", survives_no_memory});
