/* Reads AVIF and HEIC with libheif, which is opened when the first file comes
 * (optional_library.h): the primary image, cut and turned as the file says, alpha over white.
 * What it says in EXIF of its orientation has no meaning in these formats.
 *
 * libheif hands out no rows and has no allocator hooks, so the image is decoded as a whole and the
 * memory is estimated from the header. That the coded image is as large as the header says is not
 * known before it is decoded: of a file that lies in this, only the limit of addresses of a helper
 * process holds the memory.
 *
 * The functions are declared here and not by libheif's header, which is then not needed to build
 * the program; they are the same in all libraries named libheif.so.1 from 1.13 on. */

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"
#include "image/heif_header.h"
#include "image/optional_library.h"

/* libheif's and its decoders' tables, and buffers of rows. */
#define FIXED_BYTES (512 * ADL_KIB)
#define BYTES_PER_COLUMN 512
/* What the decoder has decoded, libheif's copy of it, both with up to two bytes for each of three
 * colours and alpha, the same turned, and as RGB. */
#define BYTES_PER_PIXEL 20

enum { RGB = 1, INTERLEAVED_RGB = 10, INTERLEAVED_RGBA = 11, INTERLEAVED = 10 };

struct outcome {
    enum { OK = 0, UNKNOWN_FILE = 3, UNKNOWN_FEATURE = 4, NO_MEMORY = 6 } code;
    enum { LIMIT = 1000, EMPTY = 0 } detail;
    const char *message;
};

static struct {
    struct outcome (*init)(void *parameters);
    void *(*context_alloc)(void);
    void (*context_free)(void *context);
    void (*set_threads)(void *context, int threads);
    void (*set_most)(void *context, int side);
    struct outcome (*read)(void *context, const void *bytes, size_t length, const void *options);
    struct outcome (*primary)(void *context, void **handle);
    void (*handle_release)(const void *handle);
    int (*has_alpha)(const void *handle);
    int (*is_premultiplied)(const void *handle);
    struct outcome (*decode)(const void *handle, void **image, int colours, int layout,
                             const void *options);
    void (*image_release)(const void *image);
    int (*width)(const void *image, int channel);
    int (*height)(const void *image, int channel);
    const uint8_t *(*plane)(const void *image, int channel, int *stride);
} lib;

static const struct adl_optional_function functions[] = {
    {"heif_init", &lib.init},
    {"heif_context_alloc", &lib.context_alloc},
    {"heif_context_free", &lib.context_free},
    {"heif_context_set_max_decoding_threads", &lib.set_threads},
    {"heif_context_set_maximum_image_size_limit", &lib.set_most},
    {"heif_context_read_from_memory_without_copy", &lib.read},
    {"heif_context_get_primary_image_handle", &lib.primary},
    {"heif_image_handle_release", &lib.handle_release},
    {"heif_image_handle_has_alpha_channel", &lib.has_alpha},
    {"heif_image_handle_is_premultiplied_alpha", &lib.is_premultiplied},
    {"heif_decode_image", &lib.decode},
    {"heif_image_release", &lib.image_release},
    {"heif_image_get_width", &lib.width},
    {"heif_image_get_height", &lib.height},
    {"heif_image_get_plane_readonly", &lib.plane},
};

/* Opens the decoders, where they are libraries of their own. */
static void open_decoders(void)
{
    lib.init(NULL);
}

static struct adl_optional_library library = {
    .formats = "AVIF or HEIC",
    .file = "libheif.so.1",
    .package = "libheif1",
    .functions = functions,
    .count = ADL_COUNT(functions),
    .opened = open_decoders,
};

/* libheif's sentences may quote the file. */
static int fail_outcome(struct outcome outcome, struct adl_error *err)
{
    char text[120] = "";

    for (size_t i = 0; outcome.message && outcome.message[i] && i < sizeof text - 1; i++)
        text[i] = outcome.message[i] >= ' ' && outcome.message[i] <= '~' ? outcome.message[i] : '?';
    if (outcome.code == NO_MEMORY && outcome.detail == LIMIT)
        return adl_fail(err, ADL_ERR_LIMIT, "the AVIF or HEIC image is too large: %s", text);
    if (outcome.code == NO_MEMORY)
        return adl_fail_nomem(err, "an AVIF or HEIC image");
    if (outcome.code == UNKNOWN_FILE || outcome.code == UNKNOWN_FEATURE)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "an AVIF or HEIC image that the libheif installed here does not read: %s",
                        text);
    return adl_fail(err, ADL_ERR_FORMAT, "the AVIF or HEIC image is corrupt: %s", text);
}

