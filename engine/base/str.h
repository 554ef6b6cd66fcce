#ifndef ADL_BASE_STR_H
#define ADL_BASE_STR_H

/* A growing text buffer. Running out of memory is remembered instead of returned, so that
 * a function that appends many times checks once, at its end. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct adl_str {
    char *data; /* NUL-terminated once anything was appended; owned */
    size_t length;
    size_t capacity;
    bool failed; /* an append ran out of memory; the text is incomplete */
};

/* Frees the text and leaves an empty buffer. A zeroed struct is an empty buffer. */
void adl_str_release(struct adl_str *str);

void adl_str_append(struct adl_str *str, const char *bytes, size_t length);
void adl_str_puts(struct adl_str *str, const char *text);
/* Appends the bytes as base64 (RFC 4648, section 4), with padding. */
void adl_str_base64(struct adl_str *str, const void *bytes, size_t length);
void adl_str_printf(struct adl_str *str, const char *fmt, ...) ADL_PRINTF(2, 3);

/* Gives the text to the caller, who frees it by adl_free; *length (may be NULL) does not
 * count its NUL. Returns NULL with ADL_ERR_NOMEM when an append failed. The buffer is empty
 * afterwards. */
char *adl_str_take(struct adl_str *str, size_t *length, struct adl_error *err) ADL_MUST_CHECK;

/* Returns whether a text ends with `end`. */
bool adl_text_ends_with(const char *text, const char *end);

/* Returns the beginning of the first line of a text that begins with `start`; NULL if there is
 * none. */
const char *adl_text_line(const char *text, const char *start);

#endif
