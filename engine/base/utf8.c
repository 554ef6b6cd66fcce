/* UTF-8 as RFC 3629 defines it: the first byte determines how many follow, each of which has
 * the bits 10xxxxxx. Only the shortest encoding of a code point is valid. */

#include "base/utf8.h"

#include <stdint.h>

size_t adl_utf8_length(const char *text)
{
    static const uint32_t least[] = {1, 0x80, 0x800, 0x10000}; /* by bytes that follow */
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t code = bytes[0];
    size_t more = code < 0x80 ? 0 : code < 0xe0 ? 1 : code < 0xf0 ? 2 : 3;

    if ((code >= 0x80 && code < 0xc0) || code > 0xf4)
        return 0;
    if (more)
        code &= 0x3fu >> more;
    for (size_t i = 1; i <= more; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (bytes[i] & 0x3f);
    }
    if (code < least[more] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
        return 0;
    return more + 1;
}

bool adl_utf8_valid(const char *text)
{
    while (*text) {
        size_t length = adl_utf8_length(text);
        if (!length)
            return false;
        text += length;
    }
    return true;
}

size_t adl_utf8_late_control(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;

    if (bytes[0] == 0x7f)
        return 1;
    return bytes[0] == 0xc2 && bytes[1] >= 0x80 && bytes[1] < 0xa0 ? 2 : 0;
}
