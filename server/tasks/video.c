/* Runs ffmpeg and reads its frames, see video.h.
 *
 * ffmpeg is started without a shell. What it may open is one file: its path is given as
 * "file:PATH", so that a name such as -y.mp4, concat:a|b or http://host/x is nothing but a name,
 * and a white list of protocols keeps what is written in the file, a play list for instance, from
 * reaching the network. Frames come through a pipe as PPM (image2pipe), which is raw RGB with a
 * line that says how large it is, and ffmpeg's words through another one; both are read by poll(),
 * so that neither holds ffmpeg up. Frames are sampled at a fixed rate by ffmpeg's filter `fps`,
 * from the time 0 of the video on: that gives every frame a time without asking for any, also where
 * the frames of the video are not evenly spaced. */

#include "server/tasks/video.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/size.h"
#include "base/spawn.h"
#include "base/str.h"

#define BUFFER_BYTES ((size_t)65536)
/* Of ffmpeg's last words. */
#define WORDS_BYTES 400

struct adl_video {
    pid_t child; /* 0: it has ended, and was waited for */
    int frames;  /* the pipes; -1: at their end */
    int words;
    size_t begin, end; /* what is unread in `buffer` */
    size_t count;      /* frames so far */
    char said[WORDS_BYTES + 1];
    size_t said_bytes;
    struct adl_str path;
    unsigned char buffer[BUFFER_BYTES];
};

/* --- the child process --------------------------------------------------------------- */

static void close_pipe(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Starts the child with the writing ends of the pipes. Returns 0 or an errno. */
static int spawn(const char *const *words, bool reads_stdin, const int out[2], const int said[2],
                 pid_t *child)
{
    struct adl_spawn how = {
        .program = words[0],
        .words = (char *const *)words, /* which are not changed */
        .variables = environ,
        .files = {{.fd = 1, .from = out[1]},
                  {.fd = 2, .from = said[1]},
                  {.fd = 0, .path = "/dev/null", .flags = O_RDONLY}},
        .file_count = reads_stdin ? 2 : 3,
    };

    sigemptyset(&how.blocked);
    sigemptyset(&how.reset);
    sigaddset(&how.reset, SIGPIPE);
    return adl_spawn(&how, child);
}

static int start(struct adl_video *v, const char *input, double rate, struct adl_error *err)
{
    char filter[80], pixels[24];
    const bool reads_stdin = !strcmp(input, "pipe:0");
    const char *const words[] = {"ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error",
                                 "-protocol_whitelist", reads_stdin ? "pipe" : "file",
                                 "-max_pixels", pixels, "-i", input,
                                 /* The first video stream that is no picture of a cover. */
                                 "-map", "0:V:0", "-vf", filter, "-f", "image2pipe", "-c:v", "ppm",
                                 "-pix_fmt", "rgb24", "pipe:1", NULL};
    int out[2] = {-1, -1}, said[2] = {-1, -1};

    snprintf(filter, sizeof filter, "fps=fps=%.9g:start_time=0", rate);
    snprintf(pixels, sizeof pixels, "%zu", ADL_LIMIT_IMAGE_PIXELS);
    int failed = pipe2(out, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC) < 0 ? errno : 0;
    if (!failed)
        failed = spawn(words, reads_stdin, out, said, &v->child);
    close_pipe(&out[1]);
    close_pipe(&said[1]);
    v->frames = out[0];
    v->words = said[0];
    if (!failed)
        return 0;
    v->child = 0;
    if (failed == ENOENT)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "--video needs the program ffmpeg, which is not in PATH; on Debian: "
                        "apt-get install ffmpeg");
    return adl_fail(err, ADL_ERR_IO, "cannot run ffmpeg: %s", strerror(failed));
}

int adl_video_open(struct adl_video **video, const char *path, double rate, struct adl_error *err)
{
    const bool reads_stdin = !strcmp(path, "-");
    struct adl_str input = {0};

    *video = NULL;
    if (!reads_stdin && access(path, R_OK) < 0)
        return adl_fail(err, errno == ENOENT ? ADL_ERR_NOT_FOUND : ADL_ERR_IO, "%s: %s", path,
                        strerror(errno));
    struct adl_video *v = adl_calloc(1, sizeof *v);
    if (!v)
        return adl_fail_nomem(err, "a video");
    v->frames = v->words = -1;
    adl_str_printf(&v->path, "%s", reads_stdin ? "standard input" : path);
    adl_str_printf(&input, "%s%s", reads_stdin ? "pipe:0" : "file:", reads_stdin ? "" : path);
    int result = v->path.failed || input.failed ? adl_fail_nomem(err, "a video")
                                                : start(v, input.data, rate, err);
    adl_str_release(&input);
    if (result < 0) {
        adl_video_close(v);
        return -1;
    }
    *video = v;
    return 0;
}

void adl_video_close(struct adl_video *v)
{
    if (!v)
        return;
    close_pipe(&v->frames);
    close_pipe(&v->words);
    if (v->child > 0) {
        kill(v->child, SIGKILL);
        while (waitpid(v->child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    adl_str_release(&v->path);
    adl_free(v);
}

/* --- what it says -------------------------------------------------------------------- */

/* Keeps the end of what ffmpeg says; nothing that moves a terminal's cursor. */
static void keep_words(struct adl_video *v, char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i]) && text[i] != '\n')
            text[i] = ' ';
    size_t kept = ADL_MIN(length, (size_t)WORDS_BYTES);
    size_t stays = ADL_MIN(v->said_bytes, WORDS_BYTES - kept);
    memmove(v->said, v->said + v->said_bytes - stays, stays);
    memcpy(v->said + stays, text + length - kept, kept);
    v->said_bytes = stays + kept;
    v->said[v->said_bytes] = '\0';
}

