/* Reads a TensorProto, whose elements are raw little-endian bytes, in the file or in another one,
 * or numbers in the field of their type, and converts elements to numbers. */

#include "models/onnx_in/onnx_tensor.h"

#include <string.h>

#include "base/name.h"
#include "base/size.h"
#include "io/dtype.h"

enum {
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_SEGMENT = 3,
    TENSOR_FLOATS = 4,
    TENSOR_INT32S = 5,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_DOUBLES = 10,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14
};
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { LOCATION_EXTERNAL = 1 };

/* Returns the bytes of an element as raw data; 0 for types that are not read. */
static size_t width_of(int type)
{
    switch (type) {
    case ADL_ONNX_TYPE_UINT8:
    case ADL_ONNX_TYPE_INT8:
    case ADL_ONNX_TYPE_BOOL: return 1;
    case ADL_ONNX_TYPE_HALF:
    case ADL_ONNX_TYPE_BF16: return 2;
    case ADL_ONNX_TYPE_FLOAT:
    case ADL_ONNX_TYPE_INT32: return 4;
    case ADL_ONNX_TYPE_INT64:
    case ADL_ONNX_TYPE_DOUBLE: return 8;
    default: return 0;
    }
}

/* The field in which elements of a type are numbers. */
static unsigned field_of(int type)
{
    return type == ADL_ONNX_TYPE_FLOAT    ? TENSOR_FLOATS
           : type == ADL_ONNX_TYPE_DOUBLE ? TENSOR_DOUBLES
           : type == ADL_ONNX_TYPE_INT64  ? TENSOR_INT64S
                                          : TENSOR_INT32S;
}

static int set_dims(struct adl_onnx_tensor *tensor, const uint64_t *dims, size_t rank,
                    struct adl_error *err)
{
    if (rank > ADL_LIMIT_RANK)
        return adl_fail(err, ADL_ERR_LIMIT, "it has %zu dimensions, more than %d", rank,
                        ADL_LIMIT_RANK);
    tensor->rank = (int)rank;
    tensor->count = 1;
    for (size_t i = 0; i < rank; i++) {
        tensor->dims[i] = (int64_t)dims[i];
        if (tensor->dims[i] < 0 || tensor->dims[i] > INT32_MAX ||
            adl_size_mul(tensor->count, (size_t)dims[i], &tensor->count) < 0 ||
            tensor->count > ADL_LIMIT_PROTOBUF_BYTES)
            return adl_fail(err, ADL_ERR_FORMAT, "its shape has more elements than a file holds");
    }
    return 0;
}

/* Numbers of 4 or 8 bytes that are packed in one field are as raw data. */
static int read_numbers(struct adl_arena *arena, const struct adl_protobuf_field *message,
                        struct adl_onnx_tensor *tensor, const struct adl_protobuf_field *packed,
                        size_t fields, struct adl_error *err)
{
    size_t width = width_of(tensor->type), count = 0;
    bool fixed = tensor->type == ADL_ONNX_TYPE_FLOAT || tensor->type == ADL_ONNX_TYPE_DOUBLE;
    uint64_t *values = NULL;

    if (fixed && fields == 1 && packed->wire == ADL_WIRE_LENGTH) {
        tensor->raw = packed->data;
        count = packed->length / width;
        if (packed->length % width)
            return adl_fail(err, ADL_ERR_FORMAT, "its data end within a number");
    } else if (adl_onnx_numbers(arena, message, field_of(tensor->type),
                                !fixed       ? ADL_WIRE_VARINT
                                : width == 4 ? ADL_WIRE_FIXED32
                                             : ADL_WIRE_FIXED64,
                                &values, &count, err) < 0) {
        return -1;
    } else {
        if (fixed && width == 4)
            for (size_t i = 0; i < count; i++)
                ((uint32_t *)(void *)values)[i] = (uint32_t)values[i];
        if (fixed)
            tensor->raw = (const unsigned char *)values;
        else
            tensor->ints = (const int64_t *)values;
    }
    if (count != tensor->count)
        return adl_fail(err, ADL_ERR_FORMAT, "it has %zu elements, but its shape has %zu", count,
                        tensor->count);
    return 0;
}

