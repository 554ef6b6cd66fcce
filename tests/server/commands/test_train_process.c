/* `train` as a process of its own: its lock, and what signals do. */

#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/size.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

/* Starts the program on the run "run" with `epochs`, and waits until it has saved for the
 * first time since then. Returns its process, or -1 after failing or skipping the test. */
static pid_t start_run(const char *epochs, bool resume)
{
    const char *program = getenv("ADL_SERVER"), *argv[TRAIN_MAX_ARGUMENTS] = {0};
    char data[300], out[300], state[330];
    const char *const words[] = {"train", TRAIN_COMMON, "--threads", "1", "--epochs", epochs};
    size_t argc = 0;
    struct stat before = {0}, now;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t hangup;
    pid_t pid;
    program = program ? program : "build/adl-server";
    if (access(program, X_OK) != 0) {
        test_skip("%s is not built", program);
        return -1;
    }
    snprintf(data, sizeof data, "%s", scratch_path("data"));
    snprintf(out, sizeof out, "%s", scratch_path("run"));
    snprintf(state, sizeof state, "%s/state.safetensors", out);
    argv[argc++] = program;
    for (size_t i = 0; i < ADL_COUNT(words); i++)
        argv[argc++] = words[i];
    argv[argc++] = "--data";
    argv[argc++] = data;
    argv[argc++] = "--out";
    argv[argc++] = out;
    if (resume)
        argv[argc++] = "--resume";
    stat(state, &before);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, scratch_path("log"), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    /* The tests may run under nohup. */
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &hangup);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int failed =
        posix_spawn(&pid, argv[0], &files, &attributes, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (failed) {
        TEST_FAIL("cannot start %s", program);
        return -1;
    }
    for (int i = 0; i < 3000; i++) {
        usleep(10000);
        if (stat(state, &now) == 0 && now.st_ino != before.st_ino)
            return pid;
    }
    TEST_FAIL("the run has not saved in half a minute");
    test_kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return -1;
}

/* A directory belongs to one run at a time. The lock ends with the process, also by
 * SIGKILL; SIGHUP saves as SIGTERM does. */
static void a_directory_has_one_run(void)
{
    struct adl_error err;
    char holder[40], digest[65];
    int status = -1;
    train_directories("lock");
    pid_t pid = start_run("100000", false);
    if (pid < 0)
        return;
    CU_ASSERT(TRAIN("run", true, &err, "--epochs", "100000", "--resume") < 0);
    snprintf(holder, sizeof holder, "process %ld)", (long)pid);
    CU_ASSERT(err.kind == ADL_ERR_BUSY && strstr(err.message, holder));
    CU_ASSERT(TRAIN("run", true, &err, "--epochs", "1") < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);

    test_kill(pid, SIGHUP);
    CU_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT_NOT_EQUAL(access(scratch_path("run/.lock"), F_OK), 0);
    snprintf(digest, sizeof digest, "%s", train_digest("run/last.safetensors"));

    /* What was saved at SIGHUP is what is resumed, as after a stop without a signal. */
    pid = start_run("100000", true);
    if (pid < 0)
        return;
    test_kill(pid, SIGKILL);
    CU_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CU_ASSERT_EQUAL(access(scratch_path("run/.lock"), F_OK), 0);
    scratch_append("run/.last.safetensors.0123456789abcdef.tmp", "half a file");
    TEST_OK(TRAIN("run", true, &err, "--epochs", "100000", "--resume"), &err);
    CU_ASSERT_NOT_EQUAL(access(scratch_path("run/.lock"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(scratch_path("run/.last.safetensors.0123456789abcdef.tmp"), F_OK),
                        0);
    CU_ASSERT(strcmp(digest, train_digest("run/last.safetensors")) != 0);
}

TEST_SUITE(train_process, {"a directory has one run", a_directory_has_one_run});
