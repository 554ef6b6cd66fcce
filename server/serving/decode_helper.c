/* Implements a helper process.
 *
 * It is the server's program started anew, not a fork of it: so it has neither keys nor tokens nor
 * other people's pictures in its memory, and no lock that another thread held. It maps the shared
 * memory, closes every descriptor but its socket, enters the sandbox, and then decodes one image
 * after the other with the functions that the server uses without helpers, so that the pixels are
 * the same to the last bit. Signals but those of faults are blocked from the start: it ends when
 * its server does, since then the socket is closed, and by SIGKILL.
 *
 * What it does with a request is trusted no more than the bytes in it: all that matters to the
 * server is checked there (decode_link.c). */

#include "server/serving/decode_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "server/serving/decode_wire.h"
#include "server/serving/sandbox.h"

struct helper {
    int fd;
    uint8_t *shared;
    size_t shared_bytes;
    bool gone; /* the server has closed its end */
};

/* --- the conversation -------------------------------------------------------------- */

static int say(struct helper *helper, const struct adl_decode_tell *tell)
{
    if (send(helper->fd, tell, sizeof *tell, MSG_NOSIGNAL) == sizeof *tell)
        return 0;
    helper->gone = true;
    return -1;
}

/* Waits until the server lets the helper go on. */
static int wait_to_go(struct helper *helper, struct adl_error *err)
{
    struct adl_decode_go go;

    helper->gone |= recv(helper->fd, &go, sizeof go, 0) != sizeof go;
    if (helper->gone || go.stop)
        return adl_fail(err, ADL_ERR_CANCELLED, "not wanted any more");
    return 0;
}

static int pause_helper(void *context, struct adl_error *err)
{
    const struct adl_decode_tell tell = {.said = ADL_DECODE_PAUSE};

    if (say(context, &tell) < 0)
        return adl_fail(err, ADL_ERR_CANCELLED, "the server has gone");
    return wait_to_go(context, err);
}

/* --- rows --------------------------------------------------------------------------- */

/* Collects rows in the window, and passes them on when it is full. */
struct window_target {
    struct adl_row_target target; /* first */
    struct helper *helper;
    struct adl_decode_tell *tell; /* has the image's numbers from begin() on */
    size_t row_bytes;
};

static void note_info(struct adl_decode_tell *tell, int width, int height, int orientation)
{
    tell->width = width;
    tell->height = height;
    tell->orientation = orientation;
}

static int window_begin(struct adl_row_target *target, const struct adl_image_info *info, int width,
                        int height, struct adl_error *err)
{
    struct window_target *t = (struct window_target *)target;

    (void)err;
    note_info(t->tell, width, height, info->orientation);
    t->row_bytes = 3 * (size_t)width;
    return 0;
}

static uint8_t *window_line(struct adl_row_target *target, int y)
{
    const struct window_target *t = (const struct window_target *)target;

    (void)y;
    return t->helper->shared + t->tell->bytes;
}

static int window_row(struct adl_row_target *target, int y, struct adl_error *err)
{
    struct window_target *t = (struct window_target *)target;

    t->tell->bytes += (uint32_t)t->row_bytes;
    if (t->tell->bytes + t->row_bytes <= ADL_DECODE_WINDOW_BYTES || y == t->tell->height - 1)
        return 0;
    t->tell->said = ADL_DECODE_MORE;
    if (say(t->helper, t->tell) < 0)
        return adl_fail(err, ADL_ERR_CANCELLED, "the server has gone");
    t->tell->bytes = 0;
    return wait_to_go(t->helper, err);
}

static int decode_rows(struct helper *helper, const struct adl_decode_ask *ask,
                       const struct adl_decode_options *options, struct adl_decode_tell *tell,
                       struct adl_error *err)
{
    struct window_target target = {
        .target = {window_begin, window_line, window_row, false}, .helper = helper, .tell = tell};
    struct adl_image_info info;

    return adl_image_decode_rows(helper->shared + ADL_DECODE_WINDOW_BYTES, ask->length, options,
                                 &target.target, &info, err);
}

