/* Starts, lends and replaces helper processes.
 *
 * DESIGN
 *
 * A helper is this program, started anew with the word ADL_DECODE_HELPER by posix_spawn(), which
 * copies no memory and is safe beside other threads, whatever locks they hold. It gets two
 * descriptors, a socket and the shared memory, and of the environment only what changes how a
 * program runs; not what an administrator has put there. All signals but those of faults are
 * blocked in it, and it is in a process group of its own: Ctrl-C and the service manager's SIGTERM
 * are for the server, which drains and needs it.
 *
 * The shared memory is a memfd, as long as the largest file with the window, and sealed so that it
 * stays so long: if a helper could cut it, the server would get SIGBUS. What is not used of it
 * takes no memory, and what a large file has used is given back.
 *
 * A thread takes a helper that nobody uses, the last used first since its memory is in the caches,
 * and waits for one only if there are as many users as helpers. One that died while it was idle is
 * noticed then and costs nothing. One that dies, hangs or says nonsense while it works is killed
 * and waited for; its place is empty until a thread needs it and starts another one there. So
 * nothing is restarted in a circle, and a flood of files that crash a decoder costs their senders'
 * requests and a start each.
 *
 * All are started by one thread, the keeper, that lives as long as the server: the kernel ends a
 * helper when the thread that started it ends (PR_SET_PDEATHSIG), and a server that is killed must
 * leave none behind.
 *
 * `lock` protects the lists and the counts; it is never held while a process is started, waited for
 * or talked to. A helper that is taken belongs to the thread that took it. */

#include "server/serving/decoders.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/spawn.h"
#include "server/serving/decode_helper.h"
#include "server/serving/decode_link.h"
#include "server/serving/decode_wire.h"
#include "server/serving/log.h"

/* Of the memory of files, what a helper keeps for the next one. */
#define KEPT_BYTES ADL_MIB
/* Descriptors that are passed are put here first: above those that the helper has. */
#define HIGH_FD 16
/* Most helpers. */
#define MAX_HELPERS 64

struct helper {
    struct adl_decode_link link;
    pid_t pid; /* 0: there is none */
    clockid_t clock;
    double cpu_ms; /* of its clock, at the last look */
    bool busy;
    struct adl_decoder_client *client; /* who uses it */
    struct helper *next;               /* in a list */
    bool starting;                     /* the keeper has not started it yet */
    struct adl_error start_error;
};

struct adl_decoders {
    struct adl_decoders_config config;
    size_t shared_bytes;
    struct helper helpers[MAX_HELPERS];

    pthread_mutex_t lock; /* protects what follows, and `busy` */
    pthread_cond_t returned, wanted, started;
    struct helper *idle;     /* with a process, the last used first */
    struct helper *to_start; /* empty places whose users wait for the keeper */
    bool stop;
    pthread_t keeper;
    bool has_keeper;
    int alive;
    uint64_t logged_ns; /* when a line was written last */
    unsigned unlogged;  /* restarts since then */
};

/* --- processes ---------------------------------------------------------------------- */

/* Of the environment, what a loader, an allocator, a sanitizer or a decoder reads. */
static void choose_environment(char **chosen, size_t size)
{
    static const char *const prefixes[] = {"LD_",   "ASAN_",  "UBSAN_",         "TSAN_",
                                           "LSAN_", "JSIMD_", "GLIBC_TUNABLES="};
    size_t count = 0;

    for (char **variable = environ; *variable && count < size - 1; variable++)
        for (size_t i = 0; i < ADL_COUNT(prefixes); i++)
            if (!strncmp(*variable, prefixes[i], strlen(prefixes[i]))) {
                chosen[count++] = *variable;
                break;
            }
    chosen[count] = NULL;
}

