/* image/: decoders and encoders. The expected pixels of each file come from the formula that
 * drew it or from Pillow; see tests/golden/images/README.md. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "io/file.h"
#include "support/formula.h"
#include "support/image_bytes.h"

enum { TOLERANCE = 2 };

/* The image that the golden files show. */
static uint8_t *sample(void)
{
    static uint8_t rgb[IMAGE_PIXELS * 3];
    formula_picture("sample", IMAGE_HEIGHT, IMAGE_WIDTH, rgb);
    return rgb;
}

static void compare(const char *name, const struct adl_image *image, const uint8_t *want,
                    int tolerance)
{
    if (!image->rgb || image->width != IMAGE_WIDTH || image->height != IMAGE_HEIGHT) {
        TEST_FAIL("%s: %d x %d", name, image->width, image->height);
        return;
    }
    for (int i = 0; i < IMAGE_PIXELS * 3; i++) {
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
    struct image_bytes file = image_bytes_load(name);
    int result = image_bytes_decode(file, NULL, &image, &err);
    if (result < 0)
        TEST_FAIL("%s: %s", name, err.message);
    else
        compare(name, &image, want, tolerance);
    adl_image_release(&image);
    free(file.data);
}

static void expect_pillow(const char *name, const char *rgb_name)
{
    struct image_bytes rgb = image_bytes_load(rgb_name);
    CU_ASSERT_EQUAL(rgb.length, IMAGE_PIXELS * 3);
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
    CU_ASSERT_EQUAL(adl_image_sniff("GIF87a", 6), ADL_IMAGE_GIF);
    CU_ASSERT_EQUAL(adl_image_sniff("GIF89a", 6), ADL_IMAGE_GIF);
    CU_ASSERT_EQUAL(adl_image_sniff("GIF88a", 6), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("BM....\0\0\0\0....", 14), ADL_IMAGE_BMP);
    CU_ASSERT_EQUAL(adl_image_sniff("II*\0", 4), ADL_IMAGE_TIFF);
    CU_ASSERT_EQUAL(adl_image_sniff("MM\0*", 4), ADL_IMAGE_TIFF);
    CU_ASSERT_EQUAL(adl_image_sniff("MM*\0", 4), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("....ftypheic..", 14), ADL_IMAGE_HEIF);
    CU_ASSERT_EQUAL(adl_image_sniff("....ftypavif..", 14), ADL_IMAGE_HEIF);
    CU_ASSERT_EQUAL(adl_image_sniff("....ftypmp42..", 14), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("BMW and others", 14), ADL_IMAGE_UNKNOWN);
    CU_ASSERT_EQUAL(adl_image_sniff("", 0), ADL_IMAGE_UNKNOWN);
    static const struct {
        const char *bytes, *name;
    } foreign[] = {
        {"GIF89a........", NULL},
        {"BM....\0\0\0\0....", NULL},
        {"\xff\x0a............", "JPEG XL"},
        {"8BPS..........", "Photoshop"},
        {"II+\0..........", "BigTIFF"},
        {"....ftypmp42..", NULL},
        {"BMW and others", NULL},
        {"\xff\xd8\xff...........", NULL},
    };
    for (size_t i = 0; i < ADL_COUNT(foreign); i++) {
        const char *name = adl_image_foreign(foreign[i].bytes, 14);
        CU_ASSERT(name == foreign[i].name ||
                  (name && foreign[i].name && !strcmp(name, foreign[i].name)));
        CU_ASSERT_PTR_NULL(adl_image_foreign(foreign[i].bytes, 1));
    }

    static const struct image_bytes others[] = {{(uint8_t *)"", 0}, {(uint8_t *)"8BPS\1\0\1", 7}};
    struct adl_error err = {0};
    struct adl_image image;
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(image_bytes_decode(others[i], NULL, &image, &err), -1);
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

/* Every row of the EXIF specification's table: the sides of the displayed image on which the
 * first stored row and the first stored column are. */
static void jpeg_orientation(void)
{
    static const char *const sides[] = {NULL,           "top left",     "top right",
                                        "bottom right", "bottom left",  "left top",
                                        "right top",    "right bottom", "left bottom"};
    struct image_bytes upright = image_bytes_load("baseline.jpg.rgb");
    for (int o = 1; o <= 8; o++) {
        char name[64], row_side[8], column_side[8];
        struct adl_error err = {0};
        struct adl_image image;
        struct adl_image_info info;
        snprintf(name, sizeof name, "orientation_%d.jpg", o);
        sscanf(sides[o], "%7s %7s", row_side, column_side);
        const bool swapped = o >= 5;
        const int w = swapped ? IMAGE_HEIGHT : IMAGE_WIDTH,
                  h = swapped ? IMAGE_WIDTH : IMAGE_HEIGHT;
        struct image_bytes file = image_bytes_load(name);
        TEST_OK(adl_image_decode(file.data, file.length, NULL, &image, &info, &err), &err);
        CU_ASSERT_EQUAL(info.orientation, o);
        CU_ASSERT(info.width == w && info.height == h && image.width == w && image.height == h);
        int wrong = 0;
        for (int row = 0; row < IMAGE_HEIGHT; row++) {
            for (int column = 0; column < IMAGE_WIDTH; column++) {
                int x = swapped ? row : column, y = swapped ? column : row;
                if (!strcmp(row_side, "bottom") || !strcmp(column_side, "bottom"))
                    y = h - 1 - y;
                if (!strcmp(row_side, "right") || !strcmp(column_side, "right"))
                    x = w - 1 - x;
                for (int c = 0; c < 3; c++)
                    wrong += abs(image.rgb[(y * w + x) * 3 + c] -
                                 upright.data[(row * IMAGE_WIDTH + column) * 3 + c]) > TOLERANCE;
            }
        }
        if (wrong)
            TEST_FAIL("%s: %d bytes are wrong", name, wrong);
        adl_image_release(&image);

        const struct adl_decode_options as_stored = {.ignore_orientation = true};
        TEST_OK(adl_image_decode(file.data, file.length, &as_stored, &image, &info, &err), &err);
        CU_ASSERT(info.orientation == 1 && info.width == IMAGE_WIDTH);
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
        struct image_bytes file = image_bytes_load(cases[i].name);
        double mean = 0, whole = 0;
        TEST_OK(adl_image_decode(file.data, file.length, &options, &image, &info, &err), &err);
        if (image.width != cases[i].w || image.height != cases[i].h)
            TEST_FAIL("%s for %d x %d: %d x %d", cases[i].name, cases[i].target_w,
                      cases[i].target_h, image.width, image.height);
        CU_ASSERT_EQUAL(info.width * info.height, IMAGE_PIXELS);
        CU_ASSERT_EQUAL(info.orientation, cases[i].name[0] == 'o' ? 6 : 1);
        for (int k = 0; k < image.width * image.height * 3; k++)
            mean += image.rgb[k];
        for (int k = 0; k < IMAGE_PIXELS * 3; k++)
            whole += sample()[k];
        CU_ASSERT_DOUBLE_EQUAL(mean / (image.width * image.height), whole / IMAGE_PIXELS, 20);
        adl_image_release(&image);
        free(file.data);
    }
}

/* 20 log10(255 / root mean square difference), in dB. */
static double psnr(const struct adl_image *a, const struct adl_image *b)
{
    double sum = 0;
    int values = a->width * a->height * 3;
    for (int i = 0; i < values; i++)
        sum += (a->rgb[i] - b->rgb[i]) * (a->rgb[i] - b->rgb[i]);
    return 10 * log10(255.0 * 255.0 * values / (sum + 1e-9));
}

/* Resized to the target, an image that was reduced first is the exact one within a bound: what
 * another compression at high quality changes. Drawings have more sharp edges than
 * photographs. */
static void jpeg_reduced_and_aligned(void)
{
    static const struct {
        const char *path;
        int target, w, h;
    } cases[] = {
        {"web/examples/starfish.jpg", 100, 240, 200},
        {"web/examples/starfish.jpg", 101, 480, 400},
        {"web/examples/starfish.jpg", 50, 120, 100},
        {"web/examples/starfish.jpg", 25, 60, 50},
        {"web/examples/umbrella.jpg", 105, 210, 210},
        {"web/examples/umbrella.jpg", 20, 105, 105},
        {"web/examples/yin_yang.jpg", 85, 230, 170},
        {"web/examples/yin_yang.jpg", 9, 115, 85},
        {"tests/browser/picture.jpg", 40, 80, 120},
        {"tests/browser/picture.jpg", 10, 20, 30},
        {"tests/golden/images/baseline.jpg", 1, 27, 19},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        const int side = cases[i].target;
        const struct adl_decode_options how = {
            .target_width = side, .target_height = side, .aligned = true};
        struct adl_error err = {0};
        struct adl_image exact, reduced, a, b;
        size_t length;
        void *bytes = adl_file_read(cases[i].path, 1 << 20, &length, &err);
        TEST_OK(bytes ? 0 : -1, &err);
        TEST_OK(adl_image_decode(bytes, length, NULL, &exact, NULL, &err), &err);
        TEST_OK(adl_image_decode(bytes, length, &how, &reduced, NULL, &err), &err);
        CU_ASSERT_EQUAL(reduced.width, cases[i].w);
        CU_ASSERT_EQUAL(reduced.height, cases[i].h);
        TEST_OK(adl_image_resize(&exact, side, side, &a, &err), &err);
        TEST_OK(adl_image_resize(&reduced, side, side, &b, &err), &err);
        double likeness = psnr(&a, &b);
        if (!(likeness >= 35))
            TEST_FAIL("%s at %d: %.1f dB", cases[i].path, side, likeness);
        adl_image_release(&exact);
        adl_image_release(&reduced);
        adl_image_release(&a);
        adl_image_release(&b);
        adl_free(bytes);
    }
}

static int over_white(int value, int alpha)
{
    return (int)floor((value * alpha + 255.0 * (255 - alpha)) / 255 + 0.5);
}

/* The pixel `at` of a PNG of this name according to the README. */
static bool png_pixel(const char *name, int depth, int at, int out[3])
{
    const uint8_t *rgb = sample() + (size_t)at * 3;
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
    if (!strcmp(name, "grey_key.png") && high == sample()[(3 * IMAGE_WIDTH + 3) * 3 + 1] >> 4)
        alpha = 0;
    if (!strcmp(name, "rgb_key.png") && !memcmp(rgb, sample() + (5 * IMAGE_WIDTH + 5) * 3, 3))
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
        uint8_t want[IMAGE_PIXELS * 3];
        snprintf(name, sizeof name, pngs[i / 2].name, i % 2 ? "_interlaced" : "");
        for (int at = 0; at < IMAGE_PIXELS; at++) {
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
    struct image_bytes file = image_bytes_load(name);
    TEST_OK(adl_image_decode(file.data, file.length, NULL, &image, &info, &err), &err);
    CU_ASSERT(info.orientation == orientation && image.width == IMAGE_HEIGHT);
    /* The stored top left pixel is at the top right (6) or bottom left (8). */
    const uint8_t *corner =
        image.rgb + (orientation == 6 ? IMAGE_HEIGHT - 1 : (IMAGE_WIDTH - 1) * IMAGE_HEIGHT) * 3;
    CU_ASSERT_EQUAL(memcmp(corner, sample(), 3), 0);
    adl_image_release(&image);
    free(file.data);
}

static void webp(void)
{
    uint8_t want[IMAGE_PIXELS * 3];
    expect("lossless.webp", sample(), 0);
    expect_pillow("lossy.webp", "lossy.webp.rgb");
    expect_pillow("alpha_lossy.webp", "alpha_lossy.webp.rgb");
    for (int i = 0; i < IMAGE_PIXELS * 3; i++)
        want[i] = (uint8_t)over_white(sample()[i], 7 * sample()[i / 3 * 3] % 256);
    expect("alpha_lossless.webp", want, 0);
}

/* The first frame of an animation, also where it covers a part of the canvas only: the rest is
 * transparent, which becomes white. */
static void first_frame_of_webp(void)
{
    enum { SIDE = 40, LEFT = 12, TOP = 20 };
    struct adl_error err = {0};
    struct adl_image image;
    expect("animated.webp", sample(), 0);
    struct image_bytes file = image_bytes_load("animated.webp");
    /* The canvas in VP8X, sides minus one, and the place of the frame in ANMF, halved. */
    file.data[24] = file.data[27] = SIDE - 1;
    file.data[52] = LEFT / 2;
    file.data[55] = TOP / 2;
    TEST_OK(image_bytes_decode(file, NULL, &image, &err), &err);
    CU_ASSERT_FATAL(image.rgb && image.width == SIDE && image.height == SIDE);
    int wrong = 0;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE * 3; x++) {
            int column = x - LEFT * 3, row = y - TOP;
            bool inside = column >= 0 && column < IMAGE_WIDTH * 3 && row >= 0 && row < IMAGE_HEIGHT;
            int want = inside ? sample()[row * IMAGE_WIDTH * 3 + column] : 255;
            wrong += image.rgb[y * SIDE * 3 + x] != want;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    adl_image_release(&image);
    file.data[52] = SIDE; /* over the edge */
    CU_ASSERT_EQUAL(image_bytes_decode(file, NULL, &image, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    free(file.data);
}

/* The same coefficients with arithmetic instead of Huffman coding are the same pixels. */
static struct image_bytes with_arithmetic_coding(struct image_bytes file)
{
    struct jpeg_decompress_struct in;
    struct jpeg_compress_struct out;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long length = 0;

    in.err = out.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&in);
    jpeg_create_compress(&out);
    jpeg_mem_src(&in, file.data, file.length);
    jpeg_mem_dest(&out, &data, &length);
    jpeg_read_header(&in, TRUE);
    jvirt_barray_ptr *coefficients = jpeg_read_coefficients(&in);
    jpeg_copy_critical_parameters(&in, &out);
    out.arith_code = TRUE;
    jpeg_write_coefficients(&out, coefficients);
    jpeg_finish_compress(&out);
    jpeg_finish_decompress(&in);
    jpeg_destroy_compress(&out);
    jpeg_destroy_decompress(&in);
    return (struct image_bytes){data, length};
}

static void arithmetic_jpeg(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct image_bytes huffman = image_bytes_load("baseline.jpg");
    struct image_bytes file = with_arithmetic_coding(huffman), want;
    want = image_bytes_load("baseline.jpg.rgb");
    TEST_OK(image_bytes_decode(file, NULL, &image, &err), &err);
    compare("arithmetic", &image, want.data, TOLERANCE);
    adl_image_release(&image);
    size_t whole = file.length;
    for (file.length = 0; file.length < whole; file.length++)
        CU_ASSERT_EQUAL(image_bytes_decode(file, NULL, &image, &err), -1);
    free(huffman.data);
    free(file.data);
    free(want.data);
}

static void orientation_elsewhere(void)
{
    expect_turned("exif_6.png", 6);
    expect_turned("exif_8.webp", 8);
}

static void encoders(void)
{
    struct adl_error err = {0};
    struct adl_image image = {IMAGE_WIDTH, IMAGE_HEIGHT, sample()}, back;
    uint8_t grey[IMAGE_PIXELS], want[IMAGE_PIXELS * 3];
    void *data;
    size_t length;

    TEST_OK(adl_image_encode_png(&image, &data, &length, &err), &err);
    TEST_OK(adl_image_decode(data, length, NULL, &back, NULL, &err), &err);
    compare("png", &back, sample(), 0);
    adl_image_release(&back);
    adl_free(data);

    for (int i = 0; i < IMAGE_PIXELS; i++)
        want[3 * i] = want[3 * i + 1] = want[3 * i + 2] = grey[i] = sample()[3 * i];
    TEST_OK(adl_image_encode_grey_png(grey, IMAGE_WIDTH, IMAGE_HEIGHT, NULL, &data, &length, &err),
            &err);
    CU_ASSERT_EQUAL(((uint8_t *)data)[25], 0); /* colour type in the header */
    TEST_OK(adl_image_decode(data, length, NULL, &back, NULL, &err), &err);
    compare("grey png", &back, want, 0);
    adl_image_release(&back);
    adl_free(data);

    TEST_OK(adl_image_encode_jpeg(&image, 100, &data, &length, &err), &err);
    TEST_OK(adl_image_decode(data, length, NULL, &back, NULL, &err), &err);
    compare("jpeg", &back, sample(), 4);
    adl_image_release(&back);
    size_t at_best = length;
    adl_free(data);
    TEST_OK(adl_image_encode_jpeg(&image, 10, &data, &length, &err), &err);
    CU_ASSERT(length < at_best);
    adl_free(data);
    CU_ASSERT_EQUAL(adl_image_encode_jpeg(&image, 101, &data, &length, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

/* Fills a golden picture with what the README says of a kind of PNG. */
static const uint8_t *like_png(const char *kind, int depth)
{
    static uint8_t want[IMAGE_PIXELS * 3];
    for (int at = 0; at < IMAGE_PIXELS; at++) {
        int rgb[3];
        png_pixel(kind, depth, at, rgb);
        for (int c = 0; c < 3; c++)
            want[at * 3 + c] = (uint8_t)rgb[c];
    }
    return want;
}

static void bmp(void)
{
    expect("rgb_24.bmp", sample(), 0);
    expect("core_24.bmp", sample(), 0);
    expect("rgb_32_top_down.bmp", sample(), 0);
    expect("rgb_10.bmp", sample(), 0);
    expect_pillow("rgb_16.bmp", "rgb_16.bmp.rgb");
    expect_pillow("rgb_565.bmp", "rgb_565.bmp.rgb");
    expect("palette_1.bmp", like_png("palette", 1), 0);
    expect("palette_4.bmp", like_png("palette", 4), 0);
    expect("palette_8.bmp", like_png("palette", 8), 0);
    expect("rle4.bmp", like_png("palette", 4), 0);
    expect("rle8.bmp", like_png("palette", 3), 0);
    expect("rgba_v4.bmp", like_png("rgba", 8), 0);
    expect("rgba_v5.bmp", like_png("rgba", 8), 0);
}

/* A compressed BMP may step over pixels, which then have the first colour. */
static void bmp_steps(void)
{
    uint8_t want[IMAGE_PIXELS * 3];
    for (int at = 0; at < IMAGE_PIXELS; at++) {
        const int x = at % IMAGE_WIDTH, y = at / IMAGE_WIDTH;
        const int index = y != IMAGE_HEIGHT - 3 ? 0 : x == 5 ? 3 : (x == 10 || x == 11) ? 6 : 0;
        for (int c = 0; c < 3; c++)
            want[at * 3 + c] = (uint8_t)((3 * index + c) * 97 + 13);
    }
    expect("rle8_steps.bmp", want, 0);
}

static void gif(void)
{
    expect_pillow("palette.gif", "palette.gif.rgb");
    expect_pillow("interlaced.gif", "palette.gif.rgb");
    expect_pillow("animated.gif", "palette.gif.rgb");
    expect_pillow("transparent.gif", "transparent.gif.rgb");
}

/* Loads and decodes a golden GIF of any size. */
static struct adl_image decode_gif(const char *name)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct image_bytes file = image_bytes_load(name);
    TEST_OK(image_bytes_decode(file, NULL, &image, &err), &err);
    free(file.data);
    return image;
}

/* The frame of transparent.gif, 3 to the right and 2 down on a larger canvas: white around it. */
static void gif_frame_on_a_canvas(void)
{
    struct adl_image image = decode_gif("offset.gif");
    struct image_bytes rgb = image_bytes_load("transparent.gif.rgb");
    int wrong = 0;
    CU_ASSERT_FATAL(image.width == IMAGE_WIDTH + 7 && image.height == IMAGE_HEIGHT + 5);
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++) {
            const bool inside = x >= 3 && x < 3 + IMAGE_WIDTH && y >= 2 && y < 2 + IMAGE_HEIGHT;
            const uint8_t white[] = {255, 255, 255};
            wrong +=
                memcmp(image.rgb + (y * image.width + x) * 3,
                       inside ? rgb.data + ((y - 2) * IMAGE_WIDTH + x - 3) * 3 : white, 3) != 0;
        }
    CU_ASSERT_EQUAL(wrong, 0);
    adl_image_release(&image);
    free(rgb.data);
}

/* Noise of four greys, which fills the table of codes. */
static void gif_of_many_codes(void)
{
    struct adl_image image = decode_gif("noise.gif");
    int wrong = 0;
    CU_ASSERT_FATAL(image.width == 160 && image.height == 120);
    for (int i = 0; i < 160 * 120 * 3; i++)
        wrong += image.rgb[i] != 85 * (formula_z("gif noise", (uint64_t)i / 3) >> 62);
    CU_ASSERT_EQUAL(wrong, 0);
    adl_image_release(&image);
}

/* Strips and tiles, either order of bytes, planes, and every compression that is read. */
static void tiff(void)
{
    static const char *const same[] = {"rgb_lzw.tif", "rgb_deflate_strips.tif",
                                       "rgb_big_endian.tif", "rgb_planes.tif", "rgb_tiles.tif"};
    static const char *const other[] = {"rgba.tif", "palette.tif", "grey_16.tif", "bilevel_g4.tif",
                                        "jpeg.tif"};
    for (size_t i = 0; i < ADL_COUNT(same); i++)
        expect(same[i], sample(), 0);
    expect("cmyk.tif", sample(), 0);
    for (size_t i = 0; i < ADL_COUNT(other); i++) {
        char rgb_name[64];
        snprintf(rgb_name, sizeof rgb_name, "%s.rgb", other[i]);
        expect_pillow(other[i], rgb_name);
    }
    expect_turned("orientation_6.tif", 6);
}

/* Encoded without loss but for the rounding of its steps. */
static void avif_and_heic(void)
{
    expect("lossless.avif", sample(), 1);
    expect("lossless.heic", sample(), 1);
    expect("alpha.avif", like_png("rgba", 8), 1);
}

/* A quarter of a turn clockwise, by a property and not by EXIF. */
static void avif_turned(void)
{
    struct adl_error err = {0};
    struct adl_image image;
    struct adl_image_info info;
    struct image_bytes file = image_bytes_load("turned.avif");
    int wrong = 0;
    TEST_OK(adl_image_decode(file.data, file.length, NULL, &image, &info, &err), &err);
    CU_ASSERT(info.orientation == 1 && image.width == IMAGE_HEIGHT && image.height == IMAGE_WIDTH);
    for (int y = 0; image.rgb && y < image.height; y++)
        for (int x = 0; x < image.width; x++)
            for (int c = 0; c < 3; c++)
                wrong += abs(image.rgb[(y * image.width + x) * 3 + c] -
                             sample()[((IMAGE_HEIGHT - 1 - x) * IMAGE_WIDTH + y) * 3 + c]) > 1;
    CU_ASSERT_EQUAL(wrong, 0);
    adl_image_release(&image);
    free(file.data);
}

TEST_SUITE(image, {"avif and heic", avif_and_heic}, {"avif turned", avif_turned}, {"tiff", tiff},
           {"bmp", bmp}, {"bmp with steps", bmp_steps}, {"gif", gif},
           {"gif frame on a canvas", gif_frame_on_a_canvas},
           {"gif of many codes", gif_of_many_codes},
           {"types are told from bytes", types_are_told_from_bytes}, {"jpeg", jpeg},
           {"jpeg orientation", jpeg_orientation}, {"jpeg at reduced scale", jpeg_at_reduced_scale},
           {"aligned JPEGs are reduced within a bound", jpeg_reduced_and_aligned},
           {"png of every kind", png}, {"webp", webp}, {"first frame of webp", first_frame_of_webp},
           {"arithmetic jpeg", arithmetic_jpeg},
           {"orientation of png and webp", orientation_elsewhere}, {"encoders", encoders});
