/* Decodes PNG with libspng, every colour type and depth, and encodes RGB and grey.
 *
 * Against hostile files, the sides are checked before anything is allocated, a file that is too
 * short to hold its pixels is refused before they are allocated, metadata chunks are limited,
 * and so is the memory of libspng and zlib as a whole. */

#include <spng.h>
#include <string.h>
#include <zlib.h>

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

/* The columns of each pass of Adam7 interlacing. */
static const struct {
    unsigned first, step;
} columns[] = {{0, 8}, {4, 8}, {0, 4}, {2, 4}, {0, 2}, {1, 2}, {0, 1}};

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

static size_t big_endian_32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3];
}

/* What a walk over the chunks finds. */
struct chunks {
    bool complete;   /* there is a whole IEND chunk, whose checksum libspng does not read */
    int orientation; /* of the first eXIf chunk; 1: none that libspng does not skip */
};

/* Returns whether libspng takes an eXIf chunk: one with another checksum or beginning is skipped.
 */
static bool is_exif(const uint8_t *chunk, size_t size)
{
    return memcmp(chunk + 4, "eXIf", 4) == 0 && size >= 4 &&
           (memcmp(chunk + 8, "II*\0", 4) == 0 || memcmp(chunk + 8, "MM\0*", 4) == 0) &&
           crc32(0, chunk + 4, (uInt)(size + 4)) == big_endian_32(chunk + 8 + size);
}

/* The orientation is needed before the first row, and EXIF may come after the last one. */
static struct chunks walk_chunks(const uint8_t *bytes, size_t length)
{
    struct chunks found = {.orientation = 1};
    bool exif = false;

    for (size_t offset = 8; length - offset >= 12;) {
        const uint8_t *p = bytes + offset;
        size_t size = big_endian_32(p);
        if (size > length - offset - 12)
            break;
        if (memcmp(p + 4, "IEND", 4) == 0) {
            found.complete = true;
            break;
        }
        if (!exif && is_exif(p, size)) {
            exif = true;
            found.orientation = adl_exif_orientation(p + 8, size);
        }
        offset += 12 + size;
    }
    return found;
}

/* Writes the pixels of a decoded row, `count` of them, to their columns of a row of the image. */
static void spread(const uint8_t *rgb, size_t count, size_t step, uint8_t *out)
{
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * step * 3, rgb + i * 3, 3);
}

/* Decodes row by row, so that an image with alpha needs no second copy in memory: a row is
 * composited over white. The rows of an interlaced image come several times, each with some of its
 * columns, so they are collected in `whole`, which is the target's memory if that takes the image
 * whole. */
static int read_png_pixels(spng_ctx *ctx, const struct spng_ihdr *ihdr, bool alpha, uint8_t *line,
                           struct adl_image *whole, struct adl_row_target *target,
                           struct adl_error *err)
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
        const int y = (int)row.row_num;
        uint8_t *out = whole->rgb ? NULL : target->line(target, y);
        /* Without alpha and interlacing, a row is decoded to where it belongs. */
        uint8_t *raw = alpha || !out ? line : out;
        code = spng_decode_scanline(ctx, raw, line_bytes);
        if (code && code != SPNG_EOI)
            return fail_code(code, err);

        const unsigned first = whole->rgb ? columns[row.pass].first : 0;
        const unsigned step = whole->rgb ? columns[row.pass].step : 1;
        const size_t count = (ihdr->width - first + step - 1) / step;
        if (alpha)
            adl_codec_over_white(line, count, out ? out : line);
        if (whole->rgb)
            spread(line, count, step, whole->rgb + ((size_t)y * ihdr->width + first) * 3);
        else if (target->row(target, y, err) < 0)
            return -1;
    } while (code != SPNG_EOI);
    return 0;
}

/* Fails unless the limits hold and the file can be complete, from the header alone. */
static int check_sides(const struct spng_ihdr *ihdr, size_t length,
                       const struct adl_decode_options *options, struct adl_error *err)
{
    if (adl_codec_check_sides(ihdr->width, ihdr->height, options, err) < 0)
        return -1;
    const size_t bits = (size_t)ihdr->width * ihdr->height * channels_of(ihdr) * ihdr->bit_depth;
    return bits / 8 / MAX_RATIO > length ? fail_code(SPNG_IO_EOF, err) : 0;
}

static int check_header(const struct spng_ihdr *ihdr, size_t length,
                        const struct adl_decode_options *options, struct adl_error *err)
{
    if (check_sides(ihdr, length, options, err) < 0)
        return -1;
    /* The row that decode_png() allocates. */
    const size_t row = (size_t)ihdr->width * 4;
    if (adl_codec_check_memory(row, options, err) < 0)
        return -1;
    heap.limit_bytes -= ADL_MIN(row, heap.limit_bytes);
    return 0;
}

