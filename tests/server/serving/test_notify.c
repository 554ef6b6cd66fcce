/* server/serving/notify: the messages that a service manager receives. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/serving/notify.h"

/* Opens a datagram socket at `path` ("@..." is abstract) and names it in the environment. */
static int open_manager(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path));
    if (*path == '@')
        address.sun_path[0] = '\0';
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (bind(fd, (struct sockaddr *)&address, length) < 0)
        TEST_FAIL("cannot bind %s", path);
    setenv("NOTIFY_SOCKET", path, 1);
    return fd;
}

static void expect(int fd, const char *want)
{
    char text[600];
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = '\0';
    if (strncmp(text, want, strlen(want)) != 0)
        TEST_FAIL("\"%s\", expected \"%s\"", text, want);
}

static void tells_the_manager(void)
{
    char path[100], abstract[100];
    snprintf(path, sizeof path, "%s/notify", test_tmp_dir());
    snprintf(abstract, sizeof abstract, "@adl-test-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        int fd = open_manager(i ? abstract : path);
        adl_notify("READY=1\nSTATUS=%d models", 2);
        expect(fd, "READY=1\nSTATUS=2 models");
        adl_notify_reloading();
        expect(fd, "RELOADING=1\nMONOTONIC_USEC=");
        close(fd);
    }
    /* Without a listener, or with an invalid address, nothing happens. */
    adl_notify("READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    adl_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    adl_notify("READY=1");
}

static void reads_the_watchdog(void)
{
    char own[20];
    snprintf(own, sizeof own, "%d", (int)getpid());
    CU_ASSERT_EQUAL(adl_notify_watchdog_ns(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    CU_ASSERT_EQUAL(adl_notify_watchdog_ns(), 30000000000);
    setenv("WATCHDOG_PID", own, 1);
    CU_ASSERT_EQUAL(adl_notify_watchdog_ns(), 30000000000);
    setenv("WATCHDOG_PID", "1", 1);
    CU_ASSERT_EQUAL(adl_notify_watchdog_ns(), 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "-5", 1);
    CU_ASSERT_EQUAL(adl_notify_watchdog_ns(), 0);
    unsetenv("WATCHDOG_USEC");
}

static void knows_whose_sockets_they_are(void)
{
    struct adl_error err = {0};
    int fds[ADL_LIMIT_LISTENERS];
    size_t count = 7;
    TEST_OK(adl_notify_listen_fds(fds, &count, &err), &err);
    CU_ASSERT_EQUAL(count, 0);
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    TEST_OK(adl_notify_listen_fds(fds, &count, &err), &err);
    CU_ASSERT_EQUAL(count, 0);
    unsetenv("LISTEN_PID");
    setenv("LISTEN_FDS", "17", 1);
    CU_ASSERT(adl_notify_listen_fds(fds, &count, &err) < 0);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "17 sockets"));
    unsetenv("LISTEN_FDS");
}

TEST_SUITE(notify, {"tells the manager", tells_the_manager},
           {"reads the watchdog", reads_the_watchdog},
           {"knows whose sockets they are", knows_whose_sockets_they_are});
