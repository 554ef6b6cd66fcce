/* Implements the server's side of a conversation; see decode_link.h for what is trusted, and
 * decode_wire.h for what is said. */

#include "server/serving/decode_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/size.h"
#include "server/serving/decode_wire.h"

#define BEAT_MS 20     /* how often is looked whether a silent helper's work is still wanted */
#define READY_MS 20000 /* how long a helper may take to start, under a sanitizer too */
#define STOP_MS 500    /* how long it may take to stop */

/* Images of more pixels have pauses: decoding them takes several milliseconds, in which other work
 * may have to go first. Below, a message for each would cost more than it is worth. */
#define PAUSE_FROM_PIXELS ((size_t)512 * 1024)

/* One request. */
struct run {
    const struct adl_decode_link *link;
    const struct adl_decode_work *work;
    struct adl_error *err;
    size_t expected, received; /* bytes of pixels */
    int image, row;            /* the next pixels go there */
    size_t offset;             /* in that image */
    bool stopping;             /* the helper was told to stop, and `err` has why */
    uint64_t stop_ns;          /* when that has to have happened */
};

/* --- messages ---------------------------------------------------------------------- */

enum heard { HEARD, SILENCE, GONE, NONSENSE };

static enum heard hear(const struct adl_decode_link *link, struct adl_decode_tell *tell)
{
    ssize_t length = recv(link->fd, tell, sizeof *tell, MSG_TRUNC);

    if (link->heard)
        link->heard(link->context);
    if (length == sizeof *tell)
        return HEARD;
    if (length > 0)
        return NONSENSE;
    if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return SILENCE;
    return GONE;
}

