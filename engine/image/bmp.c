/* Reads BMP, Windows' device-independent bitmaps ("Bitmap Storage" in Microsoft's documentation
 * of GDI), with a reader of its own: the headers of 12 bytes (OS/2 1), 40 and more (Windows 3, 4
 * and 5); 1, 4 and 8 bits a pixel through a table of colours, RLE4 and RLE8 among them; 16, 24 and
 * 32 bits, with masks of any width; rows from the bottom up or from the top down.
 *
 * Only a mask that the header has for alpha makes a fourth byte transparency: without one it is
 * undefined and mostly zero. Indices that the table does not have, and pixels that a compressed
 * image leaves out, are black and the table's first colour, as in other readers.
 *
 * A file has to hold all its rows, the last one's padding too, and a compressed one has to end with
 * the mark for that; so what was cut off is found, and without compression no file declares more
 * pixels than it has bytes for. Rows are read where they lie. A compressed image is unpacked to an
 * index a pixel first, since it begins with the lowest row. */

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"

#define FILE_HEADER_BYTES 14
#define CORE_HEADER_BYTES 12

enum compression { PLAIN = 0, RLE8 = 1, RLE4 = 2, MASKS = 3, MASKS_WITH_ALPHA = 6 };

/* One channel of a pixel with masks. */
struct channel {
    unsigned shift;
    uint32_t most;       /* the value that means all of it; 0: there is no such channel */
    uint8_t scaled[256]; /* values to 0..255 */
};

struct bmp {
    size_t width, height;
    bool top_down;
    unsigned bits; /* a pixel */
    enum compression compression;
    const uint8_t *pixels, *end; /* of the file */
    size_t stride;               /* bytes of a row, without compression */
    uint8_t table[256][3];       /* RGB */
    struct channel channels[4];  /* R, G, B, A */
};

static int fail_corrupt(const char *what, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the BMP image is corrupt: %s", what);
}

static int fail_truncated(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the BMP image is truncated");
}

/* --- the header --------------------------------------------------------------------- */

static int read_mask(uint32_t mask, struct channel *channel, struct adl_error *err)
{
    *channel = (struct channel){0};
    if (!mask)
        return 0;
    channel->shift = (unsigned)__builtin_ctz(mask);
    mask >>= channel->shift;
    if (mask & (mask + 1))
        return fail_corrupt("a colour's bits are not side by side", err);
    while (mask > 255) { /* the low bits are less than can be shown */
        mask >>= 1;
        channel->shift++;
    }
    channel->most = mask;
    for (uint32_t v = 0; v <= mask; v++)
        channel->scaled[v] = (uint8_t)((v * 255 + mask / 2) / mask);
    return 0;
}

/* Reads or sets the masks of 16 and 32 bits. *gap is what follows the header before the table. */
static int read_masks(struct bmp *bmp, const uint8_t *bytes, size_t length, size_t header,
                      size_t *gap, struct adl_error *err)
{
    uint32_t masks[4] = {0x7c00, 0x3e0, 0x1f, 0};

    if (bmp->bits == 32)
        memcpy(masks, (const uint32_t[4]){0xff0000, 0xff00, 0xff, 0}, sizeof masks);
    if (bmp->compression != PLAIN) {
        /* Behind a header of the first kind that can have them, or in one of the later ones. */
        const bool inside = header >= 52;
        const size_t count = (inside ? header >= 56 : bmp->compression == MASKS_WITH_ALPHA) ? 4 : 3;
        *gap = inside ? 0 : 4 * count;
        if (length < FILE_HEADER_BYTES + 40 + 4 * count)
            return fail_truncated(err);
        for (size_t i = 0; i < count; i++)
            masks[i] = adl_codec_le32(bytes + FILE_HEADER_BYTES + 40 + 4 * i);
    }
    for (size_t i = 0; i < 4; i++)
        if (read_mask(masks[i], &bmp->channels[i], err) < 0)
            return -1;
    return 0;
}

