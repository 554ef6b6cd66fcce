/* The listening socket of `serve` when the server stops: one that a service manager passed
 * survives, with everybody who waits in its queue, and those who wait at the server's own
 * socket get an answer. */

#include "support/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/http/accept.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

#define HEALTH "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct test_server server;
static char *jpeg;
static size_t jpeg_length;

static bool start_on(int listener)
{
    const char *arguments[] = {"--model", test_small_model(), NULL};

    if (!jpeg)
        jpeg = test_picture(TEST_JPEG, 64, 48, &jpeg_length);
    return arguments[1] && jpeg &&
           test_server_start_on(&server, &listener, listener >= 0, arguments) == 0;
}

/* The status of the next reply, and whether it announces that the connection is closed. */
static int next_status(int fd, bool *closing)
{
    struct test_reply reply;
    test_receive(fd, false, &reply);
    const char *connection = reply.status ? test_reply_header(&reply, "Connection") : NULL;
    *closing = !connection || !strcmp(connection, "close");
    test_reply_release(&reply);
    return reply.status;
}

static int post(int fd, bool *closing)
{
    if (test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", jpeg_length) < 0 ||
        test_send(fd, jpeg, jpeg_length) < 0)
        return 0;
    return next_status(fd, closing);
}

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

static void leaves_the_socket_to_the_next_one(void)
{
    struct test_server client = {0};
    int listener = test_listen(&client.port), flags = fcntl(listener, F_GETFL);
    int waiting[20];
    bool closing;

    if (!start_on(listener))
        return;
    int open = test_connect(&client);
    CU_ASSERT_EQUAL(post(open, &closing), 200);
    CU_ASSERT_EQUAL(fcntl(listener, F_GETFL), flags);
    test_server_signal(&server, SIGTERM);
    /* The client on the open connection does not notice, except that the connection ends. */
    poll(NULL, 0, 100);
    CU_ASSERT_EQUAL(post(open, &closing), 200);
    CU_ASSERT(closing);
    close(open);
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        waiting[i] = test_connect(&client);
        test_send_text(waiting[i], HEALTH);
    }
    int status;
    CU_ASSERT_EQUAL(waitpid(server.pid, &status, 0), server.pid);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT(is_listening(listener));
    CU_ASSERT_EQUAL(fcntl(listener, F_GETFL), flags);
    /* The next one answers those who came between the two, and those before it started. */
    if (!start_on(listener))
        return;
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        CU_ASSERT_EQUAL(next_status(waiting[i], &closing), 200);
        close(waiting[i]);
    }
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    CU_ASSERT(is_listening(listener));
    close(listener);
}

struct load {
    struct test_server client;
    bool keeps; /* one connection for many requests */
    _Atomic bool end;
    _Atomic int done, failed;
};

static void *load_main(void *argument)
{
    struct load *load = argument;
    bool closing = true;
    int fd = -1;

    while (!load->end) {
        if (fd < 0)
            fd = test_connect(&load->client);
        int status = post(fd, &closing);
        load->failed += status != 200;
        load->done++;
        if (!load->keeps || closing || status != 200) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void restarts_under_load_without_a_failed_request(void)
{
    struct load loads[2] = {{.keeps = false}, {.keeps = true}};
    pthread_t threads[4];
    int listener = test_listen(&loads[0].client.port);

    loads[1].client = loads[0].client;
    if (!start_on(listener))
        return;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, load_main, &loads[i % 2]);
    for (int i = 0; i < 3; i++) {
        poll(NULL, 0, 300);
        CU_ASSERT_EQUAL(test_server_stop(&server), 0);
        if (!start_on(listener))
            break;
    }
    poll(NULL, 0, 300);
    loads[0].end = loads[1].end = true;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < ADL_COUNT(loads); i++)
        if (loads[i].failed > 0 || loads[i].done < 4)
            TEST_FAIL("%d of %d requests failed%s", loads[i].failed, loads[i].done,
                      loads[i].keeps ? " on kept connections" : "");
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    close(listener);
}
TEST_SLOW(restarts_under_load_without_a_failed_request);

/* Clients whose connections the kernel has accepted when the signal arrives. */
static void answers_those_who_wait_at_its_own_socket(void)
{
    int waiting[40], answered = 0;
    bool closing;

    if (!start_on(-1) || test_server_ready(&server) < 0)
        return;
    test_server_signal(&server, SIGSTOP);
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        waiting[i] = test_connect(&server);
        test_send_text(waiting[i], HEALTH);
    }
    test_server_signal(&server, SIGTERM);
    test_server_signal(&server, SIGCONT);
    for (size_t i = 0; i < ADL_COUNT(waiting); i++) {
        answered += next_status(waiting[i], &closing) == 200;
        close(waiting[i]);
    }
    CU_ASSERT_EQUAL(answered, (int)ADL_COUNT(waiting));
    int status;
    CU_ASSERT_EQUAL(waitpid(server.pid, &status, 0), server.pid);
    CU_ASSERT_EQUAL(status, 0);
}

static void serves_a_unix_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool closing;

    /* Of the abstract namespace, whose names begin with a NUL. */
    int length =
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "adl-test-%d", (int)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 5) < 0)
        TEST_FAIL("cannot listen");
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&address, size), 0);
        test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: photos.example.org\r\n\r\n");
        if (!start_on(listener))
            return;
        CU_ASSERT(!strncmp(server.address, "unix:@adl-test-", 15));
        CU_ASSERT_EQUAL(next_status(fd, &closing), 200);
        close(fd);
        CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    }
    close(listener);
}

