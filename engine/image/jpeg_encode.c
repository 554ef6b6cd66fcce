/* Encodes JPEG with libjpeg-turbo into a growing buffer. As in jpeg.c, errors longjmp: all state
 * is in one struct, with one setjmp and one place that frees. */

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"

/* No chroma subsampling (4:4:4), so that thin coloured lines and letters stay sharp. */
#define CHROMA_SAMPLING 1

struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr sink;
    jmp_buf failed;
    struct adl_error *err;
    uint8_t *bytes;
    size_t capacity;
};

static void on_error(j_common_ptr jpeg)
{
    struct writer *writer = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, text);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
        adl_fail_nomem(writer->err, "a JPEG image");
    else
        adl_fail(writer->err,
                 jpeg->err->msg_code == JERR_IMAGE_TOO_BIG ? ADL_ERR_LIMIT : ADL_ERR_INTERNAL,
                 "cannot encode a JPEG image: %s", text);
    longjmp(writer->failed, 1);
}

static void print_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* Doubles the buffer, all of which has been written. */
static void grow(j_compress_ptr jpeg)
{
    struct writer *writer = jpeg->client_data;
    size_t used = writer->capacity;
    size_t capacity = used ? 2 * used : 64 * ADL_KIB;
    uint8_t *bytes = adl_realloc(writer->bytes, capacity, 1);

    if (!bytes) {
        adl_fail_nomem(writer->err, "a JPEG image");
        longjmp(writer->failed, 1);
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
    writer->sink.next_output_byte = bytes + used;
    writer->sink.free_in_buffer = capacity - used;
}

static boolean on_full(j_compress_ptr jpeg)
{
    grow(jpeg);
    return TRUE;
}

static void on_end(j_compress_ptr jpeg)
{
    (void)jpeg;
}

/* Makes all calls that may end in a longjmp; returns -1 after one. */
static int encode_jpeg_or_jump(struct writer *writer, const struct adl_image *image, int quality)
{
    struct jpeg_compress_struct *jpeg = &writer->jpeg;

    if (setjmp(writer->failed))
        return -1;
    jpeg_create_compress(jpeg);
    writer->sink.init_destination = grow;
    writer->sink.empty_output_buffer = on_full;
    writer->sink.term_destination = on_end;
    jpeg->dest = &writer->sink;
    jpeg->image_width = (JDIMENSION)image->width;
    jpeg->image_height = (JDIMENSION)image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg->comp_info[0].h_samp_factor = CHROMA_SAMPLING;
    jpeg->comp_info[0].v_samp_factor = CHROMA_SAMPLING;
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = image->rgb + (size_t)jpeg->next_scanline * (size_t)image->width * 3;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    return 0;
}

int adl_image_encode_jpeg(const struct adl_image *image, int quality, void **bytes, size_t *length,
                          struct adl_error *err)
{
    struct writer writer = {.err = err};

    *bytes = NULL;
    *length = 0;
    if (quality < 1 || quality > 100)
        return adl_fail(err, ADL_ERR_ARG, "a JPEG quality of %d is not in 1..100", quality);
    writer.jpeg.err = jpeg_std_error(&writer.errors);
    writer.jpeg.client_data = &writer;
    writer.errors.error_exit = on_error;
    writer.errors.output_message = print_nothing;
    int result = encode_jpeg_or_jump(&writer, image, quality);
    jpeg_destroy_compress(&writer.jpeg);
    if (result < 0) {
        adl_free(writer.bytes);
        return -1;
    }
    *bytes = writer.bytes;
    *length = writer.capacity - writer.sink.free_in_buffer;
    return 0;
}