/* --- sizes -------------------------------------------------------------------------- */

/* Puts the pixels into the window and passes them on when it is full. */
static int put_image(struct helper *helper, const struct adl_image *image,
                     struct adl_decode_tell *tell, struct adl_error *err)
{
    const size_t bytes = 3 * (size_t)image->width * (size_t)image->height;

    for (size_t done = 0; done < bytes;) {
        if (tell->bytes == ADL_DECODE_WINDOW_BYTES) {
            tell->said = ADL_DECODE_MORE;
            if (say(helper, tell) < 0)
                return adl_fail(err, ADL_ERR_CANCELLED, "the server has gone");
            tell->bytes = 0;
            if (wait_to_go(helper, err) < 0)
                return -1;
        }
        const size_t some = ADL_MIN(bytes - done, ADL_DECODE_WINDOW_BYTES - tell->bytes);
        memcpy(helper->shared + tell->bytes, image->rgb + done, some);
        tell->bytes += (uint32_t)some;
        done += some;
    }
    return 0;
}

static int decode_sizes(struct helper *helper, const struct adl_decode_ask *ask,
                        const struct adl_decode_options *options, struct adl_decode_tell *tell,
                        struct adl_error *err)
{
    struct adl_image images[ADL_DECODE_SIZES] = {0};
    struct adl_image_info info;
    int result = 0;

    for (int i = 0; i < ask->count; i++)
        images[i] =
            (struct adl_image){.width = ask->sizes[i].width, .height = ask->sizes[i].height};
    if (adl_image_decode_sizes(helper->shared + ADL_DECODE_WINDOW_BYTES, ask->length, options,
                               images, ask->count, &info, err) < 0)
        return -1;
    if (info.orientation >= 5)
        note_info(tell, info.height, info.width, info.orientation);
    else
        note_info(tell, info.width, info.height, info.orientation);
    for (int i = 0; i < ask->count && result == 0; i++)
        result = put_image(helper, &images[i], tell, err);
    for (int i = 0; i < ask->count; i++)
        adl_image_release(&images[i]);
    return result;
}

/* --- the loop ----------------------------------------------------------------------- */

static void answer(struct helper *helper, const struct adl_decode_ask *ask)
{
    struct adl_decode_tell tell = {.said = ADL_DECODE_DONE};
    struct adl_error err = {0};
    const struct adl_pause pause = {.call = pause_helper, .context = helper};
    const struct adl_decode_options options = {
        .max_pixels = ask->max_pixels,
        .max_memory_bytes = ask->max_memory_bytes,
        .ignore_orientation = ask->ignore_orientation,
        .ignore_alpha = ask->ignore_alpha,
        .aligned = ask->aligned,
        .target_width = ask->target_width,
        .target_height = ask->target_height,
        .pause = ask->pauses ? &pause : NULL,
    };

    int result = ask->count > 0 ? decode_sizes(helper, ask, &options, &tell, &err)
                                : decode_rows(helper, ask, &options, &tell, &err);
    tell.said = ADL_DECODE_DONE;
    if (result < 0) {
        tell = (struct adl_decode_tell){.said = ADL_DECODE_FAILED, .error = (int32_t)err.kind};
        memcpy(tell.message, err.message, sizeof tell.message);
    }
    (void)!say(helper, &tell);
}

void adl_decode_helper_serve(int fd, unsigned char *shared, unsigned long shared_bytes)
{
    struct helper helper = {.fd = fd, .shared = shared, .shared_bytes = shared_bytes};
    struct adl_decode_ask ask;

    while (!helper.gone && recv(fd, &ask, sizeof ask, 0) == sizeof ask) {
        if (ask.length > helper.shared_bytes - ADL_DECODE_WINDOW_BYTES ||
            ask.count > ADL_DECODE_SIZES)
            return;
        answer(&helper, &ask);
    }
}

static void *do_nothing(void *context)
{
    return context;
}

static bool start_a_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, do_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

/* --- tests of the sandbox ----------------------------------------------------------- */

