/* `serve` under load, and during loading, reload and shutdown. */

#include "support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
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

static int ended(int patience_ms)
{
    return test_program_ended(service.server.pid, patience_ms);
}

/* The same as test_service_close() for a server that has received its SIGTERM: a second one
 * would end it at once. */
static void close_ending_server(void)
{
    CU_ASSERT_EQUAL(ended(60000), 0);
    test_service_release(&service);
}

static void refuses_when_the_queue_is_full(void)
{
    if (!open_server(
            (const char *const[]){"--queue", "4", "--decode-threads", "1", "--exact-decode", NULL}))
        return;
    size_t length, form_length;
    void *slow = test_slow_picture(TEST_SLOWDOWN > 1 ? 1000 : 2000, &length);
    /* More than the queue holds, and no more than are answered within the timeout. */
    void *form = test_form(slow, length, TEST_SLOWDOWN > 1 ? 8 : 20, &form_length);
    int fd = test_connect(&service.server), status = 0;
    test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
    test_send(fd, form, form_length);
    for (int i = 0;
         i < 400 && test_metric(&service.server, "adl_queue_depth{model=\"default\"} ") < 1; i++)
        poll(NULL, 0, 5);
    for (int i = 0; i < 50 && status != 503; i++) {
        struct test_reply reply;
        test_request(&service.server, "POST", "/localize", "Content-Type: image/jpeg\r\n",
                     service.jpeg, service.jpeg_length, &reply);
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
    test_request(&service.server, "GET", "/healthz", NULL, NULL, 0, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 1000);
    test_reply_release(&reply);
    CU_ASSERT(test_metric(&service.server, "adl_queue_depth{model=\"default\"} ") > 0);
    /* Every accepted request is answered completely. */
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    adl_free(form);
    adl_free(slow);
    test_service_close(&service);
}

struct load {
    _Atomic int failed, done;
};

/* A client that asks again at once, on a new connection, until it is refused. What it sent on a
 * connection that was not refused has to be answered. */
static void *insist(void *argument)
{
    struct load *load = argument;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)service.server.port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};

    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
            load->failed += errno != ECONNREFUSED;
            close(fd);
            return NULL;
        }
        struct test_reply reply;
        test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
        test_send(fd, service.jpeg, service.jpeg_length);
        test_receive(fd, false, &reply);
        load->failed += reply.status != 200 && reply.status != 503;
        load->done++;
        test_reply_release(&reply);
        close(fd);
    }
}

/* Most requests are refused, and refusals are held back: also when the end comes. */
static void loses_nothing_when_it_ends_under_load(void)
{
    struct load load = {0};
    pthread_t threads[24];

    if (!open_server((const char *const[]){"--queue", "2", NULL}))
        return;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, insist, &load);
    for (int i = 0; i < 1000 && load.done < 100; i++)
        poll(NULL, 0, 10);
    test_server_signal(&service.server, SIGTERM);
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT(load.done >= 100);
    CU_ASSERT_EQUAL(load.failed, 0);
    close_ending_server();
}

