/* Decodes PNG with libspng, every colour type and depth, and encodes RGB and grey.
 *
 * Against hostile files, the sides are checked before anything is allocated, a file that is too
 * short to hold its pixels is refused before they are allocated, metadata chunks are limited,
 * and so is the memory of libspng and zlib as a whole. */

#include <spng.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"
#include "image/exif.h"

/* Deflate cannot compress by more than 1032:1, so a file with fewer bytes than its pixels
 * divided by that is truncated. */
#define MAX_RATIO 1032

/* libspng allocates through these functions, zlib included, so that its memory is limited: its
 * own limits on metadata are checked only after decompression. The callbacks have no argument
 * to tell one decoder from another, but a decoder stays on one thread, so the counters are
 * thread-local. Each block begins with a header that holds its size. */
static _Thread_local struct {
    size_t used_bytes;
    size_t limit_bytes;
    bool over;    /* a request exceeded the limit */
    bool refused; /* out of memory, which libspng may report as a corrupt stream */
} heap;

#define BLOCK_HEADER_BYTES ADL_ALIGNMENT

static void heap_reset(size_t limit_bytes)
{
    heap.used_bytes = 0;
    heap.limit_bytes = limit_bytes;
    heap.over = heap.refused = false;
}

/* Allocates within the limit. When it returns NULL, libspng fails with some error code;
 * `over` and `refused` hold the true reason. */
static void *heap_take(size_t size)
{
    size_t bytes, total;

    if (adl_size_add(size, BLOCK_HEADER_BYTES, &bytes) < 0 ||
        adl_size_add(bytes, heap.used_bytes, &total) < 0 || total > heap.limit_bytes) {
        heap.over = true;
        return NULL;
    }
    char *block = adl_malloc(1, bytes);
    if (!block) {
        heap.refused = true;
        return NULL;
    }
    heap.used_bytes = total;
    memcpy(block, &bytes, sizeof bytes);
    return block + BLOCK_HEADER_BYTES;
}

static size_t heap_block_bytes(const void *block)
{
    size_t bytes;
    memcpy(&bytes, (const char *)block - BLOCK_HEADER_BYTES, sizeof bytes);
    return bytes;
}

static void heap_give_back(void *block)
{
    if (!block)
        return;
    heap.used_bytes -= heap_block_bytes(block);
    adl_free((char *)block - BLOCK_HEADER_BYTES);
}

static void *heap_take_again(void *block, size_t size)
{
    void *fresh = heap_take(size);
    if (fresh && block) {
        size_t old = heap_block_bytes(block) - BLOCK_HEADER_BYTES;
        memcpy(fresh, block, ADL_MIN(old, size));
        heap_give_back(block);
    }
    return fresh;
}

static void *heap_take_zeroed(size_t count, size_t size)
{
    size_t bytes;
    if (adl_size_mul(count, size, &bytes) < 0)
        return NULL;
    void *block = heap_take(bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

static struct spng_alloc allocator = {heap_take, heap_take_again, heap_take_zeroed, heap_give_back};

/* Turns a code of libspng into an error, unless the allocator knows the true reason. */
static int fail_code(int code, struct adl_error *err)
{
    if (heap.refused)
        return adl_fail_nomem(err, "a PNG image");
    if (heap.over)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "decoding the PNG image would take more than %zu KiB of memory",
                        heap.limit_bytes / ADL_KIB);
    switch (code) {
    case SPNG_EUSER_WIDTH:
    case SPNG_EUSER_HEIGHT:
        return adl_fail(err, ADL_ERR_LIMIT, "a side of the PNG image is over %d pixels",
                        ADL_LIMIT_IMAGE_SIDE);
    case SPNG_ECHUNK_LIMITS:
        return adl_fail(err, ADL_ERR_LIMIT, "the PNG image carries too much metadata");
    case SPNG_IO_EOF:
    case SPNG_EIDAT_TOO_SHORT: return adl_fail(err, ADL_ERR_FORMAT, "the PNG image is truncated");
    default:
        return adl_fail(err, ADL_ERR_FORMAT, "the PNG image is corrupt: %s", spng_strerror(code));
    }
}

/* The columns of each pass of Adam7 interlacing, and of an image without interlacing. */
static const struct {
    unsigned first, step;
} columns[] = {{0, 8}, {4, 8}, {0, 4}, {2, 4}, {0, 2}, {1, 2}, {0, 1}}, whole = {0, 1};

/* Channels as stored: a palette index is one. */
static size_t channels_of(const struct spng_ihdr *ihdr)
{
    switch (ihdr->color_type) {
    case SPNG_COLOR_TYPE_TRUECOLOR: return 3;
    case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA: return 4;
    case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA: return 2;
    default: return 1;
    }
}

/* Returns whether there is a complete IEND chunk; libspng does not read its checksum. */
static bool is_complete(const uint8_t *bytes, size_t length)
{
    for (size_t offset = 8; length - offset >= 12;) {
        const uint8_t *p = bytes + offset;
        size_t size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3];
        if (size > length - offset - 12)
            return false;
        if (memcmp(p + 4, "IEND", 4) == 0)
            return true;
        offset += 12 + size;
    }
    return false;
}

