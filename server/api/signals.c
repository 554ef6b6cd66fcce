/* Signals as events; see signals.h.
 *
 * DESIGN
 *
 * Signals arrive through a pipe. Blocking them and reading them from signalfd(2) would depend on
 * every thread of every library: the kernel would deliver a signal to a thread that does not block
 * it, and the signal's default action would end the process.
 *
 * After the first SIGTERM or SIGINT both have their default action again, so that a second one ends
 * the process at once.
 *
 * While the server starts, the main thread opens files (tokens, certificates, directories). If one
 * of these hangs, on a file server that is gone, no handler runs in this thread, not even one that
 * ends the process. So until the start is over another thread, the guard, takes the signals, and
 * ends the process START_MS after the first one. */

#include "server/api/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

#define START_MS 1000 /* how long the start may go on after a signal to end */
#define GUARD_MS 50   /* how often the guard looks */

static int signal_pipe[2] = {-1, -1};
static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
static atomic_bool ending, started;

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct sigaction end = {.sa_handler = SIG_DFL};
    int saved = errno;
    struct adl_signal_event event = {.signal = number};

    (void)context;
    if (info->si_code == SI_QUEUE)
        event.caller = (struct adl_reload_caller){info->si_pid, info->si_value.sival_int};
    if (number != SIGHUP && number != SIGUSR1) {
        sigaction(SIGTERM, &end, NULL);
        sigaction(SIGINT, &end, NULL);
        ending = true;
    }
    if (write(signal_pipe[1], &event, sizeof event) < 0) {
        /* The pipe is full of signals that have not been handled yet. */
    }
    errno = saved;
}

int adl_signals_take(struct adl_error *err)
{
    struct sigaction take = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    bool taken = pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0;

    sigfillset(&take.sa_mask);
    for (size_t i = 0; taken && i < ADL_COUNT(numbers); i++)
        taken = sigaction(numbers[i], &take, NULL) == 0;
    if (!taken || sigaction(SIGPIPE, &ignore, NULL) < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot install signal handlers: %s", strerror(errno));
    return 0;
}

/* --- the start -------------------------------------------------------------------- */

static void *guard_start(void *unused)
{
    for (int ms = 0; !started; ms += ending ? GUARD_MS : 0) {
        poll(NULL, 0, GUARD_MS);
        if (ms >= START_MS)
            raise(SIGTERM); /* as a second signal would */
    }
    return unused;
}

/* Blocks or unblocks the signals in this thread. */
static void mask(int how)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ADL_COUNT(numbers); i++)
        sigaddset(&set, numbers[i]);
    pthread_sigmask(how, &set, NULL);
}

void adl_signals_guard_start(void)
{
    pthread_t guard;

    if (pthread_create(&guard, NULL, guard_start, NULL) != 0)
        return; /* then a start that hangs has to be killed */
    pthread_detach(guard);
    mask(SIG_BLOCK);
}

void adl_signals_started(void)
{
    started = true;
    mask(SIG_UNBLOCK);
}

/* --- events ----------------------------------------------------------------------- */

int adl_signals_fd(void)
{
    return signal_pipe[0];
}

struct adl_signal_event adl_signals_next(void)
{
    struct adl_signal_event event;

    if (read(signal_pipe[0], &event, sizeof event) == sizeof event)
        return event;
    return (struct adl_signal_event){0};
}

void adl_signals_send(int signal)
{
    struct adl_signal_event event = {.signal = signal};

    if (write(signal_pipe[1], &event, sizeof event) < 0) {
        /* The pipe is full of events, which begin a reload if they are SIGHUPs as well; changes are
         * looked for after each event. */
    }
}
