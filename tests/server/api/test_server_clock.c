/* The time of day is set forward and back while the server runs: what ends at a date follows it,
 * and nothing else does. */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wait.h"
#include "support/server_fixture.h"
#include "support/wall_clock.h"

#define HOUR_S INT64_C(3600)
#define YEAR_S (366 * 24 * HOUR_S)

#define FEW "Authorization: Bearer few-1\r\n"
#define BRIEF "Authorization: Bearer brief-1\r\n"
#define LASTING "Authorization: Bearer lasting-1\r\n"

static struct test_service service;
static char tokens[300], access_log[300];

/* Opens a server with a token that has two requests an hour, one that expires in a day, and one
 * without bounds. */
static bool open_service(void)
{
    const char *more[] = {"--token-file", tokens, "--access-log", access_log, "--timeout",
                          "20",           NULL};
    time_t soon = time(NULL) + 24 * HOUR_S;
    struct tm parts;
    char text[40];

    snprintf(tokens, sizeof tokens, "%s/clock-tokens", test_tmp_dir());
    snprintf(access_log, sizeof access_log, "%s/clock-access", test_tmp_dir());
    unlink(access_log);
    gmtime_r(&soon, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    FILE *file = fopen(tokens, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file, "few-1 rate=2/h\nbrief-1 expires=%s\nlasting-1 rights=localize,models\n", text);
    fclose(file);
    return test_service_open(&service, 64, 48, more);
}

static int status_of(const char *token, int *retry_after)
{
    struct test_reply reply = test_get(&service.server, "GET", "/models", token);
    const char *value = test_reply_header(&reply, "Retry-After");

    if (retry_after)
        *retry_after = value ? atoi(value) : -1;
    test_reply_release(&reply);
    return reply.status;
}

static void tokens_and_rates(void)
{
    static const int64_t jumps_s[] = {0, 5 * HOUR_S, -5 * HOUR_S, 30 * HOUR_S, -YEAR_S, YEAR_S};
    int retry;

    test_wall_clock_open();
    if (!open_service())
        return;
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(status_of(FEW, NULL), 200);
    for (size_t i = 0; i < sizeof jumps_s / sizeof *jumps_s; i++) {
        test_wall_clock_shift(jumps_s[i]);
        /* The day of the token ends; the hour of the rate is one of the machine's. */
        CU_ASSERT_EQUAL(status_of(BRIEF, NULL), jumps_s[i] > 24 * HOUR_S ? 401 : 200);
        CU_ASSERT_EQUAL(status_of(LASTING, NULL), 200);
        CU_ASSERT_EQUAL(status_of(FEW, &retry), 429);
        if (retry < 1500 || retry > 1801)
            TEST_FAIL("Retry-After: %d after a jump of %ld s", retry, (long)jumps_s[i]);
    }
    test_service_close(&service);
    test_wall_clock_close();
}

/* Reads the last line of the access log. */
static json_t *last_line(void)
{
    static char text[1 << 16];
    json_t *line = NULL;

    for (int i = 0; i < 300 && !line; i++, poll(NULL, 0, 10)) {
        FILE *file = fopen(access_log, "r");
        size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file)
            fclose(file);
        text[length] = '\0';
        if (length == 0 || text[length - 1] != '\n' || !strstr(text, "/localize"))
            continue;
        text[length - 1] = '\0';
        char *begin = strrchr(text, '\n');
        line = json_loads(begin ? begin + 1 : text, 0, NULL);
    }
    return line;
}

/* A request whose body takes from before the jump until after it, on a connection that was there
 * before and is used afterwards; returns the milliseconds that the log says it took. */
static double request_across(int fd, int64_t seconds)
{
    struct test_reply reply;
    const size_t half = service.jpeg_length / 2;

    unlink(access_log); /* the server goes on writing to the old file, which it opens again */
    test_server_signal(&service.server, SIGUSR1);
    poll(NULL, 0, 50);
    test_send_text(fd, POST_HEAD LASTING "Content-Length: %zu\r\n\r\n", service.jpeg_length);
    test_send(fd, service.jpeg, half);
    poll(NULL, 0, 50);
    test_wall_clock_shift(seconds);
    poll(NULL, 0, 200); /* deadlines are looked at several times */
    test_send(fd, (const char *)service.jpeg + half, service.jpeg_length - half);
    test_receive(fd, false, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    json_t *answer = test_reply_json(&reply), *line = last_line();
    const double total =
        json_number_value(json_object_get(json_object_get(answer, "timing_ms"), "total"));
    CU_ASSERT(total > 0 && total < 20000);
    double ms = json_number_value(json_object_get(line, "duration_ms"));
    /* The line itself has the time of day. */
    const char *ts = json_string_value(json_object_get(line, "ts"));
    time_t now = time(NULL);
    char year[8];
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(year, sizeof year, "%Y", &parts);
    CU_ASSERT(ts && !strncmp(ts, year, 4));
    json_decref(line);
    json_decref(answer);
    test_reply_release(&reply);
    return ms;
}

static void requests_and_connections(void)
{
    static const int64_t jumps_s[] = {10 * HOUR_S, -10 * HOUR_S, -3 * YEAR_S};

    test_wall_clock_open();
    if (!open_service())
        return;
    int fd = test_connect(&service.server);
    for (size_t i = 0; i < sizeof jumps_s / sizeof *jumps_s; i++) {
        double ms = request_across(fd, jumps_s[i]);
        if (ms < 200 || ms > 20000)
            TEST_FAIL("%g ms after a jump to %ld s", ms, (long)jumps_s[i]);
    }
    close(fd);
    test_service_close(&service);
    test_wall_clock_close();
}

static void *sleep_a_while(void *argument)
{
    _Atomic bool *end = argument;

    while (!*end)
        poll(NULL, 0, 10);
    return NULL;
}

/* What is waited for at the end, for a second or so, is not waited for by the time of day. */
static void waits_at_the_end(void)
{
    static _Atomic bool end;
    pthread_t thread;

    test_wall_clock_open();
    end = false;
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, sleep_a_while, &end) == 0);
    for (int back = 0; back < 2; back++) {
        test_wall_clock_shift(back ? -10 * HOUR_S : 20);
        uint64_t begin = adl_clock_ns();
        CU_ASSERT(!adl_thread_join_within(thread, 100));
        double ms = adl_clock_ms(begin, adl_clock_ns());
        if (ms < 99 || ms > 10000)
            TEST_FAIL("%g ms in place of 100", ms);
    }
    end = true;
    CU_ASSERT(adl_thread_join_within(thread, 30000));
    test_wall_clock_close();
}

TEST_SUITE(server_clock, {"tokens and rates", tokens_and_rates},
           {"requests and connections", requests_and_connections},
           {"waits at the end", waits_at_the_end});
