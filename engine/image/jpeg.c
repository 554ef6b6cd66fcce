/* Decodes JPEG with libjpeg-turbo: baseline, progressive, arithmetic coding, grey, CMYK and
 * YCCK.
 *
 * libjpeg reports errors through a callback that must not return, so it has to longjmp. To keep
 * that safe, all state is in one struct, one function calls setjmp and has no locals that
 * matter after a jump, and its caller frees everything in one place.
 *
 * A JPEG of a kilobyte can declare 65535 x 65535 pixels, and a progressive one can make the
 * decoder allocate all coefficients and walk over them in thousands of scans. Hence three
 * limits: pixels, from the header; memory, by counting every allocation of libjpeg; and scans.
 * libjpeg fills in missing data with grey and only warns; here that is an error. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/codec.h"
#include "image/exif.h"

#define MARKER_EXIF (JPEG_APP0 + 1)

struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    struct adl_error *err;
    /* libjpeg limits only its whole-image arrays by itself (max_memory_to_use). Its allocators
     * are therefore wrapped by ones that count; these are the originals. */
    struct jpeg_memory_mgr original;
    const struct adl_decode_options *options;
    size_t used_bytes;
};

static _Noreturn void give_up(j_common_ptr jpeg)
{
    longjmp(((struct reader *)jpeg->client_data)->failed, 1);
}

/* Returns the kind of error for a message code of libjpeg. */
static enum adl_error_kind kind_of(int code)
{
    switch (code) {
    case JERR_OUT_OF_MEMORY: return ADL_ERR_NOMEM;
    case JERR_NO_BACKING_STORE:
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW: return ADL_ERR_LIMIT;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_SOF_UNSUPPORTED: return ADL_ERR_UNSUPPORTED;
    default: return ADL_ERR_FORMAT;
    }
}

static void on_error(j_common_ptr jpeg)
{
    struct reader *reader = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, text);
    switch (kind_of(jpeg->err->msg_code)) {
    case ADL_ERR_NOMEM: adl_fail_nomem(reader->err, "a JPEG image"); break;
    case ADL_ERR_LIMIT: adl_fail(reader->err, ADL_ERR_LIMIT, "JPEG over a limit: %s", text); break;
    case ADL_ERR_UNSUPPORTED:
        adl_fail(reader->err, ADL_ERR_UNSUPPORTED, "unsupported JPEG: %s", text);
        break;
    default: adl_fail(reader->err, ADL_ERR_FORMAT, "the JPEG image is corrupt: %s", text); break;
    }
    give_up(jpeg);
}

/* Warnings (level -1) are errors, except for those that leave every pixel as intended. Stray
 * bytes between markers are among these: whole series of cameras write them. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL: return;
    case JWRN_JPEG_EOF:
        adl_fail(((struct reader *)jpeg->client_data)->err, ADL_ERR_FORMAT,
                 "the JPEG image is truncated");
        give_up(jpeg);
    default: on_error(jpeg);
    }
}

static void print_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* Stops decoding a file of too many scans. libjpeg calls this from time to time while it
 * decodes; there is no other place to count them. */
static void on_progress(j_common_ptr jpeg)
{
    struct reader *reader = jpeg->client_data;
    if (reader->jpeg.input_scan_number > ADL_LIMIT_JPEG_SCANS) {
        adl_fail(reader->err, ADL_ERR_LIMIT, "the JPEG image has more than %d scans",
                 ADL_LIMIT_JPEG_SCANS);
        give_up(jpeg);
    }
}

/* Counts an allocation and gives up if it exceeds the limit. */
static void count(j_common_ptr jpeg, size_t rows, size_t row_bytes)
{
    struct reader *reader = jpeg->client_data;
    size_t bytes, total;

    if (adl_size_mul(rows, row_bytes, &bytes) < 0 ||
        adl_size_add(reader->used_bytes, bytes, &total) < 0)
        total = SIZE_MAX;
    if (adl_codec_check_memory(total, reader->options, reader->err) < 0)
        give_up(jpeg);
    reader->used_bytes = total;
}

static void *alloc_small(j_common_ptr jpeg, int pool, size_t bytes)
{
    count(jpeg, 1, bytes);
    return ((struct reader *)jpeg->client_data)->original.alloc_small(jpeg, pool, bytes);
}

static void *alloc_large(j_common_ptr jpeg, int pool, size_t bytes)
{
    count(jpeg, 1, bytes);
    return ((struct reader *)jpeg->client_data)->original.alloc_large(jpeg, pool, bytes);
}

/* What libjpeg adds to each row: a pointer, and alignment for SIMD. */
#define ROW_OVERHEAD_BYTES 72

