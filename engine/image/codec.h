#ifndef ADL_IMAGE_CODEC_H
#define ADL_IMAGE_CODEC_H

/* Between image.c and the file formats; nobody else includes this. */

#include "image/image.h"

/* Decoders. `options` come with every default filled in. They fill in the
 * whole of `info` as stored, before orientation, after its type; image.c turns
 * the pixels and swaps the sides. On failure image.c releases `image`. */
int adl_jpeg_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                    struct adl_image *image, struct adl_image_info *info,
                    struct adl_error *err) ADL_MUST_CHECK;
int adl_png_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                   struct adl_image *image, struct adl_image_info *info,
                   struct adl_error *err) ADL_MUST_CHECK;
int adl_webp_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                    struct adl_image *image, struct adl_image_info *info,
                    struct adl_error *err) ADL_MUST_CHECK;

/* LIMIT when a picture of these sides has too many pixels. To be called with
 * the header's numbers, before anything is allocated from them. */
int adl_codec_check_sides(size_t width, size_t height, const struct adl_decode_options *options,
                          struct adl_error *err) ADL_MUST_CHECK;

/* LIMIT when decoding would take more than options->max_memory_bytes. */
int adl_codec_check_memory(size_t bytes, const struct adl_decode_options *options,
                           struct adl_error *err) ADL_MUST_CHECK;

/* rgb[i] = rgba[i] composed over white, for `count` pixels, rounded. */
void adl_codec_over_white(const uint8_t *rgba, size_t count, uint8_t *rgb);

#endif
