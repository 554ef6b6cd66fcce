/* Reads the first directory of a TIFF file (TIFF Revision 6.0, section 2): how large the image is
 * and in which pieces it is stored, so that limits are checked before libtiff sees the file, and
 * that in a process that never opens libtiff.
 *
 * A directory is a number of entries of 12 bytes: tag, type, count, and the values or where they
 * are. Strips and tiles have a place and a number of bytes each; that all of them lie within the
 * file is how one that was cut off is found. */

#include "image/tiff_header.h"

#include <string.h>

#include "base/limits.h"
#include "base/size.h"

enum tag {
    WIDTH = 256,
    HEIGHT = 257,
    BITS = 258,
    COMPRESSION = 259,
    STRIP_PLACES = 273,
    ORIENTATION = 274,
    SAMPLES = 277,
    ROWS_PER_STRIP = 278,
    STRIP_BYTES = 279,
    TILE_WIDTH = 322,
    TILE_HEIGHT = 323,
    TILE_PLACES = 324,
    TILE_BYTES = 325
};

#define ENTRY_BYTES 12
#define MOST_SAMPLES 8
/* No compression here packs better than LZW: 4096 bytes in 12 bits. CCITT's, for black and white
 * and of few bytes by itself, and JPEG are not asked. */
#define MAX_RATIO 3000

struct file {
    const uint8_t *bytes;
    size_t length;
    bool big_endian;
};

/* The values of a tag, within the file. */
struct values {
    size_t at, count;
    unsigned bytes; /* of each; 0: the tag is missing */
};

static int fail_corrupt(const char *what, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the TIFF image is corrupt: %s", what);
}

static int fail_truncated(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the TIFF image is truncated");
}

static size_t number(const struct file *file, size_t at, unsigned bytes)
{
    size_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | file->bytes[at + (file->big_endian ? i : bytes - 1 - i)];
    return value;
}

/* Finds the values of a tag whose type is SHORT or LONG. */
static int find_values(const struct file *file, size_t directory, enum tag tag,
                       struct values *values, struct adl_error *err)
{
    const size_t count = number(file, directory, 2);

    *values = (struct values){0};
    for (size_t i = 0; i < count; i++) {
        const size_t entry = directory + 2 + i * ENTRY_BYTES;
        const size_t type = number(file, entry + 2, 2);
        if (number(file, entry, 2) != tag)
            continue;
        if (type != 3 && type != 4)
            return fail_corrupt("a number of its header has another type", err);
        *values = (struct values){entry + 8, number(file, entry + 4, 4), type == 3 ? 2 : 4};
        if (values->count == 0)
            return fail_corrupt("a number of its header is missing", err);
        if (values->count > 4 / values->bytes)
            values->at = number(file, entry + 8, 4);
        if (values->at > file->length ||
            values->count > (file->length - values->at) / values->bytes)
            return fail_truncated(err);
        return 0;
    }
    return 0;
}

/* Reads the first value of a tag; `missing` if there is none. */
static int find_number(const struct file *file, size_t directory, enum tag tag, size_t missing,
                       size_t *value, struct adl_error *err)
{
    struct values values;

    if (find_values(file, directory, tag, &values, err) < 0)
        return -1;
    *value = values.bytes ? number(file, values.at, values.bytes) : missing;
    return 0;
}

/* Fails unless all strips or tiles are within the file. */
static int check_pieces(const struct file *file, size_t directory,
                        const struct adl_tiff_header *header, struct adl_error *err)
{
    struct values places, bytes;

    if (find_values(file, directory, header->tiled ? TILE_PLACES : STRIP_PLACES, &places, err) <
            0 ||
        find_values(file, directory, header->tiled ? TILE_BYTES : STRIP_BYTES, &bytes, err) < 0)
        return -1;
    const size_t across = (header->width + header->piece_width - 1) / header->piece_width;
    const size_t down = (header->height + header->piece_height - 1) / header->piece_height;
    if (!places.bytes || !bytes.bytes || places.count != bytes.count ||
        places.count < across * down)
        return fail_corrupt("it does not say where its pixels are", err);
    size_t all = 0;
    for (size_t i = 0; i < places.count; i++) {
        const size_t at = number(file, places.at + i * places.bytes, places.bytes);
        const size_t size = number(file, bytes.at + i * bytes.bytes, bytes.bytes);
        if (at > file->length || size > file->length - at)
            return fail_truncated(err);
        all += size;
    }
    const size_t row = (header->width * header->samples * header->bits + 7) / 8;
    if (header->compression == ADL_TIFF_NONE && all < row * header->height)
        return fail_truncated(err);
    if (header->bits >= 8 && header->compression != ADL_TIFF_JPEG &&
        all < row * header->height / MAX_RATIO)
        return fail_truncated(err);
    return 0;
}

