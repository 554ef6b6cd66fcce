#ifndef ADL_BASE_UTF8_H
#define ADL_BASE_UTF8_H

/* Whether bytes from outside are UTF-8 text (RFC 3629). JSON can hold nothing else. */

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that begins at `text`, 1 to 4; 0 where none does: at the NUL, at
 * a byte that begins no character, at one cut short, at an overlong form, a surrogate or a
 * code point beyond U+10FFFF. Reads no byte after the NUL. */
size_t adl_utf8_length(const char *text);

/* Whether all of `text`, up to its NUL, is UTF-8. */
bool adl_utf8_valid(const char *text);

#endif
