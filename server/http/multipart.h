#ifndef ADL_SERVER_HTTP_MULTIPART_H
#define ADL_SERVER_HTTP_MULTIPART_H

/* Parses multipart/form-data (RFC 7578) in a body that has arrived completely. The parts are
 * spans of the body; nothing is copied. */

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"

/* Bytes of the body or of a header's value; not NUL-terminated. */
struct adl_span {
    const char *data; /* NULL: absent */
    size_t length;
};

struct adl_part {
    struct adl_span name; /* parameter of Content-Disposition; never absent */
    struct adl_span filename;
    struct adl_span type; /* Content-Type */
    struct adl_span body;
};

struct adl_multipart {
    struct adl_part parts[ADL_LIMIT_MULTIPART_PARTS];
    size_t count;
};

/* Finds the boundary in a Content-Type value; the span points into the value. Fails with
 * ADL_ERR_ARG unless there is exactly one boundary, of 1 to 70 of the characters that RFC 2046
 * allows. */
int adl_multipart_boundary(const char *content_type, struct adl_span *boundary,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Splits a body of `length` bytes into parts, which point into the body. Fails with ADL_ERR_ARG
 * on anything that is not well-formed up to the closing boundary line, with ADL_ERR_LIMIT on
 * more than ADL_LIMIT_MULTIPART_PARTS parts or headers over ADL_LIMIT_PART_HEADER_BYTES. */
int adl_multipart_parse(const char *body, size_t length, struct adl_span boundary,
                        struct adl_multipart *out, struct adl_error *err) ADL_MUST_CHECK;

#endif
