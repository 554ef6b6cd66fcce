/* image/transliterate: names in ASCII letters. The expected words are the usual ones: of places in
 * ISO and national romanisations, of the Revised Romanization for Hangul. */

#include "support/test.h"

#include <string.h>

#include "base/size.h"
#include "image/transliterate.h"

static void names_in_letters(void)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"tench, Tinca tinca", "tench, Tinca tinca"},
        {"Bär, Übergröße", "Bar, Ubergrosse"},
        {"crème brûlée", "creme brulee"},
        {"cr\x65\xcc\x80me", "creme"}, /* a letter and its mark apart */
        {"Ærø Łódź Þingvellir", "AEro Lodz Thingvellir"},
        {"phở bò", "pho bo"},
        {"Żubr – „bison“ …", "Zubr - \"bison\" ..."},
        {"Ελλάδα", "Ellada"},
        {"Щёкино, журавль", "Shchyokino, zhuravl"},
        {"Київ", "Kiyiv"},
        {"한국", "hanguk"},
        {"서울", "seoul"},
        {"고양이", "goyangi"},
        {"강아지 1", "gangaji 1"},
        {"犬", "\x7f"},
        {"a\x80z\xff", "a\x7fz\x7f"},
        {"\xe2\x82", "\x7f\x7f"},
        {"\xc0\x80", "\x7f\x7f"},
        {"a\tb", "a\x7f"
                 "b"},
        {"\xf0\x9f\x90\x98", "\x7f"}, /* an elephant */
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char out[64];
        adl_transliterate(cases[i][0], out, sizeof out);
        if (strcmp(out, cases[i][1]) != 0)
            TEST_FAIL("%s: %s, expected %s", cases[i][0], out, cases[i][1]);
    }
}

static void a_small_buffer_cuts(void)
{
    char out[5];
    adl_transliterate("Größe", out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "Gros");
    adl_transliterate("Größe", out, 1);
    CU_ASSERT_STRING_EQUAL(out, "");
}

/* Every character has its word: the tables are as long as their ranges. */
static void every_character_is_found(void)
{
    for (unsigned code = 0x80; code < 0x11000; code++) {
        char text[4] = {0}, out[16];
        if (code >= 0xd800 && code < 0xe000)
            continue;
        if (code < 0x800) {
            text[0] = (char)(0xc0 | code >> 6);
            text[1] = (char)(0x80 | (code & 63));
        } else if (code < 0x10000) {
            text[0] = (char)(0xe0 | code >> 12);
            text[1] = (char)(0x80 | (code >> 6 & 63));
            text[2] = (char)(0x80 | (code & 63));
        } else {
            break;
        }
        adl_transliterate(text, out, sizeof out);
        CU_ASSERT(strlen(out) <= 9);
        for (const char *c = out; *c; c++)
            CU_ASSERT(*c >= ' ' && *c <= 0x7f);
    }
}

TEST_SUITE(transliterate, {"names in letters", names_in_letters},
           {"a small buffer cuts", a_small_buffer_cuts},
           {"every character is found", every_character_is_found});
