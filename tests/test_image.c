/* image/: decoders and encoders. What each file must look like comes from the
 * formula that drew it or from Pillow; tests/golden/images/README.md has the
 * details. Hostile files are made here. */

#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "formula.h"
#include "image/image.h"

enum { WIDTH = 27, HEIGHT = 19, PIXELS = WIDTH * HEIGHT, TOLERANCE = 2 };

struct bytes {
    uint8_t *data;
    size_t length;
};

static uint8_t sample[PIXELS * 3];

static struct bytes load(const char *name)
{
    char path[4096];
    struct bytes file = {0};
    snprintf(path, sizeof path, "%s/images/%s", test_golden_dir(), name);
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        TEST_FAIL("cannot open %s", path);
        return file;
    }
    file.data = malloc(1 << 16);
    file.length = fread(file.data, 1, 1 << 16, stream);
    fclose(stream);
    formula_picture("sample", HEIGHT, WIDTH, sample);
    return file;
}

static int decode(struct bytes file, const struct adl_decode_options *options,
                  struct adl_image *image, struct adl_error *err)
{
    adl_error_clear(err);
    return adl_image_decode(file.data, file.length, options, image, NULL, err);
}

static void compare(const char *name, const struct adl_image *image, const uint8_t *want,
                    int tolerance)
{
    if (!image->rgb || image->width != WIDTH || image->height != HEIGHT) {
        TEST_FAIL("%s: %d x %d", name, image->width, image->height);
        return;
    }
    for (int i = 0; i < PIXELS * 3; i++) {
        if (abs(image->rgb[i] - want[i]) > tolerance) {
            TEST_FAIL("%s: byte %d is %d, expected %d", name, i, image->rgb[i], want[i]);
            return;
        }
    }
    CU_PASS("");
}

static void expect(const char *name, const uint8_t *want, int tolerance)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct bytes file = load(name);
    int result = decode(file, NULL, &image, &err);
    if (result < 0)
        TEST_FAIL("%s: %s", name, err.message);
    else
        compare(name, &image, want, tolerance);
    adl_image_release(&image);
    free(file.data);
}

static void expect_pillow(const char *name, const char *rgb_name)
{
    struct bytes rgb = load(rgb_name);
    CU_ASSERT_EQUAL(rgb.length, PIXELS * 3);
    expect(name, rgb.data, TOLERANCE);
    free(rgb.data);
}

static void types_are_told_from_bytes(void)
{
    CU_ASSERT_EQUAL(adl_image_sniff("\xff\xd8\xff\xe0", 4), ADL_IMAGE_JPEG);
    CU_ASSERT_EQUAL(adl_image_sniff("\xff\xd8", 2), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("\x89PNG\r\n\x1a\n", 8), ADL_IMAGE_PNG);
    CU_ASSERT_EQUAL(adl_image_sniff("\x89PNG\n", 5), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("RIFF....WEBPVP8 ", 16), ADL_IMAGE_WEBP);
    CU_ASSERT_EQUAL(adl_image_sniff("RIFF....WAVEfmt ", 16), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("", 0), ADL_IMAGE_UNKNOWN);

    static const struct bytes others[] = {{(uint8_t *)"", 0}, {(uint8_t *)"GIF89a\1\0\1", 9}};
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(decode(others[i], NULL, &image, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_UNSUPPORTED);
    }
}

static void jpeg(void)
{
    static const char *const names[] = {"baseline.jpg", "full_chroma.jpg", "grey.jpg", "cmyk.jpg",
                                        "ycck.jpg"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        char rgb_name[64];
        snprintf(rgb_name, sizeof rgb_name, "%s.rgb", names[i]);
        expect_pillow(names[i], rgb_name);
    }
    expect_pillow("progressive.jpg", "baseline.jpg.rgb");
    expect_pillow("restarts.jpg", "baseline.jpg.rgb");
}

/* Every row of the EXIF specification's table: on which side of the displayed
 * picture the stored first row and first column are. */
