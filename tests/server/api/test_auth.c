/* server/api/auth: token files, Authorization headers, host names. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "server/api/auth.h"

static const char *write_tokens(const char *text)
{
    static char path[300];
    struct adl_error err = {0};
    struct adl_file_piece piece = {text, strlen(text)};
    snprintf(path, sizeof path, "%s/tokens", test_tmp_dir());
    TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
    return path;
}

static void tokens_grant_access(void)
{
    struct adl_error err = {0};
    struct adl_auth *auth = adl_auth_create(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(auth);
    CU_ASSERT(!adl_auth_required(auth));
    CU_ASSERT_EQUAL(adl_auth_check(auth, NULL), ADL_AUTH_GRANTED);
    TEST_OK(adl_auth_read_tokens(auth, write_tokens("# ours\n\n  first-token \r\nsecond"), &err),
            &err);
    CU_ASSERT(adl_auth_required(auth));
    CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer first-token"), ADL_AUTH_GRANTED);
    CU_ASSERT_EQUAL(adl_auth_check(auth, "bearer  second"), ADL_AUTH_GRANTED);
    CU_ASSERT_EQUAL(adl_auth_check(auth, NULL), ADL_AUTH_MISSING);
    static const char *const wrong[] = {"",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearer secon",
                                        "Bearer seconds",
                                        "Bearer # ours",
                                        "second",
                                        "Basic second",
                                        "Bearer second "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (adl_auth_check(auth, wrong[i]) != ADL_AUTH_WRONG)
            TEST_FAIL("\"%s\" is accepted", wrong[i]);

    /* New tokens replace the old ones; an invalid file changes nothing. */
    TEST_OK(adl_auth_read_tokens(auth, write_tokens("third\n"), &err), &err);
    CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer second"), ADL_AUTH_WRONG);
    static const char *const bad[] = {"", "# nothing\n", "two words\n", "a\x01\n", "t\xc3\xa4\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        adl_error_clear(&err);
        CU_ASSERT(adl_auth_read_tokens(auth, write_tokens(bad[i]), &err) < 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "tokens"));
    }
    adl_error_clear(&err);
    CU_ASSERT(adl_auth_read_tokens(auth, "/nonexistent/tokens", &err) < 0);
    CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer third"), ADL_AUTH_GRANTED);
    adl_auth_free(auth);
}

static void survives_lack_of_memory(void)
{
    const char *path = write_tokens("a\nb\n");
    for (uint64_t n = 1;; n++) {
        struct adl_error err = {0};
        size_t blocks = adl_mem_stats().live_blocks;
        adl_mem_fail_nth(n);
        struct adl_auth *auth = adl_auth_create(&err);
        int result = auth ? adl_auth_read_tokens(auth, path, &err) : -1;
        adl_mem_fail_nth(0);
        adl_auth_free(auth);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        if (result == 0)
            break;
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    }
}

static void only_names_of_this_machine(void)
{
    static const char *const extra[] = {"photos.example", "other.example:8443"};
    static const char *const any[] = {"*"};
    static const char *const good[] = {
        "localhost", "localhost:8080", "LocalHost:1", "127.0.0.1",        "127.0.0.1:8080",
        "127.9.9.9", "[::1]",          "[::1]:8080",  "app.localhost:80", "localhost.:8080"};
    static const char *const bad[] = {
        "",     "evil.example", "localhost.evil.example", "128.0.0.1", "[::2]:80",
        "[::1", "notlocalhost", "127.0.0.1.evil.example", "::1",       "photos.example"};
    CU_ASSERT(adl_auth_host_allowed(NULL, NULL, 0));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!adl_auth_host_allowed(good[i], NULL, 0))
            TEST_FAIL("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (adl_auth_host_allowed(bad[i], NULL, 0))
            TEST_FAIL("%s is allowed", bad[i]);
        CU_ASSERT(adl_auth_host_allowed(bad[i], any, 1));
    }
    CU_ASSERT(adl_auth_host_allowed("Photos.Example:99", extra, 2));
    CU_ASSERT(adl_auth_host_allowed("other.example:8443", extra, 2));
    CU_ASSERT(!adl_auth_host_allowed("other.example:1", extra, 2));
    CU_ASSERT(adl_auth_host_allowed("localhost", extra, 2));
}

TEST_SUITE(auth, {"tokens grant access", tokens_grant_access},
           {"survives lack of memory", survives_lack_of_memory},
           {"only names of this machine", only_names_of_this_machine});
