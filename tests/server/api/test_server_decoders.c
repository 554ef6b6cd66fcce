/* `serve --isolate-decoders`: the same answers as without, what the end of a process costs a
 * client, and that none is left. */

#include "support/test.h"

#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/json_text.h"
#include "support/helper_processes.h"
#include "support/image_bytes.h"
#include "support/server_fixture.h"

static const char *const on[] = {"--isolate-decoders", "on", "--decode-threads", "1", NULL};
static const char *const off[] = {"--isolate-decoders", "off", NULL};

static pid_t only_helper(const struct test_service *service)
{
    pid_t found[MAX_HELPER_PROCESSES] = {0};

    CU_ASSERT_EQUAL(helper_processes(service->server.pid, found), 1);
    return found[0];
}

/* --- answers ------------------------------------------------------------------------- */

/* Returns an answer without the times that it took; to be freed with adl_free(). */
static char *answer(const struct test_service *service, const char *target, const char *headers,
                    const void *bytes, size_t length, size_t *size)
{
    struct test_reply reply = test_post(&service->server, target, headers, bytes, length);
    char *text = NULL;
    json_t *json = test_reply_json(&reply);

    *size = 0;
    if (json) {
        json_object_del(json, "timing_ms");
        struct adl_error err = {0};
        text = adl_json_to_text(json, JSON_SORT_KEYS, size, &err);
        json_decref(json);
    } else {
        text = adl_strndup(reply.body ? reply.body : "", reply.length);
        *size = reply.length;
    }
    test_reply_release(&reply);
    return text;
}

static void same_answers(void)
{
    static const char *const files[] = {
        "baseline.jpg",      "progressive.jpg",     "cmyk.jpg",
        "orientation_6.jpg", "rgb_8.png",           "rgba_16_interlaced.png",
        "lossy.webp",        "alpha_lossless.webp", "animated.webp",
        "exif_8.webp",       "offset.gif",          "rle8.bmp",
        "rgba.tif",          "orientation_6.tif",   "lossless.heic",
        "turned.avif"};
    static const struct {
        const char *target, *headers;
    } asked[] = {
        {"/localize?top_k=2&heatmap=array", "X-Request-Id: a\r\n"},
        {"/localize", "X-Request-Id: a\r\nAccept: image/png\r\n"},
        {"/localize?map_scales=1,1.5&heatmap=png", "X-Request-Id: a\r\n"},
    };
    struct test_service with = {0}, without = {0};

    if (!test_service_open(&with, 700, 900, on) || !test_service_open(&without, 700, 900, off))
        return;
    for (size_t f = 0; f <= ADL_COUNT(files); f++)
        for (size_t i = 0; i < ADL_COUNT(asked); i++)
            for (int damaged = 0; damaged < 2; damaged++) {
                const bool own = f == ADL_COUNT(files);
                struct image_bytes file = {with.jpeg, with.jpeg_length};
                char *a, *b, headers[200];
                size_t size_a, size_b;
                if (!own)
                    file = image_bytes_load(files[f]);
                const char *kind = own ? "jpg" : strrchr(files[f], '.') + 1;
                snprintf(headers, sizeof headers, "Content-Type: image/%s\r\n%s",
                         strcmp(kind, "tif") != 0 ? kind : "tiff", asked[i].headers);
                const size_t length = damaged ? file.length / 2 : file.length;
                a = answer(&with, asked[i].target, headers, file.data, length, &size_a);
                b = answer(&without, asked[i].target, headers, file.data, length, &size_b);
                if (!a || !b || size_a == 0 || size_a != size_b || memcmp(a, b, size_a) != 0)
                    TEST_FAIL("%s, %s: other answers", own ? "a large JPEG" : files[f],
                              asked[i].target);
                adl_free(a);
                adl_free(b);
                if (!own)
                    free(file.data);
            }
    CU_ASSERT_EQUAL(test_metric(&with.server, "\nadl_decoder_processes"), 1);
    CU_ASSERT_EQUAL(test_metric(&without.server, "\nadl_decoder_processes"), 0);
    test_service_close(&with);
    test_service_close(&without);
}

/* --- ends ------------------------------------------------------------------------------ */

static int post_status(const struct test_service *service, const void *bytes, size_t length)
{
    struct test_reply reply =
        test_post(&service->server, "/localize", "Content-Type: image/jpeg\r\n", bytes, length);
    const int status = reply.status;

    test_reply_release(&reply);
    return status;
}

struct slow_post {
    const struct test_service *service;
    void *bytes;
    size_t length;
    int status;
};

static void *post_slowly(void *argument)
{
    struct slow_post *post = argument;

    post->status = post_status(post->service, post->bytes, post->length);
    return NULL;
}

/* Kills helpers while a large picture is decoded, while they have nothing to do, and while they are
 * stopped with a request. */
static void killed(void)
{
    struct test_service service = {0};
    struct slow_post post = {.service = &service};
    pthread_t thread;

    if (!test_service_open(&service, 100, 80, on))
        return;
    CU_ASSERT_EQUAL(post_status(&service, service.jpeg, service.jpeg_length), 200);
    pid_t first = only_helper(&service);
    test_kill(first, SIGKILL);
    CU_ASSERT(helper_process_ended(first)); /* it is gone when the next request comes */
    for (int stage = 0; stage < 2; stage++) {
        CU_ASSERT_EQUAL(post_status(&service, service.jpeg, service.jpeg_length), 200);
        pid_t pid = only_helper(&service);
        if (pid <= 0)
            break;
        post.bytes = test_slow_picture(stage == 0 ? 3000 : 400, &post.length);
        if (stage == 1)
            test_kill(pid, SIGSTOP);
        CU_ASSERT_FATAL(pthread_create(&thread, NULL, post_slowly, &post) == 0);
        poll(NULL, 0, 50);
        test_kill(pid, SIGKILL);
        pthread_join(thread, NULL);
        CU_ASSERT(helper_process_ended(pid)); /* the next request must not get it */
        /* On a fast machine the first one may have been decoded by then. */
        CU_ASSERT(post.status == 503 || (stage == 0 && post.status == 200));
        adl_free(post.bytes);
    }
    CU_ASSERT_EQUAL(post_status(&service, service.jpeg, service.jpeg_length), 200);
    CU_ASSERT(test_metric(&service.server, "\nadl_decoder_restarts_total{reason=\"killed\"}") >= 2);
    pid_t last = only_helper(&service);
    test_service_close(&service);
    CU_ASSERT(test_kill(last, 0) < 0);
}

/* A server that is killed takes its helpers with it. */
static void none_is_left(void)
{
    struct test_service service = {0};

    if (!test_service_open(&service, 100, 80, on))
        return;
    pid_t pid = only_helper(&service);
    test_kill(service.server.pid, SIGKILL);
    waitpid(service.server.pid, NULL, 0);
    service.server.pid = 0;
    CU_ASSERT(helper_process_ended(pid));
    test_service_release(&service);
}

TEST_SUITE(server_decoders, {"the same answers", same_answers}, {"killed", killed},
           {"none is left", none_is_left});
