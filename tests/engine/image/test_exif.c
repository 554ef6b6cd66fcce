/* image/exif.c: the orientation in blocks built by hand, whole and broken. */

#include "support/test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/exif.h"

struct block {
    uint8_t bytes[128];
    size_t length;
    bool big_endian;
};

static void put(struct block *block, uint32_t value, int size)
{
    for (int i = 0; i < size; i++) {
        int shift = 8 * (block->big_endian ? size - 1 - i : i);
        block->bytes[block->length++] = (uint8_t)(value >> shift);
    }
}

static void put_entry(struct block *block, uint32_t tag, uint32_t type, uint32_t count,
                      uint32_t value)
{
    put(block, tag, 2);
    put(block, type, 2);
    put(block, count, 4);
    put(block, value, type == 3 ? 2 : 4);
    if (type == 3)
        put(block, 0, 2);
}

/* A camera's make, an orientation, a pointer to another directory. */
static struct block build(bool big_endian, bool prefix, uint32_t type, uint32_t count,
                          uint32_t value)
{
    struct block block = {.big_endian = big_endian};
    if (prefix) {
        memcpy(block.bytes, "Exif\0\0", 6);
        block.length = 6;
    }
    memcpy(block.bytes + block.length, big_endian ? "MM" : "II", 2);
    block.length += 2;
    put(&block, 42, 2);
    put(&block, 10, 4);
    put(&block, 0xdead, 2);
    put(&block, 3, 2);
    put_entry(&block, 0x010f, 2, 4, 0x41424300);
    put_entry(&block, 0x0112, type, count, value);
    put_entry(&block, 0x8769, 4, 1, 0xfffffff0);
    put(&block, 0, 4);
    return block;
}

static void every_orientation(void)
{
    for (int big = 0; big < 2; big++) {
        for (int prefix = 0; prefix < 2; prefix++) {
            for (uint32_t value = 0; value < 12; value++) {
                int want = value >= 1 && value <= 8 ? (int)value : 1;
                struct block b = build(big, prefix, 3, 1, value);
                CU_ASSERT_EQUAL(adl_exif_orientation(b.bytes, b.length), want);
                b = build(big, prefix, 4, 1, value);
                CU_ASSERT_EQUAL(adl_exif_orientation(b.bytes, b.length), want);
            }
        }
    }
}

static void nonsense_is_upright(void)
{
    struct block b = build(false, true, 3, 2, 6);
    CU_ASSERT_EQUAL(adl_exif_orientation(b.bytes, b.length), 1);
    b = build(true, true, 5, 1, 6);
    CU_ASSERT_EQUAL(adl_exif_orientation(b.bytes, b.length), 1);
    b = build(true, false, 3, 1, 6);
    b.bytes[3] = 43;
    CU_ASSERT_EQUAL(adl_exif_orientation(b.bytes, b.length), 1);
    static const uint32_t offsets[] = {0, 4, 0x7fffffff, 0xffffffff, 0xfffffffe};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        b = build(true, false, 3, 1, 6);
        b.length = 4;
        put(&b, offsets[i], 4);
        b.length = 52;
        CU_ASSERT_EQUAL(adl_exif_orientation(b.bytes, b.length), 1);
    }
    CU_ASSERT_EQUAL(adl_exif_orientation("", 0), 1);
}

/* Every length, each in a block of exactly that size, so that a sanitizer sees a read beyond
 * its end. The tag is found as soon as its entry is complete. */
static void cut_anywhere(void)
{
    const struct block b = build(false, true, 3, 1, 5);
    const size_t enough = 6 + 10 + 2 + 2 * 12;
    for (size_t length = 0; length <= b.length; length++) {
        uint8_t *copy = malloc(length ? length : 1);
        memcpy(copy, b.bytes, length);
        CU_ASSERT_EQUAL(adl_exif_orientation(copy, length), length >= enough ? 5 : 1);
        free(copy);
    }
}

TEST_SUITE(exif, {"every orientation, both byte orders", every_orientation},
           {"nonsense is upright", nonsense_is_upright}, {"cut at any byte", cut_anywhere});
