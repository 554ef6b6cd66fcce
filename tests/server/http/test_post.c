/* http/post: which URLs are taken, and what a peer that answers, or does not, makes of a request.
 */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "server/http/post.h"
#include "support/http_client.h"

static void urls_are_read(void)
{
    static const struct {
        const char *url, *host, *port, *authority, *path; /* host NULL: refused */
    } cases[] = {
        {"http://a", "a", "80", "a", "/v1/traces"},
        {"http://a/", "a", "80", "a", "/v1/traces"},
        {"HTTP://a:4318", "a", "4318", "a:4318", "/v1/traces"},
        {"http://127.0.0.1:4318/x/y?z=1", "127.0.0.1", "4318", "127.0.0.1:4318", "/x/y?z=1"},
        {"http://[::1]:4318/x", "::1", "4318", "[::1]:4318", "/x"},
        {"http://[::1]", "::1", "80", "[::1]", "/v1/traces"},
        {"https://a", NULL, NULL, NULL, NULL},
        {"a:4318", NULL, NULL, NULL, NULL},
        {"", NULL, NULL, NULL, NULL},
        {"http://", NULL, NULL, NULL, NULL},
        {"http:///x", NULL, NULL, NULL, NULL},
        {"http://:80", NULL, NULL, NULL, NULL},
        {"http://a:", NULL, NULL, NULL, NULL},
        {"http://a:0", NULL, NULL, NULL, NULL},
        {"http://a:65536", NULL, NULL, NULL, NULL},
        {"http://a:80x", NULL, NULL, NULL, NULL},
        {"http://[::1", NULL, NULL, NULL, NULL},
        {"http://[::1]x", NULL, NULL, NULL, NULL},
        {"http://me@a", NULL, NULL, NULL, NULL},
        {"http://a?x", NULL, NULL, NULL, NULL},
        {"http://a/x y", NULL, NULL, NULL, NULL},
        {"http://a/x\r\nY: z", NULL, NULL, NULL, NULL},
        {"http://a/x#y", NULL, NULL, NULL, NULL},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_http_endpoint to = {.host = ""};
        int result = adl_http_endpoint_parse(cases[i].url, "/v1/traces", &to, &err);
        if ((result == 0) != (cases[i].host != NULL))
            TEST_FAIL("\"%s\": %s", cases[i].url, result ? err.message : "taken");
        if (result == 0 && cases[i].host)
            CU_ASSERT(!strcmp(to.host, cases[i].host) && !strcmp(to.port, cases[i].port) &&
                      !strcmp(to.authority, cases[i].authority) && !strcmp(to.path, cases[i].path));
        CU_ASSERT(result == 0 || err.kind == ADL_ERR_ARG);
        adl_error_clear(&err);
    }
}

/* A peer that reads one request and answers with `answer`; NULL: it says nothing; "": it closes. */
struct peer {
    int listener;
    const char *answer;
    char got[2000];
};

static void *serve_once(void *argument)
{
    struct peer *peer = argument;
    int fd = accept(peer->listener, NULL, NULL);
    size_t length = 0;

    while (!strstr(peer->got, "the body")) {
        ssize_t more = recv(fd, peer->got + length, sizeof peer->got - 1 - length, 0);
        if (more <= 0)
            break;
        length += (size_t)more;
    }
    if (peer->answer)
        (void)!send(fd, peer->answer, strlen(peer->answer), MSG_NOSIGNAL);
    else
        poll(NULL, 0, 600);
    close(fd);
    return NULL;
}

static int post_to(struct peer *peer, unsigned timeout_ms, struct adl_http_post_answer *answer,
                   struct adl_error *err)
{
    struct adl_http_endpoint to;
    char url[60];
    int port;
    pthread_t thread;

    peer->listener = test_listen(&port);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/spans", port);
    if (adl_http_endpoint_parse(url, "/", &to, err) < 0)
        return -1;
    pthread_create(&thread, NULL, serve_once, peer);
    int result = adl_http_post(&to, "text/plain", "the body", 8, timeout_ms, answer, err);
    pthread_join(thread, NULL);
    close(peer->listener);
    return result;
}

static void a_peer_answers(void)
{
    struct peer peer = {
        .answer = "HTTP/1.1 503 Busy\r\nX: y\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n"};
    struct adl_http_post_answer answer = {0};
    struct adl_error err = {0};

    TEST_OK(post_to(&peer, 5000, &answer, &err), &err);
    CU_ASSERT(answer.status == 503 && answer.retry_after_s == 7);
    CU_ASSERT_EQUAL(strncmp(peer.got, "POST /spans HTTP/1.1\r\nHost: 127.0.0.1:", 38), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(peer.got, "\r\nContent-Length: 8\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(peer.got, "\r\n\r\nthe body"));
}

static void others_do_not(void)
{
    static const char *const answers[] = {NULL, "", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 1\r\n\r\n",
                                          "HTTP/1.1 abc\r\n\r\n"};
    struct adl_http_endpoint to;
    struct adl_http_post_answer answer;
    struct adl_error err = {0};
    char url[60];
    int port;

    for (size_t i = 0; i < ADL_COUNT(answers); i++) {
        struct peer peer = {.answer = answers[i]};
        uint64_t begin = adl_clock_ns();
        CU_ASSERT_EQUAL(post_to(&peer, 300, &answer, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
        CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 5000);
        adl_error_clear(&err);
    }
    int listener = test_listen(&port);
    close(listener); /* nobody listens there */
    snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    TEST_OK(adl_http_endpoint_parse(url, "/", &to, &err), &err);
    CU_ASSERT_EQUAL(adl_http_post(&to, "text/plain", "", 0, 300, &answer, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "refused"));
    adl_error_clear(&err);
}

TEST_SUITE(post, {"URLs are read", urls_are_read}, {"a peer answers", a_peer_answers},
           {"others do not", others_do_not});
