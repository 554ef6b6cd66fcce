/* `serve` with clients that are slow, misbehave or disconnect, under load, and during
 * loading, reload and shutdown. */

#include "support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

static struct test_server server;
static char *jpeg;
static size_t jpeg_length;

static bool open_server(const char *const *more)
{
    const char *arguments[20] = {"--model"};

    arguments[1] = test_small_model();
    if (!arguments[1])
        return false;
    for (size_t i = 0; more && more[i] && i < 17; i++)
        arguments[i + 2] = more[i];
    if (!jpeg)
        jpeg = test_picture(TEST_JPEG, 64, 48, &jpeg_length);
    return jpeg && test_server_start(&server, arguments) == 0 && test_server_ready(&server) == 0;
}

static void close_server(void)
{
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    adl_free(jpeg);
    jpeg = NULL;
}

/* The exit status of the server, or the negative number of the signal that ended it; -100:
 * it does not end within `patience_ms`, and is killed. */
static int ended(int patience_ms)
{
    int status = 0;
    for (int waited = 0; waited < patience_ms; waited += 10, poll(NULL, 0, 10))
        if (waitpid(server.pid, &status, WNOHANG) == server.pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    test_server_signal(&server, SIGKILL);
    waitpid(server.pid, &status, 0);
    return -100;
}

/* The same as close_server() for a server that has received its SIGTERM: a second one would
 * end it at once. */
static void close_ending_server(void)
{
    CU_ASSERT_EQUAL(ended(60000), 0);
    adl_free(jpeg);
    jpeg = NULL;
}

/* The status of the next reply; the body is ignored. */
static int next_status(int fd)
{
    struct test_reply reply;
    test_receive(fd, false, &reply);
    test_reply_release(&reply);
    return reply.status;
}

/* The value of a sample of /metrics. */
static double metric(const char *name)
{
    struct test_reply reply;
    double value = -1;
    test_request(&server, "GET", "/metrics", NULL, NULL, 0, &reply);
    const char *at = reply.body ? strstr(reply.body, name) : NULL;
    if (at)
        value = strtod(at + strlen(name), NULL);
    test_reply_release(&reply);
    return value;
}

/* --- connections ---------------------------------------------------------------- */

static void keeps_connections_and_takes_pipelines(void)
{
    if (!open_server(NULL))
        return;
    int fd = test_connect(&server);
    for (int i = 0; i < 5; i++) {
        test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", jpeg_length);
        test_send(fd, jpeg, jpeg_length);
        CU_ASSERT_EQUAL(next_status(fd), 200);
        test_send_text(fd, "GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CU_ASSERT_EQUAL(next_status(fd), 404);
    }
    /* Three pipelined requests are answered in order. */
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", jpeg_length);
    test_send(fd, jpeg, jpeg_length);
    test_send_text(fd, "GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 200);
    CU_ASSERT_EQUAL(next_status(fd), 200);
    CU_ASSERT_EQUAL(next_status(fd), 404);
    close(fd);
    /* With HTTP/1.0 and no Host header, the server closes after the answer. */
    fd = test_connect(&server);
    test_send_text(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 200);
    CU_ASSERT(test_closed(fd));
    close(fd);
    close_server();
}

static void takes_bodies_in_chunks(void)
{
    if (!open_server((const char *const[]){"--max-body", "64K", NULL}))
        return;
    int fd = test_connect(&server);
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < jpeg_length; at += 100) {
        size_t length = ADL_MIN((size_t)100, jpeg_length - at);
        test_send_text(fd, "%zx\r\n", length);
        test_send(fd, jpeg + at, length);
        test_send_text(fd, "\r\n");
    }
    test_send_text(fd, "0\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 200);
    /* A chunked body beyond the limit: the answer comes at the end, and
     * the connection stays usable. */
    char *zeros = adl_calloc(70000, 1);
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n%x\r\n", 70000);
    test_send(fd, zeros, 70000);
    test_send_text(fd, "\r\n0\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 413);
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 200);
    /* A body without end is cut off, after an answer. */
    test_send_text(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        if (test_send_text(fd, "%x\r\n", 70000) < 0 || test_send(fd, zeros, 70000) < 0 ||
            test_send_text(fd, "\r\n") < 0)
            break;
    CU_ASSERT_EQUAL(next_status(fd), 413);
    close(fd);
    adl_free(zeros);
    close_server();
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
        int fd = test_connect(&server);
        test_send_text(fd, "%s", cases[i].head);
        CU_ASSERT_EQUAL(next_status(fd), cases[i].status);
        close(fd);
    }
    /* A client that sends the body nevertheless, as browsers do, still receives the answer. */
    size_t length = 20000000;
    char *zeros = adl_calloc(length, 1);
    int fd = test_connect(&server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", length);
    CU_ASSERT_EQUAL(test_send(fd, zeros, length), 0);
    CU_ASSERT_EQUAL(next_status(fd), 413);
    CU_ASSERT(test_closed(fd));
    close(fd);
    adl_free(zeros);

    fd = test_connect(&server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
                   jpeg_length);
    CU_ASSERT_EQUAL(next_status(fd), 100);
    test_send(fd, jpeg, jpeg_length);
    CU_ASSERT_EQUAL(next_status(fd), 200);
    close(fd);
    close_server();
}

static void answers_slow_clients_with_408(void)
{
    if (!open_server((const char *const[]){"--timeout", "1", NULL}))
        return;
    struct test_reply reply;
    /* A client that stops in the middle of the body. */
    int silent = test_connect(&server);
    test_send_text(silent, POST_HEAD "Content-Length: 1000\r\n\r\nabc");
    /* A client that sends a byte at a time: never silent, never finished. */
    int dripping = test_connect(&server);
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
    close_server();
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
        fds[i] = test_connect(&server);
        /* Half of the connections have served a request before. */
        if (i % 2 == 0) {
            test_send_text(fds[i], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            CU_ASSERT_EQUAL(next_status(fds[i]), 200);
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
    close_server();
}

/* The server does not wait for requests that cannot be completed any more. */
static void drops_bodies_that_break_off(void)
{
    if (!open_server((const char *const[]){"--timeout", "12", NULL}))
        return;
    uint64_t begin = adl_clock_ns();
    int fds[5];
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        fds[i] = test_connect(&server);
        test_send_text(fds[i], POST_HEAD "Content-Length: 1000\r\n\r\nhalf");
        shutdown(fds[i], SHUT_WR);
    }
    for (size_t i = 0; i < ADL_COUNT(fds); i++) {
        CU_ASSERT(test_closed(fds[i]));
        close(fds[i]);
    }
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 9000);
    close_server();
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
        int fd = test_connect(&server);
        test_send_text(fd, "POST /loc");
        close(fd);
        fd = test_connect(&server);
        test_send_text(fd, POST_HEAD "Content-Length: 1000\r\n\r\nabc");
        close(fd);
        fd = test_connect(&server);
        test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
        test_send(fd, form, form_length);
        for (int j = 0; j < 400 && metric("adl_queue_depth{model=\"default\"} ") < 1; j++)
            poll(NULL, 0, 5);
        if (i == 0) { /* closes with a reset, which is noticed before the answer */
            struct linger now = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(fd);
    }
    double dropped = 0;
    for (int i = 0; i < 200 && dropped == 0; i++, poll(NULL, 0, 20))
        dropped = metric("adl_jobs_abandoned_total{reason=\"disconnected\"} ");
    CU_ASSERT(dropped > 0);
    int fd = test_connect(&server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", jpeg_length);
    test_send(fd, jpeg, jpeg_length);
    CU_ASSERT_EQUAL(next_status(fd), 200);
    close(fd);
    adl_free(form);
    adl_free(slow);
    close_server();
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
        int fd = test_connect(&server);
        test_send_text(fd, "%s", lines[i]);
        shutdown(fd, SHUT_WR);
        uint64_t begin = adl_clock_ns();
        int status = next_status(fd);
        if (status == 200)
            TEST_FAIL("line %zu is answered with 200", i);
        if (adl_clock_ms(begin, adl_clock_ns()) > 9000)
            TEST_FAIL("line %zu is waited for", i);
        close(fd);
    }
    int fd = test_connect(&server);
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    for (int i = 0; i < 100; i++)
        if (test_send_text(fd, "X-%d: %02000d\r\n", i, i) < 0)
            break;
    test_send_text(fd, "\r\n");
    CU_ASSERT(next_status(fd) != 200);
    close(fd);
    close_server();
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
        {"length beyond 64 bits", BYTES(POST_HEAD "Content-Length: 99999999999999999999\r\n\r\n"),
         413},
    };
    char text[8000];
    if (!open_server(NULL))
        return;
    /* Others of the same I/O threads are receiving headers meanwhile. */
    int waiting[4];
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        waiting[i] = test_connect(&server);
        test_send_text(waiting[i], START HOST "X: ");
    }
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        int fd = test_connect(&server), status = 0;
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
        CU_ASSERT_EQUAL(next_status(waiting[i]), 200);
        close(waiting[i]);
    }
    close_server();
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
    int fd = test_connect(&server);
    for (size_t i = 0; i < 2 * ADL_COUNT(heads); i++) {
        const char *head = heads[i / 2];
        for (size_t at = 0; at < strlen(head) && i % 2; at++)
            test_send(fd, head + at, 1);
        if (i % 2 == 0)
            test_send(fd, head, strlen(head));
        int status = next_status(fd);
        if (status != 200)
            TEST_FAIL("head %zu is answered with %d", i / 2, status);
    }
    /* Headers for which the library's buffer has to grow. */
    test_send_text(fd, START HOST);
    for (int i = 0; i < 20; i++, poll(NULL, 0, 5))
        test_send_text(fd, "X-%d: %0700d\r\n", i, i);
    test_send_text(fd, "\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 200);
    close(fd);
    close_server();
}

/* --- load ------------------------------------------------------------------------- */

static void refuses_when_the_queue_is_full(void)
{
    if (!open_server(
            (const char *const[]){"--queue", "4", "--decode-threads", "1", "--exact-decode", NULL}))
        return;
    size_t length, form_length;
    void *slow = test_slow_picture(TEST_SLOWDOWN > 1 ? 1000 : 2000, &length);
    /* More than the queue holds, and no more than are answered within the timeout. */
    void *form = test_form(slow, length, TEST_SLOWDOWN > 1 ? 8 : 20, &form_length);
    int fd = test_connect(&server), status = 0;
    test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
    test_send(fd, form, form_length);
    for (int i = 0; i < 400 && metric("adl_queue_depth{model=\"default\"} ") < 1; i++)
        poll(NULL, 0, 5);
    for (int i = 0; i < 50 && status != 503; i++) {
        struct test_reply reply;
        test_request(&server, "POST", "/localize", "Content-Type: image/jpeg\r\n", jpeg,
                     jpeg_length, &reply);
        status = reply.status;
        if (status == 503) {
            const char *after = test_reply_header(&reply, "Retry-After");
            CU_ASSERT(after && atoi(after) > 0);
            CU_ASSERT_PTR_NOT_NULL(strstr(reply.body, "queue-full"));
        }
        test_reply_release(&reply);
    }
    CU_ASSERT_EQUAL(status, 503);
    /* Health checks are answered at once during all this. */
    uint64_t begin = adl_clock_ns();
    struct test_reply reply;
    test_request(&server, "GET", "/healthz", NULL, NULL, 0, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 1000);
    test_reply_release(&reply);
    CU_ASSERT(metric("adl_queue_depth{model=\"default\"} ") > 0);
    /* Every accepted request is answered completely. */
    CU_ASSERT_EQUAL(next_status(fd), 200);
    close(fd);
    adl_free(form);
    adl_free(slow);
    close_server();
}

struct load {
    _Atomic int failed, done;
};

/* A client that sends its requests over one connection. */
static void *load_main(void *argument)
{
    struct load *load = argument;
    int fd = test_connect(&server);
    for (int i = 0; i < 60; i++) {
        test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", jpeg_length);
        test_send(fd, jpeg, jpeg_length);
        load->failed += next_status(fd) != 200;
        load->done++;
    }
    close(fd);
    return NULL;
}

static void reloads_under_load_without_a_failed_request(void)
{
    struct load load = {0};
    pthread_t threads[4];

    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, load_main, &load);
    for (int i = 0; i < 5; i++) {
        poll(NULL, 0, 20);
        test_server_signal(&server, SIGHUP);
    }
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(load.done, 240);
    CU_ASSERT_EQUAL(load.failed, 0);
    double reloads = 0;
    for (int i = 0; i < 200 && reloads < 1; i++, poll(NULL, 0, 10))
        reloads = metric("adl_model_reloads_total{model=\"default\",outcome=\"ok\"} ");
    CU_ASSERT(reloads >= 1);
    close_server();
}

/* If the file has become unreadable, the old model stays in use. */
static void keeps_the_old_model_when_a_reload_fails(void)
{
    const char *model = test_small_model();
    char copy[300], named[400];
    if (!model)
        return;
    snprintf(copy, sizeof copy, "%s/copy.safetensors", test_tmp_dir());
    unlink(copy);
    CU_ASSERT_EQUAL_FATAL(link(model, copy), 0);
    snprintf(named, sizeof named, "second=%s", copy);
    if (!open_server((const char *const[]){"--model", named, NULL}))
        return;
    unlink(copy);
    FILE *file = fopen(copy, "w");
    fputs("no model", file);
    fclose(file);
    test_server_signal(&server, SIGHUP);
    double failed = 0;
    for (int i = 0; i < 500 && failed < 1; i++, poll(NULL, 0, 10))
        failed = metric("adl_model_reloads_total{model=\"second\",outcome=\"failed\"} ");
    CU_ASSERT_EQUAL(failed, 1);
    struct test_reply reply;
    test_request(&server, "POST", "/localize?model=second", "Content-Type: image/jpeg\r\n", jpeg,
                 jpeg_length, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    close_server();
}

static void finishes_what_it_accepted(void)
{
    if (!open_server((const char *const[]){"--exact-decode", NULL}))
        return;
    size_t length, form_length;
    void *slow = test_slow_picture(2000, &length);
    void *form = test_form(slow, length, 6, &form_length);
    int fd = test_connect(&server), idle = test_connect(&server);
    test_send_text(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(idle), 200);
    test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
    test_send(fd, form, form_length);
    /* Wait until it is in progress. */
    for (int i = 0; i < 200 && metric("adl_queue_depth{model=\"default\"} ") < 1; i++)
        poll(NULL, 0, 5);
    test_server_signal(&server, SIGTERM);
    poll(NULL, 0, 50);
    /* New requests on open connections are refused, and /readyz answers 503. */
    test_send_text(idle, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int status = next_status(idle);
    CU_ASSERT(status == 503 || status == 0);
    CU_ASSERT_EQUAL(next_status(fd), 200);
    close(fd);
    close(idle);
    adl_free(form);
    adl_free(slow);
    close_ending_server();
}

/* The CPU time of the server in seconds. */
static double processor_s(void)
{
    char path[40];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)server.pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system) != 2)
        TEST_FAIL("%s cannot be read", path);
    if (file)
        fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Sends the head of a request and not its body; returns the connection once the server
 * counts the request. */
static int begin_request(void)
{
    int fd = test_connect(&server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", jpeg_length);
    for (int i = 0; i < 200 && metric("\nadl_http_requests_in_flight ") < 2; i++)
        poll(NULL, 0, 5);
    return fd;
}

/* The loader finishes after SIGTERM, while the server waits for a request. */
static void drains_at_rest_after_a_reload(void)
{
    if (!open_server(NULL))
        return;
    int fd = begin_request();
    test_server_signal(&server, SIGHUP);
    test_server_signal(&server, SIGTERM);
    poll(NULL, 0, 500);
    double before = processor_s();
    poll(NULL, 0, 1000);
    CU_ASSERT(processor_s() - before < 0.5);
    test_send(fd, jpeg, jpeg_length);
    CU_ASSERT_EQUAL(next_status(fd), 200);
    close(fd);
    close_ending_server();
}

static void logs_a_line_of_json_for_each_request(void)
{
    if (!open_server(NULL))
        return;
    struct test_reply reply;
    test_request(&server, "GET", "/n%22op%0ae",
                 "X-Request-Id: log-me\r\ntraceparent: "
                 "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n",
                 NULL, 0, &reply);
    test_reply_release(&reply);
    test_request(&server, "GET", "/\xff\xfe", "X-Request-Id: a b\r\n", NULL, 0, &reply);
    CU_ASSERT_EQUAL(strlen(test_reply_header(&reply, "X-Request-Id")), 32);
    test_reply_release(&reply);
    close_server();
    char *log = test_server_log(&server), *save = NULL;
    int found = 0, lines = 0;
    for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *json = json_loads(line, 0, NULL);
        const char *id = json_string_value(json_object_get(json, "request_id"));
        if (!json)
            TEST_FAIL("no JSON: %s", line);
        CU_ASSERT_EQUAL(strlen(json_string_value(json_object_get(json, "ts"))), 24);
        lines++;
        if (id && !strcmp(id, "log-me")) {
            found++;
            CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "trace_id")),
                                   "0123456789abcdef0123456789abcdef");
            CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "path")), "/n\"op\ne");
            CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "status")), 404);
        }
        json_decref(json);
    }
    CU_ASSERT_EQUAL(found, 1);
    CU_ASSERT(lines >= 6);
    free(log);
}

