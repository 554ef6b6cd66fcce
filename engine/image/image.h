#ifndef ADL_IMAGE_IMAGE_H
#define ADL_IMAGE_IMAGE_H

/* Pictures: hostile bytes in, 8-bit RGB out; and back out as JPEG or PNG. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* height rows of width pixels of R, G, B; no padding. `rgb` is owned. */
struct adl_image {
    int width;
    int height;
    uint8_t *rgb;
};

/* A zeroed struct is no image. */
void adl_image_release(struct adl_image *image);

/* Allocates uninitialised pixels; sides 1 and up. */
int adl_image_init(struct adl_image *image, int width, int height,
                   struct adl_error *err) ADL_MUST_CHECK;

enum adl_image_type { ADL_IMAGE_UNKNOWN, ADL_IMAGE_JPEG, ADL_IMAGE_PNG, ADL_IMAGE_WEBP };

struct adl_decode_options {
    size_t max_pixels;       /* 0: ADL_LIMIT_IMAGE_PIXELS */
    size_t max_memory_bytes; /* beside the output; 0: ADL_LIMIT_DECODE_BYTES */
    bool ignore_orientation; /* the reference's training code does not turn pictures */
    /* When both are set, a JPEG much larger than this may be decoded at a
     * reduced scale whose sides are still at least twice these; `width` and
     * `height` of the result are then smaller than info->width and height. */
    int target_width;
    int target_height;
};

/* What the picture is, as displayed: after orientation, before any reduction. */
struct adl_image_info {
    enum adl_image_type type;
    int width;
    int height;
    int orientation; /* EXIF 1..8; 1 where there is none */
};

/* Resizes as Pillow's Image.resize(BILINEAR): a triangle filter widened when
 * shrinking, horizontal pass first, rounded to bytes between the passes. */
int adl_image_resize(const struct adl_image *image, int width, int height, struct adl_image *out,
                     struct adl_error *err) ADL_MUST_CHECK;

/* The network's input, height x width x 3 (NHWC): (rgb/255 - mean) / std. */
void adl_image_to_input(const struct adl_image *image, const float mean[3], const float std[3],
                        float *out);

/* Encoders; the caller frees *bytes with adl_free. Quality 1..100. */
int adl_image_encode_jpeg(const struct adl_image *image, int quality, void **bytes, size_t *length,
                          struct adl_error *err) ADL_MUST_CHECK;
int adl_image_encode_png(const struct adl_image *image, void **bytes, size_t *length,
                         struct adl_error *err) ADL_MUST_CHECK;
/* 8-bit grey, width * height bytes. */
int adl_image_encode_grey_png(const uint8_t *grey, int width, int height, void **bytes,
                              size_t *length, struct adl_error *err) ADL_MUST_CHECK;

#endif
