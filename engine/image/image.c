/* Pictures in memory: allocation, which decoder, orientation, network input. */

#include "image/image.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"

void adl_image_release(struct adl_image *image)
{
    adl_free(image->rgb);
    *image = (struct adl_image){0};
}

int adl_image_init(struct adl_image *image, int width, int height, struct adl_error *err)
{
    size_t pixels;

    *image = (struct adl_image){0};
    if (width < 1 || height < 1)
        return adl_fail(err, ADL_ERR_ARG, "an image cannot be %d x %d", width, height);
    if (adl_size_mul((size_t)width, (size_t)height, &pixels) < 0)
        return adl_fail_nomem(err, "an image");
    image->rgb = adl_malloc(pixels, 3);
    if (!image->rgb)
        return adl_fail(err, ADL_ERR_NOMEM, "out of memory for an image of %d x %d", width, height);
    image->width = width;
    image->height = height;
    return 0;
}

bool adl_image_named(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < ADL_COUNT(endings); i++)
        if (!strcasecmp(dot, endings[i]))
            return true;
    return false;
}

enum adl_image_type adl_image_sniff(const void *bytes, size_t length)
{
    const char *p = bytes;

    if (length >= 3 && memcmp(p, "\xff\xd8\xff", 3) == 0)
        return ADL_IMAGE_JPEG;
    if (length >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
        return ADL_IMAGE_PNG;
    if (length >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
        return ADL_IMAGE_WEBP;
    return ADL_IMAGE_UNKNOWN;
}

/* The brand of an ISO base media file (ISO/IEC 14496-12) that is a picture. */
static const char *name_of_brand(const char *brand)
{
    static const char *const brands[][2] = {
        {"avif", "AVIF"}, {"avis", "AVIF"}, {"heic", "HEIC"}, {"heix", "HEIC"}, {"heim", "HEIC"},
        {"heis", "HEIC"}, {"hevc", "HEIC"}, {"hevx", "HEIC"}, {"mif1", "HEIC"}, {"msf1", "HEIC"},
    };
    for (size_t i = 0; i < ADL_COUNT(brands); i++)
        if (!memcmp(brand, brands[i][0], 4))
            return brands[i][1];
    return NULL;
}

const char *adl_image_foreign(const void *bytes, size_t length)
{
    const char *p = bytes;

    if (length >= 6 && (!memcmp(p, "GIF87a", 6) || !memcmp(p, "GIF89a", 6)))
        return "GIF";
    /* "BM" alone is how many a text begins; four bytes further on are zero. */
    if (length >= 14 && !memcmp(p, "BM", 2) && !memcmp(p + 6, "\0\0\0\0", 4))
        return "BMP";
    if (length >= 4 && (!memcmp(p, "II*\0", 4) || !memcmp(p, "MM\0*", 4)))
        return "TIFF";
    if (length >= 12 && !memcmp(p + 4, "ftyp", 4))
        return name_of_brand(p + 8);
    return NULL;
}

int adl_codec_check_sides(size_t width, size_t height, const struct adl_decode_options *options,
                          struct adl_error *err)
{
    if (width < 1 || height < 1)
        return adl_fail(err, ADL_ERR_FORMAT, "the image has no pixels");
    if (width > ADL_LIMIT_IMAGE_SIDE || height > ADL_LIMIT_IMAGE_SIDE)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "an image of %zu x %zu pixels has a side of more than %d", width, height,
                        ADL_LIMIT_IMAGE_SIDE);
    if (width * height > options->max_pixels)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "an image of %zu x %zu pixels is over the limit of %zu pixels", width,
                        height, options->max_pixels);
    return 0;
}

int adl_codec_check_memory(size_t bytes, const struct adl_decode_options *options,
                           struct adl_error *err)
{
    if (bytes > options->max_memory_bytes)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "decoding the image would take %zu MiB of memory beside its pixels; the "
                        "limit is %zu MiB",
                        (bytes + ADL_MIB - 1) / ADL_MIB, options->max_memory_bytes / ADL_MIB);
    return 0;
}

void adl_codec_over_white(const uint8_t *rgba, size_t count, uint8_t *rgb)
{
    for (size_t i = 0; i < count; i++, rgba += 4, rgb += 3) {
        unsigned alpha = rgba[3], white = 255 * (255 - alpha) + 127;
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((rgba[c] * alpha + white) / 255);
    }
}

