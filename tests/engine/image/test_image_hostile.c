/* image/ with files that are broken, hostile or too large, all made here, and with too little
 * memory. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "support/formula.h"
#include "support/image_bytes.h"

static const char *const each_kind[] = {
    "baseline.jpg",   "progressive.jpg",   "cmyk.jpg",          "restarts.jpg",
    "grey.jpg",       "grey_1.png",        "palette_alpha.png", "rgba_16_interlaced.png",
    "exif_6.png",     "lossless.webp",     "lossy.webp",        "alpha_lossy.webp",
    "exif_8.webp",    "orientation_6.jpg", "animated.webp",     "rgb_24.bmp",
    "rgba_v5.bmp",    "rgb_565.bmp",       "palette_4.bmp",     "rle8.bmp",
    "rle4.bmp",       "transparent.gif",   "interlaced.gif",    "animated.gif",
    "bilevel_g4.tif", "jpeg.tif",          "lossless.heic"};

/* How many bytes it takes to recognise the start of a file: FF D8 (ISO/IEC 10918-1, B.2.1),
 * the name in a PNG's signature (PNG specification, 5.2), the first byte that distinguishes a WebP
 * from other RIFF files, the signature of a GIF, and a BMP's file header, for texts begin with "BM"
 * too, and the brand of a HEIC file. */
static size_t telling_bytes(const char *name)
{
    return strstr(name, ".jpg")    ? 2
           : strstr(name, ".png")  ? 4
           : strstr(name, ".tif")  ? 4
           : strstr(name, ".gif")  ? 6
           : strstr(name, ".bmp")  ? 14
           : strstr(name, ".heic") ? 12
                                   : 9;
}

static void truncated_at_any_byte(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct image_bytes file = image_bytes_load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        for (size_t length = 0; length < file.length; length++) {
            uint8_t *copy = malloc(length ? length : 1);
            memcpy(copy, file.data, length);
            int result = image_bytes_decode((struct image_bytes){copy, length}, NULL, &image, &err);
            if (result == 0)
                TEST_FAIL("%s: its first %zu bytes were enough", each_kind[i], length);
            else if (err.kind !=
                     (length < telling_bytes(each_kind[i]) ? ADL_ERR_UNSUPPORTED : ADL_ERR_FORMAT))
                TEST_FAIL("%s, %zu bytes: %s", each_kind[i], length, err.message);
            adl_image_release(&image);
            free(copy);
        }
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        free(file.data);
    }
}

/* A changed byte leads to an image or an error, never to a crash or a leak. */
static void damaged_at_any_byte(void)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    const struct adl_decode_options options = {.max_pixels = 100000};
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct image_bytes file = image_bytes_load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        /* Where headers are, and enough pixels; libde265 starts a thread for each picture. */
        const size_t first = strstr(each_kind[i], ".heic") ? 150 : 1500;
        for (size_t at = 0; at < ADL_MIN(file.length, first) * ADL_COUNT(changes); at++) {
            file.data[at / ADL_COUNT(changes)] ^= changes[at % ADL_COUNT(changes)];
            if (image_bytes_decode(file, &options, &image, &err) < 0)
                CU_ASSERT(err.kind != ADL_ERR_NONE && err.kind != ADL_ERR_INTERNAL &&
                          err.message[0] && !image.rgb);
            adl_image_release(&image);
            file.data[at / ADL_COUNT(changes)] ^= changes[at % ADL_COUNT(changes)];
        }
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        free(file.data);
    }
}

/* A wrong checksum in a PNG is an error in a critical chunk, whose name begins with a capital (PNG
 * specification, 5.4). Any other chunk is skipped then, here that of the orientation. */
static void png_checksums(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct image_bytes file = image_bytes_load("exif_6.png");
    int skipped = 0;
    for (size_t at = 8; at + 12 <= file.length;) {
        size_t size = (size_t)file.data[at + 2] << 8 | file.data[at + 3];
        file.data[at + 8 + size] ^= 1;
        int result = image_bytes_decode(file, NULL, &image, &err);
        if (file.data[at + 4] & 0x20) {
            CU_ASSERT(result == 0 && image.width == IMAGE_WIDTH);
            adl_image_release(&image);
            skipped++;
        } else {
            CU_ASSERT(result == -1 && err.kind == ADL_ERR_FORMAT);
        }
        file.data[at + 8 + size] ^= 1;
        at += 12 + size;
    }
    CU_ASSERT_EQUAL(skipped, 1);
    free(file.data);
}