static bool is_png(const uint8_t *bytes, size_t length)
{
    return length >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

/* Sets the limits, and reads the header and whether there is transparency. */
static int open_png(spng_ctx *ctx, const void *bytes, size_t length,
                    const struct adl_decode_options *options, struct spng_ihdr *ihdr, bool *alpha,
                    struct adl_error *err)
{
    const size_t chunk_bytes = ADL_MIN(options->max_memory_bytes / 4, ADL_LIMIT_PNG_CHUNK_BYTES);
    struct spng_trns trns;

    /* Limits first, so that they hold for everything that libspng reads. A damaged chunk that
     * pixels do not need is skipped, as libpng does by default. */
    int code = spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    code = code ? code : spng_set_image_limits(ctx, ADL_LIMIT_IMAGE_SIDE, ADL_LIMIT_IMAGE_SIDE);
    code = code ? code : spng_set_chunk_limits(ctx, chunk_bytes, 2 * chunk_bytes);
    code = code ? code : spng_set_png_buffer(ctx, bytes, length);
    code = code ? code : spng_get_ihdr(ctx, ihdr);
    if (code)
        return fail_code(code, err);
    if (check_header(ihdr, length, options, err) < 0)
        return -1;
    /* A tRNS chunk makes pixels of a colour type without alpha transparent. */
    code = spng_get_trns(ctx, &trns);
    if (code && code != SPNG_ECHUNKAVAIL)
        return fail_code(code, err);
    *alpha = !options->ignore_alpha &&
             (code == 0 || ihdr->color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
              ihdr->color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA);
    return 0;
}

static int decode_png(const void *bytes, size_t length, const struct adl_decode_options *options,
                      struct adl_row_target *target, struct adl_image_info *info,
                      struct adl_error *err)
{
    const struct chunks chunks = walk_chunks(bytes, length);
    struct adl_image whole = {0};
    uint8_t *line = NULL;
    struct spng_ihdr ihdr;
    struct spng_exif exif;
    bool alpha = false;
    int result = -1, code;

    heap_reset(options->max_memory_bytes);
    if (!chunks.complete)
        return fail_code(SPNG_IO_EOF, err);
    spng_ctx *ctx = spng_ctx_new2(&allocator, 0);
    if (!ctx)
        return fail_code(SPNG_EMEM, err);
    ADL_TRY(open_png(ctx, bytes, length, options, &ihdr, &alpha, err));
    info->width = (int)ihdr.width;
    info->height = (int)ihdr.height;
    info->orientation = options->ignore_orientation ? 1 : chunks.orientation;
    ADL_TRY(target->begin(target, info, info->width, info->height, err));
    if (ihdr.interlace_method && !target->whole)
        ADL_TRY(adl_image_init(&whole, info->width, info->height, err));
    else if (ihdr.interlace_method)
        whole = (struct adl_image){info->width, info->height, target->line(target, 0)};
    line = adl_malloc(ihdr.width, 4);
    if (!line) {
        adl_fail_nomem(err, "a row of a PNG image");
        goto out;
    }
    ADL_TRY(read_png_pixels(ctx, &ihdr, alpha, line, &whole, target, err));
    if (whole.rgb && !target->whole)
        ADL_TRY(adl_codec_put_rows(&whole, target, err));
    /* What follows the pixels may be damaged too. */
    code = spng_decode_chunks(ctx);
    if (code) {
        fail_code(code, err);
        goto out;
    }
    code = spng_get_exif(ctx, &exif);
    if ((code ? 1 : adl_exif_orientation(exif.data, exif.length)) != chunks.orientation) {
        adl_fail(err, ADL_ERR_FORMAT, "the PNG image is corrupt: its EXIF data are damaged");
        goto out;
    }
    result = 0;
out:
    if (!target->whole)
        adl_image_release(&whole);
    adl_free(line);
    spng_ctx_free(ctx);
    return result;
}

/* Rows of libspng, filtered and unfiltered, of up to 8 bytes a pixel, and as RGBA; zlib's window
 * and the buffers of both. */
#define BYTES_PER_COLUMN 32
#define FIXED_BYTES (256 * ADL_KIB)
/* Metadata that is kept while decoding, such as a colour profile. */
#define METADATA_BYTES (4 * ADL_MIB)

static int examine_png(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_codec_needs *needs, struct adl_error *err)
{
    const uint8_t *p = bytes;
    struct spng_ihdr ihdr;

    heap_reset(SIZE_MAX); /* whose state fail_code() reads */
    if (length < 33 || memcmp(p + 12, "IHDR", 4) != 0)
        return fail_code(SPNG_IO_EOF, err);
    ihdr.width = (uint32_t)big_endian_32(p + 16);
    ihdr.height = (uint32_t)big_endian_32(p + 20);
    ihdr.bit_depth = p[24];
    ihdr.color_type = p[25];
    ihdr.interlace_method = p[28];
    /* As libspng does it, in its words. */
    if (ADL_MAX(ihdr.width, ihdr.height) > ADL_LIMIT_IMAGE_SIDE &&
        ADL_MAX(ihdr.width, ihdr.height) <= INT32_MAX)
        return fail_code(SPNG_EUSER_WIDTH, err);
    if (check_sides(&ihdr, length, options, err) < 0)
        return -1;
    needs->width = (int)ihdr.width;
    needs->height = (int)ihdr.height;
    needs->orientation = options->ignore_orientation ? 1 : walk_chunks(bytes, length).orientation;
    needs->whole = ihdr.interlace_method != 0;
    needs->bytes = (size_t)ihdr.width * BYTES_PER_COLUMN + FIXED_BYTES +
                   ADL_MIN(1000 * length, METADATA_BYTES);
    needs->ns_per_pixel = 12;
    return 0;
}

const struct adl_codec adl_codec_png = {ADL_IMAGE_PNG, is_png, decode_png, examine_png, NULL};

/* Levels of deflate. A photograph is worth the time. A map is so smooth that the differences of
 * neighbours are almost all -1, 0 or 1: with that filter alone, which need not be chosen for each
 * row, the lowest level takes a third of the time and fewer bytes. */
#define LEVEL_RGB 5
#define LEVEL_GREY 1

/* Encodes one row after the other. Returns a code of libspng, or -1 with `err`, of the pause. */
static int encode_rows(spng_ctx *ctx, const uint8_t *pixels, size_t row_bytes,
                       const struct adl_pause *pause, struct adl_error *err)
{
    size_t done = 0;
    int code = spng_encode_image(ctx, NULL, 0, SPNG_FMT_PNG,
                                 SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE);

    for (; !code; pixels += row_bytes) {
        code = spng_encode_row(ctx, pixels, row_bytes);
        if (!code && adl_pause_after(pause, &done, row_bytes, err) < 0)
            return -1;
    }
    return code == SPNG_EOI ? 0 : code;
}

/* Encodes 8-bit pixels without alpha into a block of our own: libspng's buffer comes from
 * heap_take() and has a header in front. */
static int encode_png(const uint8_t *pixels, int width, int height, enum spng_color_type type,
                      const struct adl_pause *pause, void **bytes, size_t *length,
                      struct adl_error *err)
{
    struct spng_ihdr ihdr = {.width = (uint32_t)width,
                             .height = (uint32_t)height,
                             .bit_depth = 8,
                             .color_type = (uint8_t)type};
    const size_t channels = type == SPNG_COLOR_TYPE_TRUECOLOR ? 3 : 1;
    int code;

    *bytes = NULL;
    *length = 0;
    heap_reset(SIZE_MAX);
    spng_ctx *ctx = spng_ctx_new2(&allocator, SPNG_CTX_ENCODER);
    if (!ctx)
        return adl_fail_nomem(err, "a PNG image");
    code = spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    code = code ? code
                : spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL,
                                  channels == 3 ? LEVEL_RGB : LEVEL_GREY);
    if (channels == 1)
        code = code ? code : spng_set_option(ctx, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_SUB);
    code = code ? code : spng_set_ihdr(ctx, &ihdr);
    code = code ? code : encode_rows(ctx, pixels, (size_t)width * channels, pause, err);
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
    if (code == -1)
        return -1;
    if (heap.refused)
        return adl_fail_nomem(err, "a PNG image");
    return adl_fail(err, ADL_ERR_INTERNAL, "cannot encode a PNG image: %s", spng_strerror(code));
}

int adl_image_encode_png(const struct adl_image *image, void **bytes, size_t *length,
                         struct adl_error *err)
{
    return encode_png(image->rgb, image->width, image->height, SPNG_COLOR_TYPE_TRUECOLOR, NULL,
                      bytes, length, err);
}

int adl_image_encode_grey_png(const uint8_t *grey, int width, int height,
                              const struct adl_pause *pause, void **bytes, size_t *length,
                              struct adl_error *err)
{
    return encode_png(grey, width, height, SPNG_COLOR_TYPE_GRAYSCALE, pause, bytes, length, err);
}
