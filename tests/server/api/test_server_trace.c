/* `serve --trace-endpoint`: what a collector is told of requests, and that none, a slow one and one
 * that refuses do not hold the server. */

#include "support/test.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static struct test_service service;

/* A collector that answers each request with the next of its statuses, the last one for ever; 0: it
 * says nothing. What it was sent with an answer of 200 is kept. */
struct collector {
    int listener, port;
    const int *statuses;
    _Atomic int requests;
    _Atomic bool closing;
    pthread_t thread;
    pthread_mutex_t lock;
    json_t *spans;
};

/* Reads one request; returns its body, to be freed, or NULL. */
static char *read_body(int fd)
{
    size_t size = 1 << 20, length = 0;
    char *text = calloc(1, size);
    const char *body = NULL;

    while (text && length < size - 1) {
        body = strstr(text, "\r\n\r\n");
        const char *announced = strstr(text, "Content-Length: ");
        if (body && announced &&
            length >= (size_t)(body + 4 - text) + (size_t)atol(announced + 16)) {
            char *copy = strdup(body + 4);
            free(text);
            return copy;
        }
        ssize_t got = recv(fd, text + length, size - 1 - length, 0);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    free(text);
    return NULL;
}

static void keep(struct collector *c, const char *body)
{
    json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    json_t *spans = NULL;

    if (json_unpack(json, "{s:[{s:[{s:o}]}]}", "resourceSpans", "scopeSpans", "spans", &spans) ==
        0) {
        pthread_mutex_lock(&c->lock);
        json_array_extend(c->spans, spans);
        pthread_mutex_unlock(&c->lock);
    }
    json_decref(json);
}

static void *collect(void *argument)
{
    struct collector *c = argument;
    const int *status = c->statuses;

    for (;;) {
        int fd = accept(c->listener, NULL, NULL);
        char text[80], *body;
        if (fd < 0 || c->closing) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        body = read_body(fd);
        c->requests++;
        if (*status == 0) {
            while (!c->closing)
                poll(NULL, 0, 10);
        } else {
            if (body && *status == 200)
                keep(c, body);
            int length = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}",
                                  *status);
            (void)!send(fd, text, (size_t)length, MSG_NOSIGNAL);
            status += status[1] != -1;
        }
        free(body);
        close(fd);
    }
}

static void collector_open(struct collector *c, const int *statuses)
{
    *c = (struct collector){.statuses = statuses, .lock = PTHREAD_MUTEX_INITIALIZER};
    c->listener = test_listen(&c->port);
    c->spans = json_array();
    pthread_create(&c->thread, NULL, collect, c);
}

static void collector_close(struct collector *c)
{
    c->closing = true;
    shutdown(c->listener, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->listener);
    json_decref(c->spans);
}

/* Returns a copy of the first span of this name, to be released, after waiting for it. */
static json_t *span_of(struct collector *c, const char *name, int patience_ms)
{
    for (int waited = 0; waited < patience_ms * TEST_SLOWDOWN; waited += 20, poll(NULL, 0, 20)) {
        json_t *found = NULL, *span;
        size_t i;
        pthread_mutex_lock(&c->lock);
        json_array_foreach(c->spans, i, span)
        {
            if (!found && !strcmp(json_string_value(json_object_get(span, "name")), name))
                found = json_deep_copy(span);
        }
        pthread_mutex_unlock(&c->lock);
        if (found)
            return found;
    }
    return NULL;
}

static const char *text_of(const json_t *span, const char *key)
{
    const char *text = json_string_value(json_object_get(span, key));
    return text ? text : "";
}

static bool open_with(const struct collector *c, const char *share)
{
    char url[60];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", c->port);
    return test_service_open(
        &service, 64, 48,
        (const char *const[]){"--trace-endpoint", url, "--trace-share", share, NULL});
}

static int localize(const char *headers)
{
    struct test_reply reply;
    char all[200];
    snprintf(all, sizeof all, "Content-Type: image/jpeg\r\n%s", headers);
    test_request(&service.server, "POST", "/localize", all, service.jpeg, service.jpeg_length,
                 &reply);
    test_reply_release(&reply);
    return reply.status;
}

