/* `serve --memory N` holds under attack: pictures that are tiny as files and huge in memory, and
 * answers that nobody reads. */

#include "support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "support/helper_processes.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define MEMORY "96M"
enum { MEMORY_MIB = 96, CLIENTS = 4, READERS = 12 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEASURED false /* sanitizers keep what is freed, and shadows of it */
#else
#define MEASURED true
#endif

static struct test_service service;

/* Returns a line of /proc/PID/status in MiB, such as the largest resident memory so far. */
static double process_mib(pid_t pid, const char *name)
{
    char path[64], line[200];
    double kib = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)))
            kib = strtod(line + strlen(name) + 1, NULL);
    if (file)
        fclose(file);
    return kib / 1024;
}

/* Returns the sum of such lines of the server and of the processes that decode for it. */
static double status_mib(const char *name)
{
    pid_t helpers[MAX_HELPER_PROCESSES];
    double mib = process_mib(service.server.pid, name);

    for (int i = helper_processes(service.server.pid, helpers); i > 0; i--)
        mib += process_mib(helpers[i - 1], name);
    return mib;
}

static void put_chunk(uint8_t **out, const char *kind, const void *data, size_t length)
{
    uint8_t *p = *out;
    unsigned long crc;

    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(length >> (24 - 8 * i));
    memcpy(p + 4, kind, 4);
    memcpy(p + 8, data, length);
    crc = crc32(0, p + 4, (uInt)length + 4);
    for (int i = 0; i < 4; i++)
        p[8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    *out = p + 12 + length;
}

/* Makes a black PNG of side x side in RGB, which compresses a thousandfold. */
static void *make_png(int side, size_t *length)
{
    const size_t row = 1 + 3 * (size_t)side;
    uint8_t head[13] = {
        0, 0, (uint8_t)(side >> 8), (uint8_t)side, 0, 0, (uint8_t)(side >> 8), (uint8_t)side, 8, 2};
    size_t size = row * (size_t)side / 100 + 4096;
    uint8_t *zeros = adl_calloc(row, 1), *data = adl_malloc(size, 1);
    uint8_t *bytes = adl_malloc(size + 100, 1), *out = bytes;
    z_stream z = {.next_out = data, .avail_out = (uInt)size};

    CU_ASSERT_FATAL(zeros && data && bytes && deflateInit(&z, 1) == Z_OK);
    for (int y = 0; y < side; y++) {
        z.next_in = zeros;
        z.avail_in = (uInt)row;
        CU_ASSERT_FATAL(deflate(&z, y == side - 1 ? Z_FINISH : Z_NO_FLUSH) >= 0);
    }
    memcpy(out, "\x89PNG\r\n\x1a\n", 8);
    out += 8;
    put_chunk(&out, "IHDR", head, sizeof head);
    put_chunk(&out, "IDAT", data, size - z.avail_out);
    put_chunk(&out, "IEND", "", 0);
    deflateEnd(&z);
    adl_free(zeros);
    adl_free(data);
    *length = (size_t)(out - bytes);
    return bytes;
}

static void *png;
static size_t png_length;

static void *post_png(void *argument)
{
    int *status = argument;
    struct test_reply reply =
        test_post(&service.server, "/localize", "Content-Type: image/png\r\n", png, png_length);

    *status = reply.status;
    test_reply_release(&reply);
    return NULL;
}

/* Four PNGs of 25 megapixels at once, or of 100 in the slow tests: 75 or 300 MB each, if they were
 * decoded as a whole. */
static void huge_pictures(void)
{
    pthread_t threads[CLIENTS];
    int statuses[CLIENTS];

    png = make_png(getenv("SLOW") ? 10000 : MEASURED ? 5000 : 2000, &png_length);
    for (int i = 0; i < CLIENTS; i++)
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, post_png, &statuses[i]) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(statuses[i], 200);
    }
    adl_free(png);
}

/* A lossless WebP of 10000 x 10000 of one colour (WebP Lossless Bitstream Specification: sides of
 * 14 bits, five prefix codes of one symbol), which libwebp decodes as a whole. */
static void refused_picture(void)
{
    static const unsigned char webp[] =
        "RIFF\x14\0\0\0WEBPVP8L\x08\0\0\0\x2f\x0f\xe7\xc3\x09\x88\x88\x08";
    struct test_reply reply = test_post(&service.server, "/localize",
                                        "Content-Type: image/webp\r\n", webp, sizeof webp - 1);

    CU_ASSERT_EQUAL(reply.status, 413);
    CU_ASSERT(reply.body && strstr(reply.body, "--memory"));
    test_reply_release(&reply);
}

/* Clients that ask for large answers and do not read them. Each answer has some megabytes. */
static void unread_answers(void)
{
    size_t length;
    void *picture = test_picture(TEST_PNG, 900, 900, &length);
    int fds[READERS];

    for (int i = 0; i < READERS; i++) {
        fds[i] = test_connect(&service.server);
        test_send_text(fds[i],
                       "POST /localize?top_k=5&heatmap=png HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Type: image/png\r\nContent-Length: %zu\r\n\r\n",
                       length);
        test_send(fds[i], picture, length);
    }
    /* Small pictures are answered all the while. */
    for (int i = 0; i < 10; i++) {
        struct test_reply reply =
            test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n", service.jpeg,
                      service.jpeg_length);
        CU_ASSERT_EQUAL(reply.status, 200);
        test_reply_release(&reply);
    }
    for (int i = 0; i < READERS; i++)
        close(fds[i]);
    adl_free(picture);
}

/* A picture that is only kept is decoded too, row by row where the format allows it. */
static void kept_pictures(void)
{
    static const unsigned char webp[] =
        "RIFF\x14\0\0\0WEBPVP8L\x08\0\0\0\x2f\x0f\xe7\xc3\x09\x88\x88\x08";
    struct test_reply reply;

    png = make_png(MEASURED ? 8000 : 2000, &png_length);
    test_request(&service.server, "PUT", "/annotations/large.png", "Content-Type: image/png\r\n",
                 png, png_length, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    adl_free(png);
    test_request(&service.server, "PUT", "/annotations/large.webp", "Content-Type: image/webp\r\n",
                 webp, sizeof webp - 1, &reply);
    CU_ASSERT_EQUAL(reply.status, 413);
    CU_ASSERT(reply.body && strstr(reply.body, "--memory"));
    test_reply_release(&reply);
}

static void memory_is_bounded(void)
{
    const char *options[] = {"--memory", MEMORY, "--timeout", "60", "--annotations", NULL, NULL};
    double before, limit;

    scratch_open("server-memory", NULL);
    options[5] = scratch_path("kept");

    if (!test_service_open(&service, 64, 48, options))
        return;
    before = status_mib("VmRSS:");
    huge_pictures();
    refused_picture();
    kept_pictures();
    unread_answers();
    /* Connections, threads and fragments take some megabytes more. */
    limit = before + MEMORY_MIB + 16;
    if (MEASURED && status_mib("VmHWM:") > limit)
        TEST_FAIL("%.0f MiB resident, of %.0f", status_mib("VmHWM:"), limit);
    CU_ASSERT(test_metric(&service.server, "\nadl_memory_limit_bytes") > 70e6);
    test_service_close(&service);
}

TEST_SLOW(memory_is_bounded);
TEST_SUITE(server_memory, {"memory is bounded", memory_is_bounded});
