/* Decoding: finds the format of the bytes, has its codec decode them within the limits, and
 * turns the image upright.
 *
 * The format is determined from the first bytes, never from a name or a Content-Type: a
 * client may declare what it likes. A codec checks the sides and its memory against the
 * limits before it allocates, for a file of a kilobyte can declare gigapixels.
 *
 * Cameras store the image as the sensor saw it and note in EXIF how it has to be turned for
 * display. Boxes are in pixels of the displayed image, so it is turned here, once, unless the
 * caller wants it as stored: the boxes of the reference implementation's lists and of CUB are
 * in pixels of the stored image, and the reference implementation ignores the orientation. */

#include "image/image_decode.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"
#include "image/row_resize.h"

static const struct adl_codec *const codecs[] = {
    &adl_codec_jpeg, &adl_codec_png,  &adl_codec_webp, &adl_codec_gif,
    &adl_codec_bmp,  &adl_codec_tiff, &adl_codec_heif,
};

static const struct adl_codec *find_codec(const void *bytes, size_t length)
{
    for (size_t i = 0; i < ADL_COUNT(codecs); i++)
        if (codecs[i]->matches(bytes, length))
            return codecs[i];
    return NULL;
}

void adl_image_prepare(void)
{
    struct adl_error absent = {0}; /* which is told when a file comes */

    for (size_t i = 0; i < ADL_COUNT(codecs); i++)
        if (codecs[i]->library)
            (void)!adl_optional_open(codecs[i]->library, &absent);
}

enum adl_image_type adl_image_sniff(const void *bytes, size_t length)
{
    const struct adl_codec *codec = find_codec(bytes, length);
    return codec ? codec->type : ADL_IMAGE_UNKNOWN;
}

const char *adl_image_extension(size_t i)
{
    static const char *const extensions[] = {"jpg",   "jpeg", "png",  "webp", "gif",  "bmp",
                                             "tif",   "tiff", "avif", "heic", "heif", "jfif",
                                             "pjpeg", "pjp",  "jpe",  "dib"};
    return i < ADL_COUNT(extensions) ? extensions[i] : NULL;
}

bool adl_image_named(const char *name)
{
    const char *dot = strrchr(name, '.'), *extension;

    for (size_t i = 0; dot && (extension = adl_image_extension(i)) != NULL; i++)
        if (!strcasecmp(dot + 1, extension))
            return true;
    return false;
}

bool adl_image_media_type(const char *type, size_t length)
{
    /* Registered names, and others that are in use for the same. */
    static const char *const types[] = {"image/jpeg", "image/png",  "image/webp",     "image/gif",
                                        "image/bmp",  "image/jpg",  "image/x-ms-bmp", "image/tiff",
                                        "image/avif", "image/heic", "image/heif"};
    for (size_t i = 0; i < ADL_COUNT(types); i++)
        if (length == strlen(types[i]) && !strncasecmp(type, types[i], length))
            return true;
    return false;
}

const char *adl_image_foreign(const void *bytes, size_t length)
{
    static const char jxl_box[] = "\0\0\0\x0cJXL \r\n\x87\n",
                      jp2_box[] = "\0\0\0\x0cjP  \r\n\x87\n";
    const char *p = bytes;

    if (length >= 2 && !memcmp(p, "\xff\x0a", 2))
        return "JPEG XL";
    if (length >= 12 && !memcmp(p, jxl_box, 12))
        return "JPEG XL";
    if (length >= 12 && !memcmp(p, jp2_box, 12))
        return "JPEG 2000";
    if (length >= 4 && !memcmp(p, "8BPS", 4))
        return "Photoshop";
    if (length >= 4 && (!memcmp(p, "II+\0", 4) || !memcmp(p, "MM\0+", 4)))
        return "BigTIFF";
    return NULL;
}

/* Turns the image upright. Each of the eight EXIF orientations is a linear map of indices:
 * the pixel (x, y) of the result is the stored pixel first + x * step_x + y * step_y. When
 * rows and columns are swapped (5 to 8), reading or writing has to stride over whole rows;
 * working in squares of 64 x 64 pixels keeps both images' rows in the L1 cache. */
