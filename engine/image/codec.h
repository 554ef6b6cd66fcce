#ifndef ADL_IMAGE_CODEC_H
#define ADL_IMAGE_CODEC_H

/* Definitions that the decoders of the file formats share. A format is one file that defines
 * a struct adl_codec, and a row in image_decode.c, the only other file that includes this. */

#include "image/optional_library.h"
#include "image/row_target.h"

/* What decoding takes, from the header. */
struct adl_codec_needs {
    int width, height; /* as stored */
    int orientation;
    size_t bytes; /* the most that is allocated besides the target's rows and the image */
    bool whole;   /* the image is decoded as a whole, wherever its rows go: 3 more bytes a pixel,
                     unless the target is whole itself */
    double ns_per_pixel;
};

struct adl_codec {
    enum adl_image_type type;
    /* Returns whether the first bytes are those of the format. */
    bool (*matches)(const uint8_t *bytes, size_t length);
    /* Decodes bytes that match. In `options` every default has been filled in. Writes width,
     * height and orientation of `info` as stored; the target turns the image upright. */
    int (*decode)(const void *bytes, size_t length, const struct adl_decode_options *options,
                  struct adl_row_target *target, struct adl_image_info *info,
                  struct adl_error *err);
    /* Reads the header of bytes that match, and checks it as decode() does. */
    int (*examine)(const void *bytes, size_t length, const struct adl_decode_options *options,
                   struct adl_codec_needs *needs, struct adl_error *err);
    struct adl_optional_library *library; /* that is opened late; NULL: there is none */
};

extern const struct adl_codec adl_codec_jpeg, adl_codec_png, adl_codec_webp, adl_codec_gif,
    adl_codec_bmp, adl_codec_tiff, adl_codec_heif;

/* Numbers whose low byte comes first. */
static inline unsigned adl_codec_le16(const uint8_t *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static inline uint32_t adl_codec_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Fails with ADL_ERR_LIMIT if an image of these sides has too many pixels, with
 * ADL_ERR_FORMAT if it has none. Call it with the numbers of the header, before anything of
 * that size is allocated. */
int adl_codec_check_sides(size_t width, size_t height, const struct adl_decode_options *options,
                          struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ADL_ERR_LIMIT if decoding needs more than options->max_memory_bytes. */
int adl_codec_check_memory(size_t bytes, const struct adl_decode_options *options,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Gives a target that is not whole the rows of an image that was decoded as a whole. */
int adl_codec_put_rows(const struct adl_image *image, struct adl_row_target *target,
                       struct adl_error *err) ADL_MUST_CHECK;

/* Composites `count` RGBA pixels over white into RGB:
 * rgb = (rgba * alpha + 255 * (255 - alpha)) / 255, rounded. */
void adl_codec_over_white(const uint8_t *rgba, size_t count, uint8_t *rgb);

#endif
