/* Reads safetensors files. A file is
 *
 *   N, the length of the header      8 bytes, little-endian
 *   the header                       N bytes of JSON
 *   the data                         the rest
 *
 *   {"__metadata__": {"format": "pt"},
 *    "conv1.weight": {"dtype": "F32", "shape": [64, 3, 7, 7], "data_offsets": [0, 37632]}}
 *
 * where the offsets count from the beginning of the data. The tensors have to cover the data
 * exactly, without gaps and overlaps. Nothing in the header is trusted: the whole header is
 * checked before any tensor is allocated. Then each tensor is read from the file directly
 * into its memory, in the order of the file, so that the disk is read sequentially. */

#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/name.h"
#include "base/plural.h"
#include "base/size.h"
#include "io/file.h"

#define PREFIX_BYTES ((size_t)8)

/* Where the bytes come from: memory, or a file. */
struct source {
    const unsigned char *bytes; /* NULL: read from fd */
    int fd;
    size_t length;
};

/* One row of the header, in the order of the header. */
struct entry {
    const char *name; /* owned by the JSON */
    enum adl_dtype dtype;
    int rank;
    size_t shape[ADL_LIMIT_RANK];
    size_t begin, end; /* within the data part */
    void *data;        /* where the tensor's bytes go */
};

static struct adl_name_quoted quote(const char *name)
{
    return adl_name_quote(name, strlen(name));
}

static int read_at(const struct source *source, size_t offset, void *to, size_t length,
                   struct adl_error *err)
{
    if (source->bytes) {
        if (length)
            memcpy(to, source->bytes + offset, length);
        return 0;
    }
    for (char *next = to; length;) {
        ssize_t n = pread(source->fd, next, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return adl_fail(err, ADL_ERR_IO, "cannot read: %s", strerror(errno));
        if (n == 0)
            return adl_fail(err, ADL_ERR_IO, "the file became shorter while it was read");
        next += n;
        offset += (size_t)n;
        length -= (size_t)n;
    }
    return 0;
}

/* --- the header ------------------------------------------------------------ */

static int read_header(const struct source *source, json_t **header, size_t *data_offset,
                       struct adl_error *err)
{
    unsigned char prefix[PREFIX_BYTES];
    uint64_t length = 0;
    json_error_t why;

    if (source->length < PREFIX_BYTES)
        return adl_fail(err, ADL_ERR_FORMAT, "not safetensors: %zu byte%s too few", source->length,
                        source->length == 1 ? " is" : "s are");
    if (read_at(source, 0, prefix, PREFIX_BYTES, err) < 0)
        return -1;
    for (size_t i = 0; i < PREFIX_BYTES; i++)
        length |= (uint64_t)prefix[i] << (8 * i);
    if (length > ADL_LIMIT_SAFETENSORS_HEADER_BYTES)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "not safetensors: a header of %llu bytes is over the format's limit of %zu",
                        (unsigned long long)length, ADL_LIMIT_SAFETENSORS_HEADER_BYTES);
    if (length > source->length - PREFIX_BYTES)
        return adl_fail(
            err, ADL_ERR_FORMAT,
            "truncated: the header needs %llu bytes, but the file has %zu after its first 8",
            (unsigned long long)length, source->length - PREFIX_BYTES);
    if (length > ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "the header has %llu bytes; this program reads up to %zu",
                        (unsigned long long)length, ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES);

    char *text = adl_malloc((size_t)length + 1, 1);
    if (!text)
        return adl_fail_nomem(err, "the header");
    int result = read_at(source, PREFIX_BYTES, text, (size_t)length, err);
    text[length] = '\0';
    if (result == 0 && text[0] != '{')
        result = adl_fail(err, ADL_ERR_FORMAT, "the header does not begin with '{'");
    if (result == 0) {
        *header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &why);
        if (!*header)
            result = adl_fail(err, ADL_ERR_FORMAT, "the header is not JSON: %s at byte %d",
                              why.text, why.position);
    }
    adl_free(text);
    *data_offset = PREFIX_BYTES + (size_t)length;
    return result;
}