/* All of them are served, and all survive. */
static void serves_several_sockets(void)
{
    struct test_server clients[3] = {0};
    const char *arguments[] = {"--model", test_small_model(), NULL};
    int listeners[3], fds[3];
    bool closing;

    for (size_t i = 0; i < ADL_COUNT(listeners); i++)
        listeners[i] = test_listen(&clients[i].port);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ADL_COUNT(listeners); i++) {
            fds[i] = test_connect(&clients[i]);
            test_send_text(fds[i], HEALTH);
        }
        if (test_server_start_on(&server, listeners, 3, arguments) < 0)
            return;
        for (size_t i = 0; i < ADL_COUNT(listeners); i++) {
            CU_ASSERT_EQUAL(next_status(fds[i], &closing), 200);
            close(fds[i]);
        }
        CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    }
    for (size_t i = 0; i < ADL_COUNT(listeners); i++) {
        CU_ASSERT(is_listening(listeners[i]));
        close(listeners[i]);
    }
}

/* Accept=yes passes a connection, ListenDatagram= another kind of socket. */
static void refuses_other_descriptors(void)
{
    static const struct {
        int type;
        bool connected;
        const char *words;
    } cases[] = {{SOCK_STREAM, true, "Accept=no"}, {SOCK_DGRAM, false, "ListenStream="}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char error[1000];

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct test_server peer = {0};
        int listener = test_listen(&peer.port);
        int fd = cases[i].connected ? test_connect(&peer)
                                    : socket(AF_INET, cases[i].type | SOCK_CLOEXEC, 0);
        if (!cases[i].connected && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
            TEST_FAIL("cannot bind");
        int status =
            test_program_run_on((const char *const[]){"serve", "--model", test_small_model(), NULL},
                                &fd, 1, error, sizeof error);
        if (status != 2 || !strstr(error, cases[i].words))
            TEST_FAIL("case %zu: %d, %s", i, status, error);
        close(fd);
        close(listener);
    }
}

/* --- the acceptor ------------------------------------------------------------------ */

static void take(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
    (void)address;
    (void)length;
    CU_ASSERT(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
    atomic_fetch_add((_Atomic int *)context, 1);
}

static bool never_full(void *context)
{
    (void)context;
    return false;
}

static _Atomic bool is_full;

static bool full_for_now(void *context)
{
    (void)context;
    return is_full;
}

/* Connections beyond the limit wait in the kernel's queue. */
static void waits_while_it_is_full(void)
{
    struct test_server peer = {0};
    struct adl_error err = {0};
    _Atomic int taken = 0;
    int clients[30];
    struct adl_acceptor_config config = {test_listen(&peer.port), take, full_for_now, &taken};

    is_full = true;
    struct adl_acceptor *acceptor = adl_acceptor_start(&config, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(acceptor);
    for (size_t i = 0; i < ADL_COUNT(clients); i++)
        clients[i] = test_connect(&peer);
    poll(NULL, 0, 100);
    CU_ASSERT_EQUAL(taken, 0);
    is_full = false;
    for (int i = 0; i < 500 && taken < (int)ADL_COUNT(clients); i++)
        poll(NULL, 0, 10);
    CU_ASSERT_EQUAL(taken, (int)ADL_COUNT(clients));
    adl_acceptor_stop(acceptor, true);
    for (size_t i = 0; i < ADL_COUNT(clients); i++)
        close(clients[i]);
}

/* Of two threads that poll() wakes for one connection, the second waits in accept4() for
 * the next one; it can be stopped nevertheless. */
static void stops_while_others_take_the_connections(void)
{
    struct test_server peer = {0};
    int listener = test_listen(&peer.port), clients[100];
    struct adl_error err = {0};
    struct adl_acceptor *acceptors[4];
    _Atomic int taken = 0;

    for (size_t i = 0; i < ADL_COUNT(acceptors); i++) {
        struct adl_acceptor_config config = {fcntl(listener, F_DUPFD_CLOEXEC, 0), take, never_full,
                                             &taken};
        acceptors[i] = adl_acceptor_start(&config, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(acceptors[i]);
    }
    for (size_t i = 0; i < ADL_COUNT(clients); i++)
        clients[i] = test_connect(&peer);
    for (int i = 0; i < 500 && taken < (int)ADL_COUNT(clients); i++)
        poll(NULL, 0, 10);
    CU_ASSERT_EQUAL(taken, (int)ADL_COUNT(clients));
    uint64_t begin = adl_clock_ns();
    for (size_t i = 0; i < ADL_COUNT(acceptors); i++)
        adl_acceptor_stop(acceptors[i], false);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 2000);
    CU_ASSERT(is_listening(listener));
    CU_ASSERT(!(fcntl(listener, F_GETFL) & O_NONBLOCK));
    for (size_t i = 0; i < ADL_COUNT(clients); i++)
        close(clients[i]);
    close(listener);
    adl_free(jpeg);
    jpeg = NULL;
}

TEST_SUITE(server_socket, {"leaves the socket to the next one", leaves_the_socket_to_the_next_one},
           {"restarts under load without a failed request",
            restarts_under_load_without_a_failed_request},
           {"answers those who wait at its own socket", answers_those_who_wait_at_its_own_socket},
           {"serves a Unix socket", serves_a_unix_socket},
           {"serves several sockets", serves_several_sockets},
           {"refuses other descriptors", refuses_other_descriptors},
           {"waits while it is full", waits_while_it_is_full},
           {"stops while others take the connections", stops_while_others_take_the_connections});