/* A client that sends its requests over one connection. */
static void *load_main(void *argument)
{
    struct load *load = argument;
    int fd = test_connect(&service.server);
    for (int i = 0; i < 60; i++) {
        test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
        test_send(fd, service.jpeg, service.jpeg_length);
        load->failed += test_next_status(fd) != 200;
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
        test_server_signal(&service.server, SIGHUP);
    }
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(load.done, 240);
    CU_ASSERT_EQUAL(load.failed, 0);
    double reloads = 0;
    for (int i = 0; i < 200 && reloads < 1; i++, poll(NULL, 0, 10))
        reloads = test_metric(&service.server,
                              "adl_model_reloads_total{model=\"default\",outcome=\"ok\"} ");
    CU_ASSERT(reloads >= 1);
    test_service_close(&service);
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
    test_server_signal(&service.server, SIGHUP);
    CU_ASSERT_EQUAL(
        test_metric_reaches(&service.server,
                            "adl_model_reloads_total{model=\"second\",outcome=\"failed\"} ", 1),
        1);
    struct test_reply reply;
    test_request(&service.server, "POST", "/localize?model=second", "Content-Type: image/jpeg\r\n",
                 service.jpeg, service.jpeg_length, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    test_service_close(&service);
}

static void finishes_what_it_accepted(void)
{
    if (!open_server((const char *const[]){"--exact-decode", NULL}))
        return;
    size_t length, form_length;
    void *slow = test_slow_picture(2000, &length);
    void *form = test_form(slow, length, 6, &form_length);
    int fd = test_connect(&service.server), idle = test_connect(&service.server);
    test_send_text(idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(idle), 200);
    test_send_text(fd, FORM_HEAD "Content-Length: %zu\r\n\r\n", form_length);
    test_send(fd, form, form_length);
    /* Wait until it is in progress. */
    for (int i = 0;
         i < 200 && test_metric(&service.server, "adl_queue_depth{model=\"default\"} ") < 1; i++)
        poll(NULL, 0, 5);
    test_server_signal(&service.server, SIGTERM);
    poll(NULL, 0, 50);
    /* New requests on open connections are refused, and /readyz answers 503. */
    test_send_text(idle, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int status = test_next_status(idle);
    CU_ASSERT(status == 503 || status == 0);
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    close(idle);
    adl_free(form);
    adl_free(slow);
    close_ending_server();
}

/* With --drain-delay, /readyz says no first, and everything else is served as before. */
static void tells_balancers_before_it_leaves(void)
{
    struct test_reply reply;

    if (!open_server((const char *const[]){"--drain-delay", "2", NULL}))
        return;
    test_server_signal(&service.server, SIGTERM);
    for (int i = 0; i < 100; i++) {
        reply = test_get(&service.server, "GET", "/readyz", NULL);
        int status = reply.status;
        test_reply_release(&reply);
        if (status == 503)
            break;
        poll(NULL, 0, 5);
    }
    for (int i = 0; i < 5; i++) {
        reply = test_get(&service.server, "GET", "/readyz", NULL);
        CU_ASSERT_EQUAL(reply.status, 503);
        test_reply_release(&reply);
        reply = test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n",
                          service.jpeg, service.jpeg_length);
        CU_ASSERT_EQUAL(reply.status, 200);
        test_reply_release(&reply);
    }
    close_ending_server();
}

/* A reload does not wait for the writer of a FIFO, and the server ends. */
static void waits_for_no_pipe(void)
{
    char path[300], model[310];

    snprintf(path, sizeof path, "%s/hanging.safetensors", test_tmp_dir());
    snprintf(model, sizeof model, "hanging=%s", path);
    CU_ASSERT(link(test_small_model(), path) == 0);
    if (!open_server((const char *const[]){"--model", model, "--drain-timeout", "1", NULL}))
        return;
    CU_ASSERT(unlink(path) == 0 && mkfifo(path, 0600) == 0);
    test_server_signal(&service.server, SIGHUP);
    CU_ASSERT_EQUAL(
        test_metric_reaches(&service.server,
                            "\nadl_model_reloads_total{model=\"hanging\",outcome=\"failed\"} ", 1),
        1);
    uint64_t begin = adl_clock_ns();
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 6000 * TEST_SLOWDOWN);
    test_service_release(&service);
}

/* Sends the head of a request and not its body; returns the connection once the server
 * counts the request. */
static int begin_request(void)
{
    int fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
    for (int i = 0; i < 200 && test_metric(&service.server, "\nadl_http_requests_in_flight ") < 2;
         i++)
        poll(NULL, 0, 5);
    return fd;
}

