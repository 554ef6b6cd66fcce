/* Decodes WebP with libwebp: still images and the first frame of animations, lossy and
 * lossless, alpha over white. libwebp has no allocator hooks, so its memory is bounded in
 * advance from the header (memory_needed).
 *
 * An animation (WebP Container Specification, "Animation") has a chunk ANMF for each frame: 3
 * bytes each for X / 2, Y / 2, width - 1, height - 1 and the duration, a byte of flags, and
 * then the chunks of a still image, which libwebp decodes without a RIFF header. The part of
 * the canvas that the first frame does not cover is transparent, and therefore white here. */

#include <string.h>
#include <webp/decode.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"
#include "image/exif.h"

#define RIFF_HEADER_BYTES 12
#define CHUNK_HEADER_BYTES 8
#define FRAME_HEADER_BYTES 16
/* libwebp's rows, caches and tables, which do not grow with the area. */
#define FIXED_BYTES (256 * ADL_KIB)
#define BYTES_PER_COLUMN 256

static size_t little_endian_32(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static size_t little_endian_24(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
}

static int fail_status(VP8StatusCode status, struct adl_error *err)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return adl_fail_nomem(err, "a WebP image");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "the WebP image uses an unknown feature");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return adl_fail(err, ADL_ERR_FORMAT, "the WebP image is truncated");
    default: return adl_fail(err, ADL_ERR_FORMAT, "the WebP image is corrupt");
    }
}

/* Returns the content of the first chunk of a kind in the RIFF file, or NULL if there is
 * none. *size is the length of the content, as far as the file contains it. `length` has been
 * checked to be at least what the header declares. */
static const uint8_t *find_chunk(const uint8_t *bytes, size_t length, const char *kind,
                                 size_t *size)
{
    size_t offset = RIFF_HEADER_BYTES;
    while (length - offset >= CHUNK_HEADER_BYTES) {
        size_t declared = little_endian_32(bytes + offset + 4);
        size_t available = length - offset - CHUNK_HEADER_BYTES;
        if (memcmp(bytes + offset, kind, 4) == 0) {
            *size = ADL_MIN(declared, available);
            return bytes + offset + CHUNK_HEADER_BYTES;
        }
        declared += declared & 1; /* chunks are padded to even lengths */
        if (declared >= available)
            break;
        offset += CHUNK_HEADER_BYTES + declared;
    }
    return NULL;
}

static int find_orientation(const uint8_t *bytes, size_t length)
{
    size_t size;
    const uint8_t *exif = find_chunk(bytes, length, "EXIF", &size);
    return exif ? adl_exif_orientation(exif, size) : 1;
}

/* Returns an upper bound of the memory that libwebp and the alpha channel take besides the
 * pixels, not counting the prefix codes of a lossless file. */
static size_t memory_needed(const WebPBitstreamFeatures *features)
{
    const size_t pixels = (size_t)features->width * (size_t)features->height;
    const bool lossless = features->format != 1;
    size_t per_pixel = lossless ? 4 : 0;
    if (features->has_alpha)
        per_pixel += lossless ? 4 : 6;
    return pixels * per_pixel + (size_t)features->width * BYTES_PER_COLUMN + FIXED_BYTES;
}