static void put_little_endian(uint8_t *p, unsigned value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

/* In a TIFF as Pillow writes it: little-endian, and both sides as one value. */
static void claim_tiff_sides(uint8_t *p, unsigned width, unsigned height)
{
    const size_t directory = p[4] | (size_t)p[5] << 8;
    for (uint8_t *entry = p + directory + 2; entry[0] + 256 * entry[1] <= 257; entry += 12)
        if (entry[1] == 1 && entry[0] <= 1) {
            entry[2] = 4; /* LONG */
            put_little_endian(entry + 8, entry[0] ? height : width, 4);
        }
}

/* Patches the sides into the header of a file of the further formats. */
static bool claim_other_sides(uint8_t *p, size_t length, unsigned width, unsigned height)
{
    switch (adl_image_sniff(p, length)) {
    case ADL_IMAGE_GIF:
        put_little_endian(p + 6, width, 2);
        put_little_endian(p + 8, height, 2);
        return true;
    case ADL_IMAGE_BMP:
        put_little_endian(p + 18, width, 4);
        put_little_endian(p + 22, height, 4);
        return true;
    case ADL_IMAGE_TIFF: claim_tiff_sides(p, width, height); return true;
    case ADL_IMAGE_HEIF:
        for (; length > 16; p++, length--)
            for (int i = 0; i < 4 && !memcmp(p, "ispe", 4); i++) {
                p[8 + i] = (uint8_t)(width >> (24 - 8 * i));
                p[12 + i] = (uint8_t)(height >> (24 - 8 * i));
            }
        return true;
    default: return false;
    }
}

/* Patches the sides into a file's header. */
static void claim_sides(struct image_bytes file, unsigned width, unsigned height)
{
    uint8_t *p = file.data;
    if (claim_other_sides(p, file.length, width, height))
        return;
    if (adl_image_sniff(p, file.length) == ADL_IMAGE_JPEG) {
        while (p[0] != 0xff || (p[1] != 0xc0 && p[1] != 0xc2))
            p++;
        p[5] = (uint8_t)(height >> 8);
        p[6] = (uint8_t)height;
        p[7] = (uint8_t)(width >> 8);
        p[8] = (uint8_t)width;
        return;
    }
    for (int i = 0; i < 4; i++) {
        p[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        p[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    unsigned crc = (unsigned)crc32(0, p + 12, 17);
    for (int i = 0; i < 4; i++)
        p[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void bombs(void)
{
    static const struct {
        const char *name;
        unsigned width, height;
        enum adl_error_kind kind;
    } cases[] = {{"baseline.jpg", 62994, 65284, ADL_ERR_LIMIT},
                 {"progressive.jpg", 65500, 65500, ADL_ERR_LIMIT},
                 {"progressive.jpg", 10000, 10000, ADL_ERR_FORMAT},
                 {"baseline.jpg", 9999, 9999, ADL_ERR_FORMAT},
                 {"baseline.jpg", 0, 19, ADL_ERR_FORMAT},
                 {"rgb_8.png", 0x7fffffff, 0x7fffffff, ADL_ERR_LIMIT},
                 {"rgb_8.png", 65535, 65535, ADL_ERR_LIMIT},
                 {"rgb_8.png", 70000, 1, ADL_ERR_LIMIT},
                 {"rgb_8.png", 0xffffffff, 1, ADL_ERR_FORMAT},
                 {"rgb_8.png", 0, 1, ADL_ERR_FORMAT},
                 {"grey_1.png", 10000, 10000, ADL_ERR_FORMAT},
                 {"rgba_16_interlaced.png", 9999, 9999, ADL_ERR_FORMAT},
                 {"palette.gif", 65535, 65535, ADL_ERR_LIMIT},
                 {"interlaced.gif", 40000, 27, ADL_ERR_NONE},
                 {"rgb_24.bmp", 70000, 1, ADL_ERR_LIMIT},
                 {"rgb_24.bmp", 0x80000000, 1, ADL_ERR_FORMAT},
                 {"rgb_24.bmp", 9999, 0x80000000, ADL_ERR_LIMIT},
                 {"rgb_24.bmp", 9999, 9999, ADL_ERR_FORMAT},
                 {"rle8.bmp", 65535, 65535, ADL_ERR_LIMIT},
                 {"rle8.bmp", 26, 19, ADL_ERR_NONE},
                 {"rle8.bmp", 27, 18, ADL_ERR_FORMAT},
                 {"rgb_lzw.tif", 65535, 65535, ADL_ERR_LIMIT},
                 {"rgb_lzw.tif", 0xffffffff, 0xffffffff, ADL_ERR_LIMIT},
                 {"rgb_lzw.tif", 9999, 9999, ADL_ERR_FORMAT},
                 {"rgb_lzw.tif", 27, 0, ADL_ERR_FORMAT},
                 {"lossless.heic", 65535, 65535, ADL_ERR_LIMIT},
                 {"lossless.heic", 0xffffffff, 1, ADL_ERR_LIMIT},
                 {"lossless.heic", 26, 19, ADL_ERR_FORMAT},
                 {"lossless.heic", 0, 19, ADL_ERR_FORMAT}};
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct image_bytes file = image_bytes_load(cases[i].name);
        claim_sides(file, cases[i].width, cases[i].height);
        uint64_t calls = adl_mem_stats().calls;
        (void)!image_bytes_decode(file, NULL, &image, &err);
        adl_image_release(&image);
        if (err.kind != cases[i].kind)
            TEST_FAIL("%s as %u x %u: %s", cases[i].name, cases[i].width, cases[i].height,
                      err.message);
        /* libspng's own few structures, but no pixels. */
        CU_ASSERT(adl_mem_stats().calls - calls < 4);
        free(file.data);
    }
}

/* Where a table has two colours, a higher index is black. */
static void indices_without_a_colour(void)
{
    struct adl_error err = {0};
    struct adl_image few, all;
    struct image_bytes file = image_bytes_load("palette_4.bmp");
    int wrong = 0, black = 0;

    TEST_OK(image_bytes_decode(file, NULL, &all, &err), &err);
    const uint8_t *table = file.data + 54;
    put_little_endian(file.data + 46, 2, 4);
    TEST_OK(image_bytes_decode(file, NULL, &few, &err), &err);
    for (int i = 0; i < IMAGE_PIXELS; i++) {
        const uint8_t *was = all.rgb + 3 * i, *is = few.rgb + 3 * i;
        bool known = false;
        for (int k = 0; k < 2; k++)
            known |= was[0] == table[4 * k + 2] && was[1] == table[4 * k + 1];
        black += !known;
        wrong += memcmp(is, known ? was : (const uint8_t[]){0, 0, 0}, 3) != 0;
    }
    CU_ASSERT(wrong == 0 && black > 100);
    adl_image_release(&all);
    adl_image_release(&few);
    free(file.data);
}

/* A few kilobytes of compressed text that unpack to many megabytes. */
static void png_metadata_bomb(void)
{
    const struct adl_decode_options options = {.max_memory_bytes = ADL_MIB};
    struct adl_error err = {0};
    struct adl_image image;
    struct image_bytes file = image_bytes_load("rgb_8.png");
    const uLong text_bytes = 20 * 1000 * 1000;
    uLong packed = compressBound(text_bytes);
    uint8_t *text = calloc(text_bytes, 1), *bomb = malloc(file.length + packed + 15);

    memcpy(bomb, file.data, 33); /* signature and IHDR */
    memcpy(bomb + 33, "\0\0\0\0zTXtx\0\0", 11);
    compress2(bomb + 44, &packed, text, text_bytes, 9);
    for (int i = 0; i < 4; i++)
        bomb[33 + i] = (uint8_t)((packed + 3) >> (24 - 8 * i));
    uLong crc = crc32(0, bomb + 37, (uInt)packed + 7);
    for (int i = 0; i < 4; i++)
        bomb[44 + packed + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    memcpy(bomb + 48 + packed, file.data + 33, file.length - 33);
    CU_ASSERT_EQUAL(image_bytes_decode((struct image_bytes){bomb, file.length + packed + 15},
                                       &options, &image, &err),
                    -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    free(bomb);
    free(text);
    free(file.data);
}

static void pixel_limit_is_exact(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct image_bytes file = image_bytes_load(each_kind[i]);
        struct adl_decode_options options = {.max_pixels = IMAGE_PIXELS};
        TEST_OK(image_bytes_decode(file, &options, &image, &err), &err);
        adl_image_release(&image);
        options.max_pixels--;
        CU_ASSERT_EQUAL(image_bytes_decode(file, &options, &image, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
        free(file.data);
    }
}

/* Each allocation in turn exceeds the limit. */
static void memory_limit(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct image_bytes file = image_bytes_load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        struct adl_decode_options options = {.max_memory_bytes = 1};
        int result;
        while ((result = image_bytes_decode(file, &options, &image, &err)) < 0 &&
               options.max_memory_bytes < ADL_MIB) {
            if (err.kind != ADL_ERR_LIMIT)
                TEST_FAIL("%s with %zu bytes: %s", each_kind[i], options.max_memory_bytes,
                          err.message);
            CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
            options.max_memory_bytes += options.max_memory_bytes / 64 + 1;
        }
        TEST_OK(result, &err);
        adl_image_release(&image);
        free(file.data);
    }
}

/* A valid progressive file of 64 x 64 pixels with a scan for each coefficient
 * of as many components as it takes. */
static struct image_bytes many_scans(int scans)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long length = 0;
    uint8_t row[64 * 3];
    JSAMPROW rows = row;
    jpeg_scan_info *script = calloc((size_t)scans, sizeof *script);

    script[0] = (jpeg_scan_info){.comps_in_scan = 3, .component_index = {0, 1, 2}};
    for (int i = 1; i < scans; i++)
        script[i] = (jpeg_scan_info){.comps_in_scan = 1,
                                     .component_index = {(i - 1) / 63},
                                     .Ss = (i - 1) % 63 + 1,
                                     .Se = (i - 1) % 63 + 1};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &data, &length);
    jpeg.image_width = jpeg.image_height = 64;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg.scan_info = script;
    jpeg.num_scans = scans;
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < 64; y++) {
        for (int x = 0; x < 64 * 3; x++)
            row[x] = (uint8_t)(x * y);
        jpeg_write_scanlines(&jpeg, &rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(script);
    return (struct image_bytes){data, length};
}

static void jpeg_scan_limit(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct image_bytes file = many_scans(ADL_LIMIT_JPEG_SCANS);
    TEST_OK(image_bytes_decode(file, NULL, &image, &err), &err);
    adl_image_release(&image);
    free(file.data);
    file = many_scans(ADL_LIMIT_JPEG_SCANS + 1);
    CU_ASSERT_EQUAL(image_bytes_decode(file, NULL, &image, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    free(file.data);
}

static int encode_large(int kind, const struct adl_image *image, struct adl_error *err)
{
    void *data;
    size_t length;
    int result = kind == 0 ? adl_image_encode_jpeg(image, 100, &data, &length, err)
                 : kind == 1
                     ? adl_image_encode_png(image, &data, &length, err)
                     : adl_image_encode_grey_png(image->rgb, 200, 200, NULL, &data, &length, err);
    CU_ASSERT_EQUAL(result == 0, data != NULL);
    adl_free(data);
    return result;
}

static void out_of_memory(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct image_bytes file = image_bytes_load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        int result = -1;
        for (uint64_t n = 1; result < 0 && n < 1000; n++) {
            adl_mem_fail_nth(n);
            result = image_bytes_decode(file, NULL, &image, &err);
            adl_mem_fail_nth(0);
            if (result < 0 && err.kind != ADL_ERR_NOMEM)
                TEST_FAIL("%s, allocation %d: %s", each_kind[i], (int)n, err.message);
            adl_image_release(&image);
            CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        }
        TEST_OK(result, &err);
        free(file.data);
    }
    TEST_OK(adl_image_init(&image, 200, 200, &err), &err);
    formula_picture("large", 200, 200, image.rgb);
    size_t blocks = adl_mem_stats().live_blocks;
    for (int kind = 0; kind < 3; kind++) {
        int result = -1;
        for (uint64_t n = 1; result < 0 && n < 1000; n++) {
            adl_error_clear(&err);
            adl_mem_fail_nth(n);
            result = encode_large(kind, &image, &err);
            adl_mem_fail_nth(0);
            if (result < 0 && err.kind != ADL_ERR_NOMEM)
                TEST_FAIL("encoder %d, allocation %d: %s", kind, (int)n, err.message);
            CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        }
        TEST_OK(result, &err);
    }
    adl_image_release(&image);
}

TEST_SUITE(image_hostile, {"truncated at any byte", truncated_at_any_byte},
           {"damaged at any byte", damaged_at_any_byte}, {"png checksums", png_checksums},
           {"bombs", bombs}, {"indices without a colour", indices_without_a_colour},
           {"png metadata bomb", png_metadata_bomb},
           {"the pixel limit is exact", pixel_limit_is_exact}, {"the memory limit", memory_limit},
           {"the jpeg scan limit", jpeg_scan_limit}, {"out of memory", out_of_memory});
