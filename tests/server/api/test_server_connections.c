/* `serve` with clients that are slow, misbehave or disconnect, and with requests that a proxy may
 * read differently. */

#include "support/test.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

static struct test_service service;

static bool open_server(const char *const *more)
{
    return test_service_open(&service, 64, 48, more);
}

static void keeps_connections_and_takes_pipelines(void)
{
    if (!open_server(NULL))
        return;
    int fd = test_connect(&service.server);
    for (int i = 0; i < 5; i++) {
        test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
        test_send(fd, service.jpeg, service.jpeg_length);
        CU_ASSERT_EQUAL(test_next_status(fd), 200);
        test_send_text(fd, "GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CU_ASSERT_EQUAL(test_next_status(fd), 404);
    }
    /* Three pipelined requests are answered in order. */
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
    test_send(fd, service.jpeg, service.jpeg_length);
    test_send_text(fd, "GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    CU_ASSERT_EQUAL(test_next_status(fd), 404);
    close(fd);
    /* With HTTP/1.0 and no Host header, the server closes after the answer. */
    fd = test_connect(&service.server);
    test_send_text(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    CU_ASSERT(test_closed(fd));
    close(fd);
    test_service_close(&service);
}

static void takes_bodies_in_chunks(void)
{
    if (!open_server((const char *const[]){"--max-body", "64K", NULL}))
        return;
    int fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < service.jpeg_length; at += 100) {
        size_t length = ADL_MIN((size_t)100, service.jpeg_length - at);
        test_send_text(fd, "%zx\r\n", length);
        test_send(fd, service.jpeg + at, length);
        test_send_text(fd, "\r\n");
    }
    test_send_text(fd, "0\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    /* A chunked body beyond the limit: the answer comes at the end, and
     * the connection stays usable. */
    char *zeros = adl_calloc(70000, 1);
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n%x\r\n", 70000);
    test_send(fd, zeros, 70000);
    test_send_text(fd, "\r\n0\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 413);
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    /* A body without end is cut off, after an answer. */
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        if (test_send_text(fd, "%x\r\n", 70000) < 0 || test_send(fd, zeros, 70000) < 0 ||
            test_send_text(fd, "\r\n") < 0)
            break;
    CU_ASSERT_EQUAL(test_next_status(fd), 413);
    close(fd);
    adl_free(zeros);
    test_service_close(&service);
}

/* Refused because of Content-Length alone: no "100 Continue", and no byte of the body is
 * needed. */
static void refuses_before_the_body_is_sent(void)
{
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        {POST_HEAD "Content-Length: 20000000\r\nExpect: 100-continue\r\n\r\n", 413},
        {POST_HEAD "Content-Length: 20000000\r\n\r\n", 413},
        {"POST /localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
         "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
         415},
        {"POST /nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", 404},
        {"POST /localize?top_k=x HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
         "Content-Length: 1000\r\n\r\n",
         400},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        int fd = test_connect(&service.server);
        test_send_text(fd, "%s", cases[i].head);
        CU_ASSERT_EQUAL(test_next_status(fd), cases[i].status);
        close(fd);
    }
    /* A client that sends the body nevertheless, as browsers do, still receives the answer. */
    size_t length = 20000000;
    char *zeros = adl_calloc(length, 1);
    int fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", length);
    CU_ASSERT_EQUAL(test_send(fd, zeros, length), 0);
    CU_ASSERT_EQUAL(test_next_status(fd), 413);
    CU_ASSERT(test_closed(fd));
    close(fd);
    adl_free(zeros);

    fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
                   service.jpeg_length);
    CU_ASSERT_EQUAL(test_next_status(fd), 100);
    test_send(fd, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    test_service_close(&service);
}

static void answers_slow_clients_with_408(void)
{
    if (!open_server((const char *const[]){"--timeout", "1", NULL}))
        return;
    struct test_reply reply;
    /* A client that stops in the middle of the body. */
    int silent = test_connect(&service.server);
    test_send_text(silent, POST_HEAD "Content-Length: 1000\r\n\r\nabc");
    /* A client that sends a byte at a time: never silent, never finished. */
    int dripping = test_connect(&service.server);
    test_send_text(dripping, POST_HEAD "Content-Length: 1000\r\n\r\n");
    struct pollfd wait = {.fd = dripping, .events = POLLIN};
    for (int i = 0; i < 40 && poll(&wait, 1, 100) == 0; i++)
        test_send(dripping, "x", 1);
    test_receive(dripping, false, &reply);
    CU_ASSERT_EQUAL(reply.status, 408);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.body, "client-too-slow"));
    test_reply_release(&reply);
    test_receive(silent, false, &reply);
    CU_ASSERT_EQUAL(reply.status, 408);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.body, "client-too-slow"));
    CU_ASSERT_PTR_NOT_NULL(test_reply_header(&reply, "X-Request-Id"));
    test_reply_release(&reply);
    CU_ASSERT(test_closed(silent));
    close(dripping);
    close(silent);
    test_service_close(&service);
}

