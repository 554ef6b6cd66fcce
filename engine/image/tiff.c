/* Reads the first image of a TIFF file with libtiff, which is opened when the first file comes
 * (optional_library.h): grey, palette, RGB, CMYK, YCbCr and CIE L*a*b*, of the compressions in
 * tiff_header.c, in strips or tiles, alpha over white.
 *
 * libtiff converts every kind to RGBA, one strip or tile at a time, so that no more than a row of
 * pieces is in memory. It gives the lowest row of a piece first, and colours multiplied by alpha.
 * How the image has to be turned is not left to it, for it turns pieces one by one.
 *
 * The functions are declared here and not by libtiff's header, which is then not needed to build
 * the program; they are the same in all libraries named libtiff.so.6. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"
#include "image/optional_library.h"
#include "image/tiff_header.h"

/* libtiff's tables and buffers, which do not grow with the image. */
#define FIXED_BYTES (384 * ADL_KIB)

enum tag {
    WIDTH = 256,
    HEIGHT = 257,
    COLOURS = 262, /* PhotometricInterpretation: 0 and 1 are grey */
    ORIENTATION = 274,
    ROWS_PER_STRIP = 278,
    TILE_WIDTH = 322,
    TILE_HEIGHT = 323,
    EXTRA_SAMPLES = 338
};

/* What the first sample beyond the colours is. */
enum { EXTRA_OTHER, EXTRA_ALPHA_MULTIPLIED, EXTRA_ALPHA };

typedef int report(void *tiff, void *context, const char *module, const char *format, va_list);
typedef ptrdiff_t transfer(void *context, void *bytes, ptrdiff_t size);

static struct {
    void *(*options_alloc)(void);
    void (*options_free)(void *options);
    void (*options_set_most)(void *options, ptrdiff_t bytes);
    void (*options_set_errors)(void *options, report *handler, void *context);
    void (*options_set_warnings)(void *options, report *handler, void *context);
    void *(*open)(const char *name, const char *mode, void *context, transfer *read,
                  transfer *write, uint64_t (*seek)(void *, uint64_t, int), int (*close)(void *),
                  uint64_t (*size)(void *), int (*map)(void *, void **, uint64_t *),
                  void (*unmap)(void *, void *, uint64_t), void *options);
    void (*close)(void *tiff);
    int (*get)(void *tiff, uint32_t tag, ...);
    int (*set)(void *tiff, uint32_t tag, ...);
    int (*is_tiled)(void *tiff);
    int (*convertible)(void *tiff, char reason[1024]);
    int (*read_strip)(void *tiff, uint32_t row, uint32_t *raster, int stop);
    int (*read_tile)(void *tiff, uint32_t column, uint32_t row, uint32_t *raster, int stop);
} lib;

static const struct adl_optional_function functions[] = {
    {"TIFFOpenOptionsAlloc", &lib.options_alloc},
    {"TIFFOpenOptionsFree", &lib.options_free},
    {"TIFFOpenOptionsSetMaxSingleMemAlloc", &lib.options_set_most},
    {"TIFFOpenOptionsSetErrorHandlerExtR", &lib.options_set_errors},
    {"TIFFOpenOptionsSetWarningHandlerExtR", &lib.options_set_warnings},
    {"TIFFClientOpenExt", &lib.open},
    {"TIFFClose", &lib.close},
    {"TIFFGetField", &lib.get},
    {"TIFFSetField", &lib.set},
    {"TIFFIsTiled", &lib.is_tiled},
    {"TIFFRGBAImageOK", &lib.convertible},
    {"TIFFReadRGBAStripExt", &lib.read_strip},
    {"TIFFReadRGBATileExt", &lib.read_tile},
};

static struct adl_optional_library library = {
    .formats = "TIFF",
    .file = "libtiff.so.6",
    .package = "libtiff6",
    .functions = functions,
    .count = ADL_COUNT(functions),
};

/* --- the file, as libtiff sees it --------------------------------------------------- */

struct source {
    const uint8_t *bytes;
    uint64_t length, at;
    char reason[120]; /* the first error */
};

static ptrdiff_t read_bytes(void *context, void *bytes, ptrdiff_t size)
{
    struct source *source = context;
    const uint64_t left = source->length - ADL_MIN(source->at, source->length);
    const size_t some = (size_t)ADL_MIN((uint64_t)ADL_MAX(size, 0), left);

    memcpy(bytes, source->bytes + (source->length - left), some);
    source->at += some;
    return (ptrdiff_t)some;
}

static ptrdiff_t write_bytes(void *context, void *bytes, ptrdiff_t size)
{
    (void)context, (void)bytes, (void)size;
    return -1;
}

