/* `serve` without its page: the page's paths are closed like all that do not exist, so that
 * a stranger who has no token is not told which paths there are. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

static const char *const paths[] = {"/", "/app.js", "/nope"};
static struct test_server server;

static bool open_server(const char *token_file)
{
    const char *model = test_small_model();
    const char *arguments[] = {"--model", model, "--no-web", NULL, NULL, NULL};

    if (token_file) {
        arguments[3] = "--token-file";
        arguments[4] = token_file;
    }
    return model && test_server_start(&server, arguments) == 0 && test_server_ready(&server) == 0;
}

/* Requests the path and checks the status, and the name of the problem and the challenge if
 * they are given. */
static void check_answer(const char *method, const char *path, const char *headers, int status,
                         const char *problem, const char *challenge)
{
    struct test_reply reply;

    test_request(&server, method, path, headers, NULL, 0, &reply);
    const char *given = test_reply_header(&reply, "WWW-Authenticate");
    const char *body = reply.body ? reply.body : "";
    if (reply.status != status || (problem && !strstr(body, problem)) ||
        (challenge && (!given || strcmp(given, challenge) != 0)))
        TEST_FAIL("%s %s: %d, \"%s\", %s; expected %d", method, path, reply.status,
                  given ? given : "", body, status);
    test_reply_release(&reply);
}

static void closes_the_paths_of_the_page(void)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS"};
    static const char challenge[] = "Bearer realm=\"adl-server\"";
    static const char wrong[] = "Bearer realm=\"adl-server\", error=\"invalid_token\"";
    char path[300];

    snprintf(path, sizeof path, "%s/page-token", test_tmp_dir());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("secret-1\n", file);
    fclose(file);
    if (!open_server(path))
        return;
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        for (size_t m = 0; m < ADL_COUNT(methods); m++)
            check_answer(methods[m], paths[i], NULL, 401, NULL, challenge);
        check_answer("GET", paths[i], NULL, 401, "/problems/unauthorized", challenge);
        check_answer("GET", paths[i], "Authorization: Bearer secret-2\r\n", 401,
                     "/problems/unauthorized", wrong);
        check_answer("GET", paths[i], "Authorization: Bearer secret-1\r\n", 404,
                     "/problems/unknown-path", NULL);
    }
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
}

static void has_no_page_where_no_token_is_needed(void)
{
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(paths); i++)
        check_answer("GET", paths[i], NULL, 404, "/problems/unknown-path", NULL);
    check_answer("GET", "/openapi.json", NULL, 200, NULL, NULL);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
}

TEST_SUITE(server_access, {"closes the paths of the page", closes_the_paths_of_the_page},
           {"has no page where no token is needed", has_no_page_where_no_token_is_needed});
