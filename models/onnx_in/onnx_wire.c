/* Reads texts and repeated fields of an ONNX file; see onnx_wire.h. */

#include "models/onnx_in/onnx_wire.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

int adl_onnx_text(struct adl_arena *arena, const struct adl_protobuf_field *field, size_t limit,
                  const char **text, struct adl_error *err)
{
    if (field->wire != ADL_WIRE_LENGTH)
        return adl_fail(err, ADL_ERR_FORMAT, "field %u is not text", field->number);
    if (field->length > limit)
        return adl_fail(err, ADL_ERR_LIMIT, "a text has %zu bytes, more than %zu", field->length,
                        limit);
    char *copy = adl_arena_alloc(arena, field->length + 1, 1);
    if (!copy)
        return adl_fail_nomem(err, "the ONNX file");
    if (field->length)
        memcpy(copy, field->data, field->length);
    if (strlen(copy) != field->length || !adl_utf8_valid(copy))
        return adl_fail(err, ADL_ERR_FORMAT, "a name in the file is not UTF-8 text");
    *text = copy;
    return 0;
}

int adl_onnx_count(const struct adl_protobuf_field *message, unsigned number, size_t limit,
                   const char *what, size_t *count, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length);
    struct adl_protobuf_field field;
    int more;

    *count = 0;
    while ((more = adl_protobuf_next(&in, &field, err)) > 0)
        *count += field.number == number;
    if (more == 0 && *count > limit)
        return adl_fail(err, ADL_ERR_LIMIT, "the file has %zu %s, more than %zu", *count, what,
                        limit);
    return more;
}

int adl_onnx_is_message(const struct adl_protobuf_field *field, struct adl_error *err)
{
    return field->wire == ADL_WIRE_LENGTH
               ? 0
               : adl_fail(err, ADL_ERR_FORMAT, "field %u is not a message", field->number);
}

/* Counts the numbers of a repeated field, packed or one by one. */
static int count_numbers(const struct adl_protobuf_field *message, unsigned number,
                         enum adl_protobuf_wire wire, size_t *count, struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length), packed;
    struct adl_protobuf_field field;
    uint64_t value;
    int more, inner = 0;

    *count = 0;
    while ((more = adl_protobuf_next(&in, &field, err)) > 0) {
        if (field.number != number)
            continue;
        if (field.wire == wire) {
            (*count)++;
            continue;
        }
        if (adl_onnx_is_message(&field, err) < 0)
            return -1;
        packed = adl_protobuf_open(field.data, field.length);
        while ((inner = adl_protobuf_number(&packed, wire, &value, err)) > 0)
            (*count)++;
        if (inner < 0)
            return -1;
    }
    return more;
}

int adl_onnx_numbers(struct adl_arena *arena, const struct adl_protobuf_field *message,
                     unsigned number, enum adl_protobuf_wire wire, uint64_t **values, size_t *count,
                     struct adl_error *err)
{
    struct adl_protobuf_reader in = adl_protobuf_open(message->data, message->length), packed;
    struct adl_protobuf_field field;
    size_t at = 0;

    if (count_numbers(message, number, wire, count, err) < 0)
        return -1;
    *values = adl_arena_alloc(arena, *count + 1, sizeof **values);
    if (!*values)
        return adl_fail_nomem(err, "the ONNX file");
    while (adl_protobuf_next(&in, &field, err) > 0) {
        if (field.number != number)
            continue;
        if (field.wire == wire) {
            (*values)[at++] = field.value;
            continue;
        }
        packed = adl_protobuf_open(field.data, field.length);
        while (adl_protobuf_number(&packed, wire, &(*values)[at], err) > 0)
            at++;
    }
    return 0;
}
