/* Limits and compositing that the decoders share. */

#include "image/codec.h"

#include <string.h>

#include "base/limits.h"
#include "base/size.h"

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
                        "decoding the image would take %zu MiB of memory besides its pixels; the "
                        "limit is %zu MiB",
                        (bytes + ADL_MIB - 1) / ADL_MIB, options->max_memory_bytes / ADL_MIB);
    return 0;
}

int adl_codec_put_rows(const struct adl_image *image, struct adl_row_target *target,
                       struct adl_error *err)
{
    const size_t row_bytes = 3 * (size_t)image->width;

    for (int y = 0; y < image->height; y++) {
        memcpy(target->line(target, y), image->rgb + (size_t)y * row_bytes, row_bytes);
        if (target->row(target, y, err) < 0)
            return -1;
    }
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
