#ifndef ADL_BASE_UTF8_H
#define ADL_BASE_UTF8_H

/* Checks whether untrusted bytes are UTF-8 text (RFC 3629); JSON can hold nothing else. */

#include <stdbool.h>
#include <stddef.h>

/* Returns the length in bytes, 1 to 4, of the character that begins at `text`. Returns 0 if
 * no valid character begins there: at the NUL, at a byte that cannot begin one, and at a
 * truncated or overlong sequence, a surrogate or a code point beyond U+10FFFF. Reads no byte
 * after the NUL. */
size_t adl_utf8_length(const char *text);

/* Returns whether all of `text`, up to its NUL, is UTF-8. */
bool adl_utf8_valid(const char *text);

/* Returns the length in bytes of the control character that begins at `text`, if it is one of those
 * that JSON does not escape: 1 for DEL, 2 for U+0080 to U+009F; otherwise 0. */
size_t adl_utf8_late_control(const char *text);

#endif