static int check_raw(struct adl_onnx_tensor *tensor, const struct adl_protobuf_field *raw,
                     struct adl_error *err)
{
    size_t bytes;
    if (adl_size_mul(tensor->count, width_of(tensor->type), &bytes) < 0 || bytes != raw->length)
        return adl_fail(err, ADL_ERR_FORMAT,
                        "it has %zu bytes, but its shape has %zu elements of %zu", raw->length,
                        tensor->count, width_of(tensor->type));
    /* An empty tensor may be at the end of the file, but is never NULL. */
    tensor->raw = raw->data;
    return 0;
}

/* --- data in another file -------------------------------------------------------------------- */

/* Where they are. */
struct place {
    const char *file, *offset, *length; /* as text; NULL: not given */
};

static int read_entry(struct adl_arena *arena, const struct adl_protobuf_field *message,
                      struct place *place, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    const char *key = "", *value = "";
    int more;

    while ((more = adl_protobuf_next(&in, &field, err)) > 0)
        if ((field.number == ENTRY_KEY || field.number == ENTRY_VALUE) &&
            adl_onnx_text(arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES,
                          field.number == ENTRY_KEY ? &key : &value, err) < 0)
            return -1;
    if (strcmp(key, "location") == 0)
        place->file = value;
    else if (strcmp(key, "offset") == 0)
        place->offset = value;
    else if (strcmp(key, "length") == 0)
        place->length = value;
    return more;
}

/* Reads a number of bytes; SIZE_MAX if the text is none. */
static size_t read_bytes(const char *text)
{
    size_t value = 0;
    if (!*text)
        return SIZE_MAX;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || adl_size_mul(value, 10, &value) < 0 ||
            adl_size_add(value, (size_t)(*text - '0'), &value) < 0)
            return SIZE_MAX;
    return value;
}

static int read_external(struct adl_arena *arena, struct adl_onnx_files *files,
                         const struct adl_protobuf_field *message, struct adl_onnx_tensor *tensor,
                         struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    struct place place = {NULL, NULL, NULL};
    const unsigned char *bytes;
    size_t length, needed;

    while (adl_protobuf_next(&in, &field, err) > 0)
        if (field.number == TENSOR_EXTERNAL &&
            (adl_onnx_is_message(&field, err) < 0 || read_entry(arena, &field, &place, err) < 0))
            return -1;
    if (!place.file)
        return adl_fail(err, ADL_ERR_FORMAT, "its data are in another file, which is not named");
    size_t offset = place.offset ? read_bytes(place.offset) : 0;
    if (adl_size_mul(tensor->count, width_of(tensor->type), &needed) < 0 ||
        (place.length && read_bytes(place.length) != needed))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "it has %s bytes in another file, but its shape has %zu elements of %zu",
                        place.length ? adl_name_quote(place.length, strlen(place.length)).text
                                     : "too many",
                        tensor->count, width_of(tensor->type));
    if (adl_onnx_files_find(files, place.file, &bytes, &length, err) < 0)
        return -1;
    if (offset > length || needed > length - offset)
        return adl_fail(err, ADL_ERR_FORMAT, "%s has %zu bytes, and its data end beyond that",
                        adl_name_quote(place.file, strlen(place.file)).text, length);
    tensor->raw = bytes + offset;
    return 0;
}

/* --- the tensor ------------------------------------------------------------------------------ */

/* What a TensorProto has beside its shape. */
struct parts {
    struct adl_protobuf_field raw, packed;
    size_t numbers; /* fields with elements */
    bool has_raw, external;
};

static int read_parts(struct adl_arena *arena, const struct adl_protobuf_field *message,
                      struct adl_onnx_tensor *tensor, struct parts *parts, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    int more;

    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number == TENSOR_NAME &&
            adl_onnx_text(arena, &field, ADL_LIMIT_TENSOR_NAME_BYTES, &tensor->name, err) < 0)
            return -1;
        if (field.number == TENSOR_TYPE)
            tensor->type = field.value > 100 ? 100 : (int)field.value;
        if (field.number == TENSOR_LOCATION)
            parts->external = field.value == LOCATION_EXTERNAL;
        if (field.number == TENSOR_SEGMENT)
            return adl_fail(err, ADL_ERR_UNSUPPORTED, "a tensor comes in segments");
        if (field.number == TENSOR_RAW) {
            if (adl_onnx_is_message(&field, err) < 0)
                return -1;
            parts->raw = field;
            parts->has_raw = true;
        }
    }
    if (more < 0)
        return -1;
    in = adl_protobuf_open(message->data, message->length);
    while (adl_protobuf_next(&in, &field, err) > 0)
        if (field.number == field_of(tensor->type)) {
            parts->packed = field;
            parts->numbers++;
        }
    return 0;
}

