/* `serve` with more connections than it accepts: one client with idle ones leaves others unharmed.
 */

#include "support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "support/server_fixture.h"

enum { IDLE = 200 };

static struct test_service service;

static void open_idle(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = test_connect(&service.server);
        /* Some say nothing, some have begun a request, some have had an answer. */
        if (i % 3 == 1)
            test_send_text(fds[i], "GET /healthz HTTP/1.1\r\nHost: loc");
        if (i % 3 == 2)
            test_send_text(fds[i], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static void idle_connections_give_way(void)
{
    static const char *const options[] = {"--max-connections", "32", "--queue", "4", NULL};
    int fds[IDLE];
    struct test_reply reply;

    if (!test_service_open(&service, 64, 48, options))
        return;
    open_idle(fds, IDLE);
    /* The one that was opened last is still there. */
    test_send_text(fds[IDLE - 1], "alhost\r\n\r\n");
    CU_ASSERT_EQUAL(test_next_status(fds[IDLE - 1]), 200);
    CU_ASSERT(test_closed(fds[0]));
    for (int i = 0; i < 20; i++) {
        uint64_t begin = adl_clock_ns();
        reply = test_get(&service.server, "GET", "/healthz", NULL);
        CU_ASSERT_EQUAL(reply.status, 200);
        test_reply_release(&reply);
        reply = test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n",
                          service.jpeg, service.jpeg_length);
        CU_ASSERT_EQUAL(reply.status, 200);
        test_reply_release(&reply);
        CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 2000 * TEST_SLOWDOWN);
    }
    poll(NULL, 0, 2500); /* the log says so once a second */
    close_all(fds, IDLE);
    test_server_stop(&service.server);
    char *log = test_server_log(&service.server);
    CU_ASSERT(log && strstr(log, "there are too many connections") != NULL);
    free(log);
    test_service_release(&service);
}

static void one_address_has_a_limit(void)
{
    static const char *const options[] = {"--max-connections-per-address", "3", NULL};
    int fds[5], status = 0;
    size_t half;

    if (!test_service_open(&service, 64, 48, options))
        return;
    half = service.jpeg_length / 2;
    /* Three busy connections: a fourth one is refused. */
    for (size_t i = 0; i < 3; i++) {
        fds[i] = test_connect(&service.server);
        test_send_text(fds[i], POST_HEAD "Content-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
                       service.jpeg_length);
        CU_ASSERT_EQUAL(test_next_status(fds[i]), 100);
        test_send(fds[i], service.jpeg, half);
    }
    fds[3] = test_connect(&service.server);
    CU_ASSERT(test_closed(fds[3]));
    /* An idle one gives way. It is idle a moment after its answer has arrived. */
    test_send(fds[0], (const char *)service.jpeg + half, service.jpeg_length - half);
    CU_ASSERT_EQUAL(test_next_status(fds[0]), 200);
    for (int i = 0; i < 100 && status != 200; i++) {
        fds[4] = test_connect(&service.server);
        test_send_text(fds[4], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        status = test_next_status(fds[4]);
        if (status != 200) {
            close(fds[4]);
            poll(NULL, 0, 50);
        }
    }
    CU_ASSERT_EQUAL(status, 200);
    CU_ASSERT(test_closed(fds[0]));
    close_all(fds, 5);
    test_service_close(&service);
}

/* Bodies that one address sends slowly leave room for those of another. */
static void slow_bodies_leave_room(void)
{
    enum { SLOW = 8, BODY = 4 << 20 };
    static const char *const options[] = {"--memory", "64M", "--max-body", "4M", NULL};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fds[SLOW];
    char *part = calloc(1, BODY * 5 / 8);

    if (!part || !test_service_open(&service, 64, 48, options))
        return;
    for (int i = 0; i < SLOW; i++) {
        fds[i] = test_connect(&service.server);
        test_send_text(fds[i], POST_HEAD "Content-Length: %d\r\n\r\n", BODY);
        test_send(fds[i], part, BODY * 5 / 8);
    }
    free(part);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons((uint16_t)service.server.port);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
    test_send(fd, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(test_next_status(fd), 200);
    close(fd);
    close_all(fds, SLOW);
    test_service_close(&service);
}

TEST_SUITE(server_crowd, {"idle connections give way", idle_connections_give_way},
           {"one address has a limit", one_address_has_a_limit},
           {"slow bodies leave room", slow_bodies_leave_room});
