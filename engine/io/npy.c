/* A .npy file is
 *
 *   "\x93NUMPY", major, minor        8 bytes
 *   length of the header             2 bytes little-endian, 4 in version 2.0
 *   the header                       a Python dictionary as text, padded with blanks and a
 *                                    newline so that the array is aligned to 64 bytes
 *   the array                        rows x columns elements
 *
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (14, 14), }
 *
 * NumPy reads the header with Python's own parser. A parser for exactly this dictionary is
 * enough here: the three keys in any order, each once, strings without escapes. */

#include "io/npy.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "io/file.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define ALIGNMENT 64 /* of the array in the file, in bytes */
#define MAX_RANK 2

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arrays are written as they are in memory, which has to be little-endian"
#endif

void adl_npy_release(struct adl_npy *npy)
{
    adl_free(npy->data);
    *npy = (struct adl_npy){0};
}

/* --- the header -------------------------------------------------------------- */

struct cursor {
    const char *next, *end;
};

struct header {
    bool has_type, has_order, has_shape;
    enum adl_npy_type type;
    bool big_endian;
    bool fortran; /* column by column, as NumPy saves a transposed array */
    size_t shape[MAX_RANK];
};

static int fail_header(struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "the header is not the dictionary of a .npy file");
}

static void skip_blanks(struct cursor *c)
{
    while (c->next < c->end && (*c->next == ' ' || *c->next == '\t' || *c->next == '\n'))
        c->next++;
}

/* Consumes the next character that is not a blank, if it is `wanted`. */
static bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->next == c->end || *c->next != wanted)
        return false;
    c->next++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t length = strlen(word);

    skip_blanks(c);
    if ((size_t)(c->end - c->next) < length || memcmp(c->next, word, length) != 0)
        return false;
    c->next += length;
    return true;
}

/* Consumes a string without escapes; no key and no type needs one. */
static bool take_string(struct cursor *c, struct cursor *text)
{
    skip_blanks(c);
    if (c->next == c->end || (*c->next != '\'' && *c->next != '"'))
        return false;
    const char *begin = c->next + 1;
    const char *stop = memchr(begin, *c->next, (size_t)(c->end - begin));
    if (!stop || memchr(begin, '\\', (size_t)(stop - begin)))
        return false;
    *text = (struct cursor){begin, stop};
    c->next = stop + 1;
    return true;
}

static bool is_text(const struct cursor *text, const char *wanted)
{
    return (size_t)(text->end - text->next) == strlen(wanted) &&
           !memcmp(text->next, wanted, strlen(wanted));
}

static int read_type(struct cursor *c, struct header *header, struct adl_error *err)
{
    static const struct {
        const char *descr;
        enum adl_npy_type type;
        bool big_endian;
    } types[] = {{"<f4", ADL_NPY_F32, false},
                 {"<f8", ADL_NPY_F64, false},
                 {">f4", ADL_NPY_F32, true},
                 {">f8", ADL_NPY_F64, true}};
    struct cursor text;

    if (!take_string(c, &text))
        return take(c, '[') ? adl_fail(err, ADL_ERR_UNSUPPORTED, "the elements are structures")
                            : fail_header(err);
    for (size_t i = 0; i < ADL_COUNT(types); i++) {
        if (is_text(&text, types[i].descr)) {
            header->type = types[i].type;
            header->big_endian = types[i].big_endian;
            return 0;
        }
    }
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "the elements are not float32 or float64");
}

static int read_order(struct cursor *c, struct header *header, struct adl_error *err)
{
    header->fortran = take_word(c, "True");
    return header->fortran || take_word(c, "False") ? 0 : fail_header(err);
}

static int read_side(struct cursor *c, size_t *side, struct adl_error *err)
{
    const char *begin;

    *side = 0;
    skip_blanks(c);
    for (begin = c->next; c->next < c->end && *c->next >= '0' && *c->next <= '9'; c->next++) {
        *side = *side * 10 + (size_t)(*c->next - '0');
        if (*side > ADL_LIMIT_INPUT_SIDE)
            return adl_fail(err, ADL_ERR_LIMIT, "a side of the array is over %d",
                            ADL_LIMIT_INPUT_SIDE);
    }
    return c->next > begin ? 0 : fail_header(err);
}

