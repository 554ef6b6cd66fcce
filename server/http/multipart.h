#ifndef ADL_SERVER_HTTP_MULTIPART_H
#define ADL_SERVER_HTTP_MULTIPART_H

/* multipart/form-data (RFC 7578) over a body that has arrived as a whole: the
 * parts are spans of it, nothing is copied. */

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"

/* Bytes of the body or of a header's value; not NUL-terminated. */
struct adl_span {
    const char *data; /* NULL: absent */
    size_t length;
};

struct adl_part {
    struct adl_span name; /* of Content-Disposition; always there */
    struct adl_span filename;
    struct adl_span type; /* Content-Type */
    struct adl_span body;
};

struct adl_multipart {
    struct adl_part parts[ADL_LIMIT_MULTIPART_PARTS];
    size_t count;
};

/* The boundary of a Content-Type value. Fails with ARG when it has none, or one
 * that is not 1 to 70 characters of those that RFC 2046 allows. */
int adl_multipart_boundary(const char *content_type, struct adl_span *boundary,
                           struct adl_error *err) ADL_MUST_CHECK;

/* Fails with ARG on anything that is not well-formed to its closing boundary,
 * with LIMIT on too many parts or too long headers. */
int adl_multipart_parse(const char *body, size_t length, struct adl_span boundary,
                        struct adl_multipart *out, struct adl_error *err) ADL_MUST_CHECK;

#endif