/* The compressions that libtiff decodes with what this program has memory and trust for: none,
 * CCITT's three, LZW, JPEG, Deflate by two numbers and PackBits. */
static int check_kind(const struct adl_tiff_header *header, struct adl_error *err)
{
    static const unsigned read[] = {ADL_TIFF_NONE, 2, 3, 4, 5, ADL_TIFF_JPEG, 8, 32773, 32946};
    bool known = false;

    for (size_t i = 0; i < ADL_COUNT(read); i++)
        known |= header->compression == read[i];
    if (!known)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a TIFF image with compression %u; uncompressed ones, CCITT, LZW, JPEG, "
                        "Deflate and PackBits are read",
                        header->compression);
    if (header->samples < 1 || header->samples > MOST_SAMPLES)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a TIFF image of %u samples a pixel; 1 to %d are "
                        "read",
                        header->samples, MOST_SAMPLES);
    if (header->bits != 1 && header->bits != 2 && header->bits != 4 && header->bits != 8 &&
        header->bits != 16)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "a TIFF image of %u bits a sample; 1, 2, 4, 8 and 16 are read",
                        header->bits);
    return 0;
}

/* Returns where the first directory is, with all its entries in the file; 0 if it is not. */
static size_t find_directory(const struct file *file)
{
    if (file->length < 14)
        return 0;
    const size_t at = number(file, 4, 4);
    /* It ends with the place of the next one. */
    if (at < 8 || at > file->length - 6 ||
        number(file, at, 2) > (file->length - at - 6) / ENTRY_BYTES)
        return 0;
    return at;
}

static int read_numbers(const struct file *file, size_t directory, struct adl_tiff_header *header,
                        struct adl_error *err)
{
    size_t orientation, compression, samples, bits, rows, tile_width, tile_height;

    if (find_number(file, directory, WIDTH, 0, &header->width, err) < 0 ||
        find_number(file, directory, HEIGHT, 0, &header->height, err) < 0 ||
        find_number(file, directory, ORIENTATION, 1, &orientation, err) < 0 ||
        find_number(file, directory, COMPRESSION, ADL_TIFF_NONE, &compression, err) < 0 ||
        find_number(file, directory, SAMPLES, 1, &samples, err) < 0 ||
        find_number(file, directory, BITS, 1, &bits, err) < 0 ||
        find_number(file, directory, ROWS_PER_STRIP, UINT32_MAX, &rows, err) < 0 ||
        find_number(file, directory, TILE_WIDTH, 0, &tile_width, err) < 0 ||
        find_number(file, directory, TILE_HEIGHT, 0, &tile_height, err) < 0)
        return -1;
    header->orientation = orientation >= 1 && orientation <= 8 ? (int)orientation : 1;
    header->compression = (unsigned)compression;
    header->samples = (unsigned)samples;
    header->bits = (unsigned)bits;
    header->tiled = tile_width > 0 || tile_height > 0;
    header->piece_width = header->tiled ? tile_width : header->width;
    header->piece_height = header->tiled ? tile_height : ADL_MIN(rows, header->height);
    return 0;
}

bool adl_tiff_matches(const uint8_t *bytes, size_t length)
{
    return length >= 4 && (!memcmp(bytes, "II*\0", 4) || !memcmp(bytes, "MM\0*", 4));
}

int adl_tiff_header_read(const uint8_t *bytes, size_t length,
                         const struct adl_decode_options *options, struct adl_tiff_header *header,
                         struct adl_error *err)
{
    const struct file file = {bytes, length, bytes[0] == 'M'};
    const size_t directory = find_directory(&file);

    *header = (struct adl_tiff_header){0};
    if (!directory)
        return fail_truncated(err);
    if (read_numbers(&file, directory, header, err) < 0 ||
        adl_codec_check_sides(header->width, header->height, options, err) < 0 ||
        check_kind(header, err) < 0)
        return -1;
    if (header->piece_width < 1 || header->piece_height < 1 ||
        header->piece_width > ADL_LIMIT_IMAGE_SIDE || header->piece_height > ADL_LIMIT_IMAGE_SIDE)
        return fail_corrupt("its strips or tiles have an impossible size", err);
    if (options->ignore_orientation)
        header->orientation = 1;
    return check_pieces(&file, directory, header, err);
}