/* Turns the picture upright. A pixel of the result at (x, y) comes from
 * `first` + x * step_x + y * step_y of the stored one; transposing goes by
 * squares so that both sides stay in the cache. */
static int turn(struct adl_image *image, int orientation, struct adl_error *err)
{
    const bool transposed = orientation >= 5;
    const ptrdiff_t w = image->width, h = image->height;
    /* Is the source column, or row, counted from its far end? */
    const bool far_column =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool far_row =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const ptrdiff_t column = far_column ? -1 : 1, row = far_row ? -w : w;
    const ptrdiff_t first = (far_column ? w - 1 : 0) + (far_row ? (h - 1) * w : 0);
    const ptrdiff_t step_x = transposed ? row : column, step_y = transposed ? column : row;
    enum { SQUARE = 64 };
    struct adl_image turned;

    if (adl_image_init(&turned, transposed ? image->height : image->width,
                       transposed ? image->width : image->height, err) < 0)
        return -1;
    for (int y0 = 0; y0 < turned.height; y0 += SQUARE) {
        for (int x0 = 0; x0 < turned.width; x0 += SQUARE) {
            int x1 = ADL_MIN(x0 + SQUARE, turned.width), y1 = ADL_MIN(y0 + SQUARE, turned.height);
            for (int y = y0; y < y1; y++) {
                uint8_t *out = turned.rgb + ((size_t)y * (size_t)turned.width + (size_t)x0) * 3;
                const uint8_t *in = image->rgb + (first + x0 * step_x + y * step_y) * 3;
                for (int x = x0; x < x1; x++, out += 3, in += step_x * 3) {
                    out[0] = in[0];
                    out[1] = in[1];
                    out[2] = in[2];
                }
            }
        }
    }
    adl_image_release(image);
    *image = turned;
    return 0;
}

static int decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                  struct adl_image *image, struct adl_image_info *info, struct adl_error *err)
{
    switch (info->type) {
    case ADL_IMAGE_JPEG: return adl_jpeg_decode(bytes, length, options, image, info, err);
    case ADL_IMAGE_PNG: return adl_png_decode(bytes, length, options, image, info, err);
    case ADL_IMAGE_WEBP: return adl_webp_decode(bytes, length, options, image, info, err);
    case ADL_IMAGE_UNKNOWN: break;
    }
    const char *foreign = adl_image_foreign(bytes, length);
    if (foreign)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "a %s image; JPEG, PNG and WebP are read",
                        foreign);
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "not a JPEG, PNG or WebP image");
}

int adl_image_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                     struct adl_image *image, struct adl_image_info *info, struct adl_error *err)
{
    struct adl_decode_options with_defaults = options ? *options : (struct adl_decode_options){0};
    struct adl_image_info found = {.type = adl_image_sniff(bytes, length), .orientation = 1};
    int result = -1;

    *image = (struct adl_image){0};
    if (!with_defaults.max_pixels)
        with_defaults.max_pixels = ADL_LIMIT_IMAGE_PIXELS;
    if (!with_defaults.max_memory_bytes)
        with_defaults.max_memory_bytes = ADL_LIMIT_DECODE_BYTES;
    ADL_TRY(decode(bytes, length, &with_defaults, image, &found, err));
    if (with_defaults.ignore_orientation)
        found.orientation = 1;
    if (found.orientation > 1) {
        size_t copy = (size_t)image->width * (size_t)image->height * 3;
        ADL_TRY(adl_codec_check_memory(copy, &with_defaults, err));
        ADL_TRY(turn(image, found.orientation, err));
    }
    if (found.orientation >= 5) {
        int width = found.width;
        found.width = found.height;
        found.height = width;
    }
    if (info)
        *info = found;
    result = 0;
out:
    if (result < 0)
        adl_image_release(image);
    return result;
}

void adl_image_to_input(const struct adl_image *image, const float mean[3], const float std[3],
                        float *out)
{
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    const uint8_t *rgb = image->rgb;
    float table[3][256];

    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            table[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
    for (size_t i = 0; i < pixels; i++, rgb += 3, out += 3) {
        out[0] = table[0][rgb[0]];
        out[1] = table[1][rgb[1]];
        out[2] = table[2][rgb[2]];
    }
}
