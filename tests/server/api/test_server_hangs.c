/* SIGTERM ends the server whatever hangs: a file system, a pipe that nobody writes into, a process
 * that decodes. Meanwhile it serves what does not need that. */

#include "support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "support/helper_processes.h"
#include "support/http_client.h"
#include "support/hung_mount.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

/* --drain-timeout 1 and, for a load, a second more; the rest is for a busy machine. */
enum { PATIENCE_MS = 6000 * TEST_SLOWDOWN };

static struct test_service service;
static struct test_server admin;

static const char *file_in(const char *directory)
{
    static char path[500];

    snprintf(path, sizeof path, "%s/a.safetensors", scratch_path("%s", directory));
    return path;
}

static int get_status(const struct test_server *server, const char *target)
{
    struct test_reply reply = test_get(server, "GET", target, NULL);

    test_reply_release(&reply);
    return reply.status;
}

static int localize_status(void)
{
    struct test_reply reply =
        test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n", service.jpeg,
                  service.jpeg_length);

    test_reply_release(&reply);
    return reply.status;
}

/* Sends SIGTERM; the server has to end in time with this status, or by the signal. */
static void end_in_time(const char *what, int want)
{
    uint64_t begin = adl_clock_ns();

    test_server_signal(&service.server, SIGTERM);
    int status = test_program_ended(service.server.pid, PATIENCE_MS);
    if (status != want)
        TEST_FAIL("%s: the server ended with %d after %.1f s", what, status,
                  adl_clock_ms(begin, adl_clock_ns()) / 1e3);
    service.server.pid = 0;
}

static char *sanitizing; /* ASAN_OPTIONS as they were; NULL: there were none */

static bool open_mount(int looks)
{
    static const char *const folders[] = {"hung", NULL};
    const char *options = getenv("ASAN_OPTIONS");
    char spared[500];

    scratch_open("server_hangs", folders);
    if (!hung_mount_open(scratch_path("hung"), looks))
        return false;
    /* LeakSanitizer stops all threads when the server ends, and one that waits for the mount cannot
     * be stopped. */
    sanitizing = options ? adl_strdup(options) : NULL;
    snprintf(spared, sizeof spared, "%s:detect_leaks=0", options ? options : "");
    setenv("ASAN_OPTIONS", spared, 1);
    return true;
}

static void close_mount(void)
{
    hung_mount_close();
    if (sanitizing)
        setenv("ASAN_OPTIONS", sanitizing, 1);
    else
        unsetenv("ASAN_OPTIONS");
    adl_free(sanitizing);
    sanitizing = NULL;
}

/* The first load of a model hangs: the server says that it is not ready. */
static void a_load(void)
{
    char model[600];

    if (!open_mount(3)) /* the start looks twice */
        return;
    snprintf(model, sizeof model, "hung=%s", file_in("hung"));
    const char *arguments[] = {"--model", model, "--drain-timeout", "1", NULL};
    if (test_server_start(&service.server, arguments) == 0) {
        CU_ASSERT(hung_mount_holds());
        CU_ASSERT_EQUAL(get_status(&service.server, "/healthz"), 200);
        CU_ASSERT_EQUAL(get_status(&service.server, "/readyz"), 503);
        end_in_time("a load", 0);
    }
    close_mount();
}

/* The start hangs, which looks whether the file of the model is there. */
static void the_start(void)
{
    char model[600], log[500];

    if (!open_mount(1))
        return;
    snprintf(model, sizeof model, "hung=%s", file_in("hung"));
    snprintf(log, sizeof log, "%s", scratch_path("log"));
    const char *const arguments[] = {"serve", "--listen", "127.0.0.1:0", "--model", model, NULL};
    service.server.pid = test_program_start(arguments, log);
    CU_ASSERT_FATAL(service.server.pid > 0);
    CU_ASSERT(hung_mount_holds());
    end_in_time("the start", -SIGTERM);
    close_mount();
}

