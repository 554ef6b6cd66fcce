/* The sandbox of processes that decode images (server/serving/sandbox.c): what a decoder that was
 * taken over could try ends the process. */

#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/size.h"
#include "server/serving/decode_helper.h"
#include "server/serving/decode_wire.h"
#include "server/serving/sandbox.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED true
#else
#define SANITIZED false
#endif

enum { HIGH = 20 };

/* Starts a helper that tries something; returns its status as waitpid() does, -1 on failure. */
static int status_of(const char *what)
{
    const size_t bytes = 2 * ADL_DECODE_WINDOW_BYTES;
    char words[5][24] = {"adl-server", ADL_DECODE_HELPER, "", "67108864", ""};
    /* Leaks are looked for by another process, which a helper cannot start. */
    char options[] = "ASAN_OPTIONS=detect_leaks=0";
    char *argv[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    char *environment[] = {options, NULL};
    int pair[2], memory = memfd_create("test", 0), status = -1;
    posix_spawn_file_actions_t files;
    pid_t pid;

    snprintf(words[2], sizeof words[2], "%zu", bytes);
    snprintf(words[4], sizeof words[4], "%s", what);
    if (memory < 0 || ftruncate(memory, (off_t)bytes) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    if (dup2(pair[1], HIGH) != HIGH || dup2(memory, HIGH + 1) != HIGH + 1)
        return -1;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, HIGH, ADL_DECODE_HELPER_SOCKET);
    posix_spawn_file_actions_adddup2(&files, HIGH + 1, ADL_DECODE_HELPER_MEMORY);
    /* Descriptors that the helper inherits against all rules are closed by it. */
    if (posix_spawn(&pid, "/proc/self/exe", &files, NULL, argv, environment) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&files);
    close(pair[0]);
    close(pair[1]);
    close(memory);
    close(HIGH);
    close(HIGH + 1);
    return status;
}

/* Without a forbidden call it ends as it should: so it is the call that ends it below. */
static void lets_it_work(void)
{
    int status = status_of("nothing");
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = status_of("thread");
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void ends_it(void)
{
    static const char *const tries[] = {"open",  "socket",         "fork",       "exec",
                                        "kill",  "ptrace",         "executable", "make-executable",
                                        "write", "send-elsewhere", "prctl"};

    for (size_t i = 0; i < ADL_COUNT(tries); i++) {
        int status = status_of(tries[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            TEST_FAIL("%s: status %#x instead of SIGSYS", tries[i], (unsigned)status);
    }
}

static void limits_memory(void)
{
    if (SANITIZED)
        return; /* which reserves terabytes of addresses */
    int status = status_of("memory");
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* Started by a person it says what it is. */
static void needs_its_descriptors(void)
{
    char *argv[] = {(char[]){"adl-server"}, (char[]){ADL_DECODE_HELPER}, NULL};
    posix_spawn_file_actions_t files;
    int status = 0;
    pid_t pid;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", 1, 0);
    if (posix_spawn(&pid, "/proc/self/exe", &files, NULL, argv, environ) == 0)
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&files);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

static void *live_for(void *ms)
{
    poll(NULL, 0, *(const int *)ms);
    return NULL;
}

/* Enters the sandbox in a process that has a second thread for so long. Returns its status. */
static int status_beside(int ms)
{
    struct adl_error err = {0};
    int pair[2], status = -1;
    pthread_t thread;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        if (pthread_create(&thread, NULL, live_for, &ms) != 0)
            _exit(3);
        _exit(adl_sandbox_enter(pair[0], 64 << 20, &err) == 0 ? 0
              : err.kind == ADL_ERR_UNSUPPORTED               ? 1
                                                              : 2);
    }
    if (pid > 0)
        waitpid(pid, &status, 0);
    close(pair[0]);
    close(pair[1]);
    return status;
}

/* A thread that has ended is listed for a while on a busy machine; one that goes on is refused. */
static void waits_for_threads_that_end(void)
{
    if (SANITIZED)
        return; /* which has threads of its own */
    int status = status_beside(50);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = status_beside(60000);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

TEST_SUITE(sandbox, {"lets a decoder work", lets_it_work},
           {"ends what a decoder never does", ends_it}, {"limits memory", limits_memory},
           {"needs its descriptors", needs_its_descriptors},
           {"waits for threads that end", waits_for_threads_that_end});
