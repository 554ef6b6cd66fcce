/* image/overlay.c, font.c and colormap.c: properties that a drawing must have, since there is
 * no image to compare it with. */

#include "support/test.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/colormap.h"
#include "image/font.h"
#include "image/overlay.h"
#include "support/formula.h"

/* Allocated with exactly its size, so that a sanitizer sees an access outside it. */
static struct adl_image plain(int width, int height, int r, int g, int b)
{
    struct adl_image image = {width, height, malloc((size_t)width * (size_t)height * 3)};
    for (int i = 0; i < width * height; i++) {
        image.rgb[3 * i] = (uint8_t)r;
        image.rgb[3 * i + 1] = (uint8_t)g;
        image.rgb[3 * i + 2] = (uint8_t)b;
    }
    return image;
}

static uint64_t hash(const struct adl_image *image)
{
    return formula_fnv1a64(image->rgb, (size_t)image->width * (size_t)image->height * 3);
}

/* Relative luminance of the sRGB standard. */
static double luminance(const uint8_t *rgb)
{
    static const double parts[3] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int c = 0; c < 3; c++) {
        double v = rgb[c] / 255.0;
        sum += parts[c] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static double lightness(const uint8_t *rgb)
{
    double y = luminance(rgb);
    return y > 216.0 / 24389 ? 116 * cbrt(y) - 16 : y * 24389.0 / 27;
}

/* Equal steps of the value should look equal. The colour map was made for another measure of
 * lightness, with which CIE lightness agrees except near black. */
static void colours_grow_lighter_evenly(void)
{
    double first = lightness(adl_colormap_inferno[0]), last = lightness(adl_colormap_inferno[255]);
    CU_ASSERT(first < 1 && last > 95);
    for (int i = 0; i + 16 < ADL_COLORMAP_SIZE; i++) {
        double step = lightness(adl_colormap_inferno[i + 16]) - lightness(adl_colormap_inferno[i]);
        double off = fabs(step / ((last - first) * 16 / 255) - 1);
        if (off > (i < 16 ? 0.6 : 0.35))
            TEST_FAIL("from %d to %d lightness grows by %g", i, i + 16, step);
    }
}

static void heatmap_covers_and_spares(void)
{
    const float hot[4] = {1, 2, 1, INFINITY}, cold[4] = {0, -1, NAN, -INFINITY};
    struct adl_error err = {0};
    struct adl_image image = plain(31, 17, 10, 200, 90);
    const uint64_t before = hash(&image);
    struct adl_overlay overlay = {.heatmap = hot, .heatmap_width = 2, .heatmap_height = 2};

    TEST_OK(adl_overlay_draw(&image, &overlay, &err), &err);
    CU_ASSERT_EQUAL(hash(&image), before);
    overlay.opacity = 1;
    TEST_OK(adl_overlay_draw(&image, &overlay, &err), &err);
    for (int i = 0; i < 31 * 17; i++)
        CU_ASSERT_EQUAL(memcmp(image.rgb + 3 * i, adl_colormap_inferno[255], 3), 0);
    free(image.rgb);

    image = plain(31, 17, 10, 200, 90);
    overlay.heatmap = cold;
    TEST_OK(adl_overlay_draw(&image, &overlay, &err), &err);
    for (int i = 1; i < 31 * 17; i++)
        CU_ASSERT_EQUAL(memcmp(image.rgb + 3 * i, image.rgb, 3), 0);
    CU_ASSERT(image.rgb[1] > 40 && image.rgb[1] < 200);
    free(image.rgb);

    overlay.heatmap_width = 0;
    CU_ASSERT_EQUAL(adl_overlay_draw(&image, &overlay, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

/* Samples lie at the centres of their cells: over black, a ramp grows from side to side, is
 * constant beyond the outer centres, and is half in the middle. */
static void heatmap_is_stretched_evenly(void)
{
    const float ramp[4] = {0.2f, 0.4f, 0.6f, 0.8f};
    struct adl_error err = {0};
    struct adl_image image = plain(401, 3, 0, 0, 0);
    const struct adl_overlay overlay = {
        .heatmap = ramp, .heatmap_width = 4, .heatmap_height = 1, .opacity = 1};
    TEST_OK(adl_overlay_draw(&image, &overlay, &err), &err);
    for (int x = 1; x < 401; x++) {
        CU_ASSERT(lightness(image.rgb + 3 * x) >= lightness(image.rgb + 3 * (x - 1)) - 0.4);
        if (x < 50 || x > 351)
            CU_ASSERT_EQUAL(memcmp(image.rgb + 3 * x, image.rgb + 3 * (x - 1), 3), 0);
    }
    struct adl_image half = plain(1, 1, 0, 0, 0);
    const struct adl_overlay flat = {
        .heatmap = &(float){0.5f}, .heatmap_width = 1, .heatmap_height = 1, .opacity = 1};
    TEST_OK(adl_overlay_draw(&half, &flat, &err), &err);
    for (int c = 0; c < 3; c++)
        CU_ASSERT(abs(image.rgb[3 * 200 + c] - half.rgb[c]) <= 1);
    free(half.rgb);
    free(image.rgb);
}

static double contrast(const uint8_t *a, const uint8_t *b)
{
    double la = luminance(a) + 0.05, lb = luminance(b) + 0.05;
    return la > lb ? la / lb : lb / la;
}

/* From the middle of the box outwards, there are two neighbouring pixels whose contrast is at
 * least 3:1, which WCAG requires of graphics. */
static void boxes_read_on_any_ground(void)
{
    static const uint8_t grounds[][3] = {{0, 0, 0},       {255, 255, 255}, {64, 224, 255},
                                         {128, 128, 128}, {10, 16, 24},    {255, 230, 120}};
    struct adl_error err = {0};
    for (size_t g = 0; g < ADL_COUNT(grounds); g++) {
        const struct adl_overlay_box box = {30, 40, 149, 99};
        const struct adl_overlay overlay = {.boxes = &box, .box_count = 1};
        struct adl_image image = plain(200, 150, grounds[g][0], grounds[g][1], grounds[g][2]);
        TEST_OK(adl_overlay_draw(&image, &overlay, &err), &err);
        double left = 0;
        for (int x = 20; x < 60; x++) {
            const uint8_t *p = image.rgb + (70 * 200 + x) * 3;
            left = fmax(left, contrast(p, p + 3));
            if (x < 26 || x > 36)
                CU_ASSERT_EQUAL(memcmp(p, grounds[g], 3), 0);
        }
        CU_ASSERT(left >= 3);
        /* The ends are inclusive, and all four sides look the same. */
        const uint8_t *corner = image.rgb + (40 * 200 + 30) * 3;
        CU_ASSERT_EQUAL(memcmp(corner, image.rgb + (99 * 200 + 149) * 3, 3), 0);
        CU_ASSERT_EQUAL(memcmp(corner, image.rgb + (70 * 200 + 30) * 3, 3), 0);
        CU_ASSERT_EQUAL(memcmp(corner, image.rgb + (70 * 200 + 149) * 3, 3), 0);
        CU_ASSERT(memcmp(corner, image.rgb + (100 * 200 + 149) * 3, 3) != 0);
        free(image.rgb);
    }
}

static void every_character_is_its_own(void)
{
    uint64_t hashes[95];
    for (int i = 0; i < 95; i++) {
        const char text[2] = {(char)(32 + i), '\0'};
        struct adl_image image = plain(40, 40, 0, 0, 0);
        adl_font_draw(&image, text, 8, 8, 20, (const uint8_t[3]){255, 255, 255});
        hashes[i] = hash(&image);
        for (int k = 0; k < i; k++)
            if (hashes[k] == hashes[i])
                TEST_FAIL("'%c' looks like '%c'", 32 + k, 32 + i);
        CU_ASSERT(i == 0 || image.rgb[3] == 0);
        free(image.rgb);
        CU_ASSERT(adl_font_width(text, 24) <= 24);
    }
    float frame = adl_font_width("\x01", 24);
    CU_ASSERT_EQUAL(adl_font_width("\xc3\xa9", 24), frame);
    CU_ASSERT_EQUAL(adl_font_width("\xe2\x98\x83", 24), frame);
    CU_ASSERT_EQUAL(adl_font_width("\xf0\x9f\xa6\x9d", 24), frame);
    CU_ASSERT_EQUAL(adl_font_width("", 24), 0);
    CU_ASSERT(adl_font_width("WW", 24) > 2 * adl_font_width("W", 24));
}

static void labels_are_seen_at_any_size(void)
{
    static const int sides[][2] = {{60, 60}, {224, 224}, {640, 480}, {300, 2000}};
    struct adl_error err = {0};
    for (size_t i = 0; i < ADL_COUNT(sides); i++) {
        const struct adl_overlay_box box = {5, 5, 40, 40};
        struct adl_overlay overlay = {.boxes = &box, .box_count = 1, .label = "H"};
        struct adl_image with = plain(sides[i][0], sides[i][1], 90, 90, 90);
        struct adl_image without = plain(sides[i][0], sides[i][1], 90, 90, 90);
        TEST_OK(adl_overlay_draw(&with, &overlay, &err), &err);
        overlay.label = NULL;
        TEST_OK(adl_overlay_draw(&without, &overlay, &err), &err);
        int white = 0;
        for (int k = 0; k < with.width * with.height; k++)
            white += with.rgb[3 * k] > 200 && with.rgb[3 * k] != without.rgb[3 * k];
        CU_ASSERT(white > 10);
        free(with.rgb);
        free(without.rgb);
    }
}

static void stays_inside(void)
{
    static const int ends[] = {INT_MIN, INT_MIN + 1, -70, -1, 0, 3, 39, 40, 100, INT_MAX};
    static const char *const labels[] = {"", "a", "\xff\x80\x80 broken \xc3", "Crème brûlée 12%"};
    static char endless[5000];
    const float map[6] = {0, 1, 0.5f, NAN, 0.2f, 1};
    struct adl_error err = {0};

    memset(endless, 'W', sizeof endless - 1);
    for (int side = 1; side <= 50; side += side < 8 ? 1 : 7) {
        for (size_t a = 0; a < ADL_COUNT(ends); a++) {
            for (size_t b = 0; b < ADL_COUNT(ends); b++) {
                const struct adl_overlay_box boxes[2] = {{ends[a], ends[b], ends[b], ends[b]},
                                                         {ends[a], ends[a], ends[b], ends[b]}};
                const size_t l = a * 3 + b;
                const struct adl_overlay overlay = {.heatmap = l % 2 ? map : NULL,
                                                    .heatmap_width = 2,
                                                    .heatmap_height = 3,
                                                    .opacity = l % 3 ? 0.5f : NAN,
                                                    .boxes = boxes,
                                                    .box_count = l % 4 ? 2 : 0,
                                                    .label = l % 5 < 4 ? labels[l % 5] : endless};
                struct adl_image image = plain(side, 51 - side, 1, 2, 3);
                TEST_OK(adl_overlay_draw(&image, &overlay, &err), &err);
                free(image.rgb);
            }
        }
    }
}

static void out_of_memory(void)
{
    const float heat = 1;
    const struct adl_overlay overlay = {
        .heatmap = &heat, .heatmap_width = 1, .heatmap_height = 1, .opacity = 1, .label = "x"};
    const size_t blocks = adl_mem_stats().live_blocks;
    struct adl_image image = plain(9, 9, 0, 0, 0);
    int result = -1;
    for (uint64_t n = 1; result < 0 && n < 10; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        result = adl_overlay_draw(&image, &overlay, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(result == 0 || err.kind == ADL_ERR_NOMEM);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
    }
    CU_ASSERT_EQUAL(result, 0);
    free(image.rgb);
}

TEST_SUITE(overlay, {"colours grow lighter evenly", colours_grow_lighter_evenly},
           {"a heatmap covers and spares", heatmap_covers_and_spares},
           {"a heatmap is stretched evenly", heatmap_is_stretched_evenly},
           {"boxes read on any ground", boxes_read_on_any_ground},
           {"every character is its own", every_character_is_its_own},
           {"labels are seen at any size", labels_are_seen_at_any_size},
           {"nothing is drawn outside", stays_inside}, {"out of memory", out_of_memory});
