/* The server's side of the conversation with a process that decodes images
 * (server/serving/decode_link.c), against helpers that lie. */

#include "support/test.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/serving/decode_link.h"
#include "server/serving/decode_wire.h"

enum { WIDTH = 40, HEIGHT = 30, SIDE = 8, MESSAGES = 6 };
#define ALL_BYTES (3 * WIDTH * HEIGHT)
#define SIZE_BYTES (3 * SIDE * SIDE)

/* What a helper says, in answer to one request. */
struct script {
    const char *name;
    bool rows; /* asked for, in place of two sizes */
    struct adl_decode_tell says[MESSAGES];
    int count;
    size_t length; /* of each message; 0: as it should be */
    bool leaves;   /* closes the socket then */
    bool deaf;     /* says the first message again and again, and reads nothing */
    enum adl_decode_end end;
    enum adl_error_kind kind;
};

struct helper {
    int fd;
    const struct script *script;
};

static void *play(void *argument)
{
    struct helper *helper = argument;
    const struct script *script = helper->script;
    struct adl_decode_ask ask;
    struct adl_decode_go go;

    if (recv(helper->fd, &ask, sizeof ask, 0) != sizeof ask)
        return NULL;
    while (script->deaf)
        if (send(helper->fd, &script->says[0], sizeof script->says[0], MSG_NOSIGNAL) < 0)
            return NULL;
    for (int i = 0; i < script->count; i++) {
        const bool waits = i < script->count - 1;
        if (send(helper->fd, &script->says[i],
                 script->length ? script->length : sizeof script->says[i], MSG_NOSIGNAL) < 0)
            break;
        if (waits && recv(helper->fd, &go, sizeof go, 0) != sizeof go)
            break;
    }
    if (script->leaves)
        shutdown(helper->fd, SHUT_RDWR);
    return NULL;
}

/* --- where rows go ------------------------------------------------------------------ */

struct rows {
    struct adl_row_target target; /* first */
    uint8_t pixels[ALL_BYTES];
    int count;
};

static int begin(struct adl_row_target *target, const struct adl_image_info *info, int width,
                 int height, struct adl_error *err)
{
    (void)target;
    (void)info;
    (void)err;
    CU_ASSERT(width == WIDTH && height == HEIGHT);
    return 0;
}

static uint8_t *line(struct adl_row_target *target, int y)
{
    CU_ASSERT_FATAL(y >= 0 && y < HEIGHT);
    return ((struct rows *)target)->pixels + (size_t)y * 3 * WIDTH;
}

static int row(struct adl_row_target *target, int y, struct adl_error *err)
{
    struct rows *rows = (struct rows *)target;

    (void)err;
    CU_ASSERT(y == rows->count);
    rows->count++;
    return 0;
}

/* --- one conversation ------------------------------------------------------------------ */

static enum adl_decode_end converse(const struct script *script, struct rows *rows,
                                    struct adl_image images[2], struct adl_error *err)
{
    const size_t bytes = ADL_DECODE_WINDOW_BYTES + 4096;
    static const struct adl_image_info info = {ADL_IMAGE_JPEG, WIDTH, HEIGHT, 1};
    const struct adl_decode_options options = {.max_pixels = 1000000, .max_memory_bytes = 1 << 20};
    int pair[2];
    pthread_t thread;

    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    uint8_t *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(shared != MAP_FAILED);
    for (size_t i = 0; i < ADL_DECODE_WINDOW_BYTES; i++)
        shared[i] = (uint8_t)(i % 251);
    struct adl_decode_link link = {.fd = pair[0], .shared = shared, .shared_bytes = bytes};
    struct helper helper = {pair[1], script};
    *rows = (struct rows){.target = {begin, line, row, false}};
    images[0] = images[1] = (struct adl_image){.width = SIDE, .height = SIDE};
    const struct adl_decode_work work = {
        .bytes = "file",
        .length = 4,
        .options = &options,
        .info = &info,
        .target = script->rows ? &rows->target : NULL,
        .images = images,
        .count = script->rows ? 0 : 2,
        /* Who says nothing is waited for. */
        .until_ns = adl_clock_ns() + (script->kind == ADL_ERR_BUSY ? 100000000u : 20000000000u),
    };
    TEST_OK(adl_decode_link_open(&link, err), err);
    CU_ASSERT(adl_decode_link_idle(&link));
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, play, &helper) == 0);
    enum adl_decode_end end = adl_decode_link_run(&link, &work, err);
    shutdown(pair[0], SHUT_RDWR); /* a helper that waits, or talks, goes on */
    pthread_join(thread, NULL);
    close(pair[0]);
    close(pair[1]);
    munmap(shared, bytes);
    return end;
}

