/* Finds parts of JSON text, and decodes base64 where it stands; see json_span.h. */

#include "server/api/json_span.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/size.h"

const char *adl_json_skip_blanks(const char *at, const char *end)
{
    while (at < end && adl_json_is_blank(*at))
        at++;
    return at;
}

/* A quote after an odd number of backslashes belongs to the string. */
const char *adl_json_string_end(const char *at, const char *end)
{
    const char *quote = at;

    do {
        const char *from = quote + 1, *before;
        quote = memchr(from, '"', (size_t)(end - from));
        if (!quote)
            return NULL;
        for (before = quote; before > from && before[-1] == '\\';)
            before--;
        if ((quote - before) % 2 == 0)
            return quote + 1;
    } while (quote + 1 < end);
    return NULL;
}

/* --- base64 ---------------------------------------------------------------------- */

/* Returns the value of a digit of base64; -1: it is none. */
static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes groups of four digits in place while there are any, and returns how many characters. */
static size_t decode_groups(unsigned char *text, size_t length)
{
    signed char digits[256];
    size_t i = 0;

    for (int c = 0; c < 256; c++)
        digits[c] = (signed char)digit_of((char)c);
    for (; i + 4 <= length; i += 4) {
        const int a = digits[text[i]], b = digits[text[i + 1]];
        const int c = digits[text[i + 2]], d = digits[text[i + 3]];
        unsigned char *out = text + i / 4 * 3;
        if ((a | b | c | d) < 0)
            break;
        out[0] = (unsigned char)(a << 2 | b >> 4);
        out[1] = (unsigned char)(b << 4 | c >> 2);
        out[2] = (unsigned char)(c << 6 | d);
    }
    return i;
}

size_t adl_json_decode_base64(char *text, size_t length)
{
    unsigned char *out = (unsigned char *)text;
    const size_t begun = decode_groups(out, length);
    size_t digits = begun, bytes = begun / 4 * 3, padding = 0;
    unsigned bits = 0;

    for (size_t i = begun; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length && text[i + 1] == '/')
            i++;
        const int digit = digit_of(text[i]);
        if (text[i] == '=')
            padding++;
        else if (digit < 0 || padding > 0)
            return SIZE_MAX;
        digits++;
        bits = bits << 6 | (unsigned)ADL_MAX(digit, 0);
        if (digits % 4 == 0) {
            if (padding > 2)
                return SIZE_MAX;
            out[bytes++] = (unsigned char)(bits >> 16);
            out[bytes++] = (unsigned char)(bits >> 8);
            out[bytes++] = (unsigned char)bits;
        }
    }
    return digits % 4 ? SIZE_MAX : bytes - padding;
}