static int image_turn(struct adl_image *image, int orientation, struct adl_error *err)
{
    const bool transposed = orientation >= 5;
    const ptrdiff_t w = image->width, h = image->height;
    /* Whether the source is read from right to left, and from bottom to top. */
    const bool far_column =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool far_row =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const ptrdiff_t column = far_column ? -1 : 1, row = far_row ? -w : w;
    const ptrdiff_t first = (far_column ? w - 1 : 0) + (far_row ? (h - 1) * w : 0);
    const ptrdiff_t step_x = transposed ? row : column, step_y = transposed ? column : row;
    enum { SQUARE = 64 };
    struct adl_image turned;

    if (adl_image_init(&turned, transposed ? image->height : image->width,
                       transposed ? image->width : image->height, err) < 0)
        return -1;
    for (int y0 = 0; y0 < turned.height; y0 += SQUARE) {
        for (int x0 = 0; x0 < turned.width; x0 += SQUARE) {
            int x1 = ADL_MIN(x0 + SQUARE, turned.width), y1 = ADL_MIN(y0 + SQUARE, turned.height);
            for (int y = y0; y < y1; y++) {
                uint8_t *out = turned.rgb + ((size_t)y * (size_t)turned.width + (size_t)x0) * 3;
                const uint8_t *in = image->rgb + (first + x0 * step_x + y * step_y) * 3;
                for (int x = x0; x < x1; x++, out += 3, in += step_x * 3) {
                    out[0] = in[0];
                    out[1] = in[1];
                    out[2] = in[2];
                }
            }
        }
    }
    adl_image_release(image);
    *image = turned;
    return 0;
}

/* Whether the bytes begin as an image of a format that is read does, but not all of its
 * signature is there: it was cut off or damaged. */
static bool is_remnant(const void *bytes, size_t length)
{
    static const char jpeg[] = {'\xff', '\xd8'}, png[] = {'\x89', 'P', 'N', 'G'};
    const char *p = bytes;

    if (length >= sizeof jpeg && !memcmp(p, jpeg, sizeof jpeg))
        return true;
    /* The rest of a PNG's signature exists to show what a transfer as text damages. */
    if (length >= sizeof png && !memcmp(p, png, sizeof png))
        return true;
    /* Other files are RIFF files as well; their kind is in bytes 8 to 11. */
    return length > 8 && length < 12 && !memcmp(p, "RIFF", 4) && !memcmp(p + 8, "WEBP", length - 8);
}

static int fail_unknown(const void *bytes, size_t length, struct adl_error *err)
{
    const char *foreign = adl_image_foreign(bytes, length);

    if (is_remnant(bytes, length))
        return adl_fail(err, ADL_ERR_FORMAT, "the first bytes of the image are damaged");
    if (foreign)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a %s image; " ADL_IMAGE_FORMATS("and") " are read", foreign);
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "not a " ADL_IMAGE_FORMATS("or") " image");
}

/* --- what the rows become -------------------------------------------------------- */

/* Keeps the whole image. */
struct image_target {
    struct adl_row_target target; /* first */
    const struct adl_pause *pause;
    size_t pixels; /* since the last pause */
    struct adl_image *image;
};

static int image_begin(struct adl_row_target *target, const struct adl_image_info *info, int width,
                       int height, struct adl_error *err)
{
    struct image_target *t = (struct image_target *)target;

    (void)info;
    return adl_image_init(t->image, width, height, err);
}

static uint8_t *image_line(struct adl_row_target *target, int y)
{
    const struct image_target *t = (const struct image_target *)target;
    return t->image->rgb + (size_t)y * (size_t)t->image->width * 3;
}

static int image_row(struct adl_row_target *target, int y, struct adl_error *err)
{
    struct image_target *t = (struct image_target *)target;

    (void)y;
    return adl_pause_after(t->pause, &t->pixels, (size_t)t->image->width, err);
}

/* libjpeg-turbo writes rows that begin at a multiple of its vectors' size past the caches, where
 * what reads the row next would wait for each line of it. So the row begins beside one. */
#define ROW_OFFSET 8

/* Turns and resizes the image as it comes. */
struct sizes_target {
    struct adl_row_target target; /* first */
    const struct adl_pause *pause;
    size_t pixels;                 /* since the last pause */
    const struct adl_image *sizes; /* their sides alone */
    int count;
    struct adl_row_resizer **resizers; /* [count] */
    uint8_t *block;                    /* owned; ROW_OFFSET bytes and the row */
    int width;
};

