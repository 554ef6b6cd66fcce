/* OpenBLAS inside the program, as the system sees it: whatever build of it is installed, it
 * starts no threads, and where address space is short every command ends. The environment
 * variable ADL_SERVER names the program. */

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "support/program.h"
#include "support/test.h"

/* Enough for any of the commands below on a busy machine. */
#define LIMIT_MS 60000.0
/* How long the threads of a running command are watched once OpenBLAS is loaded. */
#define WATCH_MS 700.0

/* Starts a command line of the shell, in which $P is the program; stdout is dropped, stderr
 * goes to a file. The variables that would hold OpenBLAS to one thread are not set. */
static pid_t start(const char *before, const char *command)
{
    posix_spawn_file_actions_t files;
    char line[700], path[300];
    const char *const argv[] = {"sh", "-c", line, NULL};
    pid_t pid = -1;

    snprintf(line, sizeof line,
             "unset OPENBLAS_NUM_THREADS OMP_NUM_THREADS; P='%s'; %s exec \"$P\" %s",
             program_path(), before, command);
    snprintf(path, sizeof path, "%s/stderr", test_tmp_dir());
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (posix_spawn(&pid, "/bin/sh", &files, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&files);
    CU_ASSERT_FATAL(pid > 0);
    return pid;
}

/* The wait status, or -1 for a process that had to be killed. */
static int wait_for(pid_t pid, double limit_ms)
{
    uint64_t begin = adl_clock_ns();
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (adl_clock_ms(begin, adl_clock_ns()) > limit_ms) {
            test_kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
        usleep(2000);
    }
    return status;
}

static size_t lines_on_stderr(void)
{
    struct adl_error err = {0};
    char path[300];
    size_t length, count = 0;

    snprintf(path, sizeof path, "%s/stderr", test_tmp_dir());
    char *text = adl_file_read(path, 1 << 20, &length, &err);
    for (size_t i = 0; text && i < length; i++)
        count += text[i] == '\n';
    adl_free(text);
    return count;
}

static void ends_where_memory_is_short(void)
{
    static const char *const commands[] = {
        "--version",
        "info models/default.safetensors",
        "localize --threads 2 --model models/default.safetensors web/examples/umbrella.jpg",
        "train --arch mobilenet_v1 --data /nonexistent --out /nonexistent/run",
        "bench --arch mobilenet_v1 --width 0.25 --threads 2 --size 64 --seconds 0.05",
        "bench --arch mobilenet_v1 --width 0.25 --threads 2 --size 64 --seconds 0.05 --train",
    };
    static const char *const paths[] = {"", "ADL_CPU=generic; export ADL_CPU;"};
    static const int kib[] = {30000, 60000, 100000, 150000, 200000, 250000, 300000, 400000};

    if (!program_exists())
        return;
    for (size_t c = 0; c < ADL_COUNT(commands) * ADL_COUNT(paths); c++)
        for (size_t i = 0; i < ADL_COUNT(kib); i++) {
            const char *command = commands[c / ADL_COUNT(paths)];
            char before[100];
            snprintf(before, sizeof before, "%s ulimit -v %d;", paths[c % ADL_COUNT(paths)],
                     kib[i]);
            int status = wait_for(start(before, command), LIMIT_MS);
            size_t lines = lines_on_stderr();
            if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) > 1 ||
                lines != (size_t)WEXITSTATUS(status))
                TEST_FAIL("%s %s: wait status %d, %zu lines", before, command, status, lines);
        }
}

/* Whether a library of that name is mapped into the process. */
static bool maps_library(pid_t pid, const char *name)
{
    char path[64], line[600];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file))
        found = strstr(line, name) != NULL;
    if (file)
        fclose(file);
    return found;
}

static size_t threads_of(pid_t pid)
{
    char path[64];
    size_t count = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count;
}

/* Two threads compute, and there must never be a third. */
static void watch_threads(const char *before, const char *library)
{
    pid_t pid = start(before, "bench --arch mobilenet_v1 --width 0.25 --threads 2 --train");
    uint64_t begin = adl_clock_ns(), loaded = 0;
    size_t most = 0;

    while (waitpid(pid, NULL, WNOHANG) == 0) {
        uint64_t now = adl_clock_ns();
        if (!loaded && maps_library(pid, library))
            loaded = now;
        size_t threads = threads_of(pid);
        most = threads > most ? threads : most;
        if ((loaded && adl_clock_ms(loaded, now) > WATCH_MS) ||
            adl_clock_ms(begin, now) > LIMIT_MS) {
            test_kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            break;
        }
        usleep(1000);
    }
    if (!loaded || most > 2)
        TEST_FAIL("%s: %s loaded: %d, threads: %zu", before, library, loaded > 0, most);
}

/* Debian has three builds, each in a directory of its own, and chooses among those that are
 * installed by a link. */
static void no_build_starts_threads(void)
{
    glob_t found;
    char before[400];

    if (!program_exists())
        return;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        test_skip("there is one processor, for which OpenBLAS starts no threads anyway");
        return;
    }
    watch_threads("", "libopenblas");
    if (glob("/usr/lib/*/openblas-*/libopenblas.so.0", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *slash = strrchr(found.gl_pathv[i], '/');
        *slash = '\0';
        snprintf(before, sizeof before, "LD_LIBRARY_PATH='%s'; export LD_LIBRARY_PATH;",
                 found.gl_pathv[i]);
        watch_threads(before, found.gl_pathv[i]);
    }
    globfree(&found);
}

TEST_SUITE(blas_limits, {"every command ends where memory is short", ends_where_memory_is_short},
           {"no build of OpenBLAS starts threads", no_build_starts_threads});
TEST_SLOW(ends_where_memory_is_short);
TEST_SLOW(no_build_starts_threads);
