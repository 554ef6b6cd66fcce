/* `serve` with clients that close their writing side after the request, as `nc -N` and Go's
 * CloseWrite do. RFC 9112, 9.6, lets them: what they have sent is to be answered. */

#include "support/test.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

static struct test_server server;
static char *jpeg;
static size_t jpeg_length;

static bool open_server(void)
{
    const char *arguments[] = {"--model", test_small_model(), NULL};

    jpeg = test_picture(TEST_JPEG, 64, 48, &jpeg_length);
    return arguments[1] && jpeg && test_server_start(&server, arguments) == 0 &&
           test_server_ready(&server) == 0;
}

static void close_server(void)
{
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    adl_free(jpeg);
    jpeg = NULL;
}

/* Whether the log has an entry with this text; it may take a moment to get there. */
static bool is_logged(const char *text)
{
    bool found = false;
    for (int i = 0; i < 500 && !found; i++, poll(NULL, 0, 10)) {
        char *log = test_server_log(&server);
        found = log && strstr(log, text);
        free(log);
    }
    return found;
}

static void send_picture(int fd, const char *more, const void *bytes, size_t length)
{
    test_send_text(fd, POST_HEAD "%sContent-Length: %zu\r\n\r\n", more, length);
    test_send(fd, bytes, length);
}

/* Receives a reply, which has to be complete and, if it is JSON, whole JSON. */
static int whole_status(int fd, bool head)
{
    struct test_reply reply;
    test_receive(fd, head, &reply);
    const char *length = test_reply_header(&reply, "Content-Length");
    int status = reply.status;
    if (status == 100) {
        test_reply_release(&reply);
        return whole_status(fd, head);
    }
    if (!head && (!length || (size_t)atol(length) != reply.length))
        status = 0;
    const char *type = test_reply_header(&reply, "Content-Type");
    if (!head && type && strstr(type, "json")) {
        json_t *json = test_reply_json(&reply);
        if (!json)
            status = 0;
        json_decref(json);
    }
    test_reply_release(&reply);
    return status;
}

static void answers_each_kind_of_request(void)
{
    static const struct {
        const char *text;
        int status;
        bool head;
    } cases[] = {
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, false},
        {"GET /healthz HTTP/1.0\r\n\r\n", 200, false},
        {"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, true},
        {"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, false},
        {"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, false},
        {"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, false},
        {"PUT /models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab", 405, false},
        {POST_HEAD "Content-Length: 5\r\n\r\n\xff\xd8\xff\xe0z", 422, false},
        {POST_HEAD "Content-Length: 0\r\n\r\n", 400, false},
        {"POST /localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
         "Content-Length: 5\r\n\r\nhello",
         415, false},
        {"POST /localize HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400, false},
    };
    if (!open_server())
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        int fd = test_connect(&server);
        test_send_text(fd, "%s", cases[i].text);
        shutdown(fd, SHUT_WR);
        int status = whole_status(fd, cases[i].head);
        if (status != cases[i].status)
            TEST_FAIL("%s: %d, expected %d", cases[i].text, status, cases[i].status);
        CU_ASSERT(test_closed(fd));
        close(fd);
    }
    close_server();
}

static void answers_pictures(void)
{
    static const char *const headers[] = {"", "Connection: close\r\n", "Accept: image/png\r\n",
                                          "Expect: 100-continue\r\n"};
    if (!open_server())
        return;
    for (size_t i = 0; i < ADL_COUNT(headers); i++) {
        int fd = test_connect(&server);
        send_picture(fd, headers[i], jpeg, jpeg_length);
        shutdown(fd, SHUT_WR);
        int status = whole_status(fd, false);
        if (status != 200)
            TEST_FAIL("%s: %d", headers[i], status);
        CU_ASSERT(test_closed(fd));
        close(fd);
    }
    /* In chunks, the last one on its own. */
    int fd = test_connect(&server);
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", jpeg_length);
    test_send(fd, jpeg, jpeg_length);
    poll(NULL, 0, 50);
    test_send_text(fd, "\r\n0\r\n\r\n");
    shutdown(fd, SHUT_WR);
    CU_ASSERT_EQUAL(whole_status(fd, false), 200);
    CU_ASSERT(test_closed(fd));
    close(fd);
    CU_ASSERT(is_logged("POST /localize 200"));
    CU_ASSERT_EQUAL(test_metric(&server, "adl_jobs_abandoned_total{reason=\"disconnected\"} "), 0);
    close_server();
}

/* Expects a whole answer with the status 200, and says which other one came. */
static void expect_answer(int fd)
{
    int status = whole_status(fd, false);
    if (status != 200)
        TEST_FAIL("status %d", status);
}

/* A body of a few MiB, work that takes long, and an answer larger than a socket's buffer. */
static void answers_large_bodies(void)
{
    if (!open_server())
        return;
    size_t length, form_length;
    char *large = adl_calloc(4 << 20, 1); /* a JPEG, and what a camera appends */
    void *form = test_form(jpeg, jpeg_length, 64, &form_length);
    void *slow = test_slow_picture(2000, &length);
    memcpy(large, jpeg, jpeg_length);
    int fd = test_connect(&server);
    send_picture(fd, "", large, 4 << 20);
    shutdown(fd, SHUT_WR);
    expect_answer(fd);
    CU_ASSERT(test_closed(fd));
    close(fd);
    fd = test_connect(&server);
    test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
    test_send(fd, form, form_length);
    shutdown(fd, SHUT_WR);
    expect_answer(fd);
    CU_ASSERT(test_closed(fd));
    close(fd);
    fd = test_connect(&server);
    send_picture(fd, "Accept: image/png\r\n", slow, length);
    shutdown(fd, SHUT_WR);
    poll(NULL, 0, 300); /* the answer does not fit into the buffers meanwhile */
    expect_answer(fd);
    CU_ASSERT(test_closed(fd));
    close(fd);
    adl_free(slow);
    adl_free(form);
    adl_free(large);
    close_server();
}

static void answers_pipelines(void)
{
    if (!open_server())
        return;
    for (int round = 0; round < 3; round++) {
        int fd = test_connect(&server);
        for (int i = 0; i < 4; i++) {
            send_picture(fd, "", jpeg, jpeg_length);
            test_send_text(fd, "%s /nope HTTP/1.1\r\nHost: localhost\r\n\r\n",
                           i % 2 ? "HEAD" : "GET");
        }
        send_picture(fd, "", jpeg, jpeg_length);
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 4; i++) {
            CU_ASSERT_EQUAL(whole_status(fd, false), 200);
            CU_ASSERT_EQUAL(whole_status(fd, i % 2), 404);
        }
        CU_ASSERT_EQUAL(whole_status(fd, false), 200);
        CU_ASSERT(test_closed(fd));
        close(fd);
    }
    close_server();
}

static _Atomic int answered;

static void *client_main(void *argument)
{
    (void)argument;
    for (int i = 0; i < 10; i++) {
        int fd = test_connect(&server);
        send_picture(fd, "", jpeg, jpeg_length);
        shutdown(fd, SHUT_WR);
        answered += whole_status(fd, false) == 200 && test_closed(fd);
        close(fd);
    }
    return NULL;
}

static void answers_under_load(void)
{
    pthread_t threads[8];

    if (!open_server())
        return;
    answered = 0;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, client_main, NULL);
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(answered, 80);
    /* Only the connection that asks is left. */
    double open = 0;
    for (int i = 0; i < 300 && open != 1; i++, poll(NULL, 0, 10))
        open = test_metric(&server, "\nadl_http_connections ");
    CU_ASSERT_EQUAL(open, 1);
    CU_ASSERT_EQUAL(test_metric(&server, "\nadl_http_requests_in_flight "), 1);
    close_server();
}

static void drops_work_for_clients_that_reset(void)
{
    if (!open_server())
        return;
    size_t length, form_length;
    void *slow = test_slow_picture(2000, &length);
    void *form = test_form(slow, length, 20, &form_length);
    for (int half = 0; half < 2; half++) {
        struct linger now = {1, 0};
        double before = test_metric(&server, "adl_jobs_abandoned_total{reason=\"disconnected\"} "),
               dropped = 0;
        int fd = test_connect(&server);
        test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
        test_send(fd, form, form_length);
        if (half)
            shutdown(fd, SHUT_WR);
        for (int i = 0; i < 4000 && test_metric(&server, "adl_queue_depth{model=\"default\"} ") < 1;
             i++)
            poll(NULL, 0, 5);
        /* After a shutdown the kernel sends a reset for this as well. */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        for (int i = 0; i < 3000 && dropped <= before; i++, poll(NULL, 0, 20))
            dropped = test_metric(&server, "adl_jobs_abandoned_total{reason=\"disconnected\"} ");
        if (dropped <= before)
            TEST_FAIL("%s: nothing was dropped", half ? "half-closed" : "open");
    }
    adl_free(form);
    adl_free(slow);
    close_server();
}

/* Connects to the listening socket, whichever it is, sends a request and closes the writing
 * side. */
static int ask_listener(int listener, int number)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    getsockname(listener, (struct sockaddr *)&address, &size);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) < 0)
        TEST_FAIL("cannot connect");
    if (number % 2)
        send_picture(fd, "", jpeg, jpeg_length);
    else
        test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    shutdown(fd, SHUT_WR);
    return fd;
}

