#ifndef ADL_TESTS_SUPPORT_IMAGE_BYTES_H
#define ADL_TESTS_SUPPORT_IMAGE_BYTES_H

/* Loads the golden image files. All show one image of this size, some of them rotated. */

#include <stddef.h>
#include <stdint.h>

#include "image/image_decode.h"

enum { IMAGE_WIDTH = 27, IMAGE_HEIGHT = 19, IMAGE_PIXELS = IMAGE_WIDTH * IMAGE_HEIGHT };

struct image_bytes {
    uint8_t *data; /* free() */
    size_t length;
};

/* Reads tests/golden/images/NAME. If that fails, fails the running test and returns no bytes. */
struct image_bytes image_bytes_load(const char *name);

/* Calls adl_image_decode() with an error that is cleared first. */
int image_bytes_decode(struct image_bytes file, const struct adl_decode_options *options,
                       struct adl_image *image, struct adl_error *err);

#endif