/* The loader finishes after SIGTERM, while the server waits for a request. */
static void drains_at_rest_after_a_reload(void)
{
    if (!open_server(NULL))
        return;
    int fd = begin_request();
    test_server_signal(&service.server, SIGHUP);
    test_server_signal(&service.server, SIGTERM);
    poll(NULL, 0, 500);
    double before = test_server_processor_s(&service.server);
    poll(NULL, 0, 1000);
    CU_ASSERT(test_server_processor_s(&service.server) - before < 0.5);
    test_send(fd, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    close_ending_server();
}

static void logs_a_line_of_json_for_each_request(void)
{
    if (!open_server(NULL))
        return;
    struct test_reply reply;
    test_request(&service.server, "GET", "/n%22op%0ae",
                 "X-Request-Id: log-me\r\ntraceparent: "
                 "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n",
                 NULL, 0, &reply);
    test_reply_release(&reply);
    test_request(&service.server, "GET", "/\xff\xfe", "X-Request-Id: a b\r\n", NULL, 0, &reply);
    CU_ASSERT_EQUAL(strlen(test_reply_header(&reply, "X-Request-Id")), 32);
    test_reply_release(&reply);
    test_service_close(&service);
    char *log = test_server_log(&service.server), *save = NULL;
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
        if (test_server_start_mute(&service.server, arguments, outs[i]) < 0)
            continue;
        test_server_signal(&service.server, SIGHUP);
        CU_ASSERT(test_metric(&service.server, "adl_queue_depth{model=\"default\"} ") == 0);
        char *log = outs[i] ? test_server_log(&service.server) : NULL;
        if (outs[i] && !strstr(log, "No space left on device"))
            TEST_FAIL("no warning: %s", log);
        free(log);
        CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
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
    int result = test_server_start_mute(&service.server, arguments, "/dev/null");
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
    int fd = test_connect(&service.server);
    for (int i = 0; i < 2000; i++) {
        test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        failed += test_next_status(fd) != 200;
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
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    read_log(reader, &requests, &dropped);
    CU_ASSERT_EQUAL(requests, 1);
    CU_ASSERT_EQUAL(dropped, 0);
    close(fd);
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    close(reader);
    /* SIGTERM is obeyed while the log is stuck. */
    reader = open_server_with_full_log();
    CU_ASSERT_FATAL(reader >= 0);
    test_server_signal(&service.server, SIGTERM);
    CU_ASSERT_EQUAL(ended(5000), 0);
    close(reader);
}

/* The first SIGTERM waits for a request that does not arrive, the second for nothing. */
static void ends_at_once_on_a_second_signal(void)
{
    if (!open_server(NULL))
        return;
    int fd = begin_request();
    test_server_signal(&service.server, SIGTERM);
    poll(NULL, 0, 500);
    CU_ASSERT_EQUAL(test_kill(service.server.pid, 0), 0);
    test_server_signal(&service.server, SIGTERM);
    CU_ASSERT_EQUAL(ended(2000), -SIGTERM);
    close(fd);
    test_service_release(&service);
}

TEST_SUITE(server_life, {"tells balancers before it leaves", tells_balancers_before_it_leaves},
           {"waits for no pipe", waits_for_no_pipe},
           {"refuses when the queue is full", refuses_when_the_queue_is_full},
           {"reloads under load without a failed request",
            reloads_under_load_without_a_failed_request},
           {"keeps the old model when a reload fails", keeps_the_old_model_when_a_reload_fails},
           {"loses nothing when it ends under load", loses_nothing_when_it_ends_under_load},
           {"finishes what it accepted", finishes_what_it_accepted},
           {"drains at rest after a reload", drains_at_rest_after_a_reload},
           {"serves while nobody reads the log", serves_while_nobody_reads_the_log},
           {"ends at once on a second signal", ends_at_once_on_a_second_signal},
           {"serves without standard streams", serves_without_standard_streams},
           {"logs a line of JSON for each request", logs_a_line_of_json_for_each_request});
TEST_ALONE(refuses_when_the_queue_is_full);