/* The server works and stops normally if standard output is full, and also without
 * standard streams, in which case the first descriptors it opens would get their numbers. */
static void serves_without_standard_streams(void)
{
    const char *arguments[] = {"--model", test_small_model(), NULL};
    static const char *const outs[] = {"/dev/full", NULL};

    for (size_t i = 0; arguments[1] && i < ADL_COUNT(outs); i++) {
        if (test_server_start_mute(&server, arguments, outs[i]) < 0)
            continue;
        test_server_signal(&server, SIGHUP);
        CU_ASSERT(metric("adl_queue_depth{model=\"default\"} ") == 0);
        char *log = outs[i] ? test_server_log(&server) : NULL;
        if (outs[i] && !strstr(log, "No space left on device"))
            TEST_FAIL("no warning: %s", log);
        free(log);
        CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    }
}

/* Starts a server whose standard error is a full pipe, and gives its reading end. */
static int open_server_with_full_log(void)
{
    const char *arguments[] = {"--model", test_small_model(), "--log-level", "debug", NULL};
    char path[300], newlines[4096];
    snprintf(path, sizeof path, "%s/serve-mute.log", test_tmp_dir());
    unlink(path);
    if (!arguments[1] || mkfifo(path, 0600) < 0)
        return -1;
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    memset(newlines, '\n', sizeof newlines);
    while (write(writer, newlines, sizeof newlines) > 0)
        ;
    while (write(writer, newlines, 1) > 0)
        ;
    close(writer);
    int result = test_server_start_mute(&server, arguments, "/dev/null");
    unlink(path);
    return result < 0 ? -1 : reader;
}

