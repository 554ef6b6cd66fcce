/* image/: files as some writers make them, for which the formats have another meaning, or two. They
 * are made here, byte by byte, or of golden files. */

#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/size.h"
#include "support/formula.h"
#include "support/image_bytes.h"

static uint8_t *sample(void)
{
    static uint8_t rgb[IMAGE_PIXELS * 3];
    formula_picture("sample", IMAGE_HEIGHT, IMAGE_WIDTH, rgb);
    return rgb;
}

/* --- TIFF ------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *at, unsigned bytes, uint32_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        *at++ = (uint8_t)(value >> 8 * i);
    return at;
}

static uint8_t *put_entry(uint8_t *at, unsigned tag, unsigned type, uint32_t count, uint32_t value)
{
    at = put(put(put(at, 2, tag), 2, type), 4, count);
    return put(at, 4, value);
}

enum { ENTRIES = 10, HEAD = 8 + 2 + 12 * ENTRIES + 4 + 8 };

/* Alpha, or whatever else the last sample is. */
static unsigned last_sample(int at)
{
    return (unsigned)(at * 37 % 256);
}

/* Decodes a TIFF of one strip without compression: the sample's colours, or its red as grey, and
 * one more sample, which is `extra`. With `tiled`, it is one tile of 32 x 32 pixels instead. */
static struct adl_image decode_tiff(unsigned colours, unsigned extra, bool tiled)
{
    static uint8_t bytes[HEAD + 32 * 32 * 4];
    const unsigned samples = colours + 1;
    const size_t width = tiled ? 32 : IMAGE_WIDTH, height = tiled ? 32 : IMAGE_HEIGHT;
    struct image_bytes file = {bytes, HEAD + width * height * samples};
    struct adl_error err = {0};
    struct adl_image image = {0};
    uint8_t *at = put(put(put(bytes, 4, 0x2a4949), 4, 8), 2, tiled ? ENTRIES : ENTRIES - 1);

    at = put_entry(at, 256, 3, 1, IMAGE_WIDTH);
    at = put_entry(at, 257, 3, 1, IMAGE_HEIGHT);
    at = put_entry(at, 258, 3, samples, samples == 2 ? 0x80008 : HEAD - 8);
    at = put_entry(at, 262, 3, 1, colours == 1 ? 1 : 2);
    if (!tiled)
        at = put_entry(at, 273, 4, 1, HEAD);
    at = put_entry(at, 277, 3, 1, samples);
    at = put_entry(at, tiled ? 322 : 278, 3, 1, tiled ? 32 : IMAGE_HEIGHT);
    if (!tiled)
        at = put_entry(at, 279, 4, 1, (uint32_t)(file.length - HEAD));
    if (tiled) {
        at = put_entry(at, 323, 3, 1, 32);
        at = put_entry(at, 324, 4, 1, HEAD);
        at = put_entry(at, 325, 4, 1, (uint32_t)(file.length - HEAD));
    }
    at = put_entry(at, 338, 3, 1, extra);
    put(at, 4, 0);
    put(put(bytes + HEAD - 8, 4, 0x80008), 4, 0x80008); /* 8 bits for each sample */
    memset(bytes + HEAD, 0, sizeof bytes - HEAD);
    for (int i = 0; i < IMAGE_PIXELS; i++) {
        const size_t x = (size_t)i % IMAGE_WIDTH, y = (size_t)i / IMAGE_WIDTH;
        uint8_t *pixel = bytes + HEAD + (y * width + x) * samples;
        for (unsigned c = 0; c < colours; c++)
            pixel[c] = sample()[3 * i + (int)c];
        pixel[colours] = (uint8_t)last_sample(i);
        /* Colours that are multiplied by alpha are not above it. */
        for (unsigned c = 0; extra == 1 && c < colours; c++)
            pixel[c] = (uint8_t)(pixel[c] * pixel[colours] / 255);
    }
    TEST_OK(image_bytes_decode(file, NULL, &image, &err), &err);
    return image;
}

/* Checks that the last sample was taken for alpha, or, if it was not, that the colours are whole.
 */
static void check_tiff(unsigned colours, unsigned extra, bool tiled)
{
    struct adl_image image = decode_tiff(colours, extra, tiled);
    int wrong = 0;

    if (!image.rgb)
        return;
    for (int i = 0; i < IMAGE_PIXELS * 3; i++) {
        const unsigned alpha = extra ? last_sample(i / 3) : 255;
        const double value = sample()[colours == 1 ? i / 3 * 3 : i];
        const double want = value * alpha / 255 + 255 - alpha;
        wrong += image.rgb[i] < want - 2 || image.rgb[i] > want + 2;
    }
    if (wrong)
        TEST_FAIL("%u colours, extra sample %u%s: %d bytes are wrong", colours, extra,
                  tiled ? ", a tile" : "", wrong);
    else
        CU_PASS("");
    adl_image_release(&image);
}