/* Never waits: a helper that reads has space for what it is told. */
static bool tell(const struct adl_decode_link *link, const void *message, size_t length)
{
    return send(link->fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

/* Returns how a conversation ends in which a helper could not be told something: it has gone, or it
 * talks without reading. */
static enum adl_decode_end end_untold(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? ADL_DECODE_REFUSED : ADL_DECODE_GONE;
}

int adl_decode_link_open(const struct adl_decode_link *link, struct adl_error *err)
{
    const struct timeval beat = {.tv_usec = 1000 * BEAT_MS};

    if (setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &beat, sizeof beat) < 0)
        return adl_fail(err, ADL_ERR_IO, "cannot set up a socket: %s", strerror(errno));
    return 0;
}

bool adl_decode_link_idle(const struct adl_decode_link *link)
{
    char byte;
    return recv(link->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Copies what a helper gives as its reason, as text that a log and a client may have. */
static void copy_message(const struct adl_decode_tell *said, char text[sizeof said->message])
{
    size_t i = 0;

    for (; i < sizeof said->message - 1 && said->message[i]; i++)
        text[i] = said->message[i] >= ' ' && said->message[i] <= '~' ? said->message[i] : '?';
    text[i] = '\0';
}

int adl_decode_link_ready(const struct adl_decode_link *link, struct adl_error *err)
{
    const uint64_t until = adl_clock_ns() + (uint64_t)READY_MS * 1000000;
    struct adl_decode_tell said;
    char text[sizeof said.message];
    enum heard heard;

    do
        heard = hear(link, &said);
    while (heard == SILENCE && adl_clock_ns() < until);
    if (heard == HEARD && said.said == ADL_DECODE_READY)
        return 0;
    if (heard == HEARD && said.said == ADL_DECODE_FAILED) {
        copy_message(&said, text);
        return adl_fail(err, ADL_ERR_UNSUPPORTED, "%s", text);
    }
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "the helper %s",
                    heard == GONE ? "ended at once" : "did not start");
}

/* --- pixels ------------------------------------------------------------------------- */

/* After an error the helper has a moment to stop. */
static void stop_after_error(struct run *run)
{
    if (run->err->kind == ADL_ERR_NONE || run->stopping)
        return;
    run->stopping = true;
    run->stop_ns = adl_clock_ns() + (uint64_t)STOP_MS * 1000000;
}

/* Tells the helper whether to go on; returns false if it has gone. After an error it is told to
 * stop. */
static bool let_go(struct run *run)
{
    const struct adl_decode_go go = {.stop = run->err->kind != ADL_ERR_NONE};

    stop_after_error(run);
    return tell(run->link, &go, sizeof go);
}

static void take_rows(struct run *run, size_t bytes)
{
    struct adl_row_target *target = run->work->target;
    const size_t row_bytes = 3 * (size_t)run->work->info->width;

    for (size_t at = 0; at < bytes; at += row_bytes, run->row++) {
        memcpy(target->line(target, run->row), run->link->shared + at, row_bytes);
        if (target->row(target, run->row, run->err) < 0)
            return;
    }
}

static int allocate_images(const struct run *run)
{
    for (int i = 0; i < run->work->count; i++) {
        struct adl_image *image = &run->work->images[i];
        if (adl_image_init(image, image->width, image->height, run->err) < 0)
            return -1;
    }
    return 0;
}

static void take_images(struct run *run, size_t bytes)
{
    if (run->received == 0 && allocate_images(run) < 0)
        return;
    for (size_t at = 0; at < bytes;) {
        const struct adl_image *image = &run->work->images[run->image];
        const size_t all = 3 * (size_t)image->width * (size_t)image->height;
        const size_t some = ADL_MIN(bytes - at, all - run->offset);
        memcpy(image->rgb + run->offset, run->link->shared + at, some);
        at += some;
        run->offset += some;
        if (run->offset == all) {
            run->image++;
            run->offset = 0;
        }
    }
}

/* Takes pixels out of the window, if their number can be right. */
static bool take_pixels(struct run *run, const struct adl_decode_tell *said)
{
    const struct adl_image_info *info = run->work->info;
    const bool last = said->said == ADL_DECODE_DONE;
    const size_t bytes = said->bytes;

    if (said->width != info->width || said->height != info->height ||
        said->orientation != info->orientation)
        return false;
    if (bytes == 0 || bytes > ADL_DECODE_WINDOW_BYTES || bytes > run->expected - run->received ||
        last != (bytes == run->expected - run->received))
        return false;
    if (run->work->target && bytes % (3 * (size_t)info->width) != 0)
        return false;
    if (run->err->kind == ADL_ERR_NONE && run->work->target)
        take_rows(run, bytes);
    else if (run->err->kind == ADL_ERR_NONE)
        take_images(run, bytes);
    run->received += bytes;
    return true;
}

/* --- a request ---------------------------------------------------------------------- */

/* Looks whether the helper has time and its work is still wanted. If not, it may reach the place
 * where it asks, or the end, for it is soon there; returns whether it still may. */
static bool in_time(struct run *run)
{
    const uint64_t now = adl_clock_ns();

    if (run->stopping)
        return now < run->stop_ns;
    if (run->work->until_ns && now > run->work->until_ns)
        (void)!adl_fail(run->err, ADL_ERR_BUSY,
                        "decoding the image took longer than the time limit of a request");
    else
        (void)!adl_pause(run->work->options->pause, run->err);
    stop_after_error(run);
    return true;
}

/* Takes over the helper's error. */
static bool take_error(struct run *run, const struct adl_decode_tell *said)
{
    const enum adl_error_kind kind = (enum adl_error_kind)said->error;
    char text[sizeof said->message];

    if (run->stopping)
        return true;
    if (kind != ADL_ERR_FORMAT && kind != ADL_ERR_UNSUPPORTED && kind != ADL_ERR_LIMIT &&
        kind != ADL_ERR_NOMEM && kind != ADL_ERR_INTERNAL)
        return false;
    copy_message(said, text);
    (void)!adl_fail(run->err, kind, "%s", text);
    return true;
}

static enum adl_decode_end converse(struct run *run)
{
    struct adl_decode_tell said;

    for (;;) {
        switch (hear(run->link, &said)) {
        case GONE: return ADL_DECODE_GONE;
        case NONSENSE: return ADL_DECODE_REFUSED;
        case SILENCE:
            if (!in_time(run))
                return ADL_DECODE_LATE;
            continue;
        case HEARD: break;
        }
        switch (said.said) {
        case ADL_DECODE_DONE:
            return take_pixels(run, &said) ? ADL_DECODE_ANSWERED : ADL_DECODE_REFUSED;
        case ADL_DECODE_FAILED:
            return take_error(run, &said) ? ADL_DECODE_ANSWERED : ADL_DECODE_REFUSED;
        case ADL_DECODE_MORE:
            if (!take_pixels(run, &said))
                return ADL_DECODE_REFUSED;
            break;
        case ADL_DECODE_PAUSE: break;
        default: return ADL_DECODE_REFUSED;
        }
        /* Rows have called the hook themselves. */
        if ((said.said == ADL_DECODE_PAUSE || run->stopping) && !in_time(run))
            return ADL_DECODE_LATE;
        if (!let_go(run))
            return end_untold();
    }
}

static enum adl_decode_end ask_helper(struct run *run)
{
    const struct adl_decode_work *work = run->work;
    const struct adl_decode_options *options = work->options;
    const size_t pixels = (size_t)work->info->width * (size_t)work->info->height;
    struct adl_decode_ask ask = {
        .length = work->length,
        .max_pixels = options->max_pixels,
        .max_memory_bytes = options->max_memory_bytes,
        /* Rows are those of the whole image. */
        .target_width = work->target ? 0 : options->target_width,
        .target_height = work->target ? 0 : options->target_height,
        .count = work->target ? 0 : work->count,
        .ignore_orientation = options->ignore_orientation,
        .ignore_alpha = options->ignore_alpha,
        .aligned = options->aligned,
        .pauses = options->pause && !work->target && pixels > PAUSE_FROM_PIXELS,
    };

    for (int i = 0; i < ask.count; i++) {
        ask.sizes[i].width = work->images[i].width;
        ask.sizes[i].height = work->images[i].height;
    }
    memcpy(run->link->shared + ADL_DECODE_WINDOW_BYTES, work->bytes, work->length);
    return tell(run->link, &ask, sizeof ask) ? converse(run) : end_untold();
}

/* Computes how many bytes of pixels there have to be. */
static int expect(struct run *run)
{
    const struct adl_decode_work *work = run->work;

    if (work->length > run->link->shared_bytes - ADL_DECODE_WINDOW_BYTES)
        return adl_fail(run->err, ADL_ERR_LIMIT,
                        "a file of %zu bytes; the decoders take %zu at most", work->length,
                        run->link->shared_bytes - ADL_DECODE_WINDOW_BYTES);
    if (work->target) {
        run->expected = 3 * (size_t)work->info->width * (size_t)work->info->height;
        return work->target->begin(work->target, work->info, work->info->width, work->info->height,
                                   run->err);
    }
    if (work->count < 1 || work->count > ADL_DECODE_SIZES)
        return adl_fail(run->err, ADL_ERR_ARG, "an image resized to %d sizes", work->count);
    for (int i = 0; i < work->count; i++) {
        const struct adl_image *image = &work->images[i];
        if (image->width < 1 || image->height < 1)
            return adl_fail(run->err, ADL_ERR_ARG, "an image resized to %d x %d pixels",
                            image->width, image->height);
        run->expected += 3 * (size_t)image->width * (size_t)image->height;
    }
    return 0;
}

enum adl_decode_end adl_decode_link_run(const struct adl_decode_link *link,
                                        const struct adl_decode_work *work, struct adl_error *err)
{
    struct run run = {.link = link, .work = work, .err = err};

    for (int i = 0; i < work->count; i++)
        work->images[i].rgb = NULL;
    enum adl_decode_end end = expect(&run) < 0 ? ADL_DECODE_ANSWERED : ask_helper(&run);
    if (end != ADL_DECODE_ANSWERED || err->kind != ADL_ERR_NONE)
        for (int i = 0; i < work->count; i++)
            adl_image_release(&work->images[i]);
    return end;
}
