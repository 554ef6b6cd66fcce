/* Writes safetensors files (the format is explained in safetensors.c).
 *
 * The header lists the tensors in the order of the set, so that reading it back gives an
 * equal set. The data are sorted by element size, the largest first, and begin at a multiple
 * of 8 bytes. So every tensor is aligned to its element size without gaps, which the format
 * forbids, and a reader may map the file into memory. */

#include "io/safetensors.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/json_text.h"

#define PREFIX_BYTES ((size_t)8)
#define ALIGNMENT ((size_t)8)

static const size_t element_sizes[] = {8, 4, 2, 1};

static int fail_text(struct adl_error *err, const char *what, const char *name)
{
    return adl_fail(err, ADL_ERR_FORMAT, "cannot write %s %s: it is not UTF-8 text", what,
                    adl_name_quote(name, strlen(name)).text);
}

/* Sets begins[i] to the offset of the data of tensor i, and `pieces` to the data in the order
 * of the file. */
static int lay_out(const struct adl_tensors *tensors, size_t *begins, struct adl_file_piece *pieces,
                   struct adl_error *err)
{
    size_t offset = 0, placed = 0;
    for (size_t s = 0; s < ADL_COUNT(element_sizes); s++) {
        for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
            const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
            if (adl_dtype_size(tensor->dtype) != element_sizes[s])
                continue;
            begins[i] = offset;
            pieces[placed++] = (struct adl_file_piece){tensor->data, adl_tensor_bytes(tensor)};
            if (adl_size_add(offset, adl_tensor_bytes(tensor), &offset) < 0 || offset > INT64_MAX)
                return adl_fail(err, ADL_ERR_LIMIT, "the tensors are too large for one file");
        }
    }
    return 0;
}

/* Returns the header's entry of a tensor; NULL when out of memory. */
static json_t *describe(const struct adl_tensor *tensor, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i])) < 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", adl_dtype_name(tensor->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + adl_tensor_bytes(tensor)));
}

static int set_metadata(json_t *header, const struct adl_tensors *tensors, struct adl_error *err)
{
    const char *key, *value;
    json_t *metadata = json_object();
    if (json_object_set_new(header, "__metadata__", metadata) < 0)
        return adl_fail_nomem(err, "the header");
    for (size_t i = 0; i < adl_tensors_meta_count(tensors); i++) {
        adl_tensors_meta_at(tensors, i, &key, &value);
        if (!adl_utf8_valid(key) || !adl_utf8_valid(value))
            return fail_text(err, "metadata", key);
        if (json_object_set_new(metadata, key, json_string(value)) < 0)
            return adl_fail_nomem(err, "the header");
    }
    return 0;
}

static int fill_header(json_t *header, const struct adl_tensors *tensors, const size_t *begins,
                       struct adl_error *err)
{
    if (adl_tensors_meta_count(tensors) && set_metadata(header, tensors, err) < 0)
        return -1;
    for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        if (!strcmp(tensor->name, "__metadata__"))
            return adl_fail(err, ADL_ERR_FORMAT, "a tensor cannot be named __metadata__");
        if (!adl_utf8_valid(tensor->name))
            return fail_text(err, "tensor", tensor->name);
        if (json_object_set_new(header, tensor->name, describe(tensor, begins[i])) < 0)
            return adl_fail_nomem(err, "the header");
    }
    return 0;
}

/* Everything before the data: the length, the JSON, and blanks up to the alignment. */
struct header {
    unsigned char prefix[PREFIX_BYTES];
    char *text;
    size_t text_bytes, padding_bytes;
};

static int render_header(const json_t *json, struct header *header, struct adl_error *err)
{
    size_t padded;
    header->text = adl_json_to_text(json, JSON_COMPACT, &header->text_bytes, err);
    if (!header->text)
        return -1;
    if (adl_size_round_up(header->text_bytes, ALIGNMENT, &padded) < 0 ||
        padded > ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "the header would have %zu bytes; the limit is %zu",
                        header->text_bytes, ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES);
    header->padding_bytes = padded - header->text_bytes;
    for (size_t i = 0; i < PREFIX_BYTES; i++)
        header->prefix[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    return 0;
}

/* A file as it will be written. A zeroed struct is empty. */
struct image {
    struct header header;
    struct adl_file_piece *pieces;
    size_t count;
};

static void release(struct image *image)
{
    adl_free(image->header.text);
    adl_free(image->pieces);
}

static int compose(const struct adl_tensors *tensors, struct image *image, struct adl_error *err)
{
    static const char blanks[] = "       ";
    enum { HEADER_PIECES = 3 };
    size_t count = adl_tensors_count(tensors);
    size_t *begins = adl_calloc(count, sizeof *begins);
    struct header *header = &image->header;
    json_t *json = json_object();
    int result = -1;

    image->count = HEADER_PIECES + count;
    image->pieces = adl_calloc(image->count, sizeof *image->pieces);
    if (!begins || !image->pieces || !json) {
        adl_fail_nomem(err, "the header");
        goto out;
    }
    ADL_TRY(lay_out(tensors, begins, image->pieces + HEADER_PIECES, err));
    ADL_TRY(fill_header(json, tensors, begins, err));
    ADL_TRY(render_header(json, header, err));
    image->pieces[0] = (struct adl_file_piece){header->prefix, PREFIX_BYTES};
    image->pieces[1] = (struct adl_file_piece){header->text, header->text_bytes};
    image->pieces[2] = (struct adl_file_piece){blanks, header->padding_bytes};
    result = 0;
out:
    adl_free(begins);
    json_decref(json);
    return result;
}

int adl_safetensors_write(const char *path, const struct adl_tensors *tensors,
                          struct adl_error *err)
{
    struct image image = {.pieces = NULL};
    int result = compose(tensors, &image, err);

    if (result < 0)
        adl_error_context(err, "%s", path);
    else /* which names the path itself */
        result = adl_file_write(path, image.pieces, image.count, err);
    release(&image);
    return result;
}

int adl_safetensors_length(const struct adl_tensors *tensors, size_t *bytes, struct adl_error *err)
{
    struct image image = {.pieces = NULL};
    int result = compose(tensors, &image, err);

    *bytes = 0;
    for (size_t i = 0; result == 0 && i < image.count; i++)
        *bytes += image.pieces[i].length;
    release(&image);
    return result;
}
