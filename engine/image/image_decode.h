#ifndef ADL_IMAGE_IMAGE_DECODE_H
#define ADL_IMAGE_IMAGE_DECODE_H

/* Decodes image files, whose bytes are untrusted. */

#include "image/row_target.h"

/* Opens the libraries that are otherwise opened when the first file comes that needs them, for a
 * process that will not be able to open anything. */
void adl_image_prepare(void);

/* Returns the format, determined from the first bytes and never from a file name. */
enum adl_image_type adl_image_sniff(const void *bytes, size_t length);

/* The formats that can be read, for messages: ADL_IMAGE_FORMATS("or"). */
#define ADL_IMAGE_FORMATS(last) "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF " last " HEIC"

/* Returns the name of an image format that cannot be read, such as "JPEG XL", if the first bytes
 * are those of one; otherwise NULL. */
const char *adl_image_foreign(const void *bytes, size_t length);

/* Returns whether a file's name has the extension of a format that can be read. It selects
 * the files of a directory that are opened. */
bool adl_image_named(const char *name);

/* Returns the i-th of these extensions, such as "jpg", in small letters and the usual ones first;
 * NULL after the last. Upper case is the same to adl_image_named(). */
const char *adl_image_extension(size_t i);

/* Returns whether the `length` characters of a media type are those of a format that can be read,
 * such as image/jpeg. */
bool adl_image_media_type(const char *type, size_t length);

/* Decodes in the place of this process, so that a file whose decoding goes wrong harms another one.
 * The file's header has been read and its limits checked by this process; `info` has what it says,
 * as stored. Both functions fail as the ones below do. One thread at a time. */
struct adl_image_decoder {
    /* Gives all rows to the target, as wide and as many as in `info`. */
    int (*rows)(struct adl_image_decoder *decoder, const void *bytes, size_t length,
                const struct adl_decode_options *options, const struct adl_image_info *info,
                struct adl_row_target *target, struct adl_error *err);
    /* Does what adl_image_decode_sizes() does. */
    int (*sizes)(struct adl_image_decoder *decoder, const void *bytes, size_t length,
                 const struct adl_decode_options *options, const struct adl_image_info *info,
                 struct adl_image *images, int count, struct adl_error *err);
};

/* Decodes JPEG (baseline, progressive, arithmetic, grey, CMYK, YCCK), PNG (every colour type,
 * alpha over white), WebP or GIF (of an animation the first frame), BMP, TIFF (the
 * first image) or, where the system has libheif, AVIF or HEIC. `options` and `info`
 * may be NULL; `info` is written on success only. Fails with ADL_ERR_UNSUPPORTED for another
 * format, with ADL_ERR_LIMIT for too many pixels or too much memory, with ADL_ERR_FORMAT for a
 * corrupt or truncated file, and with ADL_ERR_NOMEM; `image` is then zeroed. */
int adl_image_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                     struct adl_image *image, struct adl_image_info *info,
                     struct adl_error *err) ADL_MUST_CHECK;

/* Decodes and gives the rows, as stored, to a target that is not whole. Fails as adl_image_decode()
 * does, and as the target does. */
int adl_image_decode_rows(const void *bytes, size_t length,
                          const struct adl_decode_options *options, struct adl_row_target *target,
                          struct adl_image_info *info, struct adl_error *err) ADL_MUST_CHECK;

/* Decodes, and resizes the upright image to `count` sizes. In images[] the caller sets the sides;
 * the pixels are owned by the caller after success, and on failure all images are zeroed. Gives the
 * bytes of adl_image_decode() and adl_image_resize(), but the whole image is in memory only where
 * the format forces it: WebP and interlaced PNG; a progressive JPEG has its coefficients in memory.
 * Fails as those two do, or as options->pause() does. */
int adl_image_decode_sizes(const void *bytes, size_t length,
                           const struct adl_decode_options *options, struct adl_image *images,
                           int count, struct adl_image_info *info,
                           struct adl_error *err) ADL_MUST_CHECK;

/* What decoding an image takes, from its header. The memory is an upper bound, except that
 * libwebp's tables of prefix codes are not counted. With options->decoder it is that of both
 * processes, a copy of the file among it. */
struct adl_image_needs {
    int width, height;  /* as displayed */
    size_t image_bytes; /* of the image itself */
    size_t whole_bytes; /* while adl_image_decode() runs, with the image */
    size_t rows_bytes;  /* while adl_image_decode_sizes() runs, with the images */
    double ms;          /* a rough estimate of the processor time */
};

/* Reads the header and computes what decoding to `count` sizes takes; in sizes[] only the sides
 * matter. Fails as decoding would, as far as the header shows it. */
int adl_image_examine(const void *bytes, size_t length, const struct adl_decode_options *options,
                      const struct adl_image *sizes, int count, struct adl_image_needs *needs,
                      struct adl_error *err) ADL_MUST_CHECK;

#endif