#define SAYS(what, number, ...)                                                                    \
    {                                                                                              \
        .said = (what), .bytes = (number), .width = WIDTH, .height = HEIGHT, .orientation = 1,     \
        __VA_ARGS__                                                                                \
    }

static const struct script truths[] = {
    {"sizes", false, {SAYS(ADL_DECODE_DONE, 2 * SIZE_BYTES)}, 1, .end = ADL_DECODE_ANSWERED},
    {"sizes in pieces that cut an image",
     false,
     {SAYS(ADL_DECODE_PAUSE, 0), SAYS(ADL_DECODE_MORE, SIZE_BYTES + 5),
      SAYS(ADL_DECODE_DONE, SIZE_BYTES - 5)},
     3,
     .end = ADL_DECODE_ANSWERED},
    {"rows",
     true,
     {SAYS(ADL_DECODE_MORE, 90 * WIDTH - 30 * WIDTH), SAYS(ADL_DECODE_DONE, 30 * WIDTH)},
     2,
     .end = ADL_DECODE_ANSWERED},
};

static const struct script lies[] = {
    {"fewer bytes", false, {SAYS(ADL_DECODE_DONE, SIZE_BYTES)}, 1, .end = ADL_DECODE_REFUSED},
    {"more bytes",
     false,
     {SAYS(ADL_DECODE_DONE, 2 * SIZE_BYTES + 1)},
     1,
     .end = ADL_DECODE_REFUSED},
    {"more bytes in pieces",
     false,
     {SAYS(ADL_DECODE_MORE, SIZE_BYTES), SAYS(ADL_DECODE_MORE, SIZE_BYTES)},
     2,
     .end = ADL_DECODE_REFUSED},
    {"no bytes", false, {SAYS(ADL_DECODE_MORE, 0)}, 1, .end = ADL_DECODE_REFUSED},
    {"bytes beyond the window",
     true,
     {SAYS(ADL_DECODE_MORE, 0xffffff00u)},
     1,
     .end = ADL_DECODE_REFUSED},
    {"a part of a row", true, {SAYS(ADL_DECODE_MORE, 3 * WIDTH + 1)}, 1, .end = ADL_DECODE_REFUSED},
    {"fewer rows", true, {SAYS(ADL_DECODE_DONE, 3 * WIDTH)}, 1, .end = ADL_DECODE_REFUSED},
    {"more rows",
     true,
     {SAYS(ADL_DECODE_DONE, ALL_BYTES + 3 * WIDTH)},
     1,
     .end = ADL_DECODE_REFUSED},
    {"another width",
     false,
     {{.said = ADL_DECODE_DONE,
       .bytes = 2 * SIZE_BYTES,
       .width = WIDTH + 1,
       .height = HEIGHT,
       .orientation = 1}},
     1,
     .end = ADL_DECODE_REFUSED},
    {"another height",
     true,
     {{.said = ADL_DECODE_MORE,
       .bytes = 3 * WIDTH,
       .width = WIDTH,
       .height = HEIGHT - 1,
       .orientation = 1}},
     1,
     .end = ADL_DECODE_REFUSED},
    {"another orientation",
     false,
     {{.said = ADL_DECODE_DONE,
       .bytes = 2 * SIZE_BYTES,
       .width = WIDTH,
       .height = HEIGHT,
       .orientation = 6}},
     1,
     .end = ADL_DECODE_REFUSED},
    {"an unknown message", false, {SAYS(77, 1)}, 1, .end = ADL_DECODE_REFUSED},
    {"ready again", false, {SAYS(ADL_DECODE_READY, 0)}, 1, .end = ADL_DECODE_REFUSED},
    {"a short message",
     false,
     {SAYS(ADL_DECODE_DONE, 2 * SIZE_BYTES)},
     1,
     .length = 8,
     .end = ADL_DECODE_REFUSED},
    {"an error that is none",
     false,
     {SAYS(ADL_DECODE_FAILED, 0, .error = ADL_ERR_NONE)},
     1,
     .end = ADL_DECODE_REFUSED},
    {"an error of another part",
     false,
     {SAYS(ADL_DECODE_FAILED, 0, .error = ADL_ERR_BUSY)},
     1,
     .end = ADL_DECODE_REFUSED},
    {"an error out of range",
     false,
     {SAYS(ADL_DECODE_FAILED, 0, .error = 1 << 30)},
     1,
     .end = ADL_DECODE_REFUSED},
    {"nothing",
     false,
     {SAYS(ADL_DECODE_PAUSE, 0)},
     0,
     .end = ADL_DECODE_LATE,
     .kind = ADL_ERR_BUSY},
    {"it does not listen",
     false,
     {SAYS(ADL_DECODE_PAUSE, 0)},
     1,
     .deaf = true,
     .end = ADL_DECODE_REFUSED},
    {"it leaves", false, {SAYS(ADL_DECODE_PAUSE, 0)}, 1, .leaves = true, .end = ADL_DECODE_GONE},
    {"it leaves at once",
     true,
     {SAYS(ADL_DECODE_PAUSE, 0)},
     0,
     .leaves = true,
     .end = ADL_DECODE_GONE},
};