/* Does what should end the process. Returns 0 if it was not even refused. */
static int try(const char *what, int fd)
{
    char *const words[] = {(char[]){"sh"}, NULL};
    const struct sockaddr elsewhere = {.sa_family = AF_UNIX, .sa_data = "/x"};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (!strcmp(what, "nothing"))
        return 0;
    if (!strcmp(what, "thread"))
        return !start_a_thread();
    if (!strcmp(what, "open"))
        return open("/etc/passwd", O_RDONLY) < 0;
    if (!strcmp(what, "socket"))
        return socket(AF_INET, SOCK_STREAM, 0) < 0;
    if (!strcmp(what, "fork"))
        return fork() < 0;
    if (!strcmp(what, "exec"))
        return execv("/bin/sh", words) < 0;
    if (!strcmp(what, "kill"))
        return kill(getpid(), 0) < 0;
    if (!strcmp(what, "ptrace"))
        return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
    if (!strcmp(what, "executable"))
        return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               MAP_FAILED;
    if (!strcmp(what, "make-executable"))
        return mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0;
    if (!strcmp(what, "write"))
        return write(STDOUT_FILENO, "x", 1) < 0;
    if (!strcmp(what, "send-elsewhere"))
        return sendto(fd + 1, "x", 1, 0, &elsewhere, sizeof elsewhere) < 0;
    if (!strcmp(what, "prctl"))
        return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0;
    if (!strcmp(what, "memory")) {
        /* Not ended, but refused. */
        return mmap(NULL, (size_t)1 << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0) == MAP_FAILED;
    }
    return 2;
}

/* --- the start ---------------------------------------------------------------------- */

static uint8_t *map_memory(size_t bytes)
{
    struct stat info;
    void *shared = MAP_FAILED;

    if (fstat(ADL_DECODE_HELPER_MEMORY, &info) == 0 && (size_t)info.st_size == bytes &&
        bytes > ADL_DECODE_WINDOW_BYTES)
        shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ADL_DECODE_HELPER_MEMORY, 0);
    return shared == MAP_FAILED ? NULL : shared;
}

/* Standard error stays for a sanitizer to say what it has found. */
static void close_all_but_socket(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    const unsigned last = STDOUT_FILENO;
#else
    const unsigned last = STDERR_FILENO;
#endif
    /* Not every C library has a function for it. */
    syscall(SYS_close_range, 0, last, 0);
    syscall(SYS_close_range, ADL_DECODE_HELPER_SOCKET + 1, ~0u, 0);
}

/* Where memory is short, the kernel is to take this process and not the server. */
static void be_first_to_go(void)
{
    static const char score[] = "500";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, score, sizeof score - 1) < 0) {
        /* Then the kernel decides by size alone. */
    }
    close(fd);
}

int adl_decode_helper_main(int argc, char *const *argv)
{
    const int fd = ADL_DECODE_HELPER_SOCKET;
    const size_t bytes = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
    const size_t memory = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    struct adl_decode_tell tell = {.said = ADL_DECODE_READY};
    struct adl_error err = {0};
    uint8_t *shared = map_memory(bytes);

    if (!shared) {
        fprintf(stderr, "adl-server: %s is started by adl-server serve\n", ADL_DECODE_HELPER);
        return 2;
    }
    /* A server that is killed while this one computes would not be missed before the end of that.
     */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    adl_mem_return_early();
    be_first_to_go();
    adl_image_prepare();
    start_a_thread(); /* the first one needs calls that no further one does */
    adl_mem_limit_arenas(1);
    close_all_but_socket();
    if (adl_sandbox_enter(fd, memory, &err) < 0) {
        tell.said = ADL_DECODE_FAILED;
        memcpy(tell.message, err.message, sizeof tell.message);
    }
    if (argc > 4 && err.kind == ADL_ERR_NONE)
        return try(argv[4], fd);
    if (send(fd, &tell, sizeof tell, MSG_NOSIGNAL) == sizeof tell && err.kind == ADL_ERR_NONE)
        adl_decode_helper_serve(fd, shared, bytes);
    return err.kind != ADL_ERR_NONE;
}