static void jpeg_orientation(void)
{
    static const char *const sides[] = {NULL,           "top left",     "top right",
                                        "bottom right", "bottom left",  "left top",
                                        "right top",    "right bottom", "left bottom"};
    struct bytes upright = load("baseline.jpg.rgb");
    for (int o = 1; o <= 8; o++) {
        char name[64], row_side[8], column_side[8];
        struct adl_error err = {0};
        struct adl_image image;
        struct adl_image_info info;
        snprintf(name, sizeof name, "orientation_%d.jpg", o);
        sscanf(sides[o], "%7s %7s", row_side, column_side);
        const bool swapped = o >= 5;
        const int w = swapped ? HEIGHT : WIDTH, h = swapped ? WIDTH : HEIGHT;
        struct bytes file = load(name);
        TEST_OK(adl_image_decode(file.data, file.length, NULL, &image, &info, &err), &err);
        CU_ASSERT_EQUAL(info.orientation, o);
        CU_ASSERT(info.width == w && info.height == h && image.width == w && image.height == h);
        int wrong = 0;
        for (int row = 0; row < HEIGHT; row++) {
            for (int column = 0; column < WIDTH; column++) {
                int x = swapped ? row : column, y = swapped ? column : row;
                if (!strcmp(row_side, "bottom") || !strcmp(column_side, "bottom"))
                    y = h - 1 - y;
                if (!strcmp(row_side, "right") || !strcmp(column_side, "right"))
                    x = w - 1 - x;
                for (int c = 0; c < 3; c++)
                    wrong += abs(image.rgb[(y * w + x) * 3 + c] -
                                 upright.data[(row * WIDTH + column) * 3 + c]) > TOLERANCE;
            }
        }
        if (wrong)
            TEST_FAIL("%s: %d bytes are wrong", name, wrong);
        adl_image_release(&image);

        const struct adl_decode_options as_stored = {.ignore_orientation = true};
        TEST_OK(adl_image_decode(file.data, file.length, &as_stored, &image, &info, &err), &err);
        CU_ASSERT(info.orientation == 1 && info.width == WIDTH);
        compare(name, &image, upright.data, TOLERANCE);
        adl_image_release(&image);
        free(file.data);
    }
    free(upright.data);
}

static void jpeg_at_reduced_scale(void)
{
    static const struct {
        const char *name;
        int target_w, target_h, w, h;
    } cases[] = {{"baseline.jpg", 3, 2, 7, 5},      {"baseline.jpg", 3, 3, 11, 8},
                 {"baseline.jpg", 1, 1, 4, 3},      {"baseline.jpg", 13, 2, 27, 19},
                 {"baseline.jpg", 99, 99, 27, 19},  {"baseline.jpg", 0, 2, 27, 19},
                 {"cmyk.jpg", 3, 2, 7, 5},          {"orientation_6.jpg", 2, 3, 5, 7},
                 {"orientation_6.jpg", 3, 2, 8, 11}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        const struct adl_decode_options options = {.target_width = cases[i].target_w,
                                                   .target_height = cases[i].target_h};
        struct adl_error err = {0};
        struct adl_image image;
        struct adl_image_info info;
        struct bytes file = load(cases[i].name);
        double mean = 0, whole = 0;
        TEST_OK(adl_image_decode(file.data, file.length, &options, &image, &info, &err), &err);
        if (image.width != cases[i].w || image.height != cases[i].h)
            TEST_FAIL("%s for %d x %d: %d x %d", cases[i].name, cases[i].target_w,
                      cases[i].target_h, image.width, image.height);
        CU_ASSERT_EQUAL(info.width * info.height, PIXELS);
        CU_ASSERT_EQUAL(info.orientation, cases[i].name[0] == 'o' ? 6 : 1);
        for (int k = 0; k < image.width * image.height * 3; k++)
            mean += image.rgb[k];
        for (int k = 0; k < PIXELS * 3; k++)
            whole += sample[k];
        CU_ASSERT_DOUBLE_EQUAL(mean / (image.width * image.height), whole / PIXELS, 20);
        adl_image_release(&image);
        free(file.data);
    }
}

static int over_white(int value, int alpha)
{
    return (int)floor((value * alpha + 255.0 * (255 - alpha)) / 255 + 0.5);
}

