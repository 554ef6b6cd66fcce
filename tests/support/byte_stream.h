#ifndef ADL_TESTS_SUPPORT_BYTE_STREAM_H
#define ADL_TESTS_SUPPORT_BYTE_STREAM_H

/* Bytes of a file that a test puts together. */

#include <stddef.h>
#include <string.h>

struct stream {
    unsigned char bytes[128 * 1024];
    size_t length;
};

static inline void put(struct stream *s, const void *bytes, size_t length)
{
    memcpy(s->bytes + s->length, bytes, length);
    s->length += length;
}

/* A literal, without the NUL at its end. */
#define PUT(s, literal) put(s, literal, sizeof(literal) - 1)

#endif
