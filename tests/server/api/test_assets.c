/* server/api/assets: built-in files have the bytes of their files, and ETags made of
 * these bytes. */

#include "support/test.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "server/api/assets.h"

static const struct {
    const char *path, *file;
} files[] = {
#define ASSET(symbol, path, type, file) {path, file},
#include "server/api/asset_list.h"
#undef ASSET
};

/* Writes the first 8 bytes of the SHA-256, in hexadecimal and quotes, into `text`. */
static void expected_etag(const void *bytes, size_t length, char text[20])
{
    struct sha256_ctx state;
    uint8_t digest[8];

    sha256_init(&state);
    sha256_update(&state, length, bytes);
    sha256_digest(&state, sizeof digest, digest);
    text += sprintf(text, "\"");
    for (size_t i = 0; i < sizeof digest; i++)
        text += sprintf(text, "%02x", digest[i]);
    sprintf(text, "\"");
}

static void etags_are_digests_of_the_files(void)
{
    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        const struct adl_asset *asset = adl_asset_find(files[i].path);
        struct adl_error err = {0};
        size_t length;
        char *bytes = adl_file_read(files[i].file, 1 << 20, &length, &err), expected[20];

        CU_ASSERT_PTR_NOT_NULL_FATAL(asset);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
        CU_ASSERT(adl_asset_length(asset) == length && !memcmp(asset->data, bytes, length));
        expected_etag(bytes, length, expected);
        CU_ASSERT_STRING_EQUAL(adl_asset_etag(asset), expected);
        adl_free(bytes);
    }
}

/* ETags are computed once: every call returns the same text in memory. */
static void etags_are_made_once(void)
{
    const char *before[ADL_COUNT(files)];

    adl_assets_hash();
    for (size_t i = 0; i < ADL_COUNT(files); i++)
        before[i] = adl_asset_etag(adl_asset_find(files[i].path));
    adl_assets_hash();
    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        CU_ASSERT_PTR_EQUAL(adl_asset_etag(adl_asset_find(files[i].path)), before[i]);
        for (size_t j = 0; j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(before[i], before[j]);
    }
}

TEST_SUITE(assets, {"ETags are digests of the files", etags_are_digests_of_the_files},
           {"ETags are made once", etags_are_made_once});
