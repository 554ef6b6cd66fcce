#ifndef ADL_IO_PROTOBUF_H
#define ADL_IO_PROTOBUF_H

/* Writes protocol buffers at the level of the wire format: a field is identified by its
 * number, and the caller knows what it means. Large contents are not copied but borrowed
 * until the message is written to a file.
 *
 * Running out of memory is remembered instead of returned, so that a function that appends
 * many fields needs no checks; adl_protobuf_write reports it. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Borrowed content, which the message contains before byte `offset` of `bytes`. */
struct adl_protobuf_span {
    size_t offset;
    const void *data;
    size_t length;
};

/* One message; a zeroed struct is an empty one. */
struct adl_protobuf {
    struct adl_str bytes; /* all but the borrowed content; its `failed` is the message's */
    struct adl_protobuf_span *spans;
    size_t span_count, span_capacity;
    size_t borrowed_bytes; /* sum over all spans; SIZE_MAX where it overflows */
};

void adl_protobuf_release(struct adl_protobuf *message);

/* Each of these functions appends one field. adl_protobuf_int serves the types int64, int32,
 * enum and bool. */
void adl_protobuf_int(struct adl_protobuf *message, unsigned field, int64_t value);
void adl_protobuf_double(struct adl_protobuf *message, unsigned field, double value);
void adl_protobuf_float(struct adl_protobuf *message, unsigned field, float value);
void adl_protobuf_bytes(struct adl_protobuf *message, unsigned field, const void *data,
                        size_t length);
void adl_protobuf_text(struct adl_protobuf *message, unsigned field, const char *text);
/* Appends a field as adl_protobuf_bytes does, but without copying `data`: it has to stay
 * valid until the message is written or released. */
void adl_protobuf_borrow(struct adl_protobuf *message, unsigned field, const void *data,
                         size_t length);
/* Moves a message into this one as a field; `inner` is empty afterwards. */
void adl_protobuf_message(struct adl_protobuf *message, unsigned field, struct adl_protobuf *inner);

/* Writes the message as a whole file, in one step (see io/file.h). Fails with ADL_ERR_NOMEM
 * when a field could not be appended, with ADL_ERR_LIMIT above ADL_LIMIT_PROTOBUF_BYTES, and
 * as adl_file_write does. */
int adl_protobuf_write(const char *path, const struct adl_protobuf *message,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