/* Half of the clients have sent all, and closed, before there is a server to accept them. */
static void check_on_listener(int listener)
{
    int fds[16];
    const char *arguments[] = {"--model", test_small_model(), NULL};

    jpeg = test_picture(TEST_JPEG, 64, 48, &jpeg_length);
    CU_ASSERT_PTR_NOT_NULL_FATAL(arguments[1]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(jpeg);
    for (int i = 0; i < 8; i++)
        fds[i] = ask_listener(listener, i);
    if (test_server_start_on(&server, &listener, 1, arguments) == 0) {
        for (int i = 8; i < 16; i++)
            fds[i] = ask_listener(listener, i);
        for (int i = 0; i < 16; i++) {
            int status = whole_status(fds[i], false);
            if (status != 200)
                TEST_FAIL("client %d: %d", i, status);
            CU_ASSERT(test_closed(fds[i]));
            close(fds[i]);
        }
    }
    close_server();
    close(listener);
}

static void answers_on_sockets_of_a_service_manager(void)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int sockets[] = {socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                     socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    snprintf(path.sun_path, sizeof path.sun_path, "%s/half-closed", test_tmp_dir());
    if (bind(sockets[0], (struct sockaddr *)&path, sizeof path) < 0 ||
        bind(sockets[1], (struct sockaddr *)&port, sizeof port) < 0)
        TEST_FAIL("cannot bind");
    for (size_t i = 0; i < ADL_COUNT(sockets); i++) {
        CU_ASSERT_EQUAL(listen(sockets[i], 32), 0);
        check_on_listener(sockets[i]);
    }
}

TEST_SUITE(half_closed, {"answers each kind of request", answers_each_kind_of_request},
           {"answers pictures", answers_pictures}, {"answers large bodies", answers_large_bodies},
           {"answers pipelines", answers_pipelines}, {"answers under load", answers_under_load},
           {"answers on sockets of a service manager", answers_on_sockets_of_a_service_manager},
           {"drops work for clients that reset", drops_work_for_clients_that_reset});
TEST_ALONE(answers_large_bodies);