static void tells_of_requests_and_stages(void)
{
    static const char *const stages[] = {"decode", "queue", "inference", "postprocess", "encode"};
    struct collector c;
    struct test_reply reply;

    collector_open(&c, (const int[]){200, -1});
    if (!open_with(&c, "0"))
        return;
    CU_ASSERT_EQUAL(localize(""), 200); /* begins no trace: its share is 0 */
    CU_ASSERT_EQUAL(localize("traceparent: 00-" TRACE "-" PARENT "-00\r\n"), 200);
    CU_ASSERT_EQUAL(localize("traceparent: 00-" TRACE "-" PARENT "-01\r\n"), 200);
    reply =
        test_get(&service.server, "GET", "/nowhere", "traceparent: 00-" TRACE "-" PARENT "-01\r\n");
    test_reply_release(&reply);
    reply = test_get(&service.server, "BREW", "/healthz",
                     "traceparent: 00-" TRACE "-" PARENT "-01\r\n");
    test_reply_release(&reply);

    /* OpenTelemetry's conventions name a method so that they do not know. */
    json_t *unknown = span_of(&c, "HTTP /healthz", 20000);
    CU_ASSERT_PTR_NOT_NULL(unknown);
    json_decref(unknown);
    json_t *request = span_of(&c, "POST /localize", 20000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    CU_ASSERT_STRING_EQUAL(text_of(request, "traceId"), TRACE);
    CU_ASSERT_STRING_EQUAL(text_of(request, "parentSpanId"), PARENT);
    unsigned long long begin = strtoull(text_of(request, "startTimeUnixNano"), NULL, 10);
    unsigned long long end = strtoull(text_of(request, "endTimeUnixNano"), NULL, 10);
    unsigned long long before = begin, now = (unsigned long long)time(NULL);
    CU_ASSERT(begin / 1000000000 > now - 300 && begin / 1000000000 <= now + 1);
    for (size_t i = 0; i < ADL_COUNT(stages); i++) {
        json_t *stage = span_of(&c, stages[i], 20000);
        CU_ASSERT_PTR_NOT_NULL_FATAL(stage);
        CU_ASSERT_STRING_EQUAL(text_of(stage, "parentSpanId"), text_of(request, "spanId"));
        unsigned long long from = strtoull(text_of(stage, "startTimeUnixNano"), NULL, 10);
        unsigned long long to = strtoull(text_of(stage, "endTimeUnixNano"), NULL, 10);
        /* One after the other, within the request. */
        CU_ASSERT(before <= from && from <= to && to <= end);
        before = from;
        json_decref(stage);
    }
    json_decref(request);
    json_decref(span_of(&c, "GET", 20000));
    pthread_mutex_lock(&c.lock);
    CU_ASSERT_EQUAL(json_array_size(c.spans), 8);
    pthread_mutex_unlock(&c.lock);
    CU_ASSERT(test_metric_reaches(&service.server, "adl_traced_requests_total{outcome=\"sent\"} ",
                                  3) >= 3);
    test_service_close(&service);
    collector_close(&c);
}

static void sends_again_what_was_refused_for_a_moment(void)
{
    struct collector c;

    collector_open(&c, (const int[]){503, 200, -1});
    if (!open_with(&c, "1"))
        return;
    CU_ASSERT_EQUAL(localize(""), 200);
    json_t *span = span_of(&c, "POST /localize", 20000);
    CU_ASSERT_PTR_NOT_NULL(span);
    CU_ASSERT(c.requests >= 2);
    json_decref(span);
    test_service_close(&service);
    collector_close(&c);
}

static void drops_what_is_refused_for_good(void)
{
    struct collector c;

    collector_open(&c, (const int[]){400, -1});
    if (!open_with(&c, "1"))
        return;
    CU_ASSERT_EQUAL(localize(""), 200);
    CU_ASSERT(test_metric_reaches(&service.server,
                                  "adl_traced_requests_total{outcome=\"dropped\"} ", 1) >= 1);
    test_service_close(&service);
    collector_close(&c);
}

static void a_silent_collector_holds_nothing(void)
{
    struct collector c;

    collector_open(&c, (const int[]){0, -1});
    if (!open_with(&c, "1"))
        return;
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(localize(""), 200);
    uint64_t begin = adl_clock_ns();
    test_service_close(&service);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 8000 * TEST_SLOWDOWN);
    collector_close(&c);
}

static void what_waits_is_sent_at_the_end(void)
{
    struct collector c;

    collector_open(&c, (const int[]){200, -1});
    if (!open_with(&c, "1"))
        return;
    CU_ASSERT_EQUAL(localize(""), 200);
    test_service_close(&service);
    json_t *span = span_of(&c, "POST /localize", 1000);
    CU_ASSERT_PTR_NOT_NULL(span);
    json_decref(span);
    collector_close(&c);
}

static void urls_are_checked(void)
{
    char error[500];
    CU_ASSERT_EQUAL(
        test_program_run((const char *const[]){"serve", "--trace-endpoint", "https://a", NULL},
                         error, sizeof error),
        2);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "--trace-endpoint"));
}

TEST_SUITE(server_trace, {"tells of requests and their stages", tells_of_requests_and_stages},
           {"sends again what was refused for a moment", sends_again_what_was_refused_for_a_moment},
           {"drops what is refused for good", drops_what_is_refused_for_good},
           {"a silent collector holds nothing", a_silent_collector_holds_nothing},
           {"what waits is sent at the end", what_waits_is_sent_at_the_end},
           {"URLs are checked", urls_are_checked});
