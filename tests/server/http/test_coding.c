/* server/http/coding: what is compressed decompresses to the same bytes, by zlib's own reader; what
 * is not shorter is not compressed, and where memory is short neither. GET /models is compressed
 * for clients that take it. Which coding a client takes is tested with the built-in files
 * (tests/server/api/test_assets.c). */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "server/http/coding.h"
#include "support/server_fixture.h"

/* Decompresses gzip; returns the length, or 0 if it is damaged or longer than `size`. */
static size_t gunzip(const void *packed, size_t length, char *out, size_t size)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed,
                  .avail_in = (uInt)length,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)size};

    CU_ASSERT_EQUAL_FATAL(inflateInit2(&z, 15 + 16), Z_OK);
    int result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return result == Z_STREAM_END ? z.total_out : 0;
}

static void what_is_packed_is_the_same(void)
{
    enum { MOST = 40000 };
    char *text = adl_malloc(MOST, 1), *back = adl_malloc(MOST, 1);

    for (int i = 0; i < MOST; i++)
        text[i] = (char)(' ' + i * i / 7 % 60);
    for (size_t length = 0; length <= MOST; length = length * 3 + 1) {
        size_t packed_length = 0;
        void *packed = adl_coding_gzip(text, length, &packed_length);
        if (packed) {
            CU_ASSERT(packed_length < length);
            CU_ASSERT(gunzip(packed, packed_length, back, MOST) == length &&
                      !memcmp(back, text, length));
        }
        CU_ASSERT(packed != NULL || length < 1000);
        CU_ASSERT(packed == NULL || length > 18); /* gzip's own frame */
        adl_free(packed);
    }
    adl_free(text);
    adl_free(back);
}

static void what_would_not_be_shorter_is_left(void)
{
    unsigned char noise[5000];
    size_t length;
    unsigned at = 1;

    for (size_t i = 0; i < sizeof noise; i++) {
        at = at * 1664525u + 1013904223u; /* Knuth's generator of Numerical Recipes */
        noise[i] = (unsigned char)(at >> 24);
    }
    CU_ASSERT_PTR_NULL(adl_coding_gzip(noise, sizeof noise, &length));
}

static void without_memory_there_is_none(void)
{
    static const char text[3000];
    size_t length, before = adl_mem_stats().live_blocks;
    void *packed = NULL;
    uint64_t nth;

    for (nth = 1; nth < 50 && !packed; nth++) {
        adl_mem_fail_nth(nth);
        packed = adl_coding_gzip(text, sizeof text, &length);
        adl_mem_fail_nth(0);
        CU_ASSERT(adl_mem_stats().live_blocks == before + (packed != NULL));
    }
    CU_ASSERT(nth > 2);
    CU_ASSERT_PTR_NOT_NULL(packed);
    adl_free(packed);
}

static void models_are_sent_packed(void)
{
    struct test_service service = {0};
    char back[20000], second[400];
    const char *more[] = {"--model", second, NULL};

    /* Two models have enough to say. */
    snprintf(second, sizeof second, "second=%s", test_small_model());
    if (!test_service_open(&service, 32, 32, more))
        return;
    struct test_reply plain = test_get(&service.server, "GET", "/models", NULL);
    struct test_reply packed =
        test_get(&service.server, "GET", "/models", "Accept-Encoding: br, gzip\r\n");
    struct test_reply refused =
        test_get(&service.server, "GET", "/models", "Accept-Encoding: gzip;q=0\r\n");
    struct test_reply brief =
        test_get(&service.server, "GET", "/healthz", "Accept-Encoding: gzip\r\n");
    CU_ASSERT(test_header_is(&plain, "Vary", "Accept-Encoding"));
    CU_ASSERT_PTR_NULL(test_reply_header(&plain, "Content-Encoding"));
    CU_ASSERT(test_header_is(&packed, "Vary", "Accept-Encoding"));
    CU_ASSERT(test_header_is(&packed, "Content-Encoding", "gzip"));
    CU_ASSERT(test_header_is(&packed, "Content-Type", "application/json"));
    CU_ASSERT(packed.length < plain.length);
    CU_ASSERT(gunzip(packed.body, packed.length, back, sizeof back) == plain.length &&
              !memcmp(back, plain.body, plain.length));
    CU_ASSERT_PTR_NULL(test_reply_header(&refused, "Content-Encoding"));
    CU_ASSERT(refused.length == plain.length);
    CU_ASSERT_PTR_NULL(test_reply_header(&brief, "Content-Encoding"));
    CU_ASSERT_PTR_NULL(test_reply_header(&brief, "Vary"));
    test_reply_release(&plain);
    test_reply_release(&packed);
    test_reply_release(&refused);
    test_reply_release(&brief);
    test_service_close(&service);
}

TEST_SUITE(coding, {"what is packed is the same", what_is_packed_is_the_same},
           {"what would not be shorter is left", what_would_not_be_shorter_is_left},
           {"without memory there is none", without_memory_there_is_none},
           {"models are sent packed", models_are_sent_packed});