static int sizes_begin(struct adl_row_target *target, const struct adl_image_info *info, int width,
                       int height, struct adl_error *err)
{
    struct sizes_target *t = (struct sizes_target *)target;

    t->width = width;
    t->block = adl_malloc(ROW_OFFSET + (size_t)width * 3, 1);
    if (!t->block)
        return adl_fail_nomem(err, "a row of an image");
    for (int i = 0; i < t->count; i++) {
        t->resizers[i] = adl_row_resizer_create(width, height, info->orientation, t->sizes[i].width,
                                                t->sizes[i].height, err);
        if (!t->resizers[i])
            return -1;
    }
    return 0;
}

static uint8_t *sizes_line(struct adl_row_target *target, int y)
{
    (void)y;
    return ((const struct sizes_target *)target)->block + ROW_OFFSET;
}

static int sizes_row(struct adl_row_target *target, int y, struct adl_error *err)
{
    struct sizes_target *t = (struct sizes_target *)target;

    (void)y;
    for (int i = 0; i < t->count; i++)
        adl_row_resizer_put(t->resizers[i], t->block + ROW_OFFSET);
    return adl_pause_after(t->pause, &t->pixels, (size_t)t->width, err);
}

/* --- decoding ---------------------------------------------------------------------- */

static struct adl_decode_options with_defaults(const struct adl_decode_options *options)
{
    struct adl_decode_options limits = options ? *options : (struct adl_decode_options){0};

    if (!limits.max_pixels)
        limits.max_pixels = ADL_LIMIT_IMAGE_PIXELS;
    if (!limits.max_memory_bytes)
        limits.max_memory_bytes = ADL_LIMIT_DECODE_BYTES;
    return limits;
}

/* Makes the sides those of the image as displayed. */
static void display(struct adl_image_info *info)
{
    const int width = info->width;

    if (info->orientation < 5)
        return;
    info->width = info->height;
    info->height = width;
}

/* Reads what the header of the file says of the image, as stored. */
static int read_header(const void *bytes, size_t length, const struct adl_decode_options *limits,
                       struct adl_image_info *info, struct adl_error *err)
{
    const struct adl_codec *codec = find_codec(bytes, length);
    struct adl_codec_needs header = {0};

    if (!codec)
        return fail_unknown(bytes, length, err);
    if (codec->examine(bytes, length, limits, &header, err) < 0)
        return -1;
    *info = (struct adl_image_info){codec->type, header.width, header.height, header.orientation};
    return 0;
}

/* Decodes to a target; the sides in `info` are then those of the image as displayed. */
static int decode_to(struct adl_row_target *target, const void *bytes, size_t length,
                     const struct adl_decode_options *limits, struct adl_image_info *info,
                     struct adl_error *err)
{
    const struct adl_codec *codec = find_codec(bytes, length);

    *info = (struct adl_image_info){.orientation = 1};
    if (limits->decoder) {
        if (read_header(bytes, length, limits, info, err) < 0 ||
            limits->decoder->rows(limits->decoder, bytes, length, limits, info, target, err) < 0)
            return -1;
        display(info);
        return 0;
    }
    if (!codec)
        return fail_unknown(bytes, length, err);
    info->type = codec->type;
    if (codec->decode(bytes, length, limits, target, info, err) < 0)
        return -1;
    display(info);
    return 0;
}

int adl_image_decode_rows(const void *bytes, size_t length,
                          const struct adl_decode_options *options, struct adl_row_target *target,
                          struct adl_image_info *info, struct adl_error *err)
{
    const struct adl_decode_options limits = with_defaults(options);
    return decode_to(target, bytes, length, &limits, info, err);
}

/* adl_image_decode_sizes() by another process. */
static int decode_sizes_elsewhere(const void *bytes, size_t length,
                                  const struct adl_decode_options *limits, struct adl_image *images,
                                  int count, struct adl_image_info *info, struct adl_error *err)
{
    struct adl_image_decoder *decoder = limits->decoder;
    struct adl_image_info found;

    if (read_header(bytes, length, limits, &found, err) < 0 ||
        decoder->sizes(decoder, bytes, length, limits, &found, images, count, err) < 0) {
        for (int i = 0; i < count; i++)
            images[i] = (struct adl_image){0};
        return -1;
    }
    display(&found);
    if (info)
        *info = found;
    return 0;
}