static JSAMPARRAY alloc_sarray(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
    count(jpeg, rows, (size_t)width * sizeof(JSAMPLE) + ROW_OVERHEAD_BYTES);
    return ((struct reader *)jpeg->client_data)->original.alloc_sarray(jpeg, pool, width, rows);
}

static JBLOCKARRAY alloc_barray(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
    count(jpeg, rows, (size_t)width * sizeof(JBLOCK) + ROW_OVERHEAD_BYTES);
    return ((struct reader *)jpeg->client_data)->original.alloc_barray(jpeg, pool, width, rows);
}

/* Sets up the decoder, its allocators and limits, and has it keep EXIF markers. */
static void prepare(struct reader *reader, const void *bytes, size_t length)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    jpeg_create_decompress(jpeg);
    reader->original = *jpeg->mem;
    jpeg->mem->alloc_small = alloc_small;
    jpeg->mem->alloc_large = alloc_large;
    jpeg->mem->alloc_sarray = alloc_sarray;
    jpeg->mem->alloc_barray = alloc_barray;
    jpeg->mem->max_memory_to_use = (long)ADL_MIN(reader->options->max_memory_bytes, LONG_MAX);
    reader->progress.progress_monitor = on_progress;
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, bytes, length);
    jpeg_save_markers(jpeg, MARKER_EXIF, 0xffff);
}

/* Checks the limits, and that the file can be complete, from the header alone. */
static void check_header(struct reader *reader, size_t length)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    j_common_ptr common = (j_common_ptr)jpeg;
    size_t blocks = 0;

    if (adl_codec_check_sides(jpeg->image_width, jpeg->image_height, reader->options, reader->err) <
        0)
        give_up(common);
    if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4) {
        adl_fail(reader->err, ADL_ERR_UNSUPPORTED,
                 "unsupported JPEG: it is neither grey, colour nor CMYK");
        give_up(common);
    }
    for (int c = 0; c < jpeg->num_components; c++)
        blocks += (size_t)jpeg->comp_info[c].width_in_blocks *
                  (size_t)jpeg->comp_info[c].height_in_blocks;
    /* Huffman coding spends at least one bit on the mean of each 8x8 block; arithmetic coding may
     * spend far less. */
    if (!jpeg->arith_code && blocks / 8 > length) {
        adl_fail(reader->err, ADL_ERR_FORMAT,
                 "the JPEG image is truncated: %zu bytes cannot hold %u x %u pixels", length,
                 jpeg->image_width, jpeg->image_height);
        give_up(common);
    }
    /* With several scans, libjpeg keeps the coefficients of the whole image. Odd sampling
     * factors round the number of blocks up, by less than a factor on each side. */
    for (int c = 0; c < jpeg->num_components && jpeg_has_multiple_scans(jpeg); c++)
        count(common,
              (size_t)jpeg->comp_info[c].height_in_blocks +
                  (size_t)jpeg->comp_info[c].v_samp_factor,
              ((size_t)jpeg->comp_info[c].width_in_blocks +
               (size_t)jpeg->comp_info[c].h_samp_factor) *
                  sizeof(JBLOCK));
}

/* Returns the orientation in the first APP1 marker that holds EXIF; others hold XMP. */
static int find_orientation(const struct jpeg_decompress_struct *jpeg)
{
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == MARKER_EXIF && m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            return adl_exif_orientation(m->data, m->data_length);
    return 1;
}

/* Chooses the scale n/8: the smallest n that leaves both sides at least twice the target, so
 * that the resize that follows still averages over two pixels or more. At such a scale
 * libjpeg decodes at a fraction of the cost, by inverse transforms of fewer coefficients. */
static void choose_scale(struct jpeg_decompress_struct *jpeg, int orientation,
                         const struct adl_decode_options *options)
{
    const bool swap = orientation >= 5 && !options->ignore_orientation;
    const size_t min_w = 2 * (size_t)(swap ? options->target_height : options->target_width);
    const size_t min_h = 2 * (size_t)(swap ? options->target_width : options->target_height);
    unsigned scale = 1;

    if (options->target_width < 1 || options->target_height < 1)
        return;
    while (scale < 8 && ((size_t)jpeg->image_width * scale < min_w * 8 ||
                         (size_t)jpeg->image_height * scale < min_h * 8 ||
                         (options->aligned && (jpeg->image_width * (size_t)scale % 8 != 0 ||
                                               jpeg->image_height * (size_t)scale % 8 != 0))))
        scale += options->aligned ? scale : 1;
    jpeg->scale_num = scale;
    jpeg->scale_denom = 8;
}

