#ifndef ADL_IMAGE_ROW_RESIZE_H
#define ADL_IMAGE_ROW_RESIZE_H

/* Turns an image upright and resizes it while its rows are decoded, so that it is never in memory
 * as a whole. The result has the bytes that turning the whole image and adl_image_resize() give. */

#include "image/image.h"

struct adl_row_resizer;

/* Creates a resizer of an image of width x height as stored, whose EXIF orientation is 1..8, to
 * out_width x out_height as displayed. Fails with ADL_ERR_ARG for sides below 1 and with
 * ADL_ERR_NOMEM. */
struct adl_row_resizer *adl_row_resizer_create(int width, int height, int orientation,
                                               int out_width, int out_height,
                                               struct adl_error *err) ADL_MUST_CHECK;
void adl_row_resizer_free(struct adl_row_resizer *resizer); /* NULL is ignored */

/* Returns the bytes that such a resizer allocates at most, with those of its result. */
size_t adl_row_resizer_bytes(int width, int height, int orientation, int out_width, int out_height);

/* Takes the next row of `width` pixels, from the top one as stored. */
void adl_row_resizer_put(struct adl_row_resizer *resizer, const uint8_t *rgb);

/* Moves the result to `out`, when all rows were put. */
void adl_row_resizer_take(struct adl_row_resizer *resizer, struct adl_image *out);

#endif