static void read_table(struct bmp *bmp, const uint8_t *bytes, size_t from, size_t to, uint32_t used,
                       size_t entry_bytes)
{
    const size_t most = (size_t)1 << bmp->bits, count = used && used < most ? used : most;

    for (size_t i = 0; i < count && from + entry_bytes <= to; i++, from += entry_bytes)
        for (size_t c = 0; c < 3; c++)
            bmp->table[i][c] = bytes[from + 2 - c];
}

/* Takes compression and bits together, for not all combinations have a meaning. */
static int check_kind(const struct bmp *bmp, uint32_t compression, struct adl_error *err)
{
    const unsigned bits = bmp->bits;

    switch (compression) {
    case PLAIN:
        if (bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32)
            return 0;
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a BMP image of %u bits a pixel; 1, 4, 8, 16, 24 and 32 are read", bits);
    case RLE8:
    case RLE4:
        if (bits != (compression == RLE8 ? 8 : 4) || bmp->top_down)
            return fail_corrupt("its compression does not fit its pixels", err);
        return 0;
    case MASKS:
    case MASKS_WITH_ALPHA:
        if (bits != 16 && bits != 32)
            return fail_corrupt("its compression does not fit its pixels", err);
        return 0;
    default:
        return adl_fail(
            err, ADL_ERR_UNSUPPORTED,
            "a BMP image with compression %u; uncompressed ones, RLE4 and RLE8 are read",
            (unsigned)compression);
    }
}

/* Reads sides, bits and compression. *used is the number of colours in the table; 0: all. */
static int read_info(struct bmp *bmp, const uint8_t *info, size_t header, uint32_t *used,
                     struct adl_error *err)
{
    uint32_t compression = PLAIN;

    *used = 0;
    if (header == CORE_HEADER_BYTES) {
        bmp->width = adl_codec_le16(info + 4);
        bmp->height = adl_codec_le16(info + 6);
        bmp->bits = adl_codec_le16(info + 10);
    } else {
        const uint32_t height = adl_codec_le32(info + 8);
        bmp->width = adl_codec_le32(info + 4);
        bmp->top_down = height >> 31;
        bmp->height = bmp->top_down ? (uint32_t)-height : height;
        bmp->bits = adl_codec_le16(info + 14);
        compression = adl_codec_le32(info + 16);
        *used = adl_codec_le32(info + 32);
        if (header == 64 && compression > RLE4) /* OS/2 2 has other kinds under these numbers */
            compression = UINT32_MAX;
        if (bmp->width >> 31) /* a negative width */
            bmp->width = 0;
    }
    if (check_kind(bmp, compression, err) < 0)
        return -1;
    bmp->compression = (enum compression)compression;
    return 0;
}

/* Reads all that comes before the pixels, and checks it. */
static int read_header_of(const uint8_t *bytes, size_t length,
                          const struct adl_decode_options *options, struct bmp *bmp,
                          struct adl_error *err)
{
    size_t gap = 0;
    uint32_t used;

    *bmp = (struct bmp){0};
    if (length < FILE_HEADER_BYTES + 4)
        return fail_truncated(err);
    const size_t header = adl_codec_le32(bytes + 14), offset = adl_codec_le32(bytes + 10);
    if (header != CORE_HEADER_BYTES && (header < 40 || header > 4096))
        return fail_corrupt("its header has an unknown size", err);
    if (length < FILE_HEADER_BYTES + header)
        return fail_truncated(err);
    if (read_info(bmp, bytes + FILE_HEADER_BYTES, header, &used, err) < 0 ||
        adl_codec_check_sides(bmp->width, bmp->height, options, err) < 0)
        return -1;
    if ((bmp->bits == 16 || bmp->bits == 32) &&
        read_masks(bmp, bytes, length, header, &gap, err) < 0)
        return -1;
    if (offset < FILE_HEADER_BYTES + header)
        return fail_corrupt("its pixels begin within its header", err);
    if (offset > length)
        return fail_truncated(err);
    if (bmp->bits <= 8)
        read_table(bmp, bytes, FILE_HEADER_BYTES + header + gap, offset, used,
                   header == CORE_HEADER_BYTES ? 3 : 4);
    bmp->pixels = bytes + offset;
    bmp->end = bytes + length;
    if (bmp->compression == RLE4 || bmp->compression == RLE8)
        return 0;
    /* No overflow: both sides are at most ADL_LIMIT_IMAGE_SIDE. */
    bmp->stride = (bmp->width * bmp->bits + 31) / 32 * 4;
    return bmp->stride * bmp->height > length - offset ? fail_truncated(err) : 0;
}

