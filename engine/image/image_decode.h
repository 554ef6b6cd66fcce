#ifndef ADL_IMAGE_IMAGE_DECODE_H
#define ADL_IMAGE_IMAGE_DECODE_H

/* Decodes image files, whose bytes are untrusted. */

#include "image/image.h"

/* Returns the format, determined from the first bytes and never from a file name. */
enum adl_image_type adl_image_sniff(const void *bytes, size_t length);

/* Returns "GIF", "BMP", "TIFF", "HEIC" or "AVIF" if the first bytes are those of an image
 * format that cannot be read; otherwise NULL. */
const char *adl_image_foreign(const void *bytes, size_t length);

/* Returns whether a file's name has the extension of a format that can be read. It selects
 * the files of a directory that are opened. */
bool adl_image_named(const char *name);

/* Decodes JPEG (baseline, progressive, arithmetic, grey, CMYK, YCCK), PNG (every colour type,
 * alpha over white) or WebP (of an animation the first frame). `options` and `info` may be
 * NULL; `info` is written on success only. Fails with ADL_ERR_UNSUPPORTED for another format,
 * with ADL_ERR_LIMIT for too many pixels or too much memory, with ADL_ERR_FORMAT for a
 * corrupt or truncated file, and with ADL_ERR_NOMEM; `image` is then zeroed. */
int adl_image_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                     struct adl_image *image, struct adl_image_info *info,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
