/* Writing safetensors. The header lists the tensors in the order of the set, so
 * that a reader gets it back; their data lie by falling element size, so that
 * every tensor is aligned to its elements. */

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "io/file.h"
#include "io/safetensors.h"

#define PREFIX_BYTES ((size_t)8)
#define ALIGNMENT ((size_t)8)

static const size_t element_sizes[] = {8, 4, 2, 1};

static int fail_text(struct adl_error *err, const char *what, const char *name)
{
    return adl_fail(err, ADL_ERR_FORMAT, "cannot write %s %s: it is not UTF-8 text", what,
                    adl_name_quote(name, strlen(name)).text);
}

/* Data positions in the order of writing; the pieces follow the same order. */
static int lay_out(const struct adl_tensors *tensors, size_t *begins, struct adl_file_piece *pieces,
                   struct adl_error *err)
{
    size_t at = 0, placed = 0;
    for (size_t s = 0; s < ADL_COUNT(element_sizes); s++) {
        for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
            const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
            if (adl_dtype_size(tensor->dtype) != element_sizes[s])
                continue;
            begins[i] = at;
            pieces[placed++] = (struct adl_file_piece){tensor->data, adl_tensor_bytes(tensor)};
            if (adl_size_add(at, adl_tensor_bytes(tensor), &at) < 0 || at > INT64_MAX)
                return adl_fail(err, ADL_ERR_LIMIT, "the tensors are too large for one file");
        }
    }
    return 0;
}

static json_t *describe(const struct adl_tensor *tensor, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", adl_dtype_name(tensor->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + adl_tensor_bytes(tensor)));
}

static int fill_header(json_t *header, const struct adl_tensors *tensors, const size_t *begins,
                       struct adl_error *err)
{
    size_t metas = adl_tensors_meta_count(tensors);
    const char *key, *value;

    if (metas) {
        json_t *metadata = json_object();
        if (json_object_set_new(header, "__metadata__", metadata) < 0)
            return adl_fail_nomem(err, "the header");
        for (size_t i = 0; i < metas; i++) {
            adl_tensors_meta_at(tensors, i, &key, &value);
            if (json_object_set_new(metadata, key, json_string(value)) < 0)
                return fail_text(err, "metadata", key);
        }
    }
    for (size_t i = 0; i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        if (!strcmp(tensor->name, "__metadata__"))
            return adl_fail(err, ADL_ERR_FORMAT, "a tensor cannot be named __metadata__");
        json_t *info = describe(tensor, begins[i]);
        if (!info)
            return adl_fail_nomem(err, "the header");
        if (json_object_set_new(header, tensor->name, info) < 0)
            return fail_text(err, "tensor", tensor->name);
    }
    return 0;
}

/* The length, the JSON and the spaces that align what follows. */
static char *render_header(json_t *header, size_t *length, struct adl_error *err)
{
    size_t text_length = json_dumpb(header, NULL, 0, JSON_COMPACT), padded;
    if (!text_length || adl_size_round_up(text_length, ALIGNMENT, &padded) < 0) {
        adl_fail_nomem(err, "the header");
        return NULL;
    }
    if (padded > ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES) {
        adl_fail(err, ADL_ERR_LIMIT, "the header would have %zu bytes, the limit is %zu", padded,
                 ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES);
        return NULL;
    }
    char *bytes = adl_malloc(PREFIX_BYTES + padded, 1);
    if (!bytes) {
        adl_fail_nomem(err, "the header");
        return NULL;
    }
    for (size_t i = 0; i < PREFIX_BYTES; i++)
        bytes[i] = (char)((uint64_t)padded >> (8 * i) & 0xff);
    memset(bytes + PREFIX_BYTES, ' ', padded);
    json_dumpb(header, bytes + PREFIX_BYTES, text_length, JSON_COMPACT);
    *length = PREFIX_BYTES + padded;
    return bytes;
}

int adl_safetensors_write(const char *path, const struct adl_tensors *tensors,
                          struct adl_error *err)
{
    size_t count = adl_tensors_count(tensors);
    size_t *begins = adl_calloc(count, sizeof *begins);
    struct adl_file_piece *pieces = adl_calloc(count + 1, sizeof *pieces);
    json_t *header = json_object();
    char *bytes = NULL;
    int result = -1;

    if (!begins || !pieces || !header) {
        adl_fail_nomem(err, "the header");
        goto out;
    }
    ADL_TRY(lay_out(tensors, begins, pieces + 1, err));
    ADL_TRY(fill_header(header, tensors, begins, err));
    bytes = render_header(header, &pieces[0].length, err);
    if (!bytes)
        goto out;
    pieces[0].data = bytes;
    ADL_TRY(adl_file_write(path, pieces, count + 1, err));
    result = 0;
out:
    if (!bytes) /* file.c names the path itself */
        adl_error_context(err, "%s", path);
    adl_free(bytes);
    adl_free(pieces);
    adl_free(begins);
    json_decref(header);
    return result;
}
