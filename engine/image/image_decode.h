#ifndef ADL_IMAGE_IMAGE_DECODE_H
#define ADL_IMAGE_IMAGE_DECODE_H

/* From the bytes of an image file, which may be hostile, to pixels. */

#include "image/image.h"

/* Told from the first bytes, never from a file name. */
enum adl_image_type adl_image_sniff(const void *bytes, size_t length);

/* "GIF", "BMP", "TIFF", "HEIC" or "AVIF" where the first bytes are those of a kind
 * of picture that is not read; otherwise NULL. */
const char *adl_image_foreign(const void *bytes, size_t length);

/* Whether a file's name ends as those of pictures do: which files of a folder to
 * open. */
bool adl_image_named(const char *name);

/* Decodes JPEG (baseline, progressive, grey, CMYK, YCCK), PNG (every colour
 * type, alpha over white) or WebP. Fails with UNSUPPORTED when it is none of
 * these (or animated), LIMIT when it has too many pixels or asks for too much
 * memory, FORMAT when it is corrupt or truncated, NOMEM. `info` may be NULL. */
int adl_image_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                     struct adl_image *image, struct adl_image_info *info,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