/* A reload hangs: requests are answered as before. */
static void a_reload(void)
{
    char path[500], model[520];

    if (!open_mount(1))
        return;
    snprintf(path, sizeof path, "%s", scratch_path("b.safetensors"));
    snprintf(model, sizeof model, "b=%s", path);
    unlink(path);
    CU_ASSERT_EQUAL(symlink(test_small_model(), path), 0);
    if (test_service_open(&service, 64, 48,
                          (const char *const[]){"--model", model, "--drain-timeout", "1", NULL})) {
        CU_ASSERT(unlink(path) == 0 && symlink(file_in("hung"), path) == 0);
        test_server_signal(&service.server, SIGHUP);
        CU_ASSERT(hung_mount_holds());
        CU_ASSERT_EQUAL(get_status(&service.server, "/readyz"), 200);
        CU_ASSERT_EQUAL(localize_status(), 200);
        end_in_time("a reload", 0);
        test_service_release(&service);
    }
    close_mount();
}

/* A model that is put hangs: its client waits, others are answered. */
static void a_put(void)
{
    char listen[500], folder[500];

    if (!open_mount(1))
        return;
    snprintf(listen, sizeof listen, "unix:%s", scratch_path("socket"));
    snprintf(admin.address, sizeof admin.address, "%.107s", listen);
    snprintf(folder, sizeof folder, "%s", scratch_path("hung"));
    if (test_service_open(&service, 64, 48,
                          (const char *const[]){"--admin-listen", listen, "--models-dir", folder,
                                                "--drain-timeout", "1", NULL})) {
        int fd = test_connect(&admin);
        test_send_text(fd, "PUT /models/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                           "application/json\r\nContent-Length: 24\r\n\r\n"
                           "{\"file\":\"a.safetensors\"}");
        CU_ASSERT(hung_mount_holds());
        CU_ASSERT_EQUAL(get_status(&admin, "/readyz"), 200);
        CU_ASSERT_EQUAL(localize_status(), 200);
        end_in_time("a PUT", 0);
        close(fd);
        test_service_release(&service);
    }
    close_mount();
}

/* The file of tokens is a pipe without a writer at a reload, and then from the start. */
static void the_tokens(void)
{
    static const char *const folders[] = {NULL};
    char path[500], log[500];

    scratch_open("server_hangs", folders);
    snprintf(path, sizeof path, "%s", scratch_path("tokens"));
    snprintf(log, sizeof log, "%s", scratch_path("log"));
    unlink(path);
    scratch_append("tokens", "secret-1\n");
    chmod(path, 0600);
    const char *arguments[] = {
        "--model", test_small_model(), "--token-file", path, "--drain-timeout", "1", NULL};
    if (test_server_start(&service.server, arguments) < 0 || test_server_ready(&service.server) < 0)
        return;
    CU_ASSERT(unlink(path) == 0 && mkfifo(path, 0600) == 0);
    test_server_signal(&service.server, SIGHUP);
    poll(NULL, 0, 200);
    CU_ASSERT_EQUAL(get_status(&service.server, "/readyz"), 200);
    end_in_time("tokens at a reload", 0);
    const char *const start[] = {
        "serve",        "--listen", "127.0.0.1:0", "--model", test_small_model(),
        "--token-file", path,       NULL};
    service.server.pid = test_program_start(start, log);
    CU_ASSERT_FATAL(service.server.pid > 0);
    poll(NULL, 0, 300 * TEST_SLOWDOWN);
    end_in_time("tokens at the start", -SIGTERM);
    unlink(path);
}

/* All processes that decode are stopped: a request that waits for one is given up. */
static void the_decoders(void)
{
    pid_t helpers[MAX_HELPER_PROCESSES];

    if (!test_service_open(
            &service, 64, 48,
            (const char *const[]){"--isolate-decoders", "on", "--drain-timeout", "1", NULL}))
        return;
    CU_ASSERT_EQUAL(localize_status(), 200);
    int count = helper_processes(service.server.pid, helpers);
    CU_ASSERT(count > 0);
    for (int i = 0; i < count; i++)
        test_kill(helpers[i], SIGSTOP);
    int fd = test_connect(&service.server);
    test_send_text(fd, POST_HEAD "Content-Length: %zu\r\n\r\n", service.jpeg_length);
    test_send(fd, service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(test_metric_reaches(&service.server, "\nadl_http_requests_in_flight ", 2), 2);
    end_in_time("decoders", 0);
    CU_ASSERT_EQUAL(test_next_status(fd), 503);
    close(fd);
    for (int i = 0; i < count; i++)
        CU_ASSERT(helper_process_ended(helpers[i]));
    test_service_release(&service);
}

TEST_SUITE(server_hangs, {"the start", the_start}, {"a load", a_load}, {"a reload", a_reload},
           {"a PUT", a_put}, {"the tokens", the_tokens}, {"the decoders", the_decoders});
