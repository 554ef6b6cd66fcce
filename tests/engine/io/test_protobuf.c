/* The wire format, against the examples of its specification. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "io/protobuf.h"
#include "support/test.h"

static const char *tmp_path(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/message", test_tmp_dir());
    return path;
}

/* Writes the message, releases it, and compares the file. */
static void expect_bytes(struct adl_protobuf *message, const void *want, size_t length)
{
    struct adl_error err = {0};
    size_t got_length = 0;
    TEST_OK(adl_protobuf_write(tmp_path(), message, &err), &err);
    unsigned char *got = adl_file_read(tmp_path(), 1 << 20, &got_length, &err);
    TEST_OK(got ? 0 : -1, &err);
    if (got && (got_length != length || memcmp(got, want, length) != 0)) {
        for (size_t i = 0; i < got_length; i++)
            printf(" %02x", got[i]);
        TEST_FAIL(" is what was written");
    }
    adl_free(got);
    adl_protobuf_release(message);
}

#define EXPECT_BYTES(message, ...)                                                                 \
    expect_bytes(message, (const unsigned char[]){__VA_ARGS__},                                    \
                 sizeof((const unsigned char[]){__VA_ARGS__}))

static void numbers(void)
{
    struct adl_protobuf message = {0};
    adl_protobuf_int(&message, 1, 150);
    adl_protobuf_int(&message, 1, 0);
    adl_protobuf_int(&message, 1, 127);
    adl_protobuf_int(&message, 16, 128);
    EXPECT_BYTES(&message, 0x08, 0x96, 0x01, 0x08, 0x00, 0x08, 0x7f, 0x80, 0x01, 0x80, 0x01);

    /* A negative number is written as its 64-bit two's complement. */
    adl_protobuf_int(&message, 1, -2);
    EXPECT_BYTES(&message, 0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);

    adl_protobuf_float(&message, 2, 1.0f);
    EXPECT_BYTES(&message, 0x15, 0x00, 0x00, 0x80, 0x3f);
    adl_protobuf_double(&message, 1, -2.5);
    EXPECT_BYTES(&message, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0xc0);
}

static void texts_and_messages(void)
{
    struct adl_protobuf message = {0}, inner = {0};
    adl_protobuf_text(&message, 2, "testing");
    EXPECT_BYTES(&message, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67);

    adl_protobuf_int(&inner, 1, 150);
    adl_protobuf_message(&message, 3, &inner);
    adl_protobuf_message(&message, 3, &inner); /* empty now */
    adl_protobuf_bytes(&message, 4, "", 0);
    EXPECT_BYTES(&message, 0x1a, 0x03, 0x08, 0x96, 0x01, 0x1a, 0x00, 0x22, 0x00);

    expect_bytes(&message, "", 0);
}

/* Borrowed contents count in every length around them and keep their place. */
static void borrowed_contents(void)
{
    struct adl_protobuf message = {0}, middle = {0}, inner = {0};
    adl_protobuf_borrow(&inner, 1, "AB", 2);
    adl_protobuf_int(&inner, 2, 1);
    adl_protobuf_borrow(&inner, 3, "", 0);
    adl_protobuf_int(&middle, 1, 2);
    adl_protobuf_message(&middle, 2, &inner);
    adl_protobuf_borrow(&middle, 3, "C", 1);
    adl_protobuf_borrow(&message, 1, "D", 1);
    adl_protobuf_message(&message, 2, &middle);
    adl_protobuf_int(&message, 3, 4);
    EXPECT_BYTES(&message, 0x0a, 0x01, 'D', 0x12, 0x0f, 0x08, 0x02, 0x12, 0x08, 0x0a, 0x02, 'A',
                 'B', 0x10, 0x01, 0x1a, 0x00, 0x1a, 0x01, 'C', 0x18, 0x04);
}

static void lengths_of_two_bytes(void)
{
    unsigned char want[3 + 3 + 300] = {0x0a, 0xaf, 0x02, 0x12, 0xac, 0x02};
    struct adl_protobuf message = {0}, inner = {0};
    memset(want + 6, 'x', 300);
    adl_protobuf_borrow(&inner, 2, want + 6, 300);
    adl_protobuf_message(&message, 1, &inner);
    expect_bytes(&message, want, sizeof want);
}

/* The borrowed data are never read, since their length is refused first. */
static void too_large(void)
{
    static const size_t lengths[] = {(size_t)1 << 31, SIZE_MAX / 2};
    for (size_t i = 0; i < ADL_COUNT(lengths); i++) {
        struct adl_error err = {0};
        struct adl_protobuf message = {0}, inner = {0};
        for (int n = 0; n < 3; n++)
            adl_protobuf_borrow(&inner, 1, "", lengths[i]);
        adl_protobuf_message(&message, 1, &inner);
        CU_ASSERT_EQUAL(adl_protobuf_write(tmp_path(), &message, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
        adl_protobuf_release(&message);
    }
}

static void every_allocation_may_fail(void)
{
    size_t blocks = adl_mem_stats().live_blocks;
    int result = -1;
    for (uint64_t n = 1; result < 0; n++) {
        struct adl_error err = {0};
        struct adl_protobuf message = {0}, inner = {0};
        adl_mem_fail_nth(n);
        for (int i = 0; i < 9; i++)
            adl_protobuf_borrow(&inner, 1, "A", 1);
        adl_protobuf_message(&message, 2, &inner);
        result = adl_protobuf_write(tmp_path(), &message, &err);
        adl_mem_fail_nth(0);
        adl_protobuf_release(&message);
        if (adl_mem_stats().live_blocks != blocks || (result < 0 && err.kind != ADL_ERR_NOMEM)) {
            TEST_FAIL("allocation %llu: %s", (unsigned long long)n, err.message);
            return;
        }
    }
    CU_PASS("");
}

TEST_SUITE(protobuf, {"numbers", numbers}, {"texts and messages", texts_and_messages},
           {"borrowed contents", borrowed_contents}, {"lengths of two bytes", lengths_of_two_bytes},
           {"too large", too_large}, {"every allocation may fail", every_allocation_may_fail});
