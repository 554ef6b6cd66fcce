#ifndef ADL_SERVER_API_JSON_SPAN_H
#define ADL_SERVER_API_JSON_SPAN_H

/* Parts of JSON text, for bodies whose larger part is worth no value in memory. */

#include <stdbool.h>
#include <stddef.h>

static inline bool adl_json_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Returns the first byte from `at` that is no blank of JSON; `end` if there is none. */
const char *adl_json_skip_blanks(const char *at, const char *end);

/* Returns the end of the string that begins at `at`, after its quote; NULL: it has none. */
const char *adl_json_string_end(const char *at, const char *end);

/* Decodes the text between the quotes of a string of JSON as base64 (RFC 4648, section 4, with
 * padding) in place; of its escapes base64 can need "\/" alone. Returns the number of bytes;
 * SIZE_MAX: it is no base64. */
size_t adl_json_decode_base64(char *text, size_t length);

#endif