/* Decodes row by row, so that an image with alpha needs no second copy in memory: a row is
 * composited over white and, if interlaced, spread over its columns. */
static int read_png_pixels(spng_ctx *ctx, const struct spng_ihdr *ihdr, bool alpha, uint8_t *line,
                           uint8_t *rgb_line, struct adl_image *image, struct adl_error *err)
{
    const size_t line_bytes = (size_t)ihdr->width * (alpha ? 4 : 3);
    const int format = alpha ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8;
    const int flags = SPNG_DECODE_PROGRESSIVE | (alpha ? SPNG_DECODE_TRNS : 0);
    int code = spng_decode_image(ctx, NULL, 0, format, flags);

    if (code)
        return fail_code(code, err);
    do {
        struct spng_row_info row;
        code = spng_get_row_info(ctx, &row);
        if (code)
            return fail_code(code, err);
        code = spng_decode_scanline(ctx, line, line_bytes);
        if (code && code != SPNG_EOI)
            return fail_code(code, err);

        const unsigned first = ihdr->interlace_method ? columns[row.pass].first : whole.first;
        const unsigned step = ihdr->interlace_method ? columns[row.pass].step : whole.step;
        const size_t count = (ihdr->width - first + step - 1) / step;
        uint8_t *out = image->rgb + ((size_t)row.row_num * ihdr->width + first) * 3;
        if (alpha)
            adl_codec_over_white(line, count, rgb_line);
        for (size_t i = 0; i < count && step > 1; i++)
            memcpy(out + i * step * 3, rgb_line + i * 3, 3);
        if (step == 1)
            memcpy(out, rgb_line, count * 3);
    } while (code != SPNG_EOI);
    return 0;
}

/* Checks the limits, and that the file can be complete, from the header alone. */
static int check_header(const struct spng_ihdr *ihdr, size_t length,
                        const struct adl_decode_options *options, struct adl_error *err)
{
    if (adl_codec_check_sides(ihdr->width, ihdr->height, options, err) < 0)
        return -1;
    const size_t bits = (size_t)ihdr->width * ihdr->height * channels_of(ihdr) * ihdr->bit_depth;
    if (bits / 8 / MAX_RATIO > length)
        return fail_code(SPNG_IO_EOF, err);
    /* The two rows that decode_png() allocates. */
    const size_t rows = (size_t)ihdr->width * (4 + 3);
    if (adl_codec_check_memory(rows, options, err) < 0)
        return -1;
    heap.limit_bytes -= ADL_MIN(rows, heap.limit_bytes);
    return 0;
}