static void an_extra_sample_is_what_the_tiff_says(void)
{
    /* libtiff 4.5 shears a tile of grey with a second sample that is wider than the image. */
    for (unsigned extra = 0; extra <= 2; extra++) {
        check_tiff(1, extra, false);
        check_tiff(3, extra, false);
        check_tiff(3, extra, true);
    }
}

/* --- BMP ------------------------------------------------------------------------------- */

static struct image_bytes with_alpha(const char *name, uint8_t first, uint8_t others)
{
    struct image_bytes file = image_bytes_load(name);
    const size_t offset = file.data[10];

    for (size_t at = offset + 3; at < file.length; at += 4)
        file.data[at] = at == offset + 3 ? first : others;
    return file;
}

/* A pixel of 32 bits with an alpha of 0 everywhere is one without alpha. */
static void a_bmp_is_not_all_transparent(void)
{
    static const char *const names[] = {"rgba_v4.bmp", "rgba_v5.bmp"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        struct image_bytes files[] = {with_alpha(names[i], 0, 0), with_alpha(names[i], 255, 255),
                                      with_alpha(names[i], 0, 1)};
        struct adl_image images[3] = {0};
        struct adl_error err = {0};
        for (size_t k = 0; k < 3; k++)
            TEST_OK(image_bytes_decode(files[k], NULL, &images[k], &err), &err);
        CU_ASSERT_FATAL(images[0].rgb && images[1].rgb && images[2].rgb);
        CU_ASSERT(!memcmp(images[0].rgb, images[1].rgb, IMAGE_PIXELS * 3));
        int darkest = 255;
        for (int at = 0; at < IMAGE_PIXELS * 3; at++)
            darkest = ADL_MIN(darkest, images[2].rgb[at]);
        CU_ASSERT(darkest >= 254);
        for (size_t k = 0; k < 3; k++) {
            adl_image_release(&images[k]);
            free(files[k].data);
        }
    }
}

/* --- PNG ------------------------------------------------------------------------------- */

/* Returns the place of the eXIf chunk; 0 if there is none. */
static size_t find_exif(struct image_bytes file)
{
    for (size_t at = 8; at + 12 <= file.length;) {
        const uint8_t *p = file.data + at;
        if (!memcmp(p + 4, "eXIf", 4))
            return at;
        at += 12 + ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
    }
    return 0;
}

/* Writes a number of a PNG. */
static void put_big(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* In a PNG, EXIF begins with the header of TIFF. Some put before it what JPEG has, or something
 * else; that is no EXIF, and the image is not refused for it. */
static void foreign_exif_is_skipped(void)
{
    static const char beginnings[][7] = {"Exif\0\0", "II*\1\0\0", "\0\0\0\0\0\0"};
    struct image_bytes file = image_bytes_load("exif_6.png");
    const size_t at = find_exif(file), size = at ? file.data[at + 3] : 0;
    CU_ASSERT_FATAL(at > 0);
    for (size_t i = 0; i < ADL_COUNT(beginnings); i++) {
        struct adl_error err = {0};
        struct adl_image image = {0};
        struct adl_image_info info = {0};
        uint8_t *bytes = malloc(file.length + 6);
        CU_ASSERT_FATAL(bytes != NULL);
        memcpy(bytes, file.data, at + 8);
        memcpy(bytes + at + 8, beginnings[i], 6);
        memcpy(bytes + at + 14, file.data + at + 8, file.length - at - 8);
        put_big(bytes + at, (uint32_t)size + 6);
        put_big(bytes + at + 14 + size, (uint32_t)crc32(0, bytes + at + 4, (uInt)size + 10));
        TEST_OK(adl_image_decode(bytes, file.length + 6, NULL, &image, &info, &err), &err);
        CU_ASSERT_EQUAL(info.orientation, 1);
        adl_image_release(&image);
        free(bytes);
    }
    free(file.data);
}

TEST_SUITE(image_writers, {"foreign EXIF is skipped", foreign_exif_is_skipped},
           {"a BMP is not all transparent", a_bmp_is_not_all_transparent},
           {"an extra sample is what the TIFF says", an_extra_sample_is_what_the_tiff_says});