static int take_metadata(struct adl_tensors *tensors, json_t *metadata, struct adl_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return adl_fail(err, ADL_ERR_FORMAT, "__metadata__ is not an object");
    if (json_object_size(metadata) > ADL_LIMIT_METADATA)
        return adl_fail(err, ADL_ERR_LIMIT, "__metadata__ has %zu entries; the limit is %d",
                        json_object_size(metadata), ADL_LIMIT_METADATA);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return adl_fail(err, ADL_ERR_FORMAT, "__metadata__ entry %s is not a string",
                            quote(key).text);
        if (adl_tensors_set_meta(tensors, key, json_string_value(value), err) < 0)
            return -1;
    }
    return 0;
}

/* Reads a whole number of at least 0. To jansson, 1.0 and 1e3 are reals; they are refused. */
static int take_size(json_t *value, size_t *size)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -1;
    *size = (size_t)json_integer_value(value);
    return 0;
}

static int take_entry(struct entry *entry, json_t *info, struct adl_error *err)
{
    json_t *dtype = json_object_get(info, "dtype");
    json_t *shape = json_object_get(info, "shape");
    json_t *offsets = json_object_get(info, "data_offsets");
    size_t bytes;

    if (!json_is_object(info) || !json_is_string(dtype) || !json_is_array(shape) ||
        !json_is_array(offsets))
        return adl_fail(err, ADL_ERR_FORMAT, "tensor %s lacks dtype, shape or data_offsets",
                        quote(entry->name).text);
    if (json_object_size(info) != 3)
        return adl_fail(err, ADL_ERR_UNSUPPORTED,
                        "tensor %s has more fields than dtype, shape and data_offsets",
                        quote(entry->name).text);
    if (adl_dtype_from_name(json_string_value(dtype), &entry->dtype) < 0)
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "tensor %s has the unknown dtype %s",
                        quote(entry->name).text, quote(json_string_value(dtype)).text);
    if (json_array_size(shape) > ADL_LIMIT_RANK)
        return adl_fail(err, ADL_ERR_LIMIT, "tensor %s has %zu dimensions; the limit is %d",
                        quote(entry->name).text, json_array_size(shape), ADL_LIMIT_RANK);
    if (json_array_size(offsets) != 2 || take_size(json_array_get(offsets, 0), &entry->begin) < 0 ||
        take_size(json_array_get(offsets, 1), &entry->end) < 0 || entry->end < entry->begin)
        return adl_fail(err, ADL_ERR_FORMAT, "tensor %s: data_offsets is not a range of bytes",
                        quote(entry->name).text);
    entry->rank = (int)json_array_size(shape);
    bytes = adl_dtype_size(entry->dtype);
    for (int i = 0; i < entry->rank; i++) {
        if (take_size(json_array_get(shape, (size_t)i), &entry->shape[i]) < 0)
            return adl_fail(err, ADL_ERR_FORMAT,
                            "tensor %s: dimension %d is not a whole number of at least 0",
                            quote(entry->name).text, i);
        if (adl_size_mul(bytes, entry->shape[i], &bytes) < 0)
            return adl_fail(err, ADL_ERR_FORMAT, "tensor %s: its shape overflows",
                            quote(entry->name).text);
    }
    if (bytes != entry->end - entry->begin)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "tensor %s: its shape needs %zu byte%s, its data_offsets span %zu",
                        quote(entry->name).text, bytes, ADL_S(bytes), entry->end - entry->begin);
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = *(const struct entry *const *)a;
    const struct entry *right = *(const struct entry *const *)b;
    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    return left->end < right->end ? -1 : left->end > right->end;
}

/* Checks that the tensors cover the data exactly: sorted by offset, each begins where the one
 * before it ended. So no byte is read twice, and all tensors together are no larger than the
 * file. */