static int read_shape(struct cursor *c, struct header *header, struct adl_error *err)
{
    size_t rank = 0;

    if (!take(c, '('))
        return fail_header(err);
    while (!take(c, ')')) {
        if (rank == MAX_RANK)
            return adl_fail(err, ADL_ERR_UNSUPPORTED, "the array has more than two dimensions");
        if (read_side(c, &header->shape[rank++], err) < 0)
            return -1;
        if (!take(c, ',')) {
            /* "(5)" is a number in Python, not a tuple. */
            if (rank < 2 || !take(c, ')'))
                return fail_header(err);
            break;
        }
    }
    if (rank < MAX_RANK)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "the array has %zu dimensions, not two", rank);
    if (header->shape[0] == 0 || header->shape[1] == 0)
        return adl_fail(err, ADL_ERR_FORMAT, "the array is empty");
    return 0;
}

static int read_entry(struct cursor *c, struct header *header, struct adl_error *err)
{
    struct cursor key;
    bool *seen;

    if (!take_string(c, &key) || !take(c, ':'))
        return fail_header(err);
    if (is_text(&key, "descr"))
        seen = &header->has_type;
    else if (is_text(&key, "fortran_order"))
        seen = &header->has_order;
    else if (is_text(&key, "shape"))
        seen = &header->has_shape;
    else
        return fail_header(err);
    if (*seen)
        return fail_header(err);
    *seen = true;
    if (seen == &header->has_type)
        return read_type(c, header, err);
    return seen == &header->has_order ? read_order(c, header, err) : read_shape(c, header, err);
}

static int read_header(const char *text, size_t length, struct header *header,
                       struct adl_error *err)
{
    struct cursor c = {text, text + length};

    if (!take(&c, '{'))
        return fail_header(err);
    while (!take(&c, '}')) {
        if (read_entry(&c, header, err) < 0)
            return -1;
        if (!take(&c, ',')) {
            if (!take(&c, '}'))
                return fail_header(err);
            break;
        }
    }
    skip_blanks(&c);
    if (c.next < c.end || !header->has_type || !header->has_order || !header->has_shape)
        return fail_header(err);
    return 0;
}

/* --- reading -------------------------------------------------------------------- */

static size_t type_bytes(enum adl_npy_type type)
{
    return type == ADL_NPY_F32 ? sizeof(float) : sizeof(double);
}

static double to_double(const unsigned char *from, const struct header *header)
{
    unsigned char bytes[sizeof(double)];
    size_t unit = type_bytes(header->type);
    double wide;
    float narrow;

    for (size_t i = 0; i < unit; i++)
        bytes[i] = from[header->big_endian ? unit - 1 - i : i];
    if (header->type == ADL_NPY_F64) {
        memcpy(&wide, bytes, sizeof wide);
        return wide;
    }
    memcpy(&narrow, bytes, sizeof narrow);
    return (double)narrow;
}

/* Sets *begin to the offset of the header and *header_bytes to its length. */
static int find_header(const unsigned char *bytes, size_t length, size_t *begin,
                       size_t *header_bytes, struct adl_error *err)
{
    if (length < MAGIC_BYTES + 2 || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0)
        return adl_fail(err, ADL_ERR_FORMAT, "is not a .npy file");
    unsigned major = bytes[MAGIC_BYTES], minor = bytes[MAGIC_BYTES + 1];
    if (major < 1 || major > 2 || minor != 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "has version %u.%u of the format, not 1.0 or 2.0",
                        major, minor);
    size_t width = major == 1 ? 2 : 4;
    *begin = MAGIC_BYTES + 2 + width;
    if (length < *begin)
        return adl_fail(err, ADL_ERR_FORMAT, "is truncated");
    *header_bytes = 0;
    for (size_t i = 0; i < width; i++)
        *header_bytes |= (size_t)bytes[MAGIC_BYTES + 2 + i] << (8 * i);
    if (*header_bytes > ADL_LIMIT_NPY_HEADER_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "has a header of %zu bytes, more than %d",
                        *header_bytes, ADL_LIMIT_NPY_HEADER_BYTES);
    if (length - *begin < *header_bytes)
        return adl_fail(err, ADL_ERR_FORMAT, "is truncated");
    return 0;
}

