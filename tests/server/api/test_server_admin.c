/* `serve --admin-listen`: what is on the second listener and what is not, that it answers when the
 * first one is full, and POST /reload. */

#include "support/test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

static struct test_service service;
static struct test_server admin; /* the second listener of the same process */

/* Starts a server whose second listener is a socket file; the arguments end with NULL. */
static bool open_service(const char *const *more)
{
    char listen[100];
    const char *arguments[16] = {"--admin-listen", listen};

    scratch_open("admin", NULL);
    snprintf(listen, sizeof listen, "unix:%s", scratch_path("socket"));
    snprintf(admin.address, sizeof admin.address, "%s", listen);
    for (size_t i = 0; more && more[i]; i++)
        arguments[i + 2] = more[i];
    return test_service_open(&service, 64, 48, arguments);
}

static int status_of(const struct test_server *server, const char *method, const char *target,
                     const char *headers)
{
    struct test_reply reply = test_get(server, method, target, headers);
    test_reply_release(&reply);
    return reply.status;
}

static void has_its_own_paths(void)
{
    static const struct {
        const char *method, *path;
        int on_main, on_admin;
    } cases[] = {
        {"GET", "/healthz", 200, 200},        {"GET", "/readyz", 200, 200},
        {"GET", "/health", 200, 200},         {"GET", "/status", 200, 200},
        {"GET", "/metrics", 404, 200},        {"GET", "/models", 200, 200},
        {"GET", "/openapi.json", 200, 200},   {"GET", "/problems/forbidden", 200, 200},
        {"GET", "/reload", 404, 405},         {"POST", "/reload", 404, 200},
        {"POST", "/localize", 411, 404},      {"GET", "/", 200, 404},
        {"GET", "/models/default", 200, 200},
    };
    struct stat file;

    if (!open_service(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        int main_status = status_of(&service.server, cases[i].method, cases[i].path, NULL);
        int admin_status = status_of(&admin, cases[i].method, cases[i].path, NULL);
        if (main_status != cases[i].on_main || admin_status != cases[i].on_admin)
            TEST_FAIL("%s %s: %d and %d", cases[i].method, cases[i].path, main_status,
                      admin_status);
    }
    CU_ASSERT_EQUAL(stat(scratch_path("socket"), &file), 0);
    CU_ASSERT_EQUAL(file.st_mode & 07777, 0660);
    test_service_close(&service);
    CU_ASSERT_EQUAL(access(scratch_path("socket"), F_OK), -1);
}

static void answers_when_the_other_is_full(void)
{
    static const char *const more[] = {"--max-connections", "16", "--queue", "1", NULL};
    int busy[40], waiting;

    if (!open_service(more))
        return;
    /* Each carries a request whose body does not arrive, so none can be closed for another. */
    for (size_t i = 0; i < ADL_COUNT(busy); i++) {
        busy[i] = test_connect(&service.server);
        test_send_text(busy[i], POST_HEAD "Content-Length: 1000\r\n\r\n1");
    }
    CU_ASSERT(test_metric_reaches(&admin, "\nadl_http_requests_in_flight ", 17) >= 17);
    /* Once more: the first time two requests for metrics may have been among them. */
    poll(NULL, 0, 200);
    CU_ASSERT(test_metric_reaches(&admin, "\nadl_http_requests_in_flight ", 17) >= 17);
    waiting = test_connect(&service.server);
    test_send_text(waiting, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(status_of(&admin, "GET", "/healthz", NULL), 200);
    CU_ASSERT_EQUAL(status_of(&admin, "GET", "/readyz", NULL), 200);
    /* The one that waits has no answer, so the other listener was full indeed. */
    char byte;
    CU_ASSERT_EQUAL(recv(waiting, &byte, 1, MSG_DONTWAIT), -1);
    for (size_t i = 0; i < ADL_COUNT(busy); i++)
        close(busy[i]);
    CU_ASSERT_EQUAL(test_next_status(waiting), 200);
    close(waiting);
    test_service_close(&service);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    size_t got;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");

    CU_ASSERT_FATAL(in && out);
    while ((got = fread(bytes, 1, sizeof bytes, in)) > 0)
        fwrite(bytes, 1, got, out);
    fclose(in);
    fclose(out);
}

static void reloads_and_says_how_it_went(void)
{
    static const char ok[] = "\nadl_model_reloads_total{model=\"second\",outcome=\"ok\"} ";
    char named[400];
    const char *more[] = {"--model", named, NULL};

    scratch_open("admin", NULL);
    copy_file(test_small_model(), scratch_path("copy"));
    snprintf(named, sizeof named, "second=%s", scratch_path("copy"));
    if (!open_service(more))
        return;
    copy_file(test_small_model(), scratch_path("copy"));
    struct test_reply reply = test_post(&admin, "/reload", NULL, NULL, 0);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_STRING_EQUAL(reply.body, "{\"status\":\"reloaded\",\"models\":2}\n");
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(test_metric(&admin, ok), 1);

    /* A page of another origin may not, whatever it sends. */
    CU_ASSERT_EQUAL(status_of(&admin, "POST", "/reload", "Origin: http://evil.example\r\n"), 403);
    CU_ASSERT_EQUAL(test_metric(&admin, ok), 1);

    FILE *file = scratch_file("copy", "w");
    fputs("no model", file);
    fclose(file);
    reply = test_post(&admin, "/reload", NULL, NULL, 0);
    CU_ASSERT_EQUAL(reply.status, 500);
    CU_ASSERT(reply.body && strstr(reply.body, "/problems/reload-failed") &&
              strstr(reply.body, scratch_path("copy")));
    test_reply_release(&reply);
    reply = test_post(&service.server, "/localize?model=second", "Content-Type: image/jpeg\r\n",
                      service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    test_service_close(&service);
}

/* Requests that wait for a reload when the server ends get an answer. */
static void answers_at_the_end(void)
{
    int fds[8];

    if (!open_service(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        fds[i] = test_connect(&admin);
        test_send_text(fds[i], "POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        int status = test_next_status(fds[i]);
        if (status != 200 && status != 503)
            TEST_FAIL("request %zu: %d", i, status);
        close(fds[i]);
    }
    test_service_release(&service);
}

static void needs_a_token_where_there_are_some(void)
{
    char tokens[300];
    const char *more[] = {"--token-file", tokens, NULL};

    snprintf(tokens, sizeof tokens, "%s/admin-token", test_tmp_dir());
    FILE *file = fopen(tokens, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("secret-1\nsecret-2 rights=admin\n", file);
    fclose(file);
    if (!open_service(more))
        return;
    CU_ASSERT_EQUAL(status_of(&admin, "GET", "/healthz", NULL), 200);
    CU_ASSERT_EQUAL(status_of(&admin, "GET", "/metrics", NULL), 401);
    CU_ASSERT_EQUAL(status_of(&admin, "POST", "/reload", NULL), 401);
    CU_ASSERT_EQUAL(status_of(&admin, "POST", "/reload", "Authorization: Bearer secret-1\r\n"),
                    403);
    CU_ASSERT_EQUAL(status_of(&admin, "POST", "/reload", "Authorization: Bearer secret-2\r\n"),
                    200);
    test_service_close(&service);
}

/* A socket file that a killed server has left is replaced; one that is in use is not. */
static void takes_over_a_socket_that_nobody_listens_on(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char error[600], listen[200];

    scratch_open("admin", NULL);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path("socket"));
    unlink(address.sun_path);
    CU_ASSERT_EQUAL_FATAL(bind(left, (struct sockaddr *)&address, sizeof address), 0);
    close(left);
    if (!open_service(NULL))
        return;
    CU_ASSERT_EQUAL(status_of(&admin, "GET", "/healthz", NULL), 200);
    snprintf(listen, sizeof listen, "unix:%s", address.sun_path);
    const char *const second[] = {"serve",    "--model",     test_small_model(),
                                  "--listen", "127.0.0.1:0", "--admin-listen",
                                  listen,     NULL};
    CU_ASSERT_EQUAL(test_program_run(second, error, sizeof error), 1);
    CU_ASSERT(strstr(error, "--admin-listen") && strstr(error, address.sun_path));
    CU_ASSERT_EQUAL(status_of(&admin, "GET", "/healthz", NULL), 200);
    test_service_close(&service);
}

TEST_SUITE(server_admin, {"has its own paths", has_its_own_paths},
           {"answers when the other is full", answers_when_the_other_is_full},
           {"reloads and says how it went", reloads_and_says_how_it_went},
           {"answers at the end", answers_at_the_end},
           {"needs a token where there are some", needs_a_token_where_there_are_some},
           {"takes over a socket that nobody listens on",
            takes_over_a_socket_that_nobody_listens_on});
