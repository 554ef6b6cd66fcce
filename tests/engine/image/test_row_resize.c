/* image/row_resize.c and the decoding to sizes: the same bytes as from the whole image, which
 * test_resize.c compares with Pillow, for every format, orientation and direction of scaling. */

#include "support/test.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/row_resize.h"
#include "support/golden.h"
#include "support/image_bytes.h"
#include "support/noise_image.h"

static bool same(const struct adl_image *a, const struct adl_image *b)
{
    return a->width == b->width && a->height == b->height &&
           !memcmp(a->rgb, b->rgb, 3 * (size_t)a->width * (size_t)a->height);
}

/* Turns an image upright, by the table of the EXIF specification: where the first stored row and
 * column are displayed. */
static void turn(const struct adl_image *stored, int orientation, struct adl_image *out)
{
    const bool swap = orientation >= 5;
    const bool bottom =
        orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    const bool right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    struct adl_error err = {0};
    const int w = swap ? stored->height : stored->width, h = swap ? stored->width : stored->height;

    TEST_OK(adl_image_init(out, w, h, &err), &err);
    for (int row = 0; row < stored->height; row++)
        for (int column = 0; column < stored->width; column++) {
            int x = swap ? row : column, y = swap ? column : row;
            x = right ? w - 1 - x : x;
            y = bottom ? h - 1 - y : y;
            memcpy(out->rgb + (y * w + x) * 3, stored->rgb + (row * stored->width + column) * 3, 3);
        }
}

static void compare_turned(const struct adl_image *stored, int orientation, int w, int h)
{
    struct adl_image upright, want = {0}, got = {0};
    struct adl_error err = {0};
    const size_t before = adl_mem_stats().live_bytes;
    struct adl_row_resizer *resizer =
        adl_row_resizer_create(stored->width, stored->height, orientation, w, h, &err);

    TEST_OK(resizer ? 0 : -1, &err);
    CU_ASSERT(adl_mem_stats().live_bytes - before <=
              adl_row_resizer_bytes(stored->width, stored->height, orientation, w, h));
    for (int y = 0; y < stored->height; y++)
        adl_row_resizer_put(resizer, stored->rgb + (size_t)y * (size_t)stored->width * 3);
    adl_row_resizer_take(resizer, &got);
    adl_row_resizer_free(resizer);
    turn(stored, orientation, &upright);
    TEST_OK(adl_image_resize(&upright, w, h, &want, &err), &err);
    if (!same(&want, &got))
        TEST_FAIL("%d x %d, orientation %d, to %d x %d: other bytes", stored->width, stored->height,
                  orientation, w, h);
    adl_image_release(&upright);
    adl_image_release(&want);
    adl_image_release(&got);
}

static void every_orientation(void)
{
    static const int sides[][2] = {{1, 1}, {1, 50}, {50, 1}, {37, 53}, {300, 211}, {64, 640}};
    static const int sizes[][2] = {{1, 1},   {2, 3},    {37, 53},  {53, 37}, {37, 20},
                                   {24, 53}, {224, 97}, {300, 60}, {64, 211}};

    for (size_t i = 0; i < ADL_COUNT(sides); i++) {
        struct adl_image stored;
        struct adl_error err = {0};
        TEST_OK(adl_image_init(&stored, sides[i][0], sides[i][1], &err), &err);
        unsigned state = 1;
        for (int k = 0; k < 3 * sides[i][0] * sides[i][1]; k++) {
            state = state * 1103515245 + 12345;
            stored.rgb[k] = (uint8_t)(state >> 16);
        }
        for (int orientation = 1; orientation <= 8; orientation++)
            for (size_t s = 0; s < ADL_COUNT(sizes); s++)
                compare_turned(&stored, orientation, sizes[s][0], sizes[s][1]);
        adl_image_release(&stored);
    }
}

/* Also: what examining says of the memory is an upper bound, and so are the sides. */
static void compare_file(const char *name)
{
    enum { SIZES = 3 };
    struct image_bytes file = image_bytes_load(name);
    struct adl_image images[SIZES] = {
        {.width = 8, .height = 5}, {.width = 27, .height = 40}, {.width = 96, .height = 96}};
    struct adl_image image, want;
    struct adl_image_info info, found;
    struct adl_image_needs needs;
    struct adl_error err = {0};

    TEST_OK(adl_image_examine(file.data, file.length, NULL, images, SIZES, &needs, &err), &err);
    TEST_OK(adl_image_decode(file.data, file.length, NULL, &image, &info, &err), &err);
    TEST_OK(adl_image_decode_sizes(file.data, file.length, NULL, images, SIZES, &found, &err),
            &err);
    CU_ASSERT(needs.width == info.width && needs.height == info.height);
    CU_ASSERT(found.width == info.width && found.height == info.height &&
              found.orientation == info.orientation && found.type == info.type);
    for (int i = 0; i < SIZES; i++) {
        TEST_OK(adl_image_resize(&image, images[i].width, images[i].height, &want, &err), &err);
        if (!same(&want, &images[i]))
            TEST_FAIL("%s to %d x %d: other bytes", name, want.width, want.height);
        adl_image_release(&want);
        adl_image_release(&images[i]);
    }
    adl_image_release(&image);
    free(file.data);
}

static void every_format(void)
{
    DIR *folder = opendir("tests/golden/images");
    const struct dirent *entry;
    int files = 0;

    while (folder && (entry = readdir(folder)))
        if (adl_image_named(entry->d_name)) {
            compare_file(entry->d_name);
            files++;
        }
    if (folder)
        closedir(folder);
    CU_ASSERT(files > 50);
}

static int stop(void *context, struct adl_error *err)
{
    ++*(int *)context;
    return adl_fail(err, ADL_ERR_CANCELLED, "enough");
}

/* A hook that fails ends the decoding, and nothing is left. */
static void pauses_can_end_it(void)
{
    struct adl_image noise = noise_image(600, 400, 1, 2, 3);
    size_t length;
    void *jpeg;
    int calls = 0;
    const struct adl_pause pause = {.call = stop, .context = &calls};
    const struct adl_decode_options options = {.pause = &pause};
    struct adl_image image = {.width = 10, .height = 10};
    struct adl_error err = {0};

    TEST_OK(adl_image_encode_jpeg(&noise, 80, &jpeg, &length, &err), &err);
    CU_ASSERT(adl_image_decode_sizes(jpeg, length, &options, &image, 1, NULL, &err) < 0);
    CU_ASSERT(err.kind == ADL_ERR_CANCELLED && calls == 1 && !image.rgb);
    adl_error_clear(&err);
    CU_ASSERT(adl_image_decode(jpeg, length, &options, &image, NULL, &err) < 0);
    CU_ASSERT(err.kind == ADL_ERR_CANCELLED && calls == 2 && !image.rgb);
    adl_free(jpeg);
    adl_image_release(&noise);
}

TEST_SUITE(row_resize, {"every orientation and scale", every_orientation},
           {"every format", every_format}, {"pauses can end it", pauses_can_end_it});
