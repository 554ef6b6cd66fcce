/* server/api/auth: token files, Authorization headers, host names. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/size.h"
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

/* The verdict on a header for a request that needs the right to localize. */
static enum adl_auth_verdict check(struct adl_auth *auth, const char *header)
{
    struct adl_auth_answer answer;
    return adl_auth_check(auth, header, ADL_RIGHT_LOCALIZE, &answer);
}

static void tokens_grant_access(void)
{
    struct adl_error err = {0};
    struct adl_auth *auth = adl_auth_create(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(auth);
    CU_ASSERT(!adl_auth_required(auth));
    CU_ASSERT_EQUAL(check(auth, NULL), ADL_AUTH_GRANTED);
    TEST_OK(adl_auth_read_tokens(auth, write_tokens("# ours: \xc3\xa4\n\n  first-token \r\nsecond"),
                                 &err),
            &err);
    CU_ASSERT(adl_auth_required(auth));
    CU_ASSERT_EQUAL(check(auth, "Bearer first-token"), ADL_AUTH_GRANTED);
    CU_ASSERT_EQUAL(check(auth, "bearer  second"), ADL_AUTH_GRANTED);
    CU_ASSERT_EQUAL(check(auth, NULL), ADL_AUTH_MISSING);
    /* RFC 6750, 3.1: who tried another scheme is not told that a token was wrong. */
    static const char *const others[] = {"", "Bearer", "second", "Basic second"};
    for (size_t i = 0; i < ADL_COUNT(others); i++)
        if (check(auth, others[i]) != ADL_AUTH_MISSING)
            TEST_FAIL("\"%s\" is taken for a token", others[i]);
    static const char *const wrong[] = {"Bearer ", "Bearer secon", "Bearer seconds",
                                        "Bearer # ours", "Bearer second "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (check(auth, wrong[i]) != ADL_AUTH_WRONG)
            TEST_FAIL("\"%s\" is accepted", wrong[i]);

    /* New tokens replace the old ones; an invalid file changes nothing. */
    TEST_OK(adl_auth_read_tokens(auth, write_tokens("third\n"), &err), &err);
    CU_ASSERT_EQUAL(check(auth, "Bearer second"), ADL_AUTH_WRONG);
    static const char *const bad[] = {"", "# nothing\n", "two words\n", "a\x01\n", "t\xc3\xa4\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        adl_error_clear(&err);
        CU_ASSERT(adl_auth_read_tokens(auth, write_tokens(bad[i]), &err) < 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "tokens"));
    }
    adl_error_clear(&err);
    CU_ASSERT(adl_auth_read_tokens(auth, "/nonexistent/tokens", &err) < 0);
    CU_ASSERT_EQUAL(check(auth, "Bearer third"), ADL_AUTH_GRANTED);
    adl_auth_free(auth);
}

static void tokens_have_rights_names_and_an_end(void)
{
    static const char text[] = "plain\n"
                               "old expires=2001-09-09T01:46:40Z\n" /* a billion seconds */
                               "new expires=2999-12-31 name=Night.shift-2_ rights=metrics\n"
                               "boss\t name=boss \t rights=admin,models \r\n";
    static const struct {
        const char *header;
        unsigned rights;
        enum adl_auth_verdict verdict;
        const char *name;
    } cases[] = {
        {"Bearer plain", ADL_RIGHT_LOCALIZE | ADL_RIGHT_MODELS | ADL_RIGHT_METRICS,
         ADL_AUTH_GRANTED, ""},
        {"Bearer plain", ADL_RIGHT_ADMIN, ADL_AUTH_FORBIDDEN, ""},
        {"Bearer old", ADL_RIGHT_LOCALIZE, ADL_AUTH_EXPIRED, ""},
        {"Bearer new", ADL_RIGHT_METRICS, ADL_AUTH_GRANTED, "Night.shift-2_"},
        {"Bearer new", ADL_RIGHT_LOCALIZE, ADL_AUTH_FORBIDDEN, "Night.shift-2_"},
        {"Bearer new", 0, ADL_AUTH_GRANTED, "Night.shift-2_"},
        {"Bearer boss", ADL_RIGHT_ADMIN, ADL_AUTH_GRANTED, "boss"},
        {"Bearer boss", ADL_RIGHT_METRICS, ADL_AUTH_FORBIDDEN, "boss"},
        {"Bearer name=boss", 0, ADL_AUTH_WRONG, ""},
    };
    struct adl_error err = {0};
    struct adl_auth_answer answer;
    struct adl_auth *auth = adl_auth_create(&err);

    CU_ASSERT_PTR_NOT_NULL_FATAL(auth);
    TEST_OK(adl_auth_read_tokens(auth, write_tokens(text), &err), &err);
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        enum adl_auth_verdict verdict =
            adl_auth_check(auth, cases[i].header, cases[i].rights, &answer);
        if (verdict != cases[i].verdict || strcmp(answer.name, cases[i].name) != 0)
            TEST_FAIL("case %zu: %d, \"%s\"", i, (int)verdict, answer.name);
    }
    adl_auth_free(auth);
}

