/* image/resize_filter: the pass along a row gives the same bytes with and without AVX2, and reads
 * nothing beyond the row. What the bytes have to be is Pillow's matter (test_image_resize.c). */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "image/resize_filter.h"
#include "support/formula.h"

enum { MOST = 70 };

static void compare(int in, int size)
{
    struct adl_resize_filter filter;
    struct adl_error err = {0};
    uint8_t fast[3 * MOST + 1], plain[3 * MOST + 1];
    uint8_t *row = adl_malloc((size_t)in, 3); /* as long as it is, for AddressSanitizer */

    TEST_OK(row ? adl_resize_filter_init(&filter, in, size, &err) : -1, &err);
    if (!row || err.kind)
        return;
    for (int i = 0; i < 3 * in; i++)
        row[i] = (uint8_t)(255 * formula_u("row", (size_t)i) + 0.5);
    memset(fast, 7, sizeof fast);
    memset(plain, 7, sizeof plain);
    adl_resize_row(row, &filter, fast);
    filter.avx2 = false;
    adl_resize_row(row, &filter, plain);
    CU_ASSERT(!memcmp(fast, plain, sizeof fast));
    adl_resize_filter_release(&filter);
    adl_free(row);
}

static void same_bytes(void)
{
    for (int in = 1; in <= MOST; in++)
        for (int size = 1; size <= MOST; size += 1 + size / 8)
            compare(in, size);
}

TEST_SUITE(resize_filter, {"same bytes with and without AVX2", same_bytes});