/* --- pixels ------------------------------------------------------------------------- */

static void indexed_row(const struct bmp *bmp, const uint8_t *in, unsigned bits, uint8_t *rgb)
{
    const unsigned per_byte = 8 / bits, mask = (1u << bits) - 1;

    for (size_t x = 0; x < bmp->width; x++, rgb += 3) {
        const unsigned shift = 8 - bits - (unsigned)(x % per_byte) * bits;
        const unsigned byte = in[x / per_byte];
        memcpy(rgb, bmp->table[byte >> shift & mask], 3);
    }
}

/* Of 16 or 32 bits, with masks. `rgba` has room for a row. */
static void masked_row(const struct bmp *bmp, const uint8_t *in, bool alpha, uint8_t *rgba,
                       uint8_t *rgb)
{
    const struct channel *channels = bmp->channels;
    const size_t bytes = bmp->bits / 8, out_bytes = alpha ? 4 : 3;
    uint8_t *out = alpha ? rgba : rgb;

    for (size_t x = 0; x < bmp->width; x++, in += bytes, out += out_bytes) {
        const uint32_t pixel = bytes == 2 ? adl_codec_le16(in) : adl_codec_le32(in);
        for (size_t c = 0; c < out_bytes; c++)
            out[c] = channels[c].scaled[pixel >> channels[c].shift & channels[c].most];
    }
    if (alpha)
        adl_codec_over_white(rgba, bmp->width, rgb);
}

static void true_colour_row(const struct bmp *bmp, const uint8_t *in, uint8_t *rgb)
{
    for (size_t x = 0; x < bmp->width; x++, in += 3, rgb += 3) {
        rgb[0] = in[2];
        rgb[1] = in[1];
        rgb[2] = in[0];
    }
}

/* Unpacks RLE4 or RLE8 to an index a pixel, the lowest row first as in the file. Pairs of bytes: a
 * count and what is repeated; after a zero, the end of a row (0), of the image (1), a step to the
 * right and upwards (2), or a number of indices that follow as they are, filled up to a pair.
 * Every step takes two bytes at least and writes at most 255 pixels, which end with the row. */
static int unpack(const struct bmp *bmp, uint8_t *indices, struct adl_error *err)
{
    const bool nibbles = bmp->compression == RLE4;
    const uint8_t *p = bmp->pixels;
    size_t x = 0, y = 0;

    while (bmp->end - p >= 2) {
        const uint8_t *from = p + 1;
        size_t count = p[0], step = 0; /* of `from` */
        const unsigned code = p[1];
        p += 2;
        if (!count && code == 0) {
            x = 0;
            y++;
            continue;
        }
        if (!count && code == 1)
            return 0;
        if (!count && code == 2) {
            if (bmp->end - p < 2)
                break;
            x += p[0];
            y += p[1];
            p += 2;
            if (x > bmp->width || y >= bmp->height)
                return fail_corrupt("it has more pixels than its sides allow", err);
            continue;
        }
        if (!count) {
            const size_t bytes = nibbles ? (code + 1) / 2 : code;
            if ((size_t)(bmp->end - p) < bytes + bytes % 2)
                break;
            count = code;
            step = 1;
            from = p;
            p += bytes + bytes % 2;
        }
        if (y >= bmp->height)
            return fail_corrupt("it has more pixels than its sides allow", err);
        /* Some writers fill rows up to a multiple of four; that is cut off. */
        uint8_t *out = indices + y * bmp->width;
        for (size_t i = 0; i < count && x < bmp->width; i++, x++) {
            if (nibbles)
                out[x] = (uint8_t)(from[step * (i / 2)] >> (i % 2 ? 0 : 4) & 15);
            else
                out[x] = from[step * i];
        }
    }
    return fail_truncated(err);
}