/* Returns a * b / 255, rounded. */
static unsigned product(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* Converts CMYK to RGB. Every known writer of CMYK JPEGs (Adobe's first of all) stores the
 * inks inverted: 255 is no ink. So rgb = 255 * (1 - ink) * (1 - black) = stored ink * stored
 * black / 255. */
static void cmyk_to_rgb(const uint8_t *cmyk, int width, uint8_t *rgb)
{
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(cmyk[3] - product(255u - cmyk[c], cmyk[3]));
}

/* Decodes with the accurate integer DCT and interpolated chroma, as Pillow does by default: a
 * faster transform would change pixels. CMYK is converted here, since libjpeg cannot. */
static void read_jpeg_pixels(struct reader *reader, struct adl_row_target *target,
                             const struct adl_image_info *info)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    const bool cmyk = jpeg->num_components == 4;
    JSAMPROW inks = NULL;

    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    jpeg_calc_output_dimensions(jpeg);
    if (target->begin(target, info, (int)jpeg->output_width, (int)jpeg->output_height,
                      reader->err) < 0)
        give_up((j_common_ptr)jpeg);
    jpeg_start_decompress(jpeg);
    if (cmyk)
        inks =
            jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, (size_t)jpeg->output_width * 4);
    while (jpeg->output_scanline < jpeg->output_height) {
        const int y = (int)jpeg->output_scanline;
        uint8_t *rgb = target->line(target, y);
        jpeg_read_scanlines(jpeg, cmyk ? &inks : &rgb, 1);
        if (cmyk)
            cmyk_to_rgb(inks, (int)jpeg->output_width, rgb);
        if (target->row(target, y, reader->err) < 0)
            give_up((j_common_ptr)jpeg);
    }
    jpeg_finish_decompress(jpeg);
}

static void read_jpeg_header(struct reader *reader, const void *bytes, size_t length)
{
    prepare(reader, bytes, length);
    jpeg_read_header(&reader->jpeg, TRUE);
    check_header(reader, length);
}

/* Makes all calls that may end in a longjmp; returns -1 after one. */
static int decode_jpeg_or_jump(struct reader *reader, const void *bytes, size_t length,
                               struct adl_row_target *target, struct adl_image_info *info)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    if (setjmp(reader->failed))
        return -1;
    read_jpeg_header(reader, bytes, length);
    info->width = (int)jpeg->image_width;
    info->height = (int)jpeg->image_height;
    info->orientation = reader->options->ignore_orientation ? 1 : find_orientation(jpeg);
    choose_scale(jpeg, info->orientation, reader->options);
    read_jpeg_pixels(reader, target, info);
    return 0;
}

static void begin_reader(struct reader *reader)
{
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->jpeg.client_data = reader;
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->errors.output_message = print_nothing;
}

static bool is_jpeg(const uint8_t *bytes, size_t length)
{
    return length >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0;
}

static int decode_jpeg(const void *bytes, size_t length, const struct adl_decode_options *options,
                       struct adl_row_target *target, struct adl_image_info *info,
                       struct adl_error *err)
{
    struct reader reader = {.err = err, .options = options};

    begin_reader(&reader);
    int result = decode_jpeg_or_jump(&reader, bytes, length, target, info);
    jpeg_destroy_decompress(&reader.jpeg);
    return result;
}

/* libjpeg's rows of each component, before and after upsampling, with the context rows of its
 * interpolation: for each column, over all components; and its tables and buffers. */
#define BYTES_PER_COLUMN 400
#define FIXED_BYTES (512 * ADL_KIB)

static int examine_jpeg_or_jump(struct reader *reader, const void *bytes, size_t length,
                                struct adl_codec_needs *needs)
{
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    if (setjmp(reader->failed))
        return -1;
    read_jpeg_header(reader, bytes, length);
    needs->width = (int)jpeg->image_width;
    needs->height = (int)jpeg->image_height;
    needs->orientation = reader->options->ignore_orientation ? 1 : find_orientation(jpeg);
    /* So far markers and, with several scans, the coefficients are counted. */
    needs->bytes = reader->used_bytes + (size_t)jpeg->image_width * BYTES_PER_COLUMN + FIXED_BYTES;
    needs->ns_per_pixel = jpeg->progressive_mode || jpeg->arith_code ? 40 : 12;
    return 0;
}

static int examine_jpeg(const void *bytes, size_t length, const struct adl_decode_options *options,
                        struct adl_codec_needs *needs, struct adl_error *err)
{
    struct reader reader = {.err = err, .options = options};

    begin_reader(&reader);
    int result = examine_jpeg_or_jump(&reader, bytes, length, needs);
    jpeg_destroy_decompress(&reader.jpeg);
    return result;
}

const struct adl_codec adl_codec_jpeg = {ADL_IMAGE_JPEG, is_jpeg, decode_jpeg, examine_jpeg, NULL};
