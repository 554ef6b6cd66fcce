/* Event files, byte for byte, and what is read of damaged ones.
 *
 * The records were computed by Python from the formats' definitions: a CRC by table, struct.pack,
 *
 *     rec(b) = pack('<Q', len(b)) + pack('<I', m(pack('<Q', len(b)))) + b + pack('<I', m(b))
 *     m(b) = ((c >> 15 | c << 17) + 0xa282ead8) mod 2^32 for c = crc32c(b) */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "io/event_file.h"
#include "io/file.h"
#include "support/test.h"

static const unsigned char version[] = {0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa3, 0x7f,
                                        0x4b, 0x22, 0x09, 0x00, 0x00, 0x20, 0x40, 0xfc, 0x54, 0xd9,
                                        0x41, 0x1a, 0x0d, 0x62, 0x72, 0x61, 0x69, 0x6e, 0x2e, 0x45,
                                        0x76, 0x65, 0x6e, 0x74, 0x3a, 0x32, 0x2b, 0x35, 0x31, 0x10};
static const unsigned char start[] = {
    0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x95, 0xfb, 0xfe, 0x18, 0x09, 0x00, 0x00, 0x20,
    0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0xac, 0x02, 0x3a, 0x02, 0x08, 0x01, 0xb9, 0x45, 0x12, 0xa3};
static const unsigned char scalars[] = {
    0x2c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf4, 0xae, 0xcc, 0x45, 0x09, 0x00, 0x00,
    0x20, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0xac, 0x02, 0x2a, 0x1e, 0x0a, 0x11, 0x0a, 0x0a,
    0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0x40, 0x3f,
    0x0a, 0x09, 0x0a, 0x02, 0x6c, 0x72, 0x15, 0x0a, 0xd7, 0x23, 0x3c, 0xa7, 0x9c, 0x78, 0x97};

static const struct adl_event_scalar figures[] = {{"train/loss", 0.75f}, {"lr", 0.01f}};
static const double wall = 1700000000.5;

/* The examples of RFC 3720, appendix B.4, and the usual check value. */
static void checksums(void)
{
    unsigned char bytes[32] = {0};
    CU_ASSERT_EQUAL(adl_crc32c("123456789", 9), 0xe3069283);
    CU_ASSERT_EQUAL(adl_crc32c(bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    CU_ASSERT_EQUAL(adl_crc32c(bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned char i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    CU_ASSERT_EQUAL(adl_crc32c(bytes, sizeof bytes), 0x46dd794e);
    CU_ASSERT_EQUAL(adl_crc32c("", 0), 0);
}

static void expect(struct adl_str *records, const unsigned char *want, size_t length)
{
    CU_ASSERT_FALSE(records->failed);
    CU_ASSERT_EQUAL(records->length, length);
    if (records->length == length)
        CU_ASSERT_EQUAL(memcmp(records->data, want, length), 0);
    adl_str_release(records);
}

static void records(void)
{
    struct adl_str text = {0};
    adl_event_put_version(&text, wall);
    expect(&text, version, sizeof version);
    adl_event_put_start(&text, wall, 300);
    expect(&text, start, sizeof start);
    adl_event_put_scalars(&text, wall, 300, figures, 2);
    expect(&text, scalars, sizeof scalars);
}

static void appended_and_read_again(void)
{
    struct adl_error err = {0};
    struct adl_str text = {0};
    char path[600];
    size_t length;

    snprintf(path, sizeof path, "%s/events", test_tmp_dir());
    adl_event_put_version(&text, wall);
    TEST_OK(adl_event_append(path, &text, &err), &err);
    adl_str_release(&text);
    adl_event_put_scalars(&text, wall, 300, figures, 2);
    adl_event_put_start(&text, wall, 400); /* has no figures */
    TEST_OK(adl_event_append(path, &text, &err), &err);
    adl_str_release(&text);
    char *bytes = adl_file_read(path, 1 << 20, &length, &err);
    TEST_OK(bytes ? 0 : -1, &err);
    CU_ASSERT_EQUAL(length, sizeof version + sizeof scalars + sizeof start);
    CU_ASSERT_EQUAL(adl_event_last_step(bytes, length), 300);
    adl_free(bytes);
    text.length = 0;
    adl_event_put_start(&text, wall, 7);
    CU_ASSERT_EQUAL(adl_event_last_step(text.data, text.length), -1);
    adl_event_put_scalars(&text, wall, 0, figures, 1);
    CU_ASSERT_EQUAL(adl_event_last_step(text.data, text.length), 0);
    adl_str_release(&text);
    CU_ASSERT(adl_event_append(test_tmp_dir(), &text, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
    text.failed = true;
    adl_error_clear(&err);
    CU_ASSERT(adl_event_append(path, &text, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
}

/* A file that was cut off anywhere, or one of whose bits is wrong, has the steps of the whole
 * records before. */
static void damaged_files(void)
{
    unsigned char bytes[2 * sizeof scalars];
    struct adl_str text = {0};

    memcpy(bytes, scalars, sizeof scalars);
    adl_event_put_scalars(&text, wall, 301, figures, 2);
    CU_ASSERT_EQUAL_FATAL(text.length, sizeof scalars);
    memcpy(bytes + sizeof scalars, text.data, sizeof scalars);
    adl_str_release(&text);
    for (size_t length = 0; length <= sizeof bytes; length++)
        CU_ASSERT_EQUAL(adl_event_last_step(bytes, length), length < sizeof scalars ? -1
                                                            : length < sizeof bytes ? 300
                                                                                    : 301);
    for (size_t bit = 0; bit < 8 * sizeof scalars; bit++) {
        bytes[sizeof scalars + bit / 8] ^= (unsigned char)(1u << bit % 8);
        CU_ASSERT_EQUAL(adl_event_last_step(bytes, sizeof bytes), 300);
        bytes[sizeof scalars + bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

TEST_SUITE(event_file, {"checksums", checksums}, {"records", records},
           {"appended and read again", appended_and_read_again}, {"damaged files", damaged_files});