static uint64_t seek(void *context, uint64_t to, int whence)
{
    struct source *source = context;
    return source->at = to + (whence == SEEK_CUR   ? source->at
                              : whence == SEEK_END ? source->length
                                                   : 0);
}

static int close_source(void *context)
{
    (void)context;
    return 0;
}

static uint64_t size_of(void *context)
{
    return ((const struct source *)context)->length;
}

/* libtiff only reads what it has mapped: the file is opened for reading. */
static int map(void *context, void **base, uint64_t *size)
{
    const struct source *source = context;

    memcpy(base, &source->bytes, sizeof *base);
    *size = source->length;
    return 1;
}

static void unmap(void *context, void *base, uint64_t size)
{
    (void)context, (void)base, (void)size;
}

__attribute__((format(printf, 4, 0))) static int note_error(void *tiff, void *context,
                                                            const char *module, const char *format,
                                                            va_list arguments)
{
    struct source *source = context;

    (void)tiff, (void)module;
    if (!source->reason[0])
        vsnprintf(source->reason, sizeof source->reason, format, arguments);
    return 1;
}

__attribute__((format(printf, 4, 0))) static int ignore(void *tiff, void *context,
                                                        const char *module, const char *format,
                                                        va_list arguments)
{
    (void)tiff, (void)context, (void)module, (void)format, (void)arguments;
    return 1;
}

/* libtiff's reason may quote the file. */
static int fail_corrupt(struct source *source, struct adl_error *err)
{
    for (char *p = source->reason; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    return adl_fail(err, ADL_ERR_FORMAT, "the TIFF image is corrupt%s%s",
                    source->reason[0] ? ": " : "", source->reason);
}

/* --- decoding ----------------------------------------------------------------------- */

static size_t piece_pixels(const struct adl_tiff_header *header)
{
    return header->piece_width * header->piece_height;
}

/* An upper bound: the piece as RGBA, as stored and, of JPEG, its coefficients; a row of tiles; and
 * a copy of a piece's bytes in the file. */
static size_t memory_needed(const struct adl_tiff_header *header, size_t length)
{
    const size_t pixels = piece_pixels(header);
    size_t bytes = 4 * pixels + (pixels * header->samples * header->bits + 7) / 8;

    if (header->compression == ADL_TIFF_JPEG)
        bytes += 3 * pixels * header->samples;
    if (header->tiled)
        bytes += 3 * header->width * header->piece_height;
    return bytes + length + 64 * header->width + FIXED_BYTES;
}

/* Whether libtiff has found in the file what tiff_header.c has. */
static bool agrees(void *tiff, const struct adl_tiff_header *header, uint32_t *rows)
{
    uint32_t width = 0, height = 0, piece_width = 0, piece_height = 0;

    lib.get(tiff, WIDTH, &width);
    lib.get(tiff, HEIGHT, &height);
    if (width != header->width || height != header->height || !lib.is_tiled(tiff) != !header->tiled)
        return false;
    if (header->tiled) {
        lib.get(tiff, TILE_WIDTH, &piece_width);
        lib.get(tiff, TILE_HEIGHT, &piece_height);
        *rows = piece_height;
        return piece_width == header->piece_width && piece_height == header->piece_height;
    }
    /* It splits a large strip without compression. */
    *rows = UINT32_MAX;
    lib.get(tiff, ROWS_PER_STRIP, rows);
    *rows = ADL_MIN(*rows, height);
    return *rows >= 1 && *rows <= header->piece_height;
}

/* What of libtiff's RGBA is not as it should be: it takes a fourth sample for alpha even if the
 * file says that it is something else, such as a near-infrared band or a saved selection; and it
 * does not multiply grey by alpha. */
struct faults {
    bool opaque, plain_grey;
};

static struct faults find_faults(void *tiff)
{
    uint16_t count = 0, *extra = NULL, colours = 2;

    if (!lib.get(tiff, EXTRA_SAMPLES, &count, &extra) || count == 0 || !extra)
        return (struct faults){0};
    lib.get(tiff, COLOURS, &colours);
    return (struct faults){extra[0] == EXTRA_OTHER, extra[0] == EXTRA_ALPHA && colours <= 1};
}

static void over_white(struct faults faults, const uint32_t *abgr, size_t count, uint8_t *rgb)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t alpha = faults.opaque ? 255 : abgr[i] >> 24, white = 255 - alpha;
        for (size_t c = 0; c < 3; c++) {
            const uint32_t value = abgr[i] >> 8 * c & 255;
            const uint32_t sum = (faults.plain_grey ? (value * alpha + 127) / 255 : value) + white;
            *rgb++ = (uint8_t)ADL_MIN(sum, 255u);
        }
    }
}