/* Clients that keep sending bytes without ever completing a header, a body or a trailer. */
static void cuts_off_clients_that_trickle(void)
{
    static const struct {
        const char *begin, *drop;
        int status; /* 0: closed without an answer */
    } cases[] = {
        {"GET /", "x", 0},
        {"GET /", "x", 0},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", "x", 0},
        {POST_HEAD "Content-Length: 1000\r\n\r\n", "x", 408},
        {POST_HEAD "Transfer-Encoding: chunked\r\n\r\n", "0", 408},
        {POST_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: ", "x", 408},
    };
    int fds[ADL_COUNT(cases)];
    size_t open = ADL_COUNT(cases);
    if (!open_server((const char *const[]){"--timeout", "1", NULL}))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        fds[i] = test_connect(&service.server);
        /* Half of the connections have served a request before. */
        if (i % 2 == 0) {
            test_send_text(fds[i], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            CU_ASSERT_EQUAL(test_next_status(fds[i]), 200);
        }
        test_send_text(fds[i], "%s", cases[i].begin);
    }
    for (int round = 0; round < 40 && open > 0; round++) {
        poll(NULL, 0, 200);
        for (size_t i = 0; i < ADL_COUNT(cases); i++) {
            struct pollfd wait = {.fd = fds[i], .events = POLLIN};
            struct test_reply reply;
            if (fds[i] < 0)
                continue;
            if (poll(&wait, 1, 0) == 0) {
                test_send_text(fds[i], "%s", cases[i].drop);
                continue;
            }
            test_receive(fds[i], false, &reply);
            if (reply.status != cases[i].status)
                TEST_FAIL("case %zu is answered with %d", i, reply.status);
            if (cases[i].status)
                CU_ASSERT_PTR_NOT_NULL(strstr(reply.body, "client-too-slow"));
            test_reply_release(&reply);
            close(fds[i]);
            fds[i] = -1;
            open--;
        }
    }
    CU_ASSERT_EQUAL(open, 0);
    test_service_close(&service);
}

/* The server does not wait for requests that cannot be completed any more. */
static void drops_bodies_that_break_off(void)
{
    if (!open_server((const char *const[]){"--timeout", "12", NULL}))
        return;
    uint64_t begin = adl_clock_ns();
    int fds[5];
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        fds[i] = test_connect(&service.server);
        test_send_text(fds[i], POST_HEAD "Content-Length: 1000\r\n\r\nhalf");
        shutdown(fds[i], SHUT_WR);
    }
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        CU_ASSERT(test_closed(fds[i]));
        close(fds[i]);
    }
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 9000);
    test_service_close(&service);
}