int adl_npy_parse(const void *bytes, size_t length, struct adl_npy *npy, struct adl_error *err)
{
    struct header header = {0};
    size_t begin, header_bytes;

    *npy = (struct adl_npy){0};
    if (find_header(bytes, length, &begin, &header_bytes, err) < 0 ||
        read_header((const char *)bytes + begin, header_bytes, &header, err) < 0)
        return -1;
    begin += header_bytes;
    size_t count = header.shape[0] * header.shape[1], unit = type_bytes(header.type);
    if (length - begin != count * unit)
        return adl_fail(err, ADL_ERR_FORMAT, "has %zu byte%s of %zu x %zu numbers, not %zu",
                        length - begin, ADL_S(length - begin), header.shape[0], header.shape[1],
                        count * unit);
    double *data = adl_malloc(count, sizeof *data);
    if (!data)
        return adl_fail_nomem(err, "an array");
    const unsigned char *from = (const unsigned char *)bytes + begin;
    size_t rows = header.shape[0], columns = header.shape[1];
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < columns; x++) {
            size_t index = header.fortran ? x * rows + y : y * columns + x;
            data[y * columns + x] = to_double(from + index * unit, &header);
        }
    *npy = (struct adl_npy){header.type, rows, columns, data};
    return 0;
}

int adl_npy_read(const char *path, struct adl_npy *npy, struct adl_error *err)
{
    const size_t most = (size_t)ADL_LIMIT_INPUT_SIDE * ADL_LIMIT_INPUT_SIDE * sizeof(double) +
                        MAGIC_BYTES + 6 + ADL_LIMIT_NPY_HEADER_BYTES;
    size_t length;

    *npy = (struct adl_npy){0};
    void *bytes = adl_file_read(path, most, &length, err);
    if (!bytes)
        return -1;
    int result = adl_npy_parse(bytes, length, npy, err);
    if (result < 0)
        adl_error_context(err, "%s", path);
    adl_free(bytes);
    return result;
}

/* --- writing --------------------------------------------------------------------- */

int adl_npy_write(const char *path, enum adl_npy_type type, const double *data, size_t rows,
                  size_t columns, struct adl_error *err)
{
    char header[2 * ALIGNMENT + 1];
    size_t count, begin = MAGIC_BYTES + 4;
    float *rounded = NULL;

    if (adl_size_mul(rows, columns, &count) < 0 || count > SIZE_MAX / sizeof(double))
        return adl_fail(err, ADL_ERR_LIMIT, "%s: an array of %zu x %zu is too large", path, rows,
                        columns);
    if (type == ADL_NPY_F32) {
        rounded = adl_malloc(count, sizeof *rounded);
        if (!rounded)
            return adl_fail_nomem(err, "an array");
        for (size_t i = 0; i < count; i++)
            rounded[i] = (float)data[i];
    }
    size_t used = (size_t)snprintf(header + begin, sizeof header - begin,
                                   "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }",
                                   type == ADL_NPY_F32 ? "<f4" : "<f8", rows, columns);
    memset(header + begin + used, ' ', sizeof header - begin - used);
    header[sizeof header - 2] = '\n';
    memcpy(header, MAGIC "\x01\x00", MAGIC_BYTES + 2);
    header[MAGIC_BYTES + 2] = (char)(sizeof header - 1 - begin);
    header[MAGIC_BYTES + 3] = 0;
    const struct adl_file_piece pieces[] = {
        {header, sizeof header - 1},
        {type == ADL_NPY_F32 ? (const void *)rounded : data, count * type_bytes(type)}};
    int result = adl_file_write(path, pieces, ADL_COUNT(pieces), err);
    adl_free(rounded);
    return result;
}