/* What the README says a PNG of this name shows at pixel `at`. */
static bool png_pixel(const char *name, int depth, int at, int out[3])
{
    const uint8_t *rgb = sample + (size_t)at * 3;
    const int g = rgb[1], a = 7 * rgb[0] % 256, high = depth < 8 ? g >> (8 - depth) : g;
    int alpha = 255;
    for (int c = 0; c < 3; c++) {
        if (!strncmp(name, "grey_alpha", 10) || !strncmp(name, "grey", 4))
            out[c] = depth < 8 ? high * 255 / ((1 << depth) - 1) : g;
        else if (!strncmp(name, "palette", 7))
            out[c] = ((high * 3 + c) * 97 + 13) % 256;
        else
            out[c] = rgb[c];
    }
    if (!strncmp(name, "grey_alpha", 10) || !strncmp(name, "rgba", 4))
        alpha = a;
    if (!strncmp(name, "palette_alpha", 13) && high < 11)
        alpha = high * 29 % 256;
    if (!strcmp(name, "grey_key.png") && high == sample[(3 * WIDTH + 3) * 3 + 1] >> 4)
        alpha = 0;
    if (!strcmp(name, "rgb_key.png") && !memcmp(rgb, sample + (5 * WIDTH + 5) * 3, 3))
        alpha = 0;
    for (int c = 0; c < 3; c++)
        out[c] = over_white(out[c], alpha);
    return true;
}

static const struct {
    const char *name;
    int depth;
} pngs[] = {{"grey_1%s.png", 1},       {"grey_2%s.png", 2},         {"grey_4%s.png", 4},
            {"grey_8%s.png", 8},       {"grey_16%s.png", 16},       {"rgb_8%s.png", 8},
            {"rgb_16%s.png", 16},      {"palette_1%s.png", 1},      {"palette_2%s.png", 2},
            {"palette_4%s.png", 4},    {"palette_8%s.png", 8},      {"palette_alpha%s.png", 4},
            {"grey_alpha_8%s.png", 8}, {"grey_alpha_16%s.png", 16}, {"rgba_8%s.png", 8},
            {"rgba_16%s.png", 16},     {"grey_key.png%.0s", 4},     {"rgb_key.png%.0s", 8}};

static void png(void)
{
    for (size_t i = 0; i < 2 * ADL_COUNT(pngs); i++) {
        char name[64];
        uint8_t want[PIXELS * 3];
        snprintf(name, sizeof name, pngs[i / 2].name, i % 2 ? "_interlaced" : "");
        formula_picture("sample", HEIGHT, WIDTH, sample);
        for (int at = 0; at < PIXELS; at++) {
            int rgb[3];
            png_pixel(name, pngs[i / 2].depth, at, rgb);
            for (int c = 0; c < 3; c++)
                want[at * 3 + c] = (uint8_t)rgb[c];
        }
        expect(name, want, 0);
    }
}

static void expect_turned(const char *name, int orientation)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct adl_image_info info;
    struct bytes file = load(name);
    TEST_OK(adl_image_decode(file.data, file.length, NULL, &image, &info, &err), &err);
    CU_ASSERT(info.orientation == orientation && image.width == HEIGHT);
    /* The stored top left pixel is at the top right (6) or bottom left (8). */
    const uint8_t *corner = image.rgb + (orientation == 6 ? HEIGHT - 1 : (WIDTH - 1) * HEIGHT) * 3;
    CU_ASSERT_EQUAL(memcmp(corner, sample, 3), 0);
    adl_image_release(&image);
    free(file.data);
}