/* The seconds since 1970 are those of date(1). */
static void reads_dates(void)
{
    static const struct {
        const char *date;
        int64_t seconds; /* 0: refused */
    } cases[] = {
        {"2027-01-31", 1801353600}, {"2027-01-31T12:00:01Z", 1801396801},
        {"2028-02-29", 1835395200}, {"2027-02-29", 0},
        {"2027-04-31", 0},          {"2027-13-01", 0},
        {"2027-01-31T12:00:00", 0}, {"2027-01-31T24:00:00Z", 0},
        {"31.1.2027", 0},           {"", 0},
        {"2027-01-31Z", 0},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        char text[100];
        size_t count;
        snprintf(text, sizeof text, "t expires=%s\n", cases[i].date);
        struct adl_token *tokens = adl_tokens_read(write_tokens(text), &count, &err);
        if (cases[i].seconds ? !tokens || tokens->expires != cases[i].seconds : tokens != NULL)
            TEST_FAIL("%s: %lld, %s", cases[i].date, tokens ? (long long)tokens->expires : 0,
                      err.message);
        adl_free(tokens);
    }
}

static void tokens_have_a_rate(void)
{
    static const char text[] = "few rate=3/h\nmany rate=1000/s\n";
    struct adl_error err = {0};
    struct adl_auth_answer answer;
    struct adl_auth *auth = adl_auth_create(&err);

    CU_ASSERT_PTR_NOT_NULL_FATAL(auth);
    TEST_OK(adl_auth_read_tokens(auth, write_tokens(text), &err), &err);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer few", 0, &answer), ADL_AUTH_GRANTED);
        CU_ASSERT_EQUAL(answer.left, 2 - i);
        CU_ASSERT(answer.rate == 3 && answer.window_s == 3600);
    }
    CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer few", 0, &answer), ADL_AUTH_LIMITED);
    /* A third of an hour for each, less what has passed in this test. */
    CU_ASSERT(answer.left == 0 && answer.wait_s > 1190 && answer.wait_s <= 1200);
    CU_ASSERT(answer.reset_s > 3590 && answer.reset_s <= 3600);
    /* A reload gives nobody more, and another token is not concerned. */
    TEST_OK(adl_auth_read_tokens(auth, write_tokens(text), &err), &err);
    CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer few", 0, &answer), ADL_AUTH_LIMITED);
    for (int i = 0; i < 500; i++)
        CU_ASSERT_EQUAL(adl_auth_check(auth, "Bearer many", 0, &answer), ADL_AUTH_GRANTED);
    adl_auth_free(auth);
}

static void refuses_what_it_does_not_understand(void)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"a\nb rights=\n", "line 2"},
        {"a rights=root\n", "rights="},
        {"a rights=models,,root\n", "rights="},
        {"a name=\n", "name="},
        {"a name=b/c\n", "name="},
        {"a rate=0/s\n", "rate="},
        {"a rate=5\n", "rate="},
        {"a rate=5/d\n", "rate="},
        {"a rate=-5/s\n", "rate="},
        {"a rate=9999999/s\n", "rate="},
        {"a owner=me\n", "line 1"},
        {"a b\n", "blanks"},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        size_t count;
        struct adl_token *tokens = adl_tokens_read(write_tokens(cases[i].text), &count, &err);
        if (tokens || err.kind != ADL_ERR_FORMAT || !strstr(err.message, cases[i].told))
            TEST_FAIL("case %zu: %s", i, err.message);
        adl_free(tokens);
    }
}

static void knows_files_that_everybody_can_read(void)
{
    const char *path = write_tokens("a\n");

    chmod(path, 0644);
    CU_ASSERT(adl_auth_file_is_open(path));
    chmod(path, 0640);
    CU_ASSERT(!adl_auth_file_is_open(path));
    CU_ASSERT(!adl_auth_file_is_open("/nonexistent"));
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
           {"tokens have rights, names and an end", tokens_have_rights_names_and_an_end},
           {"reads dates", reads_dates}, {"tokens have a rate", tokens_have_a_rate},
           {"refuses what it does not understand", refuses_what_it_does_not_understand},
           {"knows files that everybody can read", knows_files_that_everybody_can_read},
           {"survives lack of memory", survives_lack_of_memory},
           {"only names of this machine", only_names_of_this_machine});