/* Reads rows from `top` on: a row of tiles to `band`, or a strip, which stays in the raster. */
static bool read_band(void *tiff, const struct adl_tiff_header *header, size_t top,
                      struct faults faults, uint32_t *raster, uint8_t *band)
{
    if (!header->tiled)
        return lib.read_strip(tiff, (uint32_t)top, raster, 1);
    for (size_t left = 0; left < header->width; left += header->piece_width) {
        const size_t count = ADL_MIN(header->piece_width, header->width - left);
        if (!lib.read_tile(tiff, (uint32_t)left, (uint32_t)top, raster, 1))
            return false;
        for (size_t y = 0; y < header->piece_height; y++)
            over_white(faults, raster + (header->piece_height - 1 - y) * header->piece_width, count,
                       band + (y * header->width + left) * 3);
    }
    return true;
}

static int read_rows(void *tiff, const struct adl_tiff_header *header, size_t band_rows,
                     struct source *source, uint32_t *raster, struct adl_row_target *target,
                     struct adl_error *err)
{
    uint8_t *band = (uint8_t *)(raster + piece_pixels(header)); /* if there are tiles */
    const struct faults faults = find_faults(tiff);

    for (size_t top = 0; top < header->height; top += band_rows) {
        const size_t rows = ADL_MIN(band_rows, header->height - top);
        if (!read_band(tiff, header, top, faults, raster, band))
            return fail_corrupt(source, err);
        for (size_t y = 0; y < rows; y++) {
            uint8_t *line = target->line(target, (int)(top + y));
            if (header->tiled)
                memcpy(line, band + 3 * y * header->width, 3 * header->width);
            else
                over_white(faults, raster + (rows - 1 - y) * header->width, header->width, line);
            if (target->row(target, (int)(top + y), err) < 0)
                return -1;
        }
    }
    return 0;
}

static void *open_tiff(struct source *source, size_t most)
{
    void *options = lib.options_alloc();

    if (!options)
        return NULL;
    lib.options_set_most(options, (ptrdiff_t)most);
    lib.options_set_errors(options, note_error, source);
    lib.options_set_warnings(options, ignore, NULL);
    void *tiff = lib.open("TIFF", "r", source, read_bytes, write_bytes, seek, close_source, size_of,
                          map, unmap, options);
    lib.options_free(options);
    return tiff;
}

static int decode_tiff(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_row_target *target, struct adl_image_info *info,
                       struct adl_error *err)
{
    struct source source = {.bytes = bytes, .length = length};
    struct adl_tiff_header header;
    char reason[1024] = "";
    uint32_t *raster = NULL, rows;
    int result = -1;

    if (adl_tiff_header_read(bytes, length, options, &header, err) < 0)
        return -1;
    const size_t needed = memory_needed(&header, length);
    if (adl_codec_check_memory(needed, options, err) < 0 || adl_optional_open(&library, err) < 0)
        return -1;
    void *tiff = open_tiff(&source, needed);
    if (!tiff)
        return fail_corrupt(&source, err);
    if (!agrees(tiff, &header, &rows)) {
        fail_corrupt(&source, err);
        goto out;
    }
    if (!lib.convertible(tiff, reason)) {
        snprintf(source.reason, sizeof source.reason, "%.100s", reason);
        fail_corrupt(&source, err);
        goto out;
    }
    lib.set(tiff, ORIENTATION, 1);
    raster = adl_malloc(1, 4 * piece_pixels(&header) +
                               (header.tiled ? 3 * header.width * header.piece_height : 0));
    if (!raster) {
        adl_fail_nomem(err, "a TIFF image");
        goto out;
    }
    info->width = (int)header.width;
    info->height = (int)header.height;
    info->orientation = header.orientation;
    ADL_TRY(target->begin(target, info, info->width, info->height, err));
    ADL_TRY(read_rows(tiff, &header, rows, &source, raster, target, err));
    result = 0;
out:
    adl_free(raster);
    lib.close(tiff);
    return result;
}

static int examine_tiff(const void *bytes, size_t length, const struct adl_decode_options *options,
                        struct adl_codec_needs *needs, struct adl_error *err)
{
    struct adl_tiff_header header;

    if (adl_tiff_header_read(bytes, length, options, &header, err) < 0)
        return -1;
    needs->width = (int)header.width;
    needs->height = (int)header.height;
    needs->orientation = header.orientation;
    needs->bytes = memory_needed(&header, length);
    needs->ns_per_pixel = 20;
    return 0;
}

const struct adl_codec adl_codec_tiff = {ADL_IMAGE_TIFF, adl_tiff_matches, decode_tiff,
                                         examine_tiff, &library};