static void check(const struct script *script)
{
    static struct rows rows;
    struct adl_image images[2];
    struct adl_error err = {0};
    const size_t before = adl_mem_stats().live_blocks;

    enum adl_decode_end end = converse(script, &rows, images, &err);
    if (end != script->end || err.kind != script->kind)
        TEST_FAIL("%s: ended as %d with %s: %s", script->name, (int)end, test_error_kind(err.kind),
                  err.message);
    const bool good = end == ADL_DECODE_ANSWERED && err.kind == ADL_ERR_NONE;
    for (int i = 0; !script->rows && good && i < 2; i++)
        CU_ASSERT(images[i].rgb != NULL);
    for (int i = 0; i < 2; i++)
        adl_image_release(&images[i]);
    CU_ASSERT(adl_mem_stats().live_blocks == before);
    if (good && script->rows)
        CU_ASSERT(rows.count == HEIGHT);
}

static void truth_is_taken(void)
{
    for (size_t i = 0; i < ADL_COUNT(truths); i++)
        check(&truths[i]);
}

static void lies_are_refused(void)
{
    for (size_t i = 0; i < ADL_COUNT(lies); i++)
        check(&lies[i]);
}

/* The pixels are those that were in the window, in order. */
static void pixels_arrive(void)
{
    static struct rows rows;
    struct adl_image images[2];
    struct adl_error err = {0};

    CU_ASSERT_FATAL(converse(&truths[1], &rows, images, &err) == ADL_DECODE_ANSWERED);
    for (int i = 0; i < SIZE_BYTES; i++)
        CU_ASSERT(images[0].rgb[i] == i % 251);
    for (int i = 0; i < 5; i++)
        CU_ASSERT(images[1].rgb[i] == (SIZE_BYTES + i) % 251);
    for (int i = 5; i < SIZE_BYTES; i++)
        CU_ASSERT(images[1].rgb[i] == (i - 5) % 251);
    adl_image_release(&images[0]);
    adl_image_release(&images[1]);
    CU_ASSERT_FATAL(converse(&truths[2], &rows, images, &err) == ADL_DECODE_ANSWERED);
    for (int i = 0; i < ALL_BYTES; i++)
        CU_ASSERT(rows.pixels[i] == (i < 60 * WIDTH ? i : i - 60 * WIDTH) % 251);
}

/* The reason that a helper gives may go to a log and to a client. */
static void reasons_are_text(void)
{
    static struct rows rows;
    struct script script = {.name = "a reason",
                            .says = {SAYS(ADL_DECODE_FAILED, 0, .error = ADL_ERR_FORMAT)},
                            .count = 1};
    struct adl_image images[2];
    struct adl_error err = {0};

    memset(script.says[0].message, 'x', sizeof script.says[0].message);
    memcpy(script.says[0].message, "a\nb\x1b\xff", 5);
    CU_ASSERT(converse(&script, &rows, images, &err) == ADL_DECODE_ANSWERED);
    CU_ASSERT(err.kind == ADL_ERR_FORMAT && !strncmp(err.message, "a?b??xxx", 8));
    CU_ASSERT(strlen(err.message) < sizeof err.message);
}

TEST_SUITE(decode_link, {"truth is taken", truth_is_taken}, {"lies are refused", lies_are_refused},
           {"pixels arrive", pixels_arrive}, {"reasons are text", reasons_are_text});
