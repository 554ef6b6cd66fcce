#ifndef ADL_IMAGE_TRANSLITERATE_H
#define ADL_IMAGE_TRANSLITERATE_H

/* Writes names in ASCII letters, for a font that has no others (font.h): Latin letters lose their
 * marks, Greek, Cyrillic and Hangul are romanised. */

#include <stddef.h>

/* Stands in the result for each character that has no letters: ideographs, for example. The font
 * draws it as an empty frame. */
#define ADL_NO_LETTER "\x7f"

/* Writes a UTF-8 text into `out` of `size` bytes, at least 1, with a NUL; what does not fit is cut
 * off. Bytes that are not UTF-8 and control characters become ADL_NO_LETTER. */
void adl_transliterate(const char *text, char *out, size_t size);

#endif
