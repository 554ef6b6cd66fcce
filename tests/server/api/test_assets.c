/* server/api/assets: built-in files have the bytes of their files, compressed ones decompress to
 * them, ETags are digests of what is sent, pages carry their modules and style sheets, whose
 * digests their policy allows, and a request gets the coding that it asks for. */

#include "support/test.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "io/file.h"
#include "server/api/assets.h"

static const char *const paths[] = {
#define ASSET(number, path, type, policy, etag, etag_gz, etag_br) path,
#include "server/api/asset_list.h"
#undef ASSET
};

static void digest(const void *bytes, size_t length, uint8_t out[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx state;

    sha256_init(&state);
    sha256_update(&state, length, bytes);
    sha256_digest(&state, SHA256_DIGEST_SIZE, out);
}

/* Writes the first 8 bytes of the SHA-256, in hexadecimal and quotes, into `text`. */
static void expected_etag(const void *bytes, size_t length, char text[20])
{
    uint8_t all[SHA256_DIGEST_SIZE];

    digest(bytes, length, all);
    text += sprintf(text, "\"");
    for (size_t i = 0; i < 8; i++)
        text += sprintf(text, "%02x", all[i]);
    sprintf(text, "\"");
}

static void etags_are_digests_of_what_is_sent(void)
{
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        const struct adl_asset *asset = adl_asset_find(paths[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(asset);
        for (int c = 0; c < ADL_CODINGS; c++) {
            const struct adl_asset_bytes *bytes = &asset->codings[c];
            char expected[20];
            expected_etag(bytes->data, adl_asset_length(asset, (enum adl_coding)c), expected);
            CU_ASSERT_STRING_EQUAL(bytes->etag, expected);
        }
        for (size_t k = 0; k < i; k++)
            CU_ASSERT_STRING_NOT_EQUAL(paths[i], paths[k]);
    }
}

static bool is_late(const char *path)
{
    return !strncmp(path, "/late/", 6);
}

/* All but pages and their late parts are the files below web/ as they are. */
static void files_keep_their_bytes(void)
{
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        const struct adl_asset *asset = adl_asset_find(paths[i]);
        struct adl_error err = {0};
        char file[200];
        size_t length;
        if (*asset->policy || is_late(paths[i]) || !strcmp(paths[i], "/openapi.json"))
            continue;
        snprintf(file, sizeof file, "web%s", paths[i]);
        char *bytes = adl_file_read(file, 1 << 20, &length, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
        CU_ASSERT(adl_asset_length(asset, ADL_CODING_IDENTITY) == length &&
                  !memcmp(asset->codings[ADL_CODING_IDENTITY].data, bytes, length));
        adl_free(bytes);
    }
}

static void gzip_decompresses_to_the_file(void)
{
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        const struct adl_asset *asset = adl_asset_find(paths[i]);
        size_t packed = adl_asset_length(asset, ADL_CODING_GZIP);
        size_t length = adl_asset_length(asset, ADL_CODING_IDENTITY);
        char *out = adl_malloc(length + 1, 1);
        z_stream z = {.next_in = (Bytef *)(uintptr_t)asset->codings[ADL_CODING_GZIP].data,
                      .avail_in = (uInt)packed,
                      .next_out = (Bytef *)out,
                      .avail_out = (uInt)length + 1};
        bool text = !strncmp(asset->type, "text/", 5) || strstr(asset->type, "json");
        if (text != (packed > 0 && packed < length) && !strstr(asset->type, "svg"))
            TEST_FAIL("%s: %zu bytes compressed to %zu", paths[i], length, packed);
        if (packed > 0) {
            CU_ASSERT_EQUAL_FATAL(inflateInit2(&z, 15 + 16), Z_OK);
            CU_ASSERT_EQUAL(inflate(&z, Z_FINISH), Z_STREAM_END);
            CU_ASSERT(z.total_out == length &&
                      !memcmp(out, asset->codings[ADL_CODING_IDENTITY].data, length));
            inflateEnd(&z);
        }
        adl_free(out);
    }
}

/* Counts the elements in a page that begin with `start` and whose contents the policy allows by
 * their digest; elements that it does not allow are failures. */
static int allowed(const struct adl_asset *page, const char *text, const char *start,
                   const char *end)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, start)); count++) {
        uint8_t all[SHA256_DIGEST_SIZE];
        char source[20 + BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE)] = "'sha256-";
        const char *from = at + strlen(start), *to = strstr(from, end);
        CU_ASSERT_PTR_NOT_NULL_FATAL(to);
        digest(from, (size_t)(to - from), all);
        base64_encode_raw(source + strlen(source), sizeof all, all);
        strcat(source, "'");
        if (!strstr(page->policy, source))
            TEST_FAIL("%s: %s is not in %s", page->path, source, page->policy);
        at = to;
    }
    return count;
}

