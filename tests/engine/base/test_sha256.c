/* SHA-256 against the examples of FIPS 180-4 and NIST's SHA test vectors. */

#include <string.h>

#include "base/sha256.h"
#include "base/size.h"
#include "support/test.h"

static void fips_examples(void)
{
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "mnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_sha256 hash;
        char hex[65];
        adl_sha256_init(&hash);
        adl_sha256_update(&hash, cases[i].text, strlen(cases[i].text));
        adl_sha256_hex(&hash, hex);
        CU_ASSERT_STRING_EQUAL(hex, cases[i].digest);
    }
}

/* A million times "a", in pieces of every size up to 200. */
static void pieces_do_not_matter(void)
{
    struct adl_sha256 hash;
    char hex[65], text[200];
    size_t left = 1000000;
    memset(text, 'a', sizeof text);
    adl_sha256_init(&hash);
    for (size_t piece = 0; left > 0; piece = (piece + 1) % 201) {
        adl_sha256_update(&hash, text, ADL_MIN(piece, left));
        left -= ADL_MIN(piece, left);
    }
    adl_sha256_hex(&hash, hex);
    CU_ASSERT_STRING_EQUAL(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_SUITE(sha256, {"the examples of FIPS 180-4", fips_examples},
           {"the size of the pieces does not matter", pieces_do_not_matter});