static void survives_clients_that_leave(void)
{
    if (!open_server(NULL))
        return;
    size_t length, form_length;
    void *slow = test_slow_picture(2000, &length);
    void *form = test_form(slow, length, 20, &form_length);
    for (int i = 0; i < 3; i++) {
        /* Disconnects in the middle of the headers, of the body, and of the inference. */
        int fd = test_connect(&service.server);
        test_send_text(fd, "POST /loc");
        close(fd);
        fd = test_connect(&service.server);
        test_send_text(fd, POST_HEAD "Content-Length: 1000\r\n\r\nabc");
        close(fd);
        fd = test_connect(&service.server);
        test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
        test_send(fd, form, form_length);
        for (int j = 0;
             j < 400 && test_metric(&service.server, "adl_queue_depth{model=\"default\"} ") < 1;
             j++)
            poll(NULL, 0, 5);
        if (i == 0) { /* closes with a reset, which is noticed before the answer */
            struct linger now = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(fd);
    }
    double dropped = 0;
    for (int i = 0; i < 200 && dropped == 0; i++, poll(NULL, 0, 20))
        dropped =
            test_metric(&service.server, "adl_jobs_abandoned_total{reason=\"disconnected\"} ");
    CU_ASSERT(dropped > 0);
    int fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
    test_send(fd, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    adl_free(form);
    adl_free(slow);
    test_service_close(&service);
}

static void takes_no_harm_from_garbage(void)
{
    static const char *const lines[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET  /  HTTP/1.1\r\n\r\n",
        "POST /localize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /%00%ff%zz?%=&&&===% HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /models/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    if (!open_server((const char *const[]){"--timeout", "12", NULL}))
        return;
    for (size_t i = 0; i < ADL_COUNT(lines); i++) {
        int fd = test_connect(&service.server);
        test_send_text(fd, "%s", lines[i]);
        shutdown(fd, SHUT_WR);
        uint64_t begin = adl_clock_ns();
        int status = test_next_status(fd);
        if (status == 200)
            TEST_FAIL("line %zu is answered with 200", i);
        if (adl_clock_ms(begin, adl_clock_ns()) > 9000)
            TEST_FAIL("line %zu is waited for", i);
        close(fd);
    }
    int fd = test_connect(&service.server);
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    for (int i = 0; i < 100; i++)
        if (test_send_text(fd, "X-%d: %02000d\r\n", i, i) < 0)
            break;
    test_send_text(fd, "\r\n");
    CU_ASSERT(test_next_status(fd) != 200);
    close(fd);
    test_service_close(&service);
}

/* Everything that arrives until the other side closes; -1: it does not close. */
static ssize_t receive_to_end(int fd, char *bytes, size_t size)
{
    size_t length = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (length < size - 1 && poll(&wait, 1, 10000) > 0) {
        ssize_t got = recv(fd, bytes + length, size - 1 - length, 0);
        if (got <= 0) {
            bytes[length] = '\0';
            return got < 0 ? -1 : (ssize_t)length;
        }
        length += (size_t)got;
    }
    return -1;
}

static int count(const char *text, const char *part)
{
    int found = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        found++;
    return found;
}

#define START "GET /healthz HTTP/1.1\r\n"
#define HOST "Host: localhost\r\n"
#define SECOND "GET /second HTTP/1.1\r\n" HOST "\r\n"
#define BYTES(text) text SECOND, sizeof text SECOND - 1

/* The library takes a line that begins with a NUL for an empty one, and would wait for another. */
static void refuses_a_nul_at_once(void)
{
    struct test_reply reply;

    if (!open_server(NULL))
        return;
    /* It is there when the connection is accepted. */
    int stopped;
    test_server_signal(&service.server, SIGSTOP);
    CU_ASSERT_EQUAL(waitpid(service.server.pid, &stopped, WUNTRACED), service.server.pid);
    int fd = test_connect(&service.server);
    test_send(fd, "\0GET /healthz HTTP/1.1\r\n\r\n", 27);
    test_server_signal(&service.server, SIGCONT);
    test_receive(fd, false, &reply);
    CU_ASSERT_EQUAL(reply.status, 400);
    test_reply_release(&reply);
    char byte;
    CU_ASSERT_EQUAL(recv(fd, &byte, 1, 0), 0);
    close(fd);
    test_service_close(&service);
}

/* Requests that a proxy may read differently (RFC 9112, 2.2, 3, 3.2, 5.1, 5.2, 6.1 to 6.3; RFC
 * 9110, 5.5): each is refused once, and what follows on the connection is never answered. */
static void refuses_what_could_smuggle_a_request(void)
{
    static const struct {
        const char *name, *bytes;
        size_t length;
        int status;
    } cases[] = {
        {"blank before the colon", BYTES(POST_HEAD "Content-Length : 44\r\n\r\n"), 400},
        {"tab before the colon", BYTES(POST_HEAD "Content-Length\t: 44\r\n\r\n"), 400},
        {"coding and blank", BYTES(POST_HEAD "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400},
        {"coding and tab", BYTES(POST_HEAD "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"), 400},
        {"blank before the name", BYTES(START " Host: localhost\r\n\r\n"), 400},
        {"folded line", BYTES(START HOST "X: a\r\n b\r\n\r\n"), 400},
        {"no name", BYTES(START HOST ": a\r\n\r\n"), 400},
        {"no colon", BYTES(START HOST "abc\r\n\r\n"), 400},
        {"name with a quote", BYTES(START HOST "\"X\": a\r\n\r\n"), 400},
        {"two hosts", BYTES(START HOST "Host: evil.example\r\n\r\n"), 400},
        {"the same host twice", BYTES(START HOST HOST "\r\n"), 400},
        {"no host", BYTES(START "\r\n"), 400},
        {"no host but a header", BYTES(START "X: a\r\n\r\n"), 400},
        {"host with a slash", BYTES(START "Host: localhost/a\r\n\r\n"), 400},
        {"host with a NUL", BYTES(START "Host: localhost\0.evil.com\r\n\r\n"), 400},
        {"host with a NUL at its end", BYTES(START "Host: localhost\0\r\nX: a\r\n\r\n"), 400},
        {"name with a NUL", BYTES(START HOST "X\0Y: a\r\n\r\n"), 400},
        {"line that begins with a NUL", BYTES(START HOST "\0X\r\nX: a\r\n\r\n"), 400},
        {"NUL for a line", BYTES(START HOST "\0\r\nX: a\r\n\r\n"), 400},
        {"NUL in the path", BYTES("GET /a\0b HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"NUL in the query", BYTES("GET /a?b\0c HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"NUL in the method", BYTES("GET\0X / HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"blank in the path", BYTES("GET /a b HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"CR in a value", BYTES(START HOST "X: a\rContent-Length: 44\r\n\r\n"), 400},
        {"the same length twice",
         BYTES(POST_HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400},
        {"two lengths", BYTES(POST_HEAD "Content-Length: 3\r\nContent-Length: 44\r\n\r\nabc"), 400},
        {"length and coding",
         BYTES(POST_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
        {"coding and length",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400},
        {"coding twice",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "0\r\n\r\n"),
         400},
        {"coding in HTTP/1.0",
         BYTES("POST /localize HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
         400},
        {"length in letters", BYTES(POST_HEAD "Content-Length: abc\r\n\r\n"), 400},
        {"length with a sign", BYTES(POST_HEAD "Content-Length: +4\r\n\r\nabcd"), 400},
        {"list of lengths", BYTES(POST_HEAD "Content-Length: 4, 4\r\n\r\nabcd"), 400},
        {"no length in the header", BYTES(POST_HEAD "Content-Length:\r\n\r\n"), 400},
        {"unknown coding", BYTES(POST_HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501},
        {"list of codings",
         BYTES(POST_HEAD "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 501},
        {"coding and a control character",
         BYTES(POST_HEAD "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"), 400},
        {"coding on a folded line",
         BYTES(POST_HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400},
        {"size of a chunk with 0x",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"), 400},
        {"size of a chunk with a sign",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"), 400},
        {"size of a chunk and a blank",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n"), 400},
        {"size of a chunk beyond 64 bits",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n"
                         "\r\n"),
         413},
        {"line feed in an extension",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"), 400},
        {"more bytes than the chunk",
         BYTES(POST_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n"), 400},
        {"length beyond 64 bits", BYTES(POST_HEAD "Content-Length: 99999999999999999999\r\n\r\n"),
         413},
    };
    char text[8000];
    if (!open_server(NULL))
        return;
    /* Others of the same I/O threads are receiving headers meanwhile. */
    int waiting[4];
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        waiting[i] = test_connect(&service.server);
        test_send_text(waiting[i], START HOST "X: ");
    }
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        int fd = test_connect(&service.server), status = 0;
        test_send(fd, cases[i].bytes, cases[i].length);
        ssize_t length = receive_to_end(fd, text, sizeof text);
        if (length < 0 || count(text, "HTTP/1.1 ") != 1 ||
            sscanf(text, "HTTP/1.1 %d", &status) != 1 || status != cases[i].status)
            TEST_FAIL("%s: %zd bytes, %d replies, the first with %d", cases[i].name, length,
                      length < 0 ? 0 : count(text, "HTTP/1.1 "), status);
        close(fd);
    }
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        test_send_text(waiting[i], "y\r\n\r\n");
        CU_ASSERT_EQUAL(test_next_status(waiting[i]), 200);
        close(waiting[i]);
    }
    test_service_close(&service);
}

/* The request inside of a body that the method does not need (0.CL) is not a request. */
static void bodies_are_not_requests(void)
{
    static const char *const heads[] = {
        START HOST, "HEAD /healthz HTTP/1.1\r\n" HOST, "OPTIONS /localize HTTP/1.1\r\n" HOST,
        "DELETE /localize HTTP/1.1\r\n" HOST, START HOST "Expect: y 100-continue\r\n"};
    char text[8000];

    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(heads); i++) {
        int fd = test_connect(&service.server);
        test_send_text(fd, "%sContent-Length: %zu\r\n\r\n%s", heads[i], strlen(SECOND), SECOND);
        shutdown(fd, SHUT_WR);
        ssize_t length = receive_to_end(fd, text, sizeof text);
        if (length < 0 || count(text, "HTTP/1.1 ") > 1 || strstr(text, "/second"))
            TEST_FAIL("%s is answered with %s", heads[i], length < 0 ? "no end" : text);
        close(fd);
    }
    test_service_close(&service);
}

/* An extension of a chunk that does not fit into any buffer is the client's mistake. */
static void refuses_long_extensions(void)
{
    enum { LENGTH = 200000 };
    char *extension = adl_malloc(LENGTH, 1);
    char text[8000];
    int status = 0;

    if (!extension || !open_server(NULL))
        return;
    memset(extension, 'a', LENGTH);
    int fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n5;");
    test_send(fd, extension, LENGTH);
    test_send_text(fd, "\r\nabcde\r\n0\r\n\r\n");
    ssize_t length = receive_to_end(fd, text, sizeof text);
    CU_ASSERT(length > 0 && sscanf(text, "HTTP/1.1 %d", &status) == 1 && status == 400);
    CU_ASSERT(length > 0 && count(text, "HTTP/1.1 ") == 1);
    CU_ASSERT(length > 0 && strstr(text, "malformed-request") != NULL);
    close(fd);
    adl_free(extension);
    test_service_close(&service);
}

/* What is unusual but unambiguous is still accepted, whole and byte by byte. */
static void accepts_unusual_headers(void)
{
    static const char *const heads[] = {
        START HOST "X:\r\nY: \r\nZ:  a, b \t\r\nCookie: a=b; c=d\r\n\r\n",
        "GET /healthz?a=%41&b HTTP/1.1\r\nhOST: LOCALHOST:80\r\n!#$%&'*+-.^_`|~: \xe4\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: localhost\n\n",
        "\r\n" START HOST "\r\n",
    };
    if (!open_server(NULL))
        return;
    int fd = test_connect(&service.server);
    for (size_t i = 0; i < 2 * ADL_COUNT(heads); i++) {
        const char *head = heads[i / 2];
        for (size_t at = 0; at < strlen(head) && i % 2; at++)
            test_send(fd, head + at, 1);
        if (i % 2 == 0)
            test_send(fd, head, strlen(head));
        int status = test_next_status(fd);
        if (status != 200)
            TEST_FAIL("head %zu is answered with %d", i / 2, status);
    }
    /* Headers for which the library's buffer has to grow. */
    test_send_text(fd, START HOST);
    for (int i = 0; i < 20; i++, poll(NULL, 0, 5))
        test_send_text(fd, "X-%d: %0700d\r\n", i, i);
    test_send_text(fd, "\r\n");
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    test_service_close(&service);
}

TEST_SUITE(server_connections,
           {"keeps connections and takes pipelines", keeps_connections_and_takes_pipelines},
           {"takes bodies in chunks", takes_bodies_in_chunks},
           {"refuses before the body is sent", refuses_before_the_body_is_sent},
           {"answers slow clients with 408", answers_slow_clients_with_408},
           {"cuts off clients that trickle", cuts_off_clients_that_trickle},
           {"drops bodies that break off", drops_bodies_that_break_off},
           {"survives clients that leave", survives_clients_that_leave},
           {"takes no harm from garbage", takes_no_harm_from_garbage},
           {"refuses a NUL at once", refuses_a_nul_at_once},
           {"refuses what could smuggle a request", refuses_what_could_smuggle_a_request},
           {"bodies are not requests", bodies_are_not_requests},
           {"refuses long extensions", refuses_long_extensions},
           {"accepts unusual headers", accepts_unusual_headers});
TEST_ALONE(drops_bodies_that_break_off);
TEST_ALONE(takes_no_harm_from_garbage);