static void webp(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    uint8_t want[PIXELS * 3];
    formula_picture("sample", HEIGHT, WIDTH, sample);
    expect("lossless.webp", sample, 0);
    expect_pillow("lossy.webp", "lossy.webp.rgb");
    expect_pillow("alpha_lossy.webp", "alpha_lossy.webp.rgb");
    for (int i = 0; i < PIXELS * 3; i++)
        want[i] = (uint8_t)over_white(sample[i], 7 * sample[i / 3 * 3] % 256);
    expect("alpha_lossless.webp", want, 0);
    struct bytes file = load("animated.webp");
    CU_ASSERT_EQUAL(decode(file, NULL, &image, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_UNSUPPORTED);
    free(file.data);
}

static void orientation_elsewhere(void)
{
    expect_turned("exif_6.png", 6);
    expect_turned("exif_8.webp", 8);
}

static const char *const each_kind[] = {
    "baseline.jpg", "progressive.jpg",  "cmyk.jpg",          "restarts.jpg",
    "grey.jpg",     "grey_1.png",       "palette_alpha.png", "rgba_16_interlaced.png",
    "exif_6.png",   "lossless.webp",    "lossy.webp",        "alpha_lossy.webp",
    "exif_8.webp",  "orientation_6.jpg"};

static void truncated_at_any_byte(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct bytes file = load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        for (size_t length = 0; length < file.length; length++) {
            uint8_t *copy = malloc(length ? length : 1);
            memcpy(copy, file.data, length);
            int result = decode((struct bytes){copy, length}, NULL, &image, &err);
            if (result == 0)
                TEST_FAIL("%s: its first %zu bytes were enough", each_kind[i], length);
            else if (err.kind != (length < 12 && !adl_image_sniff(copy, length)
                                      ? ADL_ERR_UNSUPPORTED
                                      : ADL_ERR_FORMAT))
                TEST_FAIL("%s, %zu bytes: %s", each_kind[i], length, err.message);
            adl_image_release(&image);
            free(copy);
        }
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        free(file.data);
    }
}

/* Whatever a changed byte does, nothing breaks and nothing stays behind. */
static void damaged_at_any_byte(void)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    const struct adl_decode_options options = {.max_pixels = 100000};
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct bytes file = load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        for (size_t at = 0; at < file.length * ADL_COUNT(changes); at++) {
            file.data[at / ADL_COUNT(changes)] ^= changes[at % ADL_COUNT(changes)];
            if (decode(file, &options, &image, &err) < 0)
                CU_ASSERT(err.kind != ADL_ERR_NONE && err.kind != ADL_ERR_INTERNAL &&
                          err.message[0] && !image.rgb);
            adl_image_release(&image);
            file.data[at / ADL_COUNT(changes)] ^= changes[at % ADL_COUNT(changes)];
        }
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        free(file.data);
    }
}

/* A checksum of a PNG guards even what is not needed to decode it. */
static void png_checksums(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct bytes file = load("exif_6.png");
    for (size_t at = 8; at + 12 <= file.length;) {
        size_t size = (size_t)file.data[at + 2] << 8 | file.data[at + 3];
        file.data[at + 8 + size] ^= 1;
        CU_ASSERT_EQUAL(decode(file, NULL, &image, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
        file.data[at + 8 + size] ^= 1;
        at += 12 + size;
    }
    free(file.data);
}

/* Patches the sides into a file's header. */
static void claim_sides(struct bytes file, unsigned width, unsigned height)
{
    uint8_t *p = file.data;
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
                 {"rgba_16_interlaced.png", 9999, 9999, ADL_ERR_FORMAT}};
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct bytes file = load(cases[i].name);
        claim_sides(file, cases[i].width, cases[i].height);
        uint64_t calls = adl_mem_stats().calls;
        CU_ASSERT_EQUAL(decode(file, NULL, &image, &err), -1);
        if (err.kind != cases[i].kind)
            TEST_FAIL("%s as %u x %u: %s", cases[i].name, cases[i].width, cases[i].height,
                      err.message);
        /* libspng's own few structures, but no pixels. */
        CU_ASSERT(adl_mem_stats().calls - calls < 4);
        free(file.data);
    }
}

