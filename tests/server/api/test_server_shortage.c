/* A server that lacks what it needs goes on when it is there again: memory at any moment of a
 * request, descriptors, space for its log, and time, when it is stopped for a while. Many requests
 * leave nothing behind. */

#include "support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

static struct test_service service;

static int post_status(const char *target, const char *headers, const void *bytes, size_t length)
{
    struct test_reply reply = test_post(&service.server, target, headers, bytes, length);

    test_reply_release(&reply);
    return reply.status;
}

static int jpeg_status(const char *target)
{
    return post_status(target, "Content-Type: image/jpeg\r\n", service.jpeg, service.jpeg_length);
}

static int get_status(const char *target)
{
    struct test_reply reply = test_get(&service.server, "GET", target, NULL);

    test_reply_release(&reply);
    return reply.status;
}

/* Each allocation of a request fails in turn, in whichever thread it is. */
static void memory(void)
{
    static const char *const targets[] = {"/localize?top_k=3&heatmap=array",
                                          "/localize?heatmap=png"};
    enum { MOST = 120 };
    int counts[3] = {0};
    size_t form_length;
    void *form;

    if (!test_service_open(&service, 64, 48, NULL))
        return;
    form = test_form(service.jpeg, service.jpeg_length, 2, &form_length);
    for (int n = 1; n <= MOST; n++) {
        test_server_fail_memory(&service.server, n);
        int status = n % 3 == 2 ? post_status("/localize",
                                              "Content-Type: multipart/form-data; boundary=b\r\n",
                                              form, form_length)
                                : jpeg_status(targets[n % 3]);
        test_server_fail_memory(&service.server, 0);
        if (status != 200 && status != 503 && status != 0)
            TEST_FAIL("allocation %d: status %d", n, status);
        counts[status == 200 ? 0 : status == 503 ? 1 : 2]++;
    }
    CU_ASSERT(counts[0] > 0 && counts[1] > 10);
    /* Only where there is no memory for an answer, the connection is closed without one. */
    CU_ASSERT(counts[2] < MOST / 4);
    CU_ASSERT_EQUAL(jpeg_status(targets[0]), 200);
    CU_ASSERT_EQUAL(test_metric_reaches(&service.server, "\nadl_http_requests_in_flight ", 1), 1);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_memory_reserved_bytes "), 0);
    adl_free(form);
    test_service_close(&service);
}

/* Without descriptors new clients wait, open connections are served, and nothing spins. */
static void descriptors(void)
{
    struct rlimit old, few;
    int fds[24], opened = 0;

    if (!test_service_open(&service, 64, 48, NULL))
        return;
    int kept = test_connect(&service.server);
    test_send_text(kept, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(kept), 200);
    CU_ASSERT_EQUAL_FATAL(prlimit(service.server.pid, RLIMIT_NOFILE, NULL, &old), 0);
    int used = (int)test_metric(&service.server, "\nprocess_open_fds ");
    CU_ASSERT(used > 0);
    few = (struct rlimit){(rlim_t)used + 4, old.rlim_max};
    CU_ASSERT_EQUAL(prlimit(service.server.pid, RLIMIT_NOFILE, &few, NULL), 0);
    for (; opened < (int)ADL_COUNT(fds); opened++)
        fds[opened] = test_connect(&service.server);
    double before = test_server_processor_s(&service.server);
    poll(NULL, 0, 500);
    if (!TEST_WATCHED)
        CU_ASSERT(test_server_processor_s(&service.server) - before < 0.1);
    for (int i = 0; i < 5; i++) {
        poll(NULL, 0, 20);
        test_send_text(kept, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
        test_send(kept, service.jpeg, service.jpeg_length);
        CU_ASSERT_EQUAL(test_next_status(kept), 200);
    }
    while (opened > 0)
        close(fds[--opened]);
    CU_ASSERT_EQUAL(get_status("/healthz"), 200);
    CU_ASSERT_EQUAL(prlimit(service.server.pid, RLIMIT_NOFILE, &old, NULL), 0);
    close(kept);
    test_service_close(&service);
}

/* A log that the disk does not take holds nobody, and its lines are counted. */
static void full_disks(void)
{
    /* Where writing gives ENOSPC, and EIO. */
    static const char *const files[] = {"/dev/full", "/proc/self/mem"};

    for (size_t i = 0; i < ADL_COUNT(files); i++) {
        if (!test_service_open(&service, 64, 48,
                               (const char *const[]){"--access-log", files[i], NULL}))
            return;
        for (int k = 0; k < 10; k++)
            CU_ASSERT_EQUAL(jpeg_status("/localize"), 200);
        CU_ASSERT(test_metric_reaches(&service.server,
                                      "\nadl_log_lines_dropped_total{log=\"access\"} ", 10) >= 10);
        test_service_close(&service);
    }
}

/* A server that is stopped for longer than its watchdogs look answers what it had accepted. */
static void a_stop(void)
{
    enum { CLIENTS = 8 };
    int fds[CLIENTS], good = 0;

    if (!test_service_open(&service, 64, 48, NULL))
        return;
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = test_connect(&service.server);
        test_send_text(fds[i], POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
        test_send(fds[i], service.jpeg, service.jpeg_length);
        if (i == CLIENTS / 2)
            test_server_signal(&service.server, SIGSTOP);
    }
    poll(NULL, 0, 1500);
    test_server_signal(&service.server, SIGCONT);
    for (int i = 0; i < CLIENTS; i++) {
        good += test_next_status(fds[i]) == 200;
        close(fds[i]);
    }
    CU_ASSERT_EQUAL(good, CLIENTS);
    test_service_close(&service);
}

static double resident_kib(void)
{
    char path[40], line[200];
    double kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)service.server.pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %lf", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

/* One round of requests of all kinds, good and bad. */
static void round_of_requests(void)
{
    CU_ASSERT_EQUAL(jpeg_status("/localize?top_k=2&heatmap=png"), 200);
    CU_ASSERT_EQUAL(jpeg_status("/localize?top_k=0"), 400);
    CU_ASSERT_EQUAL(jpeg_status("/localize?model=nope"), 404);
    CU_ASSERT_EQUAL(post_status("/localize", "Content-Type: image/png\r\n", service.png,
                                service.png_length / 2),
                    422);
    CU_ASSERT_EQUAL(post_status("/localize", "Content-Type: text/plain\r\n", "x", 1), 415);
    CU_ASSERT_EQUAL(get_status("/models"), 200);
    CU_ASSERT_EQUAL(get_status("/nowhere"), 404);
    CU_ASSERT_EQUAL(get_status("/metrics"), 200);
}

/* The short form of tests/soak/endure.py. */
static void many_requests(void)
{
    double before;

    if (!test_service_open(&service, 64, 48, NULL))
        return;
    for (int i = 0; i < 30; i++)
        round_of_requests();
    before = resident_kib();
    for (int i = 0; i < 50; i++)
        round_of_requests();
    if (!TEST_WATCHED && resident_kib() > before + 1024)
        TEST_FAIL("400 requests left %.0f KiB", resident_kib() - before);
    test_service_close(&service);
}

TEST_SUITE(server_shortage, {"memory", memory}, {"descriptors", descriptors},
           {"full disks", full_disks}, {"a stop", a_stop}, {"many requests", many_requests});
