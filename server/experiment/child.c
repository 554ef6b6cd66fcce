/* Runs this program as a child process.
 *
 * The signals are blocked and taken with sigtimedwait(), together with the child's end (SIGCHLD),
 * so that there is no handler and no moment between a check and a wait at which one is lost. The
 * child is a process of its own, also where mpirun has started this one: it does not see what
 * mpirun has put into the environment. */

#include "server/experiment/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/spawn.h"
#include "server/training/mpi_start.h"

/* A blocked signal whose action is to be ignored may be dropped; one that is handled is not. */
static void ignore(int number)
{
    (void)number;
}

void adl_child_guard_begin(struct adl_child_guard *guard)
{
    struct sigaction handled = {.sa_handler = ignore, .sa_flags = SA_NOCLDSTOP}, hangup;

    guard->stopped = false;
    sigaction(SIGCHLD, &handled, NULL);
    sigemptyset(&guard->watched);
    sigaddset(&guard->watched, SIGCHLD);
    sigaddset(&guard->watched, SIGINT);
    sigaddset(&guard->watched, SIGTERM);
    /* Programs such as nohup start this one with SIGHUP ignored; it stays ignored then. */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&guard->watched, SIGHUP);
    sigprocmask(SIG_BLOCK, &guard->watched, &guard->before);
    /* Runs of days do not end because nobody reads what is said of them any more. */
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &guard->pipe);
}

void adl_child_guard_end(struct adl_child_guard *guard)
{
    sigprocmask(SIG_SETMASK, &guard->before, NULL);
}

bool adl_child_guard_wait(struct adl_child_guard *guard, int seconds)
{
    const struct timespec limit = {.tv_sec = seconds};
    int number;

    do
        number = sigtimedwait(&guard->watched, NULL, &limit);
    while (number == SIGCHLD);
    guard->stopped |= number > 0;
    return guard->stopped;
}

/* Waits until the child ends; returns its status as waitpid() does. */
static int wait_for(struct adl_child_guard *guard, pid_t child)
{
    int status = 0;

    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child || (ended < 0 && errno != EINTR))
            return status;
        int number = sigwaitinfo(&guard->watched, NULL);
        if (number > 0 && number != SIGCHLD) {
            guard->stopped = true;
            /* As it is: `train` ends at a second SIGTERM at once, but not at a second SIGHUP, which
             * the shell and the kernel may both send when a terminal closes. */
            kill(child, number == SIGHUP ? SIGHUP : SIGTERM);
        }
    }
}

static int start(const struct adl_child_guard *guard, char *const *words, char *const *variables,
                 const char *out, const char *log, pid_t *child)
{
    struct adl_spawn how = {
        /* Not by its name: the file may have been replaced since this process
         * began. */
        .program = "/proc/self/exe",
        .words = words,
        .variables = variables,
        .files = {{.fd = 0, .path = "/dev/null", .flags = O_RDONLY},
                  {.fd = 1, .path = out, .flags = O_WRONLY | O_CREAT | O_TRUNC},
                  {.fd = 2, .path = log, .flags = O_WRONLY | O_CREAT | O_APPEND}},
        .file_count = 3,
        .blocked = guard->before,
        .own_group = true};

    sigemptyset(&how.reset);
    if (guard->pipe.sa_handler != SIG_IGN)
        sigaddset(&how.reset, SIGPIPE);
    return adl_spawn(&how, child);
}

int adl_child_run(struct adl_child_guard *guard, char *const *words, const char *out,
                  const char *log, struct adl_error *err)
{
    pid_t child;

    if (adl_child_guard_wait(guard, 0))
        return 128 + SIGTERM;
    char **variables = adl_mpi_environment_alone(err);
    if (!variables)
        return -1;
    int failed = start(guard, words, variables, out, log, &child);
    adl_free(variables);
    if (failed)
        return adl_fail(err, ADL_ERR_IO, "cannot run adl-server %s: %s", words[1],
                        strerror(failed));
    int status = wait_for(guard, child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
