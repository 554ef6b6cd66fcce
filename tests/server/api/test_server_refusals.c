/* `serve` as clients see it: each refusal, and what keeps the server from starting. The server runs
 * in a process of its own. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

#define JPEG "Content-Type: image/jpeg\r\n"
#define FORM "Content-Type: multipart/form-data; boundary=b\r\n"

static struct test_service service;

static bool open_server(const char *const *more)
{
    return test_service_open(&service, 200, 120, more);
}

static void check_problem(const struct test_reply *reply, const char *what, int status,
                          const char *name)
{
    json_t *json = test_reply_json(reply);
    char type[100];

    snprintf(type, sizeof type, "/problems/%s", name);
    if (reply->status != status || !json ||
        !test_header_is(reply, "Content-Type", "application/problem+json"))
        TEST_FAIL("%s: %d, expected %d: %s", what, reply->status, status,
                  reply->body ? reply->body : "");
    else if (strcmp(json_string_value(json_object_get(json, "type")), type) != 0)
        TEST_FAIL("%s: %s, expected %s", what, json_string_value(json_object_get(json, "type")),
                  type);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "status")), status);
    CU_ASSERT(json_is_string(json_object_get(json, "title")));
    CU_ASSERT(json_is_string(json_object_get(json, "detail")));
    const char *id = test_reply_header(reply, "X-Request-Id");
    CU_ASSERT(id && json_is_string(json_object_get(json, "request_id")) &&
              !strcmp(id, json_string_value(json_object_get(json, "request_id"))));
    json_decref(json);
}

static void refuses_each_mistake(void)
{
    static const struct {
        const char *what, *method, *target, *headers, *body; /* body "J": the JPEG image */
        int status;
        const char *problem;
    } cases[] = {
        {"unknown path", "GET", "/nope", NULL, NULL, 404, "unknown-path"},
        {"unknown path, POST", "POST", "/nope", NULL, "x", 404, "unknown-path"},
        {"unknown model page", "GET", "/models/nope", NULL, NULL, 404, "unknown-model"},
        {"unknown problem", "GET", "/problems/nope", NULL, NULL, 404, "unknown-path"},
        {"GET /localize", "GET", "/localize", NULL, NULL, 405, "method-not-allowed"},
        {"POST /models", "POST", "/models", NULL, "x", 405, "method-not-allowed"},
        {"PUT", "PUT", "/localize", JPEG, "J", 405, "method-not-allowed"},
        {"text", "POST", "/localize", "Content-Type: text/plain\r\n", "hello", 415,
         "unsupported-media-type"},
        {"no type", "POST", "/localize", NULL, "J", 415, "unsupported-media-type"},
        {"curl's form", "POST", "/localize", "Content-Type: application/x-www-form-urlencoded\r\n",
         "J", 415, "unsupported-media-type"},
        {"bytes that are none", "POST", "/localize", "Content-Type: application/octet-stream\r\n",
         "hello", 415, "unsupported-media-type"},
        {"garbage", "POST", "/localize", JPEG, "hello", 415, "unsupported-media-type"},
        {"a page", "POST", "/localize", "Content-Type: image/webp\r\n", "<!DOCTYPE html>", 415,
         "unsupported-media-type"},
        {"other RIFF file", "POST", "/localize", "Content-Type: image/webp\r\n", "RIFF....WAVEfmt ",
         415, "unsupported-media-type"},
        {"start of a JPEG", "POST", "/localize", "Content-Type: application/octet-stream\r\n",
         "\xff\xd8", 422, "corrupt-image"},
        {"JPEG of markers only", "POST", "/localize", JPEG, "\xff\xd8\xff\xd9", 422,
         "corrupt-image"},
        {"PNG sent as text", "POST", "/localize", JPEG, "\x89PNG\n\x1a\n and more", 422,
         "corrupt-image"},
        {"PNG without chunks", "POST", "/localize", JPEG, "\x89PNG\r\n\x1a\n", 422,
         "corrupt-image"},
        {"start of a WebP", "POST", "/localize", JPEG, "RIFF....WEB", 422, "corrupt-image"},
        {"WebP without chunks", "POST", "/localize", JPEG, "RIFF....WEBP", 422, "corrupt-image"},
        {"start of a GIF", "POST", "/localize", JPEG, "GIF89a and more", 422, "corrupt-image"},
        {"start of a BMP", "POST", "/localize", JPEG, "BM????", 415, "unsupported-media-type"},
        {"PDF", "POST", "/localize", JPEG, "%PDF-1.4 and more", 415, "unsupported-media-type"},
        {"JPEG XL", "POST", "/localize", JPEG, "\xff\x0a and more", 415, "unsupported-media-type"},
        {"PDF in a form that takes a picture", "POST", "/localize", FORM "Accept: image/png\r\n",
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\n%PDF-1.4\r\n--b--\r\n", 415,
         "unsupported-media-type"},
        {"empty", "POST", "/localize", JPEG, "", 400, "malformed-request"},
        {"no length", "POST", "/localize", JPEG, NULL, 411, "length-required"},
        {"top_k", "POST", "/localize?top_k=0", JPEG, "J", 400, "bad-parameter"},
        {"a wrong one after many", "POST",
         "/localize?model=default&top_k=1&class=0&threshold=0.3&label_threshold=0.5&boxes=all"
         "&heatmap=none&map=reference&map_weights=positive&map_normalise=pas&map_percentile=0.5"
         "&map_classes=3&foreground=false&map_flip=false&map_scales=1&map_stride=2&bogus=1",
         JPEG, "J", 400, "bad-parameter"},
        {"more than there are", "POST",
         "/localize?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s&t&u&v&w&x&y", JPEG, "J", 400,
         "bad-parameter"},
        {"top_k text", "POST", "/localize?top_k=banana", JPEG, "J", 400, "bad-parameter"},
        {"threshold", "POST", "/localize?threshold=7", JPEG, "J", 400, "bad-parameter"},
        {"boxes", "POST", "/localize?boxes=some", JPEG, "J", 400, "bad-parameter"},
        {"heatmap", "POST", "/localize?heatmap=gif", JPEG, "J", 400, "bad-parameter"},
        {"parameter", "POST", "/localize?colour=red", JPEG, "J", 400, "bad-parameter"},
        {"class and top_k", "POST", "/localize?class=cat&top_k=2", JPEG, "J", 400, "bad-parameter"},
        {"parameter without a name", "POST", "/localize?=x", JPEG, "J", 400, "bad-parameter"},
        {"bare parameter", "POST", "/localize?top_k", JPEG, "J", 400, "bad-parameter"},
        {"NUL", "POST", "/localize?class=a%00b", JPEG, "J", 400, "unknown-class"},
        {"not UTF-8", "POST", "/localize?class=%ff%fe", JPEG, "J", 400, "unknown-class"},
        {"class", "POST", "/localize?class=zebra", JPEG, "J", 400, "unknown-class"},
        {"class number", "POST", "/localize?class=5", JPEG, "J", 400, "unknown-class"},
        {"model", "POST", "/localize?model=nope", JPEG, "J", 404, "unknown-model"},
        {"accept", "POST", "/localize", JPEG "Accept: text/html\r\n", "J", 406, "not-acceptable"},
        {"both lengths", "POST", "/localize",
         JPEG "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", NULL, 400,
         "malformed-request"},
        {"gzip", "POST", "/localize", JPEG "Content-Encoding: gzip\r\n", "J", 415,
         "unsupported-media-type"},
        {"two lengths", "POST", "/localize", JPEG "Content-Length: 3\r\n", "four", 400,
         "malformed-request"},
        {"no length and one", "POST", "/localize", JPEG "Content-Length: 0\r\n", "four", 400,
         "malformed-request"},
        {"unknown coding", "POST", "/localize", JPEG "Transfer-Encoding: gzip\r\n", NULL, 501,
         "unknown-coding"},
        {"codings", "POST", "/localize", JPEG "Transfer-Encoding: gzip, chunked\r\n", NULL, 501,
         "unknown-coding"},
        {"coding of nothing", "GET", "/healthz", "Transfer-Encoding: x\r\n", NULL, 501,
         "unknown-coding"},
        {"target of another host", "GET", "http://evil.example/healthz", NULL, NULL, 403,
         "unknown-host"},
        {"target without a host", "GET", "http:///healthz", NULL, NULL, 404, "unknown-path"},
        {"form", "POST", "/localize", FORM, "no form", 400, "malformed-request"},
        {"form without end", "POST", "/localize", FORM,
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx", 400, "malformed-request"},
        {"form, other part", "POST", "/localize", FORM,
         "--b\r\nContent-Disposition: form-data; name=top_k\r\n\r\n3\r\n--b--\r\n", 400,
         "malformed-request"},
        {"form, no part", "POST", "/localize", FORM, "--b--\r\n", 400, "malformed-request"},
        {"no boundary", "POST", "/localize", "Content-Type: multipart/form-data\r\n", "--b--", 400,
         "malformed-request"},
        {"form, one answer for two", "POST", "/localize", FORM "Accept: image/png\r\n",
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n"
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n--b--\r\n",
         406, "not-acceptable"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct test_reply reply;
        bool picture = cases[i].body && !strcmp(cases[i].body, "J");
        const void *body = picture ? service.jpeg : cases[i].body;
        size_t length = picture ? service.jpeg_length : cases[i].body ? strlen(cases[i].body) : 0;
        test_request(&service.server, cases[i].method, cases[i].target, cases[i].headers, body,
                     length, &reply);
        check_problem(&reply, cases[i].what, cases[i].status, cases[i].problem);
        if (cases[i].status == 405)
            CU_ASSERT_PTR_NOT_NULL(test_reply_header(&reply, "Allow"));
        test_reply_release(&reply);
    }
    /* Headers that are harmless. */
    struct test_reply plain =
        test_post(&service.server, "/localize", JPEG "Content-Encoding: identity\r\n", service.jpeg,
                  service.jpeg_length);
    CU_ASSERT_EQUAL(plain.status, 200);
    test_reply_release(&plain);
    /* An image is corrupt wherever it is truncated. */
    for (size_t length = 4; length < service.jpeg_length; length += service.jpeg_length / 7) {
        struct test_reply reply =
            test_post(&service.server, "/localize", JPEG, service.jpeg, length);
        check_problem(&reply, "truncated", 422, "corrupt-image");
        test_reply_release(&reply);
    }
    struct test_reply reply =
        test_post(&service.server, "/localize", JPEG, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    test_service_close(&service);
}

static void refuses_what_is_too_large(void)
{
    if (!open_server((const char *const[]){"--max-body", "64K", "--max-pixels", "20000", NULL}))
        return;
    struct test_reply reply =
        test_post(&service.server, "/localize", JPEG, service.jpeg, service.jpeg_length);
    check_problem(&reply, "pixels", 413, "image-too-large");
    test_reply_release(&reply);
    size_t length = 100 * 1024;
    char *zeros = adl_calloc(length, 1);
    reply = test_post(&service.server, "/localize", JPEG, zeros, length);
    check_problem(&reply, "body", 413, "body-too-large");
    test_reply_release(&reply);
    adl_free(zeros);
    test_service_close(&service);
}

static void checks_tokens_and_hosts(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/server-tokens", test_tmp_dir());
    FILE *file = fopen(path, "w");
    fputs("# for tests\nsecret-1\nsecret-2\n", file);
    fclose(file);
    if (!open_server((const char *const[]){"--token-file", path, "--allow-host", "photos.example",
                                           "--cors-origin", "https://a.example", NULL}))
        return;
    static const char *const open[] = {"/", "/healthz", "/readyz", "/health", "/openapi.json"};
    for (size_t i = 0; i < ADL_COUNT(open); i++) {
        struct test_reply reply = test_get(&service.server, "GET", open[i], NULL);
        CU_ASSERT_EQUAL(reply.status, 200);
        test_reply_release(&reply);
    }
    struct test_reply reply = test_get(&service.server, "GET", "/models", NULL);
    check_problem(&reply, "no token", 401, "unauthorized");
    CU_ASSERT(test_header_is(&reply, "WWW-Authenticate", "Bearer realm=\"adl-server\""));
    test_reply_release(&reply);
    reply = test_post(&service.server, "/localize", JPEG "Authorization: Bearer wrong\r\n",
                      service.jpeg, service.jpeg_length);
    check_problem(&reply, "wrong token", 401, "unauthorized");
    CU_ASSERT(test_header_is(&reply, "WWW-Authenticate",
                             "Bearer realm=\"adl-server\", error=\"invalid_token\""));
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/metrics", "Authorization: Bearer secret-2\r\n");
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);

    int fd = test_connect(&service.server);
    test_send_text(fd, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
                       "GET / HTTP/1.1\r\nHost: photos.example:80\r\n\r\n");
    test_receive(fd, false, &reply);
    check_problem(&reply, "host", 403, "unknown-host");
    test_reply_release(&reply);
    test_receive(fd, false, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    close(fd);

    reply = test_get(&service.server, "OPTIONS", "/localize",
                     "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n");
    CU_ASSERT(test_header_is(&reply, "Access-Control-Allow-Origin", "https://a.example"));
    CU_ASSERT(test_header_is(&reply, "Access-Control-Allow-Methods", "POST, OPTIONS"));
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/healthz", "Origin: https://b.example\r\n");
    CU_ASSERT_PTR_NULL(test_reply_header(&reply, "Access-Control-Allow-Origin"));
    test_reply_release(&reply);
    test_service_close(&service);
}

/* The reason why the server does not start is a line of the log. */
static void logs_a_failed_start(void)
{
    static const char *const cases[][6] = {
        {"serve", "--listen", "127.0.0.1:0", "--model", "/proc/self/status"},
        {"serve", "--model", "/nonexistent.safetensors"},
        {"serve", "--model", "/nonexistent-\xff"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char error[3000], *save = NULL;
        int lines = 0;
        CU_ASSERT_EQUAL(test_program_run(cases[i], error, sizeof error), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, i == 0 ? "status" : "/nonexistent"));
        for (char *line = strtok_r(error, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            json_t *json = json_loads(line, 0, NULL);
            if (!json)
                TEST_FAIL("no JSON: %s", line);
            json_decref(json);
            lines++;
        }
        CU_ASSERT(lines > 0);
    }
    /* With --log-format text, and for errors before the log is set up, the line is plain. */
    static const char *const plain[][7] = {
        {"serve", "--log-format", "text", "--model", "/nonexistent.safetensors"},
        {"serve", "--log-format", "xml"},
    };
    for (size_t i = 0; i < ADL_COUNT(plain); i++) {
        char error[3000];
        CU_ASSERT(test_program_run(plain[i], error, sizeof error) > 0);
        CU_ASSERT_EQUAL(strncmp(error, "adl-server: serve: ", 19), 0);
    }
}

static void checks_its_options(void)
{
    static const struct {
        const char *arguments[8];
        int status;
        const char *told;
    } cases[] = {
        {{"serve", "--check-config", "--model", "MODEL"}, 0, ""},
        {{"serve", "--model", "/nonexistent.safetensors"}, 1, "/nonexistent.safetensors"},
        {{"serve", "--model", "a b=MODEL"}, 2, "a b"},
        {{"serve", "--model", "MODEL", "--model", "MODEL"}, 2, "already"},
        {{"serve", "--model", "MODEL", "--listen", "0.0.0.0:0"}, 2, "--token-file"},
        {{"serve", "--model", "MODEL", "--listen", "nowhere"}, 2, "HOST:PORT"},
        {{"serve", "--model", "MODEL", "--listen", "unix:"}, 2, "path"},
        {{"serve", "--model", "MODEL", "--listen", "unix:/nonexistent/socket"}, 1, "/nonexistent"},
        {{"serve", "--check-config", "--model", "MODEL", "--admin-listen", "nowhere"},
         2,
         "--admin-listen"},
        {{"serve", "--check-config", "--model", "MODEL", "--admin-listen", "0.0.0.0:0"},
         2,
         "--token-file"},
        {{"serve", "--check-config", "--model", "MODEL", "--admin-listen", "[::]:0", "--no-auth"},
         2,
         "--token-file"},
        {{"serve", "--check-config", "--model", "MODEL", "--admin-listen", "unix:/nonexistent/a"},
         0,
         ""},
        {{"serve", "--model", "MODEL", "--listen", "127.0.0.1:99999"}, 2, "HOST:PORT"},
        {{"serve", "--model", "MODEL", "--token-file", "/nonexistent"}, 1, "/nonexistent"},
        {{"serve", "--model", "/proc/self/status", "--listen", "127.0.0.1:0"}, 1, "status"},
        {{"serve", "--queue", "0"}, 2, "--queue"},
        {{"serve", "--model", "-"}, 2, "SIGHUP"},
        {{"serve", "--model", "MODEL", "--model", "b=-"}, 2, "SIGHUP"},
        {{"serve", "--model", "/"}, 1, "directory"},
        {{"serve", "--model", "/dev/null"}, 1, "regular"},
        /* --check-config refuses whatever the server would refuse. */
        {{"serve", "--check-config", "--model", "/"}, 1, "directory"},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "nowhere"}, 2, "HOST:PORT"},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "[::]:0"}, 2, "--token-file"},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "0.0.0.0:1", "--no-auth"},
         0,
         ""},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "localhost:1"}, 0, ""},
        {{"serve", "--check-config", "--model", "MODEL", "--trusted-proxy", "10.0.0.0/8"}, 0, ""},
        {{"serve", "--check-config", "--model", "MODEL", "--trusted-proxy", "10.0.0.0/99"},
         2,
         "--trusted-proxy"},
    };
    const char *model = test_small_model();
    for (size_t i = 0; model && i < ADL_COUNT(cases); i++) {
        const char *arguments[10] = {NULL};
        char error[1000], named[400];
        for (size_t k = 0; k < 8 && cases[i].arguments[k]; k++) {
            const char *at = strstr(cases[i].arguments[k], "MODEL");
            arguments[k] = cases[i].arguments[k];
            if (at == arguments[k]) {
                arguments[k] = model;
            } else if (at) {
                snprintf(named, sizeof named, "%.*s%s", (int)(at - cases[i].arguments[k]),
                         cases[i].arguments[k], model);
                arguments[k] = named;
            }
        }
        int status = test_program_run(arguments, error, sizeof error);
        if (status != cases[i].status || !strstr(error, cases[i].told))
            TEST_FAIL("case %zu: status %d, %s", i, status, error);
    }
}

TEST_SUITE(server_refusals, {"refuses each mistake", refuses_each_mistake},
           {"refuses what is too large", refuses_what_is_too_large},
           {"checks tokens and hosts", checks_tokens_and_hosts},
           {"logs a failed start", logs_a_failed_start},
           {"checks its options", checks_its_options});
TEST_UNWATCHED(checks_its_options);
