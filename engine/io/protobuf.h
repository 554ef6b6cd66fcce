#ifndef ADL_IO_PROTOBUF_H
#define ADL_IO_PROTOBUF_H

/* Writing protocol buffers, the wire format alone: fields are numbers here, and
 * what they mean is the caller's knowledge. Large contents are borrowed, not
 * copied, until the message is written to a file.
 *
 * Running out of memory is remembered instead of returned, so that a page of
 * fields needs one check, in adl_protobuf_write. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/* Content that is not in `bytes` but belongs before byte `at` of them. */
struct adl_protobuf_span {
    size_t at;
    const void *data;
    size_t length;
};

/* One message; a zeroed struct is an empty one. */
struct adl_protobuf {
    struct adl_str bytes; /* its `failed` is the message's */
    struct adl_protobuf_span *spans;
    size_t span_count, span_capacity;
    size_t borrowed_bytes; /* of all spans; SIZE_MAX when that is too small a type */
};

void adl_protobuf_release(struct adl_protobuf *message);

/* Each appends one field. int64, int32, enum and bool fields are all `int`. */
void adl_protobuf_int(struct adl_protobuf *message, unsigned field, int64_t value);
void adl_protobuf_float(struct adl_protobuf *message, unsigned field, float value);
void adl_protobuf_bytes(struct adl_protobuf *message, unsigned field, const void *data,
                        size_t length);
void adl_protobuf_text(struct adl_protobuf *message, unsigned field, const char *text);
/* `data` stays where it is until the message is written or released. */
void adl_protobuf_borrow(struct adl_protobuf *message, unsigned field, const void *data,
                         size_t length);
/* A message inside this one; `inner` is empty afterwards. */
void adl_protobuf_message(struct adl_protobuf *message, unsigned field, struct adl_protobuf *inner);

/* Writes the message as a whole file, in one step (see io/file.h). Fails with
 * NOMEM when a field found no memory, with LIMIT above what readers take. */
int adl_protobuf_write(const char *path, const struct adl_protobuf *message,
                       struct adl_error *err) ADL_MUST_CHECK;

#endif