static size_t memory_needed(const struct adl_heif_header *header)
{
    return header->stored_width * header->stored_height * BYTES_PER_PIXEL +
           header->stored_width * BYTES_PER_COLUMN + FIXED_BYTES;
}

/* Makes RGB of a row: alpha over white, where the colours may be multiplied by it already. */
static void put_row(const uint8_t *in, size_t width, bool alpha, bool premultiplied, uint8_t *rgb)
{
    if (!alpha) {
        memcpy(rgb, in, 3 * width);
    } else if (!premultiplied) {
        adl_codec_over_white(in, width, rgb);
    } else {
        for (size_t x = 0; x < width; x++, in += 4, rgb += 3)
            for (size_t c = 0; c < 3; c++)
                rgb[c] = (uint8_t)ADL_MIN(in[c] + 255 - in[3], 255);
    }
}

static int put_image(const void *image, const void *handle, bool alpha,
                     const struct adl_image_info *info, struct adl_row_target *target,
                     struct adl_error *err)
{
    const bool premultiplied = lib.is_premultiplied(handle);
    int stride = 0;
    const uint8_t *plane = lib.plane(image, INTERLEAVED, &stride);

    if (!plane || lib.width(image, INTERLEAVED) != info->width ||
        lib.height(image, INTERLEAVED) != info->height)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "the AVIF or HEIC image is corrupt: its header has another size");
    if (target->begin(target, info, info->width, info->height, err) < 0)
        return -1;
    for (int y = 0; y < info->height; y++) {
        put_row(plane + (ptrdiff_t)y * stride, (size_t)info->width, alpha, premultiplied,
                target->line(target, y));
        if (target->row(target, y, err) < 0)
            return -1;
    }
    return 0;
}

static int decode_primary(void *context, const void *bytes, size_t length,
                          const struct adl_image_info *info, struct adl_row_target *target,
                          struct adl_error *err)
{
    void *handle = NULL, *image = NULL;
    int result = -1;

    struct outcome outcome = lib.read(context, bytes, length, NULL);
    if (outcome.code == OK)
        outcome = lib.primary(context, &handle);
    if (outcome.code != OK)
        return fail_outcome(outcome, err);
    const bool alpha = lib.has_alpha(handle);
    outcome = lib.decode(handle, &image, RGB, alpha ? INTERLEAVED_RGBA : INTERLEAVED_RGB, NULL);
    if (outcome.code != OK)
        fail_outcome(outcome, err);
    else
        result = put_image(image, handle, alpha, info, target, err);
    if (image)
        lib.image_release(image);
    lib.handle_release(handle);
    return result;
}

static int decode_heif(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_row_target *target, struct adl_image_info *info,
                       struct adl_error *err)
{
    struct adl_heif_header header;

    if (adl_heif_header_read(bytes, length, options, &header, err) < 0 ||
        adl_codec_check_memory(memory_needed(&header), options, err) < 0 ||
        adl_optional_open(&library, err) < 0)
        return -1;
    void *context = lib.context_alloc();
    if (!context)
        return adl_fail_nomem(err, "an AVIF or HEIC image");
    lib.set_threads(context, 0);
    lib.set_most(context, ADL_LIMIT_IMAGE_SIDE);
    info->width = (int)header.width;
    info->height = (int)header.height;
    info->orientation = 1;
    int result = decode_primary(context, bytes, length, info, target, err);
    lib.context_free(context);
    return result;
}

static int examine_heif(const void *bytes, size_t length, const struct adl_decode_options *options,
                        struct adl_codec_needs *needs, struct adl_error *err)
{
    struct adl_heif_header header;

    if (adl_heif_header_read(bytes, length, options, &header, err) < 0)
        return -1;
    needs->width = (int)header.width;
    needs->height = (int)header.height;
    needs->orientation = 1;
    needs->bytes = memory_needed(&header);
    needs->ns_per_pixel = 60;
    return 0;
}

const struct adl_codec adl_codec_heif = {ADL_IMAGE_HEIF, adl_heif_matches, decode_heif,
                                         examine_heif, &library};