/* Returns whether any pixel has another alpha than 0. Where none has, the writer left the byte
 * empty that the header calls alpha, and the image is opaque, as in browsers. */
static bool has_alpha(const struct bmp *bmp)
{
    const struct channel *alpha = &bmp->channels[3];
    const size_t bytes = bmp->bits / 8;

    for (size_t y = 0; alpha->most && y < bmp->height; y++) {
        const uint8_t *in = bmp->pixels + y * bmp->stride;
        for (size_t x = 0; x < bmp->width; x++, in += bytes) {
            const uint32_t pixel = bytes == 2 ? adl_codec_le16(in) : adl_codec_le32(in);
            if (pixel >> alpha->shift & alpha->most)
                return true;
        }
    }
    return false;
}

static size_t memory_needed(const struct bmp *bmp)
{
    if (bmp->compression == RLE4 || bmp->compression == RLE8)
        return bmp->width * bmp->height;
    return bmp->channels[3].most ? 4 * bmp->width : 0;
}

/* --- the codec ---------------------------------------------------------------------- */

/* Texts begin with "BM", too; in a BMP, bytes 6 to 9 are zero. */
static bool is_bmp(const uint8_t *bytes, size_t length)
{
    return length >= FILE_HEADER_BYTES && !memcmp(bytes, "BM", 2) &&
           !memcmp(bytes + 6, "\0\0\0\0", 4);
}

static void read_row(const struct bmp *bmp, const uint8_t *buffer, size_t y, uint8_t *scratch,
                     bool alpha, uint8_t *rgb)
{
    const size_t line = bmp->top_down ? y : bmp->height - 1 - y;
    const uint8_t *in = bmp->pixels + line * bmp->stride;

    if (buffer)
        indexed_row(bmp, buffer + line * bmp->width, 8, rgb);
    else if (bmp->bits <= 8)
        indexed_row(bmp, in, bmp->bits, rgb);
    else if (bmp->bits == 24)
        true_colour_row(bmp, in, rgb);
    else
        masked_row(bmp, in, alpha, scratch, rgb);
}

static int decode_bmp(const void *bytes, size_t length, const struct adl_decode_options *options,
                      struct adl_row_target *target, struct adl_image_info *info,
                      struct adl_error *err)
{
    struct bmp bmp;
    uint8_t *memory = NULL;
    int result = -1;

    if (read_header_of(bytes, length, options, &bmp, err) < 0)
        return -1;
    const bool compressed = bmp.compression == RLE4 || bmp.compression == RLE8;
    const bool alpha = has_alpha(&bmp);
    const size_t needed = memory_needed(&bmp);
    if (adl_codec_check_memory(needed, options, err) < 0)
        return -1;
    if (compressed || alpha) {
        memory = adl_calloc(needed, 1);
        if (!memory)
            return adl_fail_nomem(err, "a BMP image");
    }
    if (compressed)
        ADL_TRY(unpack(&bmp, memory, err));
    info->width = (int)bmp.width;
    info->height = (int)bmp.height;
    info->orientation = 1;
    ADL_TRY(target->begin(target, info, info->width, info->height, err));
    for (int y = 0; y < info->height; y++) {
        read_row(&bmp, compressed ? memory : NULL, (size_t)y, memory, alpha,
                 target->line(target, y));
        ADL_TRY(target->row(target, y, err));
    }
    result = 0;
out:
    adl_free(memory);
    return result;
}

static int examine_bmp(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_codec_needs *needs, struct adl_error *err)
{
    struct bmp bmp;

    if (read_header_of(bytes, length, options, &bmp, err) < 0)
        return -1;
    needs->width = (int)bmp.width;
    needs->height = (int)bmp.height;
    needs->orientation = 1;
    needs->bytes = memory_needed(&bmp);
    needs->ns_per_pixel = 3;
    return 0;
}

const struct adl_codec adl_codec_bmp = {ADL_IMAGE_BMP, is_bmp, decode_bmp, examine_bmp, NULL};