/* Makes the memory that both share; returns its descriptor, -1 with errno. */
static int make_memory(size_t bytes)
{
    int fd = memfd_create("adl-decoder", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && (ftruncate(fd, (off_t)bytes) < 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Starts the process with the descriptors, both of which are above those that it gets. */
static int spawn(const struct adl_decoders *decoders, int socket_fd, int memory_fd, pid_t *pid)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    char name[] = "adl-server", word[] = ADL_DECODE_HELPER, shared[24], memory[24];
    char *environment[32];
    struct adl_spawn how = {/* Not by its name: the file may have been replaced since this process
                             * began. */
                            .program = "/proc/self/exe",
                            .words = (char *const[]){name, word, shared, memory, NULL},
                            .variables = environment,
                            .files = {{.fd = ADL_DECODE_HELPER_SOCKET, .from = socket_fd},
                                      {.fd = ADL_DECODE_HELPER_MEMORY, .from = memory_fd}},
                            .file_count = 2,
                            .own_group = true};

    snprintf(shared, sizeof shared, "%zu", decoders->shared_bytes);
    snprintf(memory, sizeof memory, "%zu", decoders->config.memory);
    choose_environment(environment, ADL_COUNT(environment));
    sigemptyset(&how.reset);
    sigfillset(&how.blocked);
    for (size_t i = 0; i < ADL_COUNT(faults); i++)
        sigdelset(&how.blocked, faults[i]);
    return adl_spawn(&how, pid);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Starts a helper in an empty place. */
static int start_helper(struct adl_decoders *decoders, struct helper *helper, struct adl_error *err)
{
    int pair[2] = {-1, -1}, socket_fd = -1, memory_fd = -1, high_fd = -1, failed = 0;
    void *shared = MAP_FAILED;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
        (socket_fd = fcntl(pair[1], F_DUPFD_CLOEXEC, HIGH_FD)) < 0 ||
        (memory_fd = make_memory(decoders->shared_bytes)) < 0 ||
        (high_fd = fcntl(memory_fd, F_DUPFD_CLOEXEC, HIGH_FD)) < 0)
        failed = errno;
    if (!failed) {
        shared = mmap(NULL, decoders->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, high_fd, 0);
        failed = shared == MAP_FAILED ? errno : spawn(decoders, socket_fd, high_fd, &helper->pid);
    }
    close_fd(pair[1]);
    close_fd(socket_fd);
    close_fd(memory_fd);
    close_fd(high_fd);
    if (failed) {
        close_fd(pair[0]);
        if (shared != MAP_FAILED)
            munmap(shared, decoders->shared_bytes);
        helper->pid = 0;
        return adl_fail(err, failed == EAGAIN || failed == ENOMEM ? ADL_ERR_NOMEM : ADL_ERR_IO,
                        "a process to decode images cannot be started: %s", strerror(failed));
    }
    helper->link.fd = pair[0];
    helper->link.shared = shared;
    helper->link.shared_bytes = decoders->shared_bytes;
    helper->cpu_ms = 0;
    if (clock_getcpuclockid(helper->pid, &helper->clock) != 0)
        helper->clock = CLOCK_THREAD_CPUTIME_ID;
    return adl_decode_link_open(&helper->link, err);
}

static void *keep(void *argument)
{
    struct adl_decoders *decoders = argument;

    pthread_mutex_lock(&decoders->lock);
    for (;;) {
        while (!decoders->stop && !decoders->to_start)
            pthread_cond_wait(&decoders->wanted, &decoders->lock);
        struct helper *helper = decoders->to_start;
        if (!helper)
            break;
        decoders->to_start = helper->next;
        pthread_mutex_unlock(&decoders->lock);
        adl_error_clear(&helper->start_error);
        (void)!start_helper(decoders, helper, &helper->start_error);
        pthread_mutex_lock(&decoders->lock);
        helper->starting = false;
        pthread_cond_broadcast(&decoders->started);
    }
    pthread_mutex_unlock(&decoders->lock);
    return NULL;
}

/* Has the keeper start a helper in an empty place; adl_decode_link_ready() has to be called next.
 */
static int ask_keeper(struct adl_decoders *decoders, struct helper *helper, struct adl_error *err)
{
    pthread_mutex_lock(&decoders->lock);
    helper->starting = true;
    helper->next = decoders->to_start;
    decoders->to_start = helper;
    pthread_cond_signal(&decoders->wanted);
    while (helper->starting)
        pthread_cond_wait(&decoders->started, &decoders->lock);
    pthread_mutex_unlock(&decoders->lock);
    if (helper->start_error.kind == ADL_ERR_NONE)
        return 0;
    return adl_fail(err, helper->start_error.kind, "%s", helper->start_error.message);
}

/* Ends a helper whatever it does, and returns its status as waitpid() does: that of its own end, if
 * it had ended before. Its place is empty then. */
static int end_helper(struct adl_decoders *decoders, struct helper *helper)
{
    int status = 0;

    kill(helper->pid, SIGKILL);
    while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(helper->link.fd);
    munmap(helper->link.shared, decoders->shared_bytes);
    helper->link.shared = NULL;
    helper->pid = 0;
    return status;
}

/* --- what is told of restarts --------------------------------------------------------- */

static void count_restart(struct adl_decoders *decoders, enum adl_decoder_reason reason,
                          const char *what)
{
    const uint64_t now = adl_clock_ns();
    unsigned more;

    atomic_fetch_add_explicit(&decoders->config.metrics->decoder_restarts[reason], 1,
                              memory_order_relaxed);
    pthread_mutex_lock(&decoders->lock);
    const bool log = !decoders->logged_ns || now - decoders->logged_ns > 1000000000;
    more = decoders->unlogged;
    decoders->unlogged = log ? 0 : more + 1;
    if (log)
        decoders->logged_ns = now;
    pthread_mutex_unlock(&decoders->lock);
    if (log)
        adl_log(ADL_LOG_WARN, "decoder", "a process that decodes images is replaced",
                json_pack("{s:s, s:s, s:i}", "reason", adl_decoder_reason_names[reason], "what",
                          what, "others_before", (int)more));
}

/* Turns the end of a helper that worked into an error and a reason. */
static enum adl_decoder_reason explain_end(enum adl_decode_end end, int status,
                                           char what[static 64], struct adl_error *err)
{
    const int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    if (end == ADL_DECODE_LATE) {
        snprintf(what, 64, "it did not end in time");
        return ADL_DECODER_LATE;
    }
    if (end == ADL_DECODE_REFUSED) {
        snprintf(what, 64, "it said what makes no sense");
        (void)!adl_fail(err, ADL_ERR_FORMAT,
                        "the image could not be decoded: what the decoder gave makes no sense");
        return ADL_DECODER_REFUSED;
    }
    if (number == SIGKILL) {
        snprintf(what, 64, "it was killed");
        (void)!adl_fail(err, ADL_ERR_NOMEM,
                        "the decoder was killed while it decoded the image, perhaps for want of "
                        "memory");
        return ADL_DECODER_KILLED;
    }
    if (number)
        snprintf(what, 64, "it crashed with signal %d", number);
    else
        snprintf(what, 64, "it ended with status %d", WEXITSTATUS(status));
    (void)!adl_fail(err, ADL_ERR_FORMAT, "the image could not be decoded: the decoder crashed");
    return ADL_DECODER_CRASHED;
}

/* --- lending -------------------------------------------------------------------------- */

/* Adds what the helper has computed since the last look to its client's time. The kernel's figure,
 * since the helper's own might be a lie. */
static void look_at_clock(void *context)
{
    struct helper *helper = context;
    struct timespec now;

    if (helper->clock == CLOCK_THREAD_CPUTIME_ID || clock_gettime(helper->clock, &now) < 0)
        return;
    const double ms = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
    if (helper->client)
        helper->client->cpu_ms += ms - helper->cpu_ms;
    helper->cpu_ms = ms;
}

/* Takes an idle helper, or an empty place. */
static struct helper *take_place(struct adl_decoders *decoders)
{
    struct helper *helper = NULL;

    pthread_mutex_lock(&decoders->lock);
    while (!helper) {
        helper = decoders->idle;
        if (helper)
            decoders->idle = helper->next;
        for (int i = 0; !helper && i < decoders->config.most; i++)
            if (!decoders->helpers[i].busy && !decoders->helpers[i].pid)
                helper = &decoders->helpers[i];
        if (!helper)
            pthread_cond_wait(&decoders->returned, &decoders->lock);
    }
    helper->busy = true;
    pthread_mutex_unlock(&decoders->lock);
    return helper;
}

static void give_back(struct adl_decoders *decoders, struct helper *helper, int change)
{
    helper->client = NULL;
    pthread_mutex_lock(&decoders->lock);
    helper->busy = false;
    if (helper->pid) {
        helper->next = decoders->idle;
        decoders->idle = helper;
    }
    decoders->alive += change;
    pthread_cond_signal(&decoders->returned);
    pthread_mutex_unlock(&decoders->lock);
}

/* Takes a helper that waits for a request, and starts one if there is none. NULL with an error. */
static struct helper *take(struct adl_decoders *decoders, struct adl_error *err)
{
    struct helper *helper = take_place(decoders);
    int change = 0;

    if (helper->pid && !adl_decode_link_idle(&helper->link)) {
        end_helper(decoders, helper);
        change--;
        count_restart(decoders, ADL_DECODER_KILLED, "it ended while it had nothing to do");
    }
    if (!helper->pid) {
        if (ask_keeper(decoders, helper, err) < 0 ||
            adl_decode_link_ready(&helper->link, err) < 0) {
            if (helper->pid)
                end_helper(decoders, helper);
            give_back(decoders, helper, change);
            return NULL;
        }
        change++;
    }
    if (change) {
        pthread_mutex_lock(&decoders->lock);
        decoders->alive += change;
        pthread_mutex_unlock(&decoders->lock);
    }
    return helper;
}

/* Gives the memory of a large file back to the system. */
static void forget_file(const struct adl_decoders *decoders, const struct helper *helper,
                        size_t length)
{
    const size_t kept = ADL_DECODE_WINDOW_BYTES + KEPT_BYTES;

    if (length > KEPT_BYTES)
        (void)!madvise(helper->link.shared + kept, decoders->shared_bytes - kept, MADV_REMOVE);
}

static int decode(struct adl_image_decoder *decoder, struct adl_decode_work *work,
                  struct adl_error *err)
{
    struct adl_decoder_client *client = (struct adl_decoder_client *)decoder;
    struct adl_decoders *decoders = client->decoders;
    struct adl_error own = {0};
    struct helper *helper = take(decoders, &own);
    char what[64];
    int change = 0;

    if (!helper) {
        /* Whatever the reason, the client may try again. */
        return adl_fail(err, ADL_ERR_NOMEM, "%s", own.message);
    }
    helper->client = client;
    if (!work->options->pause)
        work->until_ns = adl_clock_ns() + (uint64_t)decoders->config.limit_s * 1000000000;
    const enum adl_decode_end end = adl_decode_link_run(&helper->link, work, &own);
    if (end == ADL_DECODE_ANSWERED) {
        forget_file(decoders, helper, work->length);
    } else {
        look_at_clock(helper);
        const int status = end_helper(decoders, helper);
        count_restart(decoders, explain_end(end, status, what, &own), what);
        change = -1;
    }
    give_back(decoders, helper, change);
    if (own.kind == ADL_ERR_NONE)
        return 0;
    return adl_fail(err, own.kind, "%s", own.message);
}

static int decode_rows(struct adl_image_decoder *decoder, const void *bytes, size_t length,
                       const struct adl_decode_options *options, const struct adl_image_info *info,
                       struct adl_row_target *target, struct adl_error *err)
{
    struct adl_decode_work work = {
        .bytes = bytes, .length = length, .options = options, .info = info, .target = target};
    return decode(decoder, &work, err);
}

static int decode_sizes(struct adl_image_decoder *decoder, const void *bytes, size_t length,
                        const struct adl_decode_options *options, const struct adl_image_info *info,
                        struct adl_image *images, int count, struct adl_error *err)
{
    struct adl_decode_work work = {.bytes = bytes,
                                   .length = length,
                                   .options = options,
                                   .info = info,
                                   .images = images,
                                   .count = count};
    return decode(decoder, &work, err);
}

void adl_decoder_client_init(struct adl_decoder_client *client, struct adl_decoders *decoders)
{
    *client =
        (struct adl_decoder_client){.decoder = {decode_rows, decode_sizes}, .decoders = decoders};
}

/* --- the whole ------------------------------------------------------------------------ */

struct adl_decoders *adl_decoders_create(const struct adl_decoders_config *config,
                                         struct adl_error *err)
{
    struct adl_decoders *decoders = adl_calloc(1, sizeof *decoders);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int started = 0, result = 0;

    if (!decoders) {
        adl_fail_nomem(err, "the decoders");
        return NULL;
    }
    decoders->config = *config;
    decoders->config.most = ADL_MIN(config->most, MAX_HELPERS);
    decoders->config.helpers = ADL_MIN(config->helpers, decoders->config.most);
    decoders->shared_bytes =
        ADL_DECODE_WINDOW_BYTES + KEPT_BYTES + adl_ceil_div(config->file_bytes, page) * page;
    pthread_mutex_init(&decoders->lock, NULL);
    pthread_cond_init(&decoders->returned, NULL);
    pthread_cond_init(&decoders->wanted, NULL);
    pthread_cond_init(&decoders->started, NULL);
    /* Without it an ended helper would be forgotten before waitpid(), and its number used again. */
    signal(SIGCHLD, SIG_DFL);
    for (int i = 0; i < MAX_HELPERS; i++) {
        decoders->helpers[i].link.heard = look_at_clock;
        decoders->helpers[i].link.context = &decoders->helpers[i];
    }
    decoders->has_keeper = pthread_create(&decoders->keeper, NULL, keep, decoders) == 0;
    if (!decoders->has_keeper)
        result = adl_fail(err, ADL_ERR_NOMEM, "cannot start a thread for the decoders");
    for (; result == 0 && started < decoders->config.helpers; started++)
        result = ask_keeper(decoders, &decoders->helpers[started], err);
    for (int i = 0; result == 0 && i < started; i++)
        result = adl_decode_link_ready(&decoders->helpers[i].link, err);
    if (result < 0) {
        adl_decoders_free(decoders);
        return NULL;
    }
    for (int i = 0; i < started; i++)
        give_back(decoders, &decoders->helpers[i], 1);
    return decoders;
}

void adl_decoders_free(struct adl_decoders *decoders)
{
    if (!decoders)
        return;
    for (int i = 0; i < MAX_HELPERS; i++)
        if (decoders->helpers[i].pid)
            end_helper(decoders, &decoders->helpers[i]);
    pthread_mutex_lock(&decoders->lock);
    decoders->stop = true;
    pthread_cond_signal(&decoders->wanted);
    pthread_mutex_unlock(&decoders->lock);
    if (decoders->has_keeper)
        pthread_join(decoders->keeper, NULL);
    pthread_cond_destroy(&decoders->started);
    pthread_cond_destroy(&decoders->wanted);
    pthread_cond_destroy(&decoders->returned);
    pthread_mutex_destroy(&decoders->lock);
    adl_free(decoders);
}

int adl_decoders_count(struct adl_decoders *decoders)
{
    pthread_mutex_lock(&decoders->lock);
    const int alive = decoders->alive;
    pthread_mutex_unlock(&decoders->lock);
    return alive;
}
