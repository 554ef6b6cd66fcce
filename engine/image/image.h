#ifndef ADL_IMAGE_IMAGE_H
#define ADL_IMAGE_IMAGE_H

/* Images in memory, 8-bit RGB: allocation, resizing, the network's input, and encoding.
 * Decoding is in image/image_decode.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pause.h"

/* height rows of width pixels of R, G, B, without padding; `rgb` is owned. A zeroed struct
 * holds no image. */
struct adl_image {
    int width;
    int height;
    uint8_t *rgb;
};

/* Frees the pixels and zeroes the struct; fine for a zeroed one. */
void adl_image_release(struct adl_image *image);

/* Allocates uninitialised pixels. Fails with ADL_ERR_ARG for sides below 1, and with
 * ADL_ERR_NOMEM. */
int adl_image_init(struct adl_image *image, int width, int height,
                   struct adl_error *err) ADL_MUST_CHECK;

struct adl_image_decoder;

enum adl_image_type {
    ADL_IMAGE_UNKNOWN,
    ADL_IMAGE_JPEG,
    ADL_IMAGE_PNG,
    ADL_IMAGE_WEBP,
    ADL_IMAGE_GIF,
    ADL_IMAGE_BMP,
    ADL_IMAGE_TIFF,
    ADL_IMAGE_HEIF /* AVIF or HEIC */
};

struct adl_decode_options {
    size_t max_pixels;       /* 0: ADL_LIMIT_IMAGE_PIXELS */
    size_t max_memory_bytes; /* besides the output; 0: ADL_LIMIT_DECODE_BYTES */
    bool ignore_orientation; /* leave the image as stored, as the reference implementation's
                                training code does */
    bool ignore_alpha;       /* take the colours of a PNG as stored instead of over white, as
                              * cv2.imread() does; other formats do not look at it */
    /* If both are set, a much larger JPEG may be decoded at a reduced scale whose sides are
     * still at least twice these. The result is then smaller than info->width x height. */
    int target_width;
    int target_height;
    /* Reduce only where the pixels of the reduced image are those of the full one, two, four or
     * eight a side averaged, as nearly as JPEG can: by these factors, and only if they divide both
     * sides. Resized to the target, such an image differs from the full one by what another
     * compression would change (see tests/engine/image/test_image.c for the bound), and is not
     * shifted. */
    bool aligned;
    /* Called while rows are decoded, by formats that are decoded row by row. Borrowed; NULL: not
     * called. */
    const struct adl_pause *pause;
    /* Decodes in the place of this process; see image/image_decode.h. Borrowed; NULL: none does. */
    struct adl_image_decoder *decoder;
};

/* Properties of a decoded file. Width and height are those of the image as displayed: after
 * orientation, before any reduction. */
struct adl_image_info {
    enum adl_image_type type;
    int width;
    int height;
    int orientation; /* EXIF 1..8; 1: none given, upright, or ignored */
};

/* Resizes to width x height exactly as Pillow's Image.resize(BILINEAR): a triangle filter
 * that is widened when shrinking, horizontal pass first, rounded to bytes between the passes.
 * The aspect ratio is not kept. `out` is allocated. Fails with ADL_ERR_ARG for sides below 1,
 * and with ADL_ERR_NOMEM. */
int adl_image_resize(const struct adl_image *image, int width, int height, struct adl_image *out,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Computes the network's input, height x width x 3 (NHWC): out = (rgb / 255 - mean) / std. */
void adl_image_to_input(const struct adl_image *image, const float mean[3], const float std[3],
                        float *out);

/* Encode an image as a JPEG or PNG file in memory. The caller frees *bytes with adl_free().
 * The quality of a JPEG is 1..100, and its colour is not subsampled. */
int adl_image_encode_jpeg(const struct adl_image *image, int quality, void **bytes, size_t *length,
                          struct adl_error *err) ADL_MUST_CHECK;
int adl_image_encode_png(const struct adl_image *image, void **bytes, size_t *length,
                         struct adl_error *err) ADL_MUST_CHECK;
/* Encodes 8-bit grey pixels, width * height bytes. `pause` (NULL: none) is called between rows;
 * fails as it does, too. */
int adl_image_encode_grey_png(const uint8_t *grey, int width, int height,
                              const struct adl_pause *pause, void **bytes, size_t *length,
                              struct adl_error *err) ADL_MUST_CHECK;

/* Mirrors the image left to right, in place. */
void adl_image_mirror(struct adl_image *image);

#endif
