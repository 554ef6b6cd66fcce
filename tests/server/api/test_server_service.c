/* `serve` as a service: what its manager is told, what the journal gets, and reloads whose
 * end somebody waits for. */

#include "support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "server/options/service_hint.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

static struct test_server server;

/* Makes the file hold the small model, or its first half. */
static void write_model(const char *path, bool whole)
{
    struct adl_error err = {0};
    size_t length = 0;
    char *bytes = adl_file_read(test_small_model(), 1 << 30, &length, &err);
    char beside[400];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "w");
    if (!bytes || !file || fwrite(bytes, whole ? length : length / 2, 1, file) != 1 ||
        fclose(file) != 0 || rename(beside, path) < 0)
        TEST_FAIL("cannot write %s", path);
    adl_free(bytes);
}

/* Opens the socket of a service manager and names it in the environment. */
static int open_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/manager", test_tmp_dir());
    unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        TEST_FAIL("cannot bind");
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return fd;
}

/* The last STATUS= that the manager was told. */
static void last_status(int manager, char status[600])
{
    char text[600];
    ssize_t got;

    *status = '\0';
    while ((got = recv(manager, text, sizeof text - 1, MSG_DONTWAIT)) > 0) {
        text[got] = '\0';
        const char *at = strstr(text, "STATUS=");
        if (at)
            snprintf(status, 600, "%s", at + 7);
    }
}

static int reload(char error[1000])
{
    char pid[20];
    snprintf(pid, sizeof pid, "%d", (int)server.pid);
    return test_program_run((const char *const[]){"reload", pid, NULL}, error, 1000);
}

static void tells_how_a_reload_ended(void)
{
    char path[300], error[1000], status[600];
    int manager = open_manager();

    snprintf(path, sizeof path, "%s/reloaded.safetensors", test_tmp_dir());
    write_model(path, true);
    if (test_server_start(&server, (const char *const[]){"--model", path, NULL}) < 0 ||
        test_server_ready(&server) < 0)
        return;
    CU_ASSERT_EQUAL(reload(error), 0);
    for (int i = 0; i < 2; i++) {
        write_model(path, false);
        CU_ASSERT_EQUAL(reload(error), 1);
        if (!strstr(error, "reloaded.safetensors"))
            TEST_FAIL("%s", error);
        last_status(manager, status);
        if (!strstr(status, "reload failed") || !strstr(status, "reloaded.safetensors"))
            TEST_FAIL("%s", status);
    }
    CU_ASSERT_EQUAL(test_server_ready(&server), 0);
    write_model(path, true);
    CU_ASSERT_EQUAL(reload(error), 0);
    last_status(manager, status);
    CU_ASSERT_STRING_EQUAL(status, "ready: 1 model");
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    unsetenv("NOTIFY_SOCKET");
    close(manager);
    unlink(path);
}

static void *reload_main(void *argument)
{
    char pid[20], *out = argument;
    snprintf(pid, sizeof pid, "%d", (int)server.pid);
    char command[500];
    /* A process of its own, since test_program_run() uses one file for all. */
    snprintf(command, sizeof command, "ADL_TEST_AS_PROGRAM=1 /proc/%d/exe reload %s", (int)getpid(),
             pid);
    *out = (char)(system(command) == 0);
    return NULL;
}

/* Their signals are equal, and the kernel drops some of them. */
static void answers_all_who_ask_at_once(void)
{
    pthread_t threads[6];
    char ok[6] = {0};

    if (test_server_start(&server, (const char *const[]){"--model", test_small_model(), NULL}) <
            0 ||
        test_server_ready(&server) < 0)
        return;
    for (size_t i = 0; i < ADL_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, reload_main, &ok[i]);
    for (size_t i = 0; i < ADL_COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT(ok[i]);
    }
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
}

static void reloads_no_other_process(void)
{
    static const char *const words[] = {"0", "-1", "x", "", "1x", "99999999999999999999"};
    char error[1000];

    for (size_t i = 0; i < ADL_COUNT(words); i++) {
        int status =
            test_program_run((const char *const[]){"reload", "--", words[i], NULL}, error, 1000);
        if (status != 2 || !strstr(error, "is not a process id"))
            TEST_FAIL("\"%s\": %d, %s", words[i], status, error);
    }
    /* Beyond the largest process id of Linux. */
    CU_ASSERT_EQUAL(
        test_program_run((const char *const[]){"reload", "2000000000", NULL}, error, 1000), 1);
}

