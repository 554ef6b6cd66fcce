/* Reads the wire format of protocol buffers; see protobuf_reader.h.
 *
 * A message is a sequence of fields. A field is a key, which is a varint of its number and its
 * type, and a value: a varint (7 bits a byte, the lowest first, the top bit says that another byte
 * follows, at most 10), 4 or 8 bytes, or a length as a varint and so many bytes
 * (https://protobuf.dev/programming-guides/encoding/). */

#include "io/protobuf_reader.h"

#include <string.h>

enum { MOST_VARINT_BYTES = 10 };

struct adl_protobuf_reader adl_protobuf_open(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    return (struct adl_protobuf_reader){at, at ? at + length : at};
}

static size_t left(const struct adl_protobuf_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static int read_varint(struct adl_protobuf_reader *reader, uint64_t *value, struct adl_error *err)
{
    *value = 0;
    for (unsigned i = 0; i < MOST_VARINT_BYTES; i++) {
        if (reader->at == reader->end)
            return adl_fail(err, ADL_ERR_FORMAT, "the file ends within a number; it is cut off");
        unsigned char byte = *reader->at++;
        /* The tenth byte has one bit that counts. */
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return 0;
    }
    return adl_fail(err, ADL_ERR_FORMAT, "a number has more than %d bytes", MOST_VARINT_BYTES);
}

static int read_fixed(struct adl_protobuf_reader *reader, size_t bytes, uint64_t *value,
                      struct adl_error *err)
{
    if (left(reader) < bytes)
        return adl_fail(err, ADL_ERR_FORMAT, "the file ends within a number; it is cut off");
    *value = 0;
    for (size_t i = 0; i < bytes; i++)
        *value |= (uint64_t)*reader->at++ << (8 * i);
    return 0;
}

int adl_protobuf_number(struct adl_protobuf_reader *reader, enum adl_protobuf_wire wire,
                        uint64_t *value, struct adl_error *err)
{
    if (reader->at == reader->end)
        return 0;
    int result = wire == ADL_WIRE_VARINT
                     ? read_varint(reader, value, err)
                     : read_fixed(reader, wire == ADL_WIRE_FIXED64 ? 8 : 4, value, err);
    return result < 0 ? -1 : 1;
}

int adl_protobuf_next(struct adl_protobuf_reader *reader, struct adl_protobuf_field *field,
                      struct adl_error *err)
{
    uint64_t key;
    int more = adl_protobuf_number(reader, ADL_WIRE_VARINT, &key, err);

    if (more <= 0)
        return more;
    *field = (struct adl_protobuf_field){.number = (unsigned)(key >> 3)};
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return adl_fail(err, ADL_ERR_FORMAT, "a field has the number %llu",
                        (unsigned long long)(key >> 3));
    switch (key & 7) {
    case ADL_WIRE_VARINT: field->wire = ADL_WIRE_VARINT; break;
    case ADL_WIRE_FIXED64: field->wire = ADL_WIRE_FIXED64; break;
    case ADL_WIRE_FIXED32: field->wire = ADL_WIRE_FIXED32; break;
    case ADL_WIRE_LENGTH: field->wire = ADL_WIRE_LENGTH; break;
    default:
        return adl_fail(err, ADL_ERR_FORMAT, "field %u has a type that no message has",
                        field->number);
    }
    if (field->wire != ADL_WIRE_LENGTH) {
        more = adl_protobuf_number(reader, field->wire, &field->value, err);
        return more == 0
                   ? adl_fail(err, ADL_ERR_FORMAT, "the file ends within field %u", field->number)
                   : more;
    }
    uint64_t length;
    if (read_varint(reader, &length, err) < 0)
        return -1;
    if (length > left(reader))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "field %u has %llu bytes, but %zu are left; the file is cut off or damaged",
                        field->number, (unsigned long long)length, left(reader));
    field->data = reader->at;
    field->length = (size_t)length;
    reader->at += field->length;
    return 1;
}

float adl_protobuf_as_float(uint64_t value)
{
    uint32_t bits = (uint32_t)value;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}
