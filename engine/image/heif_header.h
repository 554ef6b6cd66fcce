#ifndef ADL_IMAGE_HEIF_HEADER_H
#define ADL_IMAGE_HEIF_HEADER_H

/* What the boxes of an AVIF or HEIC file say of its image, read without libheif. */

#include "image/codec.h"

struct adl_heif_header {
    size_t width, height;               /* as displayed */
    size_t stored_width, stored_height; /* before it is cut and turned */
};

/* Returns whether the bytes begin as an image in an ISO base media file does. */
bool adl_heif_matches(const uint8_t *bytes, size_t length);

/* Reads the properties of the primary image, and checks its sides against the limits. Fails with
 * ADL_ERR_FORMAT and ADL_ERR_LIMIT. */
int adl_heif_header_read(const uint8_t *bytes, size_t length,
                         const struct adl_decode_options *options, struct adl_heif_header *header,
                         struct adl_error *err) ADL_MUST_CHECK;

#endif
