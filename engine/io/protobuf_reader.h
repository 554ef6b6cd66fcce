#ifndef ADL_IO_PROTOBUF_READER_H
#define ADL_IO_PROTOBUF_READER_H

/* Reads protocol buffers at the level of the wire format, field by field: a field is identified by
 * its number, and the caller knows what it means. Nothing is copied; every length is checked
 * against the bytes that are left before it is used, so a message within a message is read by a
 * reader of its contents, and cannot reach beyond them. Any bytes may be given. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What is left of a message. */
struct adl_protobuf_reader {
    const unsigned char *at, *end;
};

enum adl_protobuf_wire {
    ADL_WIRE_VARINT = 0,
    ADL_WIRE_FIXED64 = 1,
    ADL_WIRE_LENGTH = 2, /* bytes: text, a message, or packed numbers */
    ADL_WIRE_FIXED32 = 5
};

struct adl_protobuf_field {
    unsigned number;
    enum adl_protobuf_wire wire;
    uint64_t value;            /* of all but ADL_WIRE_LENGTH */
    const unsigned char *data; /* of ADL_WIRE_LENGTH; part of the message */
    size_t length;
};

struct adl_protobuf_reader adl_protobuf_open(const void *bytes, size_t length);

/* Reads the next field: 1; 0 at the end of the message; -1 with ADL_ERR_FORMAT if the bytes are no
 * message, among which are the groups of protocol buffers 1. */
int adl_protobuf_next(struct adl_protobuf_reader *reader, struct adl_protobuf_field *field,
                      struct adl_error *err) ADL_MUST_CHECK;

/* Reads one number of packed ones, without a key: 1, 0 at the end, -1 if the bytes end within it.
 * The wire type says how numbers are stored: ADL_WIRE_VARINT or a fixed one. */
int adl_protobuf_number(struct adl_protobuf_reader *reader, enum adl_protobuf_wire wire,
                        uint64_t *value, struct adl_error *err) ADL_MUST_CHECK;

/* Returns the value of a field of type float. */
float adl_protobuf_as_float(uint64_t value);

#endif
