/* `serve --token-file` with names, rights and rates: what the client is told, and the log. */

#include "support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/server_fixture.h"

#define LITTLE "Authorization: Bearer little-1\r\n"
#define WATCH "Authorization: Bearer watch-1\r\n"
#define IMAGE "Content-Type: image/jpeg\r\n"

static struct test_service service;
static char path[300];

static bool open_service(const char *tokens, unsigned mode)
{
    const char *arguments[] = {"--token-file", path, NULL};

    snprintf(path, sizeof path, "%s/named-tokens", test_tmp_dir());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(tokens, file);
    fclose(file);
    chmod(path, mode);
    return test_service_open(&service, 64, 48, arguments);
}

static bool contains(const struct test_reply *reply, const char *text)
{
    return reply->body && strstr(reply->body, text);
}

static bool log_contains(const char *text)
{
    char *log = test_server_log(&service.server);
    bool found = log && strstr(log, text);
    free(log);
    return found;
}

static void limits_the_rate_of_a_token(void)
{
    struct test_reply reply;

    if (!open_service("little-1 name=little rate=2/h\nother rate=100/s\n", 0600))
        return;
    for (int left = 1; left >= 0; left--) {
        char limit[40];
        snprintf(limit, sizeof limit, "\"token\";r=%d;t=", left);
        reply = test_post(&service.server, "/localize", IMAGE LITTLE, service.jpeg,
                          service.jpeg_length);
        CU_ASSERT_EQUAL(reply.status, 200);
        CU_ASSERT(test_header_is(&reply, "RateLimit-Policy", "\"token\";q=2;w=3600"));
        const char *header = test_reply_header(&reply, "RateLimit");
        CU_ASSERT(header && !strncmp(header, limit, strlen(limit)));
        test_reply_release(&reply);
    }
    /* The connection stays, as the body is short. */
    int fd = test_connect(&service.server);
    for (int i = 0; i < 2; i++) {
        test_send_text(fd, POST_HEAD LITTLE "Content-Length: %zu\r\n\r\n", service.jpeg_length);
        test_send(fd, service.jpeg, service.jpeg_length);
        test_receive(fd, false, &reply);
        CU_ASSERT_EQUAL(reply.status, 429);
        CU_ASSERT(contains(&reply, "/problems/rate-limited"));
        const char *retry = test_reply_header(&reply, "Retry-After");
        CU_ASSERT(retry && atoi(retry) > 1700 && atoi(retry) <= 1800);
        const char *header = test_reply_header(&reply, "RateLimit");
        CU_ASSERT(header && strstr(header, ";r=0;"));
        test_reply_release(&reply);
    }
    close(fd);
    reply = test_post(&service.server, "/localize", IMAGE "Authorization: Bearer other\r\n",
                      service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    test_service_close(&service);
    CU_ASSERT(log_contains("\"token\":\"little\""));
    CU_ASSERT(!log_contains("little-1"));
}

static void keeps_to_the_rights_of_a_token(void)
{
    static const struct {
        const char *path;
        int status;
    } cases[] = {{"/metrics", 200},       {"/models", 403},  {"/status", 403},
                 {"/training/runs", 403}, {"/healthz", 200}, {"/nope", 404}};
    struct test_reply reply;

    if (!open_service("watch-1 name=prometheus rights=metrics\ngone expires=2020-01-01\n", 0600))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        reply = test_get(&service.server, "GET", cases[i].path, WATCH);
        if (reply.status != cases[i].status)
            TEST_FAIL("%s: %d", cases[i].path, reply.status);
        test_reply_release(&reply);
    }
    reply = test_post(&service.server, "/localize", IMAGE WATCH, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 403);
    CU_ASSERT(contains(&reply, "/problems/forbidden"));
    CU_ASSERT(test_header_is(&reply, "WWW-Authenticate",
                             "Bearer realm=\"adl-server\", error=\"insufficient_scope\", "
                             "scope=\"localize\""));
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/models", "Authorization: Bearer gone\r\n");
    CU_ASSERT_EQUAL(reply.status, 401);
    CU_ASSERT(contains(&reply, "expired"));
    CU_ASSERT(test_header_is(&reply, "WWW-Authenticate",
                             "Bearer realm=\"adl-server\", error=\"invalid_token\""));
    test_reply_release(&reply);
    test_service_close(&service);
    CU_ASSERT(!log_contains("everybody on this machine"));
}

static void warns_of_an_open_file(void)
{
    if (!open_service("plain\n", 0644))
        return;
    test_service_close(&service);
    CU_ASSERT(log_contains("everybody on this machine can read the token file"));
    CU_ASSERT(log_contains(path));
}

/* A token is one client, however the header that has it is written: who fills the queue with it
 * gains no place by another writing. */
static void a_token_is_one_client(void)
{
    enum { PLACES = 4 };
    const char *arguments[] = {"--token-file", path, "--queue", "4", "--decode-threads", "1", NULL};
    int fds[PLACES + 1];
    size_t length;
    char *slow = test_slow_picture(6000, &length);

    snprintf(path, sizeof path, "%s/one-token", test_tmp_dir());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("little-1\n", file);
    fclose(file);
    if (!slow || !test_service_open(&service, 64, 48, arguments))
        return;
    /* All but the last bytes first, so that the pictures come at the same time. */
    for (int i = 0; i <= PLACES; i++) {
        fds[i] = test_connect(&service.server);
        test_send_text(fds[i],
                       POST_HEAD "Authorization: %s little-1\r\nContent-Length: %zu\r\n\r\n",
                       i < PLACES ? "Bearer" : "bearer ", length);
        test_send(fds[i], slow, length - 1);
    }
    poll(NULL, 0, 100);
    for (int i = 0; i <= PLACES; i++)
        test_send(fds[i], slow + length - 1, 1);
    /* Whichever comes last, one is refused. */
    int answered = 0, refused = 0;
    for (int i = 0; i <= PLACES; i++) {
        int status = test_next_status(fds[i]);
        answered += status == 200;
        refused += status == 503;
        close(fds[i]);
    }
    CU_ASSERT_EQUAL(answered, PLACES);
    CU_ASSERT_EQUAL(refused, 1);
    adl_free(slow);
    test_service_close(&service);
}

TEST_SUITE(server_tokens, {"limits the rate of a token", limits_the_rate_of_a_token},
           {"keeps to the rights of a token", keeps_to_the_rights_of_a_token},
           {"warns of an open file", warns_of_an_open_file},
           {"a token is one client", a_token_is_one_client});