static void marks_errors_for_the_journal(void)
{
    static const struct {
        const char *arguments[6];
        const char *begin;
    } cases[] = {
        /* Before the log is set up, and after it, in both formats. */
        {{"serve", "--queue", "0"}, "<3>adl-server: serve: --queue"},
        {{"serve", "--model", "/nowhere"}, "<3>{\"ts\":"},
        {{"serve", "--model", "/nowhere", "--log-format", "text"},
         "<3>adl-server: serve: /nowhere"},
        {{"info", "/nowhere"}, "<3>adl-server: info: "},
    };
    char path[300], stream[100], error[1000];
    struct stat status;

    snprintf(path, sizeof path, "%s/program.err", test_tmp_dir());
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &status) < 0)
        TEST_FAIL("cannot make %s", path);
    close(fd);
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
                 (unsigned long long)status.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        test_program_run(cases[i].arguments, error, sizeof error);
        if (strncmp(error, cases[i].begin, strlen(cases[i].begin)) != 0)
            TEST_FAIL("case %zu: %s", i, error);
        /* The variable of another stream: the descriptor was redirected. */
        setenv("JOURNAL_STREAM", "1:2", 1);
        test_program_run(cases[i].arguments, error, sizeof error);
        CU_ASSERT(*error && *error != '<');
    }
    unsetenv("JOURNAL_STREAM");
}

static void explains_what_a_service_cannot_read(void)
{
    static const struct {
        const char *path, *words;
    } cases[] = {
        {"/home/me/no-such-model", "ProtectHome="},
        {"/root/no-such-model", "ProtectHome="},
        {"/tmp/no-such-model", "PrivateTmp="},
        {"/var/tmp/no-such-model", "PrivateTmp="},
        {"no-such-model", "whole path"},
        {"/tmpx/no-such-model", NULL},
        {"/dev/null", NULL},
    };
    char pid[20];

    for (int own = 0; own < 2; own++) {
        snprintf(pid, sizeof pid, "%d", own ? (int)getpid() : (int)getppid());
        setenv("SYSTEMD_EXEC_PID", pid, 1);
        for (size_t i = 0; i < ADL_COUNT(cases); i++) {
            struct adl_error err = {ADL_ERR_NOT_FOUND, "begin"};
            adl_service_explain(cases[i].path, &err);
            bool right = own && cases[i].words ? strstr(err.message, cases[i].words) != NULL
                                               : !strcmp(err.message, "begin");
            if (!right)
                TEST_FAIL("%s: %s", cases[i].path, err.message);
        }
    }
    unsetenv("SYSTEMD_EXEC_PID");
}

/* A mistyped variable is warned of, in the log and by --print-config. */
static void warns_of_unknown_variables(void)
{
    char error[1000];

    setenv("ADL_SERVER_QUEU", "5", 1);
    setenv("ADL_SERVER_QUEUE", "", 1); /* empty: unset */
    CU_ASSERT_EQUAL(test_program_run((const char *const[]){"serve", "--print-config", NULL}, error,
                                     sizeof error),
                    0);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "ADL_SERVER_QUEUE?"));
    test_program_run((const char *const[]){"serve", "--model", "/nowhere", NULL}, error,
                     sizeof error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "\"level\":\"warn\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "ADL_SERVER_QUEUE?"));
    unsetenv("ADL_SERVER_QUEU");
    unsetenv("ADL_SERVER_QUEUE");
}

TEST_SUITE(server_service, {"tells how a reload ended", tells_how_a_reload_ended},
           {"answers all who ask at once", answers_all_who_ask_at_once},
           {"reloads no other process", reloads_no_other_process},
           {"marks errors for the journal", marks_errors_for_the_journal},
           {"explains what a service cannot read", explains_what_a_service_cannot_read},
           {"warns of unknown variables", warns_of_unknown_variables});
