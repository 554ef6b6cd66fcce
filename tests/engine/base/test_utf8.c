/* base/utf8: the boundaries of RFC 3629, and the same verdict as jansson's. */

#include "support/test.h"

#include <jansson.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"

static void the_boundaries_are_rfc_3629s(void)
{
    static const char *const valid[] = {
        "\x01",         "\x7f",         "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const invalid[] = {"",
                                          "\x80",
                                          "\xbf",
                                          "\xc0\x80",
                                          "\xc1\xbf",
                                          "\xc2",
                                          "\xc2 ",
                                          "\xe0\x9f\xbf",
                                          "\xe2\x82",
                                          "\xed\xa0\x80",
                                          "\xed\xbf\xbf",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xf0\x90\x80",
                                          "\xf4\x90\x80\x80",
                                          "\xf5\x80\x80\x80",
                                          "\xff"};
    for (size_t i = 0; i < ADL_COUNT(valid); i++)
        if (adl_utf8_length(valid[i]) != strlen(valid[i]) || !adl_utf8_valid(valid[i]))
            TEST_FAIL("valid case %zu is refused", i);
    for (size_t i = 0; i < ADL_COUNT(invalid); i++)
        if (adl_utf8_length(invalid[i]) != 0 || adl_utf8_valid(invalid[i]) != !*invalid[i])
            TEST_FAIL("invalid case %zu is accepted", i);
    CU_ASSERT(adl_utf8_valid("h\xc3\xa9ron \xf0\x9f\xa6\x86") && !adl_utf8_valid("h\xc3ron"));
}

/* Every sequence of two bytes, and every second and third byte after a few first ones. */
static void jansson_agrees(void)
{
    static const char firsts[] = "\xe0\xe1\xed\xef\xf0\xf4\xf5";
    for (unsigned a = 1; a < 256; a++)
        for (unsigned b = 1; b < 256; b++) {
            const char text[] = {(char)a, (char)b, 0};
            json_t *json = json_string(text);
            if ((json != NULL) != adl_utf8_valid(text))
                TEST_FAIL("%02x %02x", a, b);
            json_decref(json);
        }
    for (const char *first = firsts; *first; first++)
        for (unsigned b = 0x70; b < 0xd0; b++)
            for (unsigned c = 0x70; c < 0xd0; c++) {
                const char three[] = {*first, (char)b, (char)c, 0};
                const char four[] = {*first, (char)b, (char)c, '\x80', 0};
                json_t *json3 = json_string(three), *json4 = json_string(four);
                if ((json3 != NULL) != adl_utf8_valid(three) ||
                    (json4 != NULL) != adl_utf8_valid(four))
                    TEST_FAIL("%02x %02x %02x", (unsigned char)*first, b, c);
                json_decref(json3);
                json_decref(json4);
            }
    CU_PASS("");
}

TEST_SUITE(utf8, {"the boundaries are those of RFC 3629", the_boundaries_are_rfc_3629s},
           {"jansson agrees", jansson_agrees});