static bool is_png(const uint8_t *bytes, size_t length)
{
    return length >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static int decode_png(const void *bytes, size_t length, const struct adl_decode_options *options,
                      struct adl_image *image, struct adl_image_info *info, struct adl_error *err)
{
    const size_t chunk_bytes = ADL_MIN(options->max_memory_bytes / 4, ADL_LIMIT_PNG_CHUNK_BYTES);
    uint8_t *line = NULL, *rgb_line = NULL;
    struct spng_ihdr ihdr;
    struct spng_trns trns;
    struct spng_exif exif;
    int result = -1, code;

    /* Limits first, so that they hold for everything that libspng reads. */
    heap_reset(options->max_memory_bytes);
    if (!is_complete(bytes, length))
        return fail_code(SPNG_IO_EOF, err);
    spng_ctx *ctx = spng_ctx_new2(&allocator, 0);
    if (!ctx)
        return fail_code(SPNG_EMEM, err);
    /* A damaged chunk that pixels do not need is skipped, as libpng does by default. */
    code = spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    code = code ? code : spng_set_image_limits(ctx, ADL_LIMIT_IMAGE_SIDE, ADL_LIMIT_IMAGE_SIDE);
    code = code ? code : spng_set_chunk_limits(ctx, chunk_bytes, 2 * chunk_bytes);
    code = code ? code : spng_set_png_buffer(ctx, bytes, length);
    code = code ? code : spng_get_ihdr(ctx, &ihdr);
    if (code) {
        fail_code(code, err);
        goto out;
    }
    ADL_TRY(check_header(&ihdr, length, options, err));
    /* A tRNS chunk makes pixels of a colour type without alpha transparent. */
    code = spng_get_trns(ctx, &trns);
    if (code && code != SPNG_ECHUNKAVAIL) {
        fail_code(code, err);
        goto out;
    }
    const bool alpha = !options->ignore_alpha &&
                       (code == 0 || ihdr.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
                        ihdr.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA);

    ADL_TRY(adl_image_init(image, (int)ihdr.width, (int)ihdr.height, err));
    line = adl_malloc(ihdr.width, alpha ? 4 : 3);
    rgb_line = alpha ? adl_malloc(ihdr.width, 3) : line;
    if (!line || !rgb_line) {
        adl_fail_nomem(err, "a row of a PNG image");
        goto out;
    }
    ADL_TRY(read_png_pixels(ctx, &ihdr, alpha, line, rgb_line, image, err));
    /* What follows the pixels may be damaged too, and EXIF may be among it. */
    code = spng_decode_chunks(ctx);
    if (code) {
        fail_code(code, err);
        goto out;
    }
    info->width = image->width;
    info->height = image->height;
    if (spng_get_exif(ctx, &exif) == 0)
        info->orientation = adl_exif_orientation(exif.data, exif.length);
    result = 0;
out:
    if (rgb_line != line)
        adl_free(rgb_line);
    adl_free(line);
    spng_ctx_free(ctx);
    return result;
}

const struct adl_codec adl_codec_png = {ADL_IMAGE_PNG, is_png, decode_png};

/* Encodes 8-bit pixels without alpha into a block of our own: libspng's buffer comes from
 * heap_take() and has a header in front. */
static int encode_png(const uint8_t *pixels, int width, int height, enum spng_color_type type,
                      void **bytes, size_t *length, struct adl_error *err)
{
    struct spng_ihdr ihdr = {.width = (uint32_t)width,
                             .height = (uint32_t)height,
                             .bit_depth = 8,
                             .color_type = (uint8_t)type};
    const size_t channels = type == SPNG_COLOR_TYPE_TRUECOLOR ? 3 : 1;
    const size_t size = (size_t)width * (size_t)height * channels;
    int code;

    *bytes = NULL;
    *length = 0;
    heap_reset(SIZE_MAX);
    spng_ctx *ctx = spng_ctx_new2(&allocator, SPNG_CTX_ENCODER);
    if (!ctx)
        return adl_fail_nomem(err, "a PNG image");
    code = spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    code = code ? code : spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, 5);
    code = code ? code : spng_set_ihdr(ctx, &ihdr);
    code = code ? code : spng_encode_image(ctx, pixels, size, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    void *encoded = code ? NULL : spng_get_png_buffer(ctx, length, &code);
    if (encoded) {
        *bytes = adl_malloc(*length, 1);
        heap.refused = !*bytes;
        if (*bytes)
            memcpy(*bytes, encoded, *length);
        heap_give_back(encoded);
    }
    spng_ctx_free(ctx);
    if (*bytes)
        return 0;
    *length = 0;
    if (heap.refused)
        return adl_fail_nomem(err, "a PNG image");
    return adl_fail(err, ADL_ERR_INTERNAL, "cannot encode a PNG image: %s", spng_strerror(code));
}

int adl_image_encode_png(const struct adl_image *image, void **bytes, size_t *length,
                         struct adl_error *err)
{
    return encode_png(image->rgb, image->width, image->height, SPNG_COLOR_TYPE_TRUECOLOR, bytes,
                      length, err);
}

int adl_image_encode_grey_png(const uint8_t *grey, int width, int height, void **bytes,
                              size_t *length, struct adl_error *err)
{
    return encode_png(grey, width, height, SPNG_COLOR_TYPE_GRAYSCALE, bytes, length, err);
}