static void read_words(struct adl_video *v)
{
    char text[1024];
    ssize_t length = read(v->words, text, sizeof text);
    if (length > 0)
        keep_words(v, text, (size_t)length);
    else if (length == 0 || errno != EINTR)
        close_pipe(&v->words);
}

const char *adl_video_complaint(const struct adl_video *v)
{
    size_t end = v->said_bytes;
    const char *line = v->said;

    while (end > 0 && (v->said[end - 1] == '\n' || v->said[end - 1] == ' '))
        end--;
    for (size_t i = 0; i + 1 < end; i++)
        if (v->said[i] == '\n')
            line = v->said + i + 1;
    return end > 0 ? line : NULL;
}

/* Waits for the end of the child, and fails unless it ended well after some frames. */
static int end(struct adl_video *v, bool in_frame, struct adl_error *err)
{
    int status = 0;

    close_pipe(&v->frames);
    while (v->words >= 0)
        read_words(v);
    while (waitpid(v->child, &status, 0) < 0)
        if (errno != EINTR)
            return adl_fail(err, ADL_ERR_IO, "cannot wait for ffmpeg: %s", strerror(errno));
    v->child = 0;
    const char *said = adl_video_complaint(v);
    if (WIFSIGNALED(status))
        return adl_fail(err, ADL_ERR_IO, "%s: ffmpeg was ended by signal %d after frame %zu",
                        v->path.data, WTERMSIG(status), v->count);
    if (WEXITSTATUS(status) == 0 && !in_frame && v->count > 0)
        return 0;
    const char *what = v->count == 0 ? "has no frame that ffmpeg can read"
                       : in_frame    ? "ffmpeg has ended within a frame"
                                     : "ffmpeg has failed";
    return adl_fail(err, ADL_ERR_FORMAT, "%s: %s after %zu frame%s%s%s", v->path.data, what,
                    v->count, ADL_S(v->count), said ? ": " : "", said ? said : "");
}

/* --- frames -------------------------------------------------------------------------- */

/* Reads more into the buffer, which is empty. Returns 0 at the end. */
static int fill(struct adl_video *v, struct adl_error *err)
{
    for (;;) {
        struct pollfd polls[] = {{.fd = v->frames, .events = POLLIN},
                                 {.fd = v->words, .events = POLLIN}};
        if (poll(polls, ADL_COUNT(polls), -1) < 0) {
            if (errno == EINTR)
                continue;
            return adl_fail(err, ADL_ERR_IO, "cannot wait for ffmpeg: %s", strerror(errno));
        }
        if (polls[1].revents)
            read_words(v);
        if (!polls[0].revents)
            continue;
        ssize_t length = read(v->frames, v->buffer, sizeof v->buffer);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return adl_fail(err, ADL_ERR_IO, "cannot read from ffmpeg: %s", strerror(errno));
        v->begin = 0;
        v->end = (size_t)length;
        return length > 0;
    }
}

/* Reads exactly `count` bytes. Returns how many were read before the end, or -1. */
static ssize_t take(struct adl_video *v, void *to, size_t count, struct adl_error *err)
{
    size_t done = 0;
    while (done < count) {
        if (v->begin == v->end) {
            int more = fill(v, err);
            if (more < 0)
                return -1;
            if (more == 0)
                break;
        }
        size_t some = ADL_MIN(count - done, v->end - v->begin);
        memcpy((char *)to + done, v->buffer + v->begin, some);
        v->begin += some;
        done += some;
    }
    return (ssize_t)done;
}

/* Reads the three lines of text that ffmpeg writes before the pixels. Returns 1, 0 at the end of
 * the video, -1 on failure. */
static int take_header(struct adl_video *v, int *width, int *height, struct adl_error *err)
{
    char text[48];
    size_t length = 0, lines = 0;
    int used = 0;

    while (lines < 3 && length < sizeof text - 1) {
        ssize_t got = take(v, text + length, 1, err);
        if (got < 0)
            return -1;
        if (got == 0)
            return end(v, length > 0, err);
        lines += text[length++] == '\n';
    }
    text[length] = '\0';
    if (lines < 3 || sscanf(text, "P6\n%9d %9d\n255\n%n", width, height, &used) != 2 ||
        (size_t)used != length || *width < 1 || *height < 1)
        return adl_fail(err, ADL_ERR_FORMAT, "%s: ffmpeg sends something that is no frame",
                        v->path.data);
    if ((size_t)*width * (size_t)*height > ADL_LIMIT_IMAGE_PIXELS)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "%s: frames of %d x %d are larger than the limit of %zu pixels",
                        v->path.data, *width, *height, ADL_LIMIT_IMAGE_PIXELS);
    return 1;
}

int adl_video_next(struct adl_video *v, struct adl_image *image, struct adl_error *err)
{
    int width = 0, height = 0, result = take_header(v, &width, &height, err);

    *image = (struct adl_image){0};
    if (result <= 0)
        return result;
    if (adl_image_init(image, width, height, err) < 0)
        return -1;
    size_t bytes = 3 * (size_t)width * (size_t)height;
    ssize_t got = take(v, image->rgb, bytes, err);
    if (got == (ssize_t)bytes) {
        v->count++;
        return 1;
    }
    adl_image_release(image);
    return got < 0 ? -1 : end(v, true, err);
}

bool adl_video_waits(const struct adl_video *v)
{
    struct pollfd one = {.fd = v->frames, .events = POLLIN};
    return v->begin < v->end || (v->frames >= 0 && poll(&one, 1, 0) > 0);
}