static bool is_webp(const uint8_t *bytes, size_t length)
{
    return length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

/* Decodes a still image, with or without the header of the file, into an image of its sides. */
static int decode_still(const void *bytes, size_t length, const struct adl_decode_options *options,
                        struct adl_image *image, struct adl_error *err)
{
    WebPDecoderConfig config;
    WebPBitstreamFeatures *features = &config.input;
    uint8_t *rgba = NULL;
    int result = -1;

    if (!WebPInitDecoderConfig(&config))
        return adl_fail(err, ADL_ERR_INTERNAL, "libwebp has another version than its headers");
    VP8StatusCode status = WebPGetFeatures(bytes, length, features);
    if (status != VP8_STATUS_OK)
        return fail_status(status, err);
    if (features->width < 1 || features->height < 1 || features->has_animation)
        return fail_status(VP8_STATUS_BITSTREAM_ERROR, err);
    if (features->width != image->width || features->height != image->height)
        return fail_status(VP8_STATUS_BITSTREAM_ERROR, err);
    ADL_TRY(adl_codec_check_memory(memory_needed(features), options, err));

    const size_t pixels = (size_t)image->width * (size_t)image->height;
    const int channels = features->has_alpha ? 4 : 3;
    if (features->has_alpha) {
        rgba = adl_malloc(pixels, 4);
        if (!rgba) {
            adl_fail_nomem(err, "an image with transparency");
            goto out;
        }
    }
    /* Without alpha, libwebp decodes straight into the image. */
    config.output.colorspace = features->has_alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = rgba ? rgba : image->rgb;
    config.output.u.RGBA.stride = image->width * channels;
    config.output.u.RGBA.size = pixels * (size_t)channels;
    status = WebPDecode(bytes, length, &config);
    WebPFreeDecBuffer(&config.output);
    if (status != VP8_STATUS_OK) {
        fail_status(status, err);
        goto out;
    }
    if (rgba)
        adl_codec_over_white(rgba, pixels, image->rgb);
    result = 0;
out:
    adl_free(rgba);
    return result;
}

/* Makes the image a white canvas and puts the first frame of the animation on it. */
static int decode_first_frame(const uint8_t *bytes, size_t length,
                              const struct adl_decode_options *options, struct adl_image *image,
                              struct adl_error *err)
{
    size_t size;
    const uint8_t *frame = find_chunk(bytes, length, "ANMF", &size);
    struct adl_image still = {0};
    int result = -1;

    if (!frame || size < FRAME_HEADER_BYTES)
        return fail_status(VP8_STATUS_BITSTREAM_ERROR, err);
    const size_t x = 2 * little_endian_24(frame), y = 2 * little_endian_24(frame + 3);
    const size_t w = little_endian_24(frame + 6) + 1, h = little_endian_24(frame + 9) + 1;
    const size_t width = (size_t)image->width;
    if (x + w > width || y + h > (size_t)image->height)
        return fail_status(VP8_STATUS_BITSTREAM_ERROR, err);
    /* The frame's pixels come on top of what decoding it needs. */
    struct adl_decode_options rest = *options;
    ADL_TRY(adl_codec_check_memory(w * h * 3, options, err));
    rest.max_memory_bytes -= w * h * 3;
    ADL_TRY(adl_image_init(&still, (int)w, (int)h, err));
    ADL_TRY(
        decode_still(frame + FRAME_HEADER_BYTES, size - FRAME_HEADER_BYTES, &rest, &still, err));
    memset(image->rgb, 255, width * (size_t)image->height * 3);
    for (size_t row = 0; row < h; row++)
        memcpy(image->rgb + ((y + row) * width + x) * 3, still.rgb + row * w * 3, w * 3);
    result = 0;
out:
    adl_image_release(&still);
    return result;
}

/* Checks what libwebp would not notice: that metadata after the pixels were cut off. */
static int read_features(const uint8_t *bytes, size_t length, WebPBitstreamFeatures *features,
                         struct adl_error *err)
{
    if (little_endian_32(bytes + 4) > length - 8)
        return fail_status(VP8_STATUS_NOT_ENOUGH_DATA, err);
    VP8StatusCode status = WebPGetFeatures(bytes, length, features);
    return status == VP8_STATUS_OK ? 0 : fail_status(status, err);
}

/* libwebp hands out no rows, so the image is decoded as a whole, into the target's memory if that
 * takes it whole. */
static int decode_webp(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_row_target *target, struct adl_image_info *info,
                       struct adl_error *err)
{
    WebPBitstreamFeatures features;
    struct adl_image image = {0};
    int result = -1;

    if (read_features(bytes, length, &features, err) < 0)
        return -1;
    info->width = features.width;
    info->height = features.height;
    info->orientation = options->ignore_orientation ? 1 : find_orientation(bytes, length);
    if (features.width < 1 || features.height < 1)
        return fail_status(VP8_STATUS_BITSTREAM_ERROR, err);
    ADL_TRY(adl_codec_check_sides((size_t)features.width, (size_t)features.height, options, err));
    if (!features.has_animation)
        ADL_TRY(adl_codec_check_memory(memory_needed(&features), options, err));
    if (target->whole) {
        ADL_TRY(target->begin(target, info, features.width, features.height, err));
        image = (struct adl_image){features.width, features.height, target->line(target, 0)};
    } else {
        ADL_TRY(adl_image_init(&image, features.width, features.height, err));
    }
    ADL_TRY(features.has_animation ? decode_first_frame(bytes, length, options, &image, err)
                                   : decode_still(bytes, length, options, &image, err));
    if (!target->whole) {
        ADL_TRY(target->begin(target, info, features.width, features.height, err));
        ADL_TRY(adl_codec_put_rows(&image, target, err));
    }
    result = 0;
out:
    if (!target->whole)
        adl_image_release(&image);
    return result;
}

static int examine_webp(const void *bytes, size_t length, const struct adl_decode_options *options,
                        struct adl_codec_needs *needs, struct adl_error *err)
{
    WebPBitstreamFeatures features;
    const size_t pixels_bytes = 3;

    if (read_features(bytes, length, &features, err) < 0)
        return -1;
    if (adl_codec_check_sides((size_t)features.width, (size_t)features.height, options, err) < 0)
        return -1;
    needs->width = features.width;
    needs->height = features.height;
    needs->orientation = options->ignore_orientation ? 1 : find_orientation(bytes, length);
    needs->whole = true;
    needs->bytes = memory_needed(&features);
    if (features.has_animation) /* of the first frame, which is at most the canvas */
        needs->bytes += (pixels_bytes + 4 + 4) * (size_t)features.width * (size_t)features.height;
    needs->ns_per_pixel = 15;
    return 0;
}

const struct adl_codec adl_codec_webp = {ADL_IMAGE_WEBP, is_webp, decode_webp, examine_webp, NULL};