/* One answer is enough for a page to work: it links no style sheet and no module. */
static void pages_carry_what_they_need(void)
{
    int pages = 0;

    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        const struct adl_asset *page = adl_asset_find(paths[i]);
        if (!*page->policy)
            continue;
        size_t length = adl_asset_length(page, ADL_CODING_IDENTITY);
        char *text = adl_malloc(length + 1, 1);
        memcpy(text, page->codings[ADL_CODING_IDENTITY].data, length);
        text[length] = '\0';
        pages++;
        CU_ASSERT_PTR_NULL(strstr(text, "rel=\"stylesheet\""));
        CU_ASSERT_PTR_NULL(strstr(page->policy, "unsafe"));
        CU_ASSERT(allowed(page, text, "<style>", "</style>") >= 1);
        if (allowed(page, text, "<script type=\"module\">", "</script>") == 0)
            TEST_FAIL("%s: its modules could not be joined; make says why", page->path);
        adl_free(text);
    }
    CU_ASSERT(pages >= 1);
}

/* Returns whether a page names the late part, by its address without the leading slash. */
static bool is_named(const char *path)
{
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        const struct adl_asset *page = adl_asset_find(paths[i]);
        const struct adl_asset_bytes *bytes = &page->codings[ADL_CODING_IDENTITY];
        if (*page->policy && memmem(bytes->data, adl_asset_length(page, ADL_CODING_IDENTITY),
                                    path + 1, strlen(path + 1)))
            return true;
    }
    return false;
}

/* A late part has the digest of its bytes in its address, is named by a page, and is compressed. */
static void late_parts_change_their_address(void)
{
    int parts = 0;

    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        const struct adl_asset *part = adl_asset_find(paths[i]);
        uint8_t all[SHA256_DIGEST_SIZE];
        char end[20], *at = end;
        if (!is_late(paths[i]))
            continue;
        parts++;
        digest(part->codings[ADL_CODING_IDENTITY].data, adl_asset_length(part, ADL_CODING_IDENTITY),
               all);
        at += sprintf(at, "-");
        for (size_t k = 0; k < 6; k++)
            at += sprintf(at, "%02x", all[k]);
        sprintf(at, ".js");
        if (!adl_text_ends_with(paths[i], end) || !is_named(paths[i]))
            TEST_FAIL("%s: expected ...%s, in a page", paths[i], end);
        CU_ASSERT(!strncmp(part->type, "text/javascript", 15));
        CU_ASSERT(adl_asset_length(part, ADL_CODING_GZIP) > 0);
    }
    CU_ASSERT(parts >= 1);
}

/* RFC 9110, 12.5.3. */
static void a_request_gets_the_coding_that_it_takes(void)
{
    static const char identity[100], gzip[50], brotli[40];
    const struct adl_asset all = {.codings = {{identity, identity + 100, ""},
                                              {gzip, gzip + 50, ""},
                                              {brotli, brotli + 40, ""}}};
    const struct adl_asset picture = {
        .codings = {{identity, identity + 100, ""}, {gzip, gzip, ""}, {brotli, brotli, ""}}};
    static const struct {
        const char *accept;
        enum adl_coding expected;
    } cases[] = {
        {NULL, ADL_CODING_IDENTITY},
        {"", ADL_CODING_IDENTITY},
        {"gzip", ADL_CODING_GZIP},
        {"x-gzip", ADL_CODING_GZIP},
        {"GZip", ADL_CODING_GZIP},
        {"gzip, deflate, br", ADL_CODING_BROTLI},
        {"gzip, deflate, br, zstd", ADL_CODING_BROTLI},
        {"br;q=0.5, gzip;q=0.8", ADL_CODING_GZIP},
        {"gzip;q=0.8,br;q=0.801", ADL_CODING_BROTLI},
        {"gzip ; q=0", ADL_CODING_IDENTITY},
        {"gzip;q=0.000, *", ADL_CODING_BROTLI},
        {"br;q=0, *;q=0.1", ADL_CODING_GZIP},
        {"*", ADL_CODING_BROTLI},
        {"*;q=0", ADL_CODING_IDENTITY},
        {"identity;q=0", ADL_CODING_IDENTITY},
        {"identity, gzip;q=0.5", ADL_CODING_IDENTITY},
        {"identity;q=0.5, gzip;q=1.0", ADL_CODING_GZIP},
        {"deflate", ADL_CODING_IDENTITY},
        {"gzipped, brr", ADL_CODING_IDENTITY},
        {",,  ,gzip,", ADL_CODING_GZIP},
        {"gzip;q=nonsense", ADL_CODING_GZIP},
        {"gzip;level=9", ADL_CODING_GZIP},
        {";q=1,\t gzip\t;\tq=1", ADL_CODING_GZIP},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        if (adl_asset_choose(&all, cases[i].accept) != cases[i].expected)
            TEST_FAIL("\"%s\"", cases[i].accept ? cases[i].accept : "(none)");
        CU_ASSERT_EQUAL(adl_asset_choose(&picture, cases[i].accept), ADL_CODING_IDENTITY);
    }
}

TEST_SUITE(assets, {"ETags are digests of what is sent", etags_are_digests_of_what_is_sent},
           {"files keep their bytes", files_keep_their_bytes},
           {"gzip decompresses to the file", gzip_decompresses_to_the_file},
           {"pages carry what they need", pages_carry_what_they_need},
           {"late parts change their address", late_parts_change_their_address},
           {"a request gets the coding that it takes", a_request_gets_the_coding_that_it_takes});