static int check_coverage(struct entry **sorted, size_t count, size_t data_length,
                          struct adl_error *err)
{
    size_t covered = 0;
    qsort(sorted, count, sizeof *sorted, compare_entries);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i]->begin != covered)
            return adl_fail(err, ADL_ERR_FORMAT, "tensor %s %s", quote(sorted[i]->name).text,
                            sorted[i]->begin < covered ? "overlaps the one before it"
                                                       : "follows bytes that belong to no tensor");
        if (sorted[i]->end > data_length)
            return adl_fail(
                err, ADL_ERR_FORMAT,
                "truncated: tensor %s ends at byte %zu of the data, but the file has %zu",
                quote(sorted[i]->name).text, sorted[i]->end, data_length);
        covered = sorted[i]->end;
    }
    if (covered != data_length)
        return adl_fail(err, ADL_ERR_FORMAT, "%zu byte%s after the last tensor belong%s to none",
                        data_length - covered, ADL_S(data_length - covered),
                        data_length - covered == 1 ? "s" : "");
    return 0;
}

/* --- reading --------------------------------------------------------------- */

static struct adl_tensors *read_source(const struct source *source, struct adl_error *err)
{
    json_t *header = NULL, *info;
    struct entry *entries = NULL, **sorted = NULL;
    struct adl_tensors *tensors = NULL;
    size_t data_offset, count = 0;
    const char *key;
    bool done = false;

    ADL_TRY(read_header(source, &header, &data_offset, err));
    if (json_object_size(header) > ADL_LIMIT_TENSORS) {
        adl_fail(err, ADL_ERR_LIMIT, "there are more than %d tensors", ADL_LIMIT_TENSORS);
        goto out;
    }
    entries = adl_calloc(json_object_size(header), sizeof *entries);
    sorted = adl_calloc(json_object_size(header), sizeof *sorted);
    if (!entries || !sorted) {
        adl_fail_nomem(err, "the header's entries");
        goto out;
    }
    tensors = adl_tensors_create(err);
    if (!tensors)
        goto out;
    json_object_foreach(header, key, info)
    {
        if (!strcmp(key, "__metadata__")) {
            ADL_TRY(take_metadata(tensors, info, err));
            continue;
        }
        entries[count].name = key;
        sorted[count] = &entries[count];
        ADL_TRY(take_entry(&entries[count++], info, err));
    }
    ADL_TRY(check_coverage(sorted, count, source->length - data_offset, err));

    for (size_t i = 0; i < count; i++) {
        struct adl_tensor *tensor = adl_tensors_add_unset(
            tensors, entries[i].name, entries[i].dtype, entries[i].rank, entries[i].shape, err);
        if (!tensor)
            goto out;
        entries[i].data = tensor->data;
    }
    for (size_t i = 0; i < count; i++)
        ADL_TRY(read_at(source, data_offset + sorted[i]->begin, sorted[i]->data,
                        sorted[i]->end - sorted[i]->begin, err));
    done = true;
out:
    json_decref(header);
    adl_free(entries);
    adl_free(sorted);
    if (!done) {
        adl_tensors_free(tensors);
        tensors = NULL;
    }
    return tensors;
}

struct adl_tensors *adl_safetensors_parse(const void *bytes, size_t length, struct adl_error *err)
{
    return read_source(&(struct source){.bytes = bytes, .fd = -1, .length = length}, err);
}

struct adl_tensors *adl_safetensors_read(const char *path, struct adl_error *err)
{
    struct adl_tensors *tensors = NULL;
    struct stat info;
    int fd = -1;

    /* Only regular files are opened here: opening a pipe just to examine it would lose the
     * writer's data. */
    if (strcmp(path, "-") && adl_file_is_regular(path))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &info) == 0) {
        tensors = read_source(&(struct source){.fd = fd, .length = (size_t)info.st_size}, err);
        if (!tensors)
            adl_error_context(err, "%s", path);
    } else {
        /* Standard input, a pipe, or a path that cannot be opened, for which adl_file_read
         * sets the error. */
        size_t length;
        void *bytes = adl_file_read(path, ADL_LIMIT_WEIGHTS_BYTES, &length, err);
        if (bytes) {
            tensors = adl_safetensors_parse(bytes, length, err);
            if (!tensors)
                adl_error_context(err, "%s", path);
        }
        adl_free(bytes);
    }
    if (fd >= 0)
        close(fd);
    return tensors;
}
