/* The wire format of protocol buffers (protobuf.dev/programming-guides/encoding).
 *
 * A message is a sequence of fields, each a key and a value. The key is the varint field << 3
 * | wire type. A varint is an unsigned number in groups of 7 bits, the lowest first, one
 * group in each byte, whose top bit says whether more groups follow: 300 = ac 02. Integers
 * are varints (negative ones as 64-bit two's complement, 10 bytes), floats and doubles 4 and 8
 * bytes little-endian; texts, bytes and inner messages have their length in front, as a varint.
 *
 * The length of a message must be known before it is put into another one. So inner messages
 * are built first, each in a buffer of its own, and copied; weights, which would be copied
 * once for each level, are borrowed: only their address, length and position are stored, and
 * adl_protobuf_write interleaves them with the bytes. */

#include "io/protobuf.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

#define MAX_VARINT_BYTES 10

void adl_protobuf_release(struct adl_protobuf *message)
{
    adl_str_release(&message->bytes);
    adl_free(message->spans);
    *message = (struct adl_protobuf){0};
}

static void put_varint(struct adl_protobuf *message, uint64_t value)
{
    char bytes[MAX_VARINT_BYTES];
    size_t length = 0;
    for (; value > 0x7f; value >>= 7)
        bytes[length++] = (char)((value & 0x7f) | 0x80);
    bytes[length++] = (char)value;
    adl_str_append(&message->bytes, bytes, length);
}

static void put_key(struct adl_protobuf *message, unsigned field, enum wire_type type)
{
    put_varint(message, (uint64_t)field << 3 | (uint64_t)type);
}

/* Returns a + b, or SIZE_MAX if that overflows. */
static size_t saturated_sum(size_t a, size_t b)
{
    size_t sum = SIZE_MAX;
    return adl_size_add(a, b, &sum) < 0 ? SIZE_MAX : sum;
}

static void add_span(struct adl_protobuf *message, struct adl_protobuf_span span)
{
    struct adl_protobuf_span *spans = adl_array_grow(message->spans, &message->span_capacity,
                                                     message->span_count + 1, sizeof *spans);
    if (!spans) {
        message->bytes.failed = true;
        return;
    }
    message->spans = spans;
    message->spans[message->span_count++] = span;
    message->borrowed_bytes = saturated_sum(message->borrowed_bytes, span.length);
}

void adl_protobuf_int(struct adl_protobuf *message, unsigned field, int64_t value)
{
    put_key(message, field, WIRE_VARINT);
    put_varint(message, (uint64_t)value);
}

/* Appends a field of `count` bytes, little-endian. */
static void put_fixed(struct adl_protobuf *message, unsigned field, enum wire_type type,
                      uint64_t bits, size_t count)
{
    char bytes[8];
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)(bits >> (8 * i) & 0xff);
    put_key(message, field, type);
    adl_str_append(&message->bytes, bytes, count);
}

void adl_protobuf_double(struct adl_protobuf *message, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_fixed(message, field, WIRE_FIXED64, bits, sizeof bits);
}

void adl_protobuf_float(struct adl_protobuf *message, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_fixed(message, field, WIRE_FIXED32, bits, sizeof bits);
}

void adl_protobuf_bytes(struct adl_protobuf *message, unsigned field, const void *data,
                        size_t length)
{
    put_key(message, field, WIRE_LENGTH);
    put_varint(message, length);
    adl_str_append(&message->bytes, data, length);
}

void adl_protobuf_text(struct adl_protobuf *message, unsigned field, const char *text)
{
    adl_protobuf_bytes(message, field, text, strlen(text));
}

void adl_protobuf_borrow(struct adl_protobuf *message, unsigned field, const void *data,
                         size_t length)
{
    put_key(message, field, WIRE_LENGTH);
    put_varint(message, length);
    add_span(message, (struct adl_protobuf_span){message->bytes.length, data, length});
}

void adl_protobuf_message(struct adl_protobuf *message, unsigned field, struct adl_protobuf *inner)
{
    put_key(message, field, WIRE_LENGTH);
    put_varint(message, saturated_sum(inner->bytes.length, inner->borrowed_bytes));
    for (size_t i = 0; i < inner->span_count; i++) {
        struct adl_protobuf_span span = inner->spans[i];
        span.offset += message->bytes.length;
        add_span(message, span);
    }
    if (inner->bytes.length)
        adl_str_append(&message->bytes, inner->bytes.data, inner->bytes.length);
    message->bytes.failed |= inner->bytes.failed;
    adl_protobuf_release(inner);
}

int adl_protobuf_write(const char *path, const struct adl_protobuf *message, struct adl_error *err)
{
    size_t total = saturated_sum(message->bytes.length, message->borrowed_bytes);
    size_t count = 0, written = 0;

    if (message->bytes.failed)
        return adl_fail(err, ADL_ERR_NOMEM, "%s: out of memory for its contents", path);
    if (total > ADL_LIMIT_PROTOBUF_BYTES)
        return adl_fail(err, ADL_ERR_LIMIT, "%s: would have more than the %zu bytes that fit", path,
                        ADL_LIMIT_PROTOBUF_BYTES);
    struct adl_file_piece *pieces = adl_malloc(2 * message->span_count + 1, sizeof *pieces);
    if (!pieces)
        return adl_fail(err, ADL_ERR_NOMEM, "%s: out of memory for its contents", path);
    for (size_t i = 0; i < message->span_count; i++) {
        const struct adl_protobuf_span *span = &message->spans[i];
        pieces[count++] =
            (struct adl_file_piece){message->bytes.data + written, span->offset - written};
        pieces[count++] = (struct adl_file_piece){span->data, span->length};
        written = span->offset;
    }
    if (message->bytes.length > written)
        pieces[count++] =
            (struct adl_file_piece){message->bytes.data + written, message->bytes.length - written};
    int result = adl_file_write(path, pieces, count, err);
    adl_free(pieces);
    return result;
}