/* A few kilobytes of compressed text that unpack to many megabytes. */
static void png_metadata_bomb(void)
{
    const struct adl_decode_options options = {.max_memory_bytes = ADL_MIB};
    struct adl_error err = {0};
    struct adl_image image;
    struct bytes file = load("rgb_8.png");
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
    CU_ASSERT_EQUAL(decode((struct bytes){bomb, file.length + packed + 15}, &options, &image, &err),
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
        struct bytes file = load(each_kind[i]);
        struct adl_decode_options options = {.max_pixels = PIXELS};
        TEST_OK(decode(file, &options, &image, &err), &err);
        adl_image_release(&image);
        options.max_pixels--;
        CU_ASSERT_EQUAL(decode(file, &options, &image, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
        free(file.data);
    }
}

/* Each allocation in turn is one too many. */
static void memory_limit(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct bytes file = load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        struct adl_decode_options options = {.max_memory_bytes = 1};
        int result;
        while ((result = decode(file, &options, &image, &err)) < 0 &&
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
static struct bytes many_scans(int scans)
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
    return (struct bytes){data, length};
}

static void jpeg_scan_limit(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct bytes file = many_scans(ADL_LIMIT_JPEG_SCANS);
    TEST_OK(decode(file, NULL, &image, &err), &err);
    adl_image_release(&image);
    free(file.data);
    file = many_scans(ADL_LIMIT_JPEG_SCANS + 1);
    CU_ASSERT_EQUAL(decode(file, NULL, &image, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    free(file.data);
}

static void encoders(void)
{
    struct adl_error err = {0};
    struct adl_image image = {WIDTH, HEIGHT, sample}, back;
    uint8_t grey[PIXELS], want[PIXELS * 3];
    void *data;
    size_t length;

    formula_picture("sample", HEIGHT, WIDTH, sample);
    TEST_OK(adl_image_encode_png(&image, &data, &length, &err), &err);
    TEST_OK(adl_image_decode(data, length, NULL, &back, NULL, &err), &err);
    compare("png", &back, sample, 0);
    adl_image_release(&back);
    adl_free(data);

    for (int i = 0; i < PIXELS; i++)
        want[3 * i] = want[3 * i + 1] = want[3 * i + 2] = grey[i] = sample[3 * i];
    TEST_OK(adl_image_encode_grey_png(grey, WIDTH, HEIGHT, &data, &length, &err), &err);
    CU_ASSERT_EQUAL(((uint8_t *)data)[25], 0); /* colour type in the header */
    TEST_OK(adl_image_decode(data, length, NULL, &back, NULL, &err), &err);
    compare("grey png", &back, want, 0);
    adl_image_release(&back);
    adl_free(data);

    TEST_OK(adl_image_encode_jpeg(&image, 100, &data, &length, &err), &err);
    TEST_OK(adl_image_decode(data, length, NULL, &back, NULL, &err), &err);
    compare("jpeg", &back, sample, 4);
    adl_image_release(&back);
    size_t at_best = length;
    adl_free(data);
    TEST_OK(adl_image_encode_jpeg(&image, 10, &data, &length, &err), &err);
    CU_ASSERT(length < at_best);
    adl_free(data);
    CU_ASSERT_EQUAL(adl_image_encode_jpeg(&image, 101, &data, &length, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static int encode_large(int kind, const struct adl_image *image, struct adl_error *err)
{
    void *data;
    size_t length;
    int result = kind == 0   ? adl_image_encode_jpeg(image, 100, &data, &length, err)
                 : kind == 1 ? adl_image_encode_png(image, &data, &length, err)
                             : adl_image_encode_grey_png(image->rgb, 200, 200, &data, &length, err);
    CU_ASSERT_EQUAL(result == 0, data != NULL);
    adl_free(data);
    return result;
}

static void out_of_memory(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < ADL_COUNT(each_kind); i++) {
        struct bytes file = load(each_kind[i]);
        size_t blocks = adl_mem_stats().live_blocks;
        int result = -1;
        for (uint64_t n = 1; result < 0 && n < 1000; n++) {
            adl_mem_fail_nth(n);
            result = decode(file, NULL, &image, &err);
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

TEST_SUITE(image, {"types are told from bytes", types_are_told_from_bytes}, {"jpeg", jpeg},
           {"jpeg orientation", jpeg_orientation}, {"jpeg at reduced scale", jpeg_at_reduced_scale},
           {"png of every kind", png}, {"webp", webp},
           {"orientation of png and webp", orientation_elsewhere},
           {"truncated at any byte", truncated_at_any_byte},
           {"damaged at any byte", damaged_at_any_byte}, {"png checksums", png_checksums},
           {"bombs", bombs}, {"png metadata bomb", png_metadata_bomb},
           {"the pixel limit is exact", pixel_limit_is_exact}, {"the memory limit", memory_limit},
           {"the jpeg scan limit", jpeg_scan_limit}, {"encoders", encoders},
           {"out of memory", out_of_memory});