/* Reads the log until it is silent: the number of requests in it, and of dropped lines. */
static void read_log(int reader, int *requests, int *dropped)
{
    char *text = adl_calloc(1 << 20, 1), *save = NULL;
    size_t length = 0;
    struct pollfd wait = {.fd = reader, .events = POLLIN};
    while (length < (1 << 20) - 1 && poll(&wait, 1, 500) > 0) {
        ssize_t got = read(reader, text + length, (1 << 20) - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    *requests = *dropped = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *json = json_loads(line, 0, NULL);
        if (!json)
            TEST_FAIL("no JSON: %s", line);
        *requests += json_object_get(json, "request_id") != NULL;
        *dropped += (int)json_integer_value(json_object_get(json, "dropped"));
        json_decref(json);
    }
    adl_free(text);
}

static void serves_while_nobody_reads_the_log(void)
{
    int reader = open_server_with_full_log(), failed = 0, requests, dropped;
    CU_ASSERT_FATAL(reader >= 0);
    int fd = test_connect(&server);
    for (int i = 0; i < 2000; i++) {
        test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        failed += next_status(fd) != 200;
    }
    CU_ASSERT_EQUAL(failed, 0);
    /* The reader returns: each request is in the log or counted as dropped. The other lines
     * are those of the start and of the wait for /readyz. */
    read_log(reader, &requests, &dropped);
    CU_ASSERT(requests > 100);
    CU_ASSERT(dropped > 100);
    if (requests + dropped < 2000 || requests + dropped > 4000)
        TEST_FAIL("%d requests are in the log, and %d lines were dropped", requests, dropped);
    test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(next_status(fd), 200);
    read_log(reader, &requests, &dropped);
    CU_ASSERT_EQUAL(requests, 1);
    CU_ASSERT_EQUAL(dropped, 0);
    close(fd);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    close(reader);
    /* SIGTERM is obeyed while the log is stuck. */
    reader = open_server_with_full_log();
    CU_ASSERT_FATAL(reader >= 0);
    test_server_signal(&server, SIGTERM);
    CU_ASSERT_EQUAL(ended(5000), 0);
    close(reader);
}

/* The first SIGTERM waits for a request that does not arrive, the second for nothing. */
static void ends_at_once_on_a_second_signal(void)
{
    if (!open_server(NULL))
        return;
    int fd = begin_request();
    test_server_signal(&server, SIGTERM);
    poll(NULL, 0, 500);
    CU_ASSERT_EQUAL(kill(server.pid, 0), 0);
    test_server_signal(&server, SIGTERM);
    CU_ASSERT_EQUAL(ended(2000), -SIGTERM);
    close(fd);
    adl_free(jpeg);
    jpeg = NULL;
}

TEST_SUITE(server_life,
           {"keeps connections and takes pipelines", keeps_connections_and_takes_pipelines},
           {"takes bodies in chunks", takes_bodies_in_chunks},
           {"refuses before the body is sent", refuses_before_the_body_is_sent},
           {"answers slow clients with 408", answers_slow_clients_with_408},
           {"cuts off clients that trickle", cuts_off_clients_that_trickle},
           {"drops bodies that break off", drops_bodies_that_break_off},
           {"survives clients that leave", survives_clients_that_leave},
           {"takes no harm from garbage", takes_no_harm_from_garbage},
           {"refuses what could smuggle a request", refuses_what_could_smuggle_a_request},
           {"accepts unusual headers", accepts_unusual_headers},
           {"refuses when the queue is full", refuses_when_the_queue_is_full},
           {"reloads under load without a failed request",
            reloads_under_load_without_a_failed_request},
           {"keeps the old model when a reload fails", keeps_the_old_model_when_a_reload_fails},
           {"finishes what it accepted", finishes_what_it_accepted},
           {"drains at rest after a reload", drains_at_rest_after_a_reload},
           {"serves while nobody reads the log", serves_while_nobody_reads_the_log},
           {"ends at once on a second signal", ends_at_once_on_a_second_signal},
           {"serves without standard streams", serves_without_standard_streams},
           {"logs a line of JSON for each request", logs_a_line_of_json_for_each_request});
TEST_ALONE(drops_bodies_that_break_off);
TEST_ALONE(takes_no_harm_from_garbage);
TEST_ALONE(refuses_when_the_queue_is_full);