int adl_image_decode(const void *bytes, size_t length, const struct adl_decode_options *options,
                     struct adl_image *image, struct adl_image_info *info, struct adl_error *err)
{
    const struct adl_decode_options limits = with_defaults(options);
    struct image_target target = {.target = {image_begin, image_line, image_row, true},
                                  .pause = limits.pause,
                                  .image = image};
    struct adl_image_info found;
    int result = -1;

    *image = (struct adl_image){0};
    ADL_TRY(decode_to(&target.target, bytes, length, &limits, &found, err));
    if (found.orientation > 1) {
        size_t copy = (size_t)image->width * (size_t)image->height * 3;
        ADL_TRY(adl_codec_check_memory(copy, &limits, err));
        ADL_TRY(image_turn(image, found.orientation, err));
    }
    if (info)
        *info = found;
    result = 0;
out:
    if (result < 0)
        adl_image_release(image);
    return result;
}

int adl_image_decode_sizes(const void *bytes, size_t length,
                           const struct adl_decode_options *options, struct adl_image *images,
                           int count, struct adl_image_info *info, struct adl_error *err)
{
    const struct adl_decode_options limits = with_defaults(options);
    struct sizes_target target = {.target = {sizes_begin, sizes_line, sizes_row, false},
                                  .pause = limits.pause,
                                  .sizes = images,
                                  .count = count};
    struct adl_image_info found;
    int result = -1;

    if (limits.decoder)
        return decode_sizes_elsewhere(bytes, length, &limits, images, count, info, err);
    target.resizers = adl_calloc((size_t)count, sizeof(struct adl_row_resizer *));
    if (!target.resizers) {
        adl_fail_nomem(err, "resizing an image");
        goto out;
    }
    ADL_TRY(decode_to(&target.target, bytes, length, &limits, &found, err));
    for (int i = 0; i < count; i++)
        adl_row_resizer_take(target.resizers[i], &images[i]);
    if (info)
        *info = found;
    result = 0;
out:
    for (int i = 0; target.resizers && i < count; i++)
        adl_row_resizer_free(target.resizers[i]);
    for (int i = 0; result < 0 && i < count; i++)
        images[i] = (struct adl_image){0};
    adl_free(target.resizers);
    adl_free(target.block);
    return result;
}

int adl_image_examine(const void *bytes, size_t length, const struct adl_decode_options *options,
                      const struct adl_image *sizes, int count, struct adl_image_needs *needs,
                      struct adl_error *err)
{
    const struct adl_decode_options limits = with_defaults(options);
    const struct adl_codec *codec = find_codec(bytes, length);
    struct adl_codec_needs header = {0};

    *needs = (struct adl_image_needs){0};
    if (!codec)
        return fail_unknown(bytes, length, err);
    if (codec->examine(bytes, length, &limits, &header, err) < 0)
        return -1;
    const size_t pixels = (size_t)header.width * (size_t)header.height;
    const bool turned = header.orientation >= 5;
    needs->width = turned ? header.height : header.width;
    needs->height = turned ? header.width : header.height;
    needs->image_bytes = 3 * pixels;
    needs->whole_bytes = header.bytes + (header.orientation > 1 ? 6 : 3) * pixels;
    needs->rows_bytes = header.bytes + 3 * (size_t)header.width + (header.whole ? 3 * pixels : 0);
    for (int i = 0; i < count; i++)
        needs->rows_bytes += adl_row_resizer_bytes(header.width, header.height, header.orientation,
                                                   sizes[i].width, sizes[i].height);
    if (limits.decoder) {
        /* The other process has the file, and its results are copied; of what it gives row by row
         * it has a row. */
        needs->whole_bytes += length + 3 * (size_t)header.width + (header.whole ? 3 * pixels : 0);
        needs->rows_bytes += length;
        for (int i = 0; i < count; i++)
            needs->rows_bytes += 3 * (size_t)sizes[i].width * (size_t)sizes[i].height;
    }
    /* Resizing takes about as long for each size. */
    needs->ms = (double)pixels * (header.ns_per_pixel + 3.0 * count) * 1e-6;
    return 0;
}