static int read_tensor(struct adl_arena *arena, struct adl_onnx_files *files,
                       const struct adl_protobuf_field *message, struct adl_onnx_tensor *tensor,
                       struct adl_error *err)
{
    struct parts parts = {0};
    uint64_t *dims = NULL;
    size_t rank = 0;

    if (read_parts(arena, message, tensor, &parts, err) < 0 ||
        adl_onnx_numbers(arena, message, TENSOR_DIMS, ADL_WIRE_VARINT, &dims, &rank, err) < 0 ||
        set_dims(tensor, dims, rank, err) < 0)
        return -1;
    if (width_of(tensor->type) == 0) {
        tensor->count = 0; /* of text, for example; whoever needs it finds out */
        return 0;
    }
    if (parts.external)
        return read_external(arena, files, message, tensor, err);
    if (parts.has_raw)
        return check_raw(tensor, &parts.raw, err);
    return read_numbers(arena, message, tensor, &parts.packed, parts.numbers, err);
}

int adl_onnx_tensor_read(struct adl_arena *arena, struct adl_onnx_files *files,
                         const struct adl_protobuf_field *message, struct adl_onnx_tensor *tensor,
                         struct adl_error *err)
{
    *tensor = (struct adl_onnx_tensor){.name = ""};
    if (adl_onnx_is_message(message, err) < 0)
        return -1;
    if (read_tensor(arena, files, message, tensor, err) < 0)
        return adl_error_context(err, "tensor %s",
                                 adl_name_quote(tensor->name, strlen(tensor->name)).text);
    return 0;
}

/* --- elements ------------------------------------------------------------------------------ */

static uint64_t raw_bits(const struct adl_onnx_tensor *tensor, size_t i)
{
    size_t width = width_of(tensor->type);
    uint64_t bits = 0;
    for (size_t b = 0; b < width; b++)
        bits |= (uint64_t)tensor->raw[i * width + b] << (8 * b);
    return bits;
}

int64_t adl_onnx_tensor_int(const struct adl_onnx_tensor *tensor, size_t i)
{
    if (tensor->ints)
        return tensor->ints[i];
    switch (tensor->type) {
    case ADL_ONNX_TYPE_UINT8:
    case ADL_ONNX_TYPE_BOOL: return (uint8_t)raw_bits(tensor, i);
    case ADL_ONNX_TYPE_INT8: return (int8_t)raw_bits(tensor, i);
    case ADL_ONNX_TYPE_INT32: return (int32_t)raw_bits(tensor, i);
    case ADL_ONNX_TYPE_INT64: return (int64_t)raw_bits(tensor, i);
    default: return 0;
    }
}

static double half_number(enum adl_dtype type, uint64_t bits)
{
    uint16_t half = (uint16_t)bits;
    float value;
    adl_dtype_to_f32(type, &half, 1, &value);
    return (double)value;
}

double adl_onnx_tensor_number(const struct adl_onnx_tensor *tensor, size_t i)
{
    uint64_t bits = tensor->ints ? (uint64_t)tensor->ints[i] : raw_bits(tensor, i);
    double wide;

    switch (tensor->type) {
    case ADL_ONNX_TYPE_FLOAT: return (double)adl_protobuf_as_float(bits);
    case ADL_ONNX_TYPE_DOUBLE: memcpy(&wide, &bits, sizeof wide); return wide;
    case ADL_ONNX_TYPE_HALF: return half_number(ADL_F16, bits);
    case ADL_ONNX_TYPE_BF16: return half_number(ADL_BF16, bits);
    default: return (double)adl_onnx_tensor_int(tensor, i);
    }
}

bool adl_onnx_tensor_is_real(const struct adl_onnx_tensor *tensor)
{
    return tensor->type == ADL_ONNX_TYPE_FLOAT || tensor->type == ADL_ONNX_TYPE_DOUBLE ||
           tensor->type == ADL_ONNX_TYPE_HALF || tensor->type == ADL_ONNX_TYPE_BF16;
}

bool adl_onnx_tensor_is_int(const struct adl_onnx_tensor *tensor)
{
    return tensor->type == ADL_ONNX_TYPE_INT64 || tensor->type == ADL_ONNX_TYPE_INT32 ||
           tensor->type == ADL_ONNX_TYPE_INT8 || tensor->type == ADL_ONNX_TYPE_UINT8 ||
           tensor->type == ADL_ONNX_TYPE_BOOL;
}
