/* Tests any reader with truncated and damaged input, and with failing allocations. */

#include "support/hostile.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/test.h"

/* Returns whether the reader accepts the bytes; checks that it leaks nothing and that a refusal
 * has a reason. */
static bool accepts(hostile_reader *read, const void *bytes, size_t length, struct adl_error *err)
{
    size_t before = adl_mem_stats().live_blocks;
    void *exact = malloc(length ? length : 1);
    if (length)
        memcpy(exact, bytes, length);
    int result = read(exact, length, err);
    free(exact);
    if (result < 0 && err->kind == ADL_ERR_NONE)
        TEST_FAIL("refused without an error");
    if (adl_mem_stats().live_blocks != before)
        TEST_FAIL("leaked %zu blocks (%s)", adl_mem_stats().live_blocks - before, err->message);
    return result == 0;
}

void hostile_truncate(hostile_reader *read, const void *bytes, size_t length)
{
    for (size_t cut = 0; cut < length; cut++) {
        struct adl_error err = {0};
        if (accepts(read, bytes, cut, &err))
            TEST_FAIL("accepted when cut to %zu of %zu bytes", cut, length);
    }
    CU_PASS("");
}

void hostile_mutate(hostile_reader *read, const void *bytes, size_t length)
{
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    unsigned char *copy = malloc(length);
    memcpy(copy, bytes, length);
    for (size_t i = 0; i < length; i++) {
        unsigned char original = copy[i];
        for (size_t j = 0; j < 8 + sizeof values; j++) {
            struct adl_error err = {0};
            copy[i] = (unsigned char)(j < 8 ? original ^ 1u << j : values[j - 8]);
            accepts(read, copy, length, &err);
        }
        copy[i] = original;
    }
    free(copy);
    CU_PASS("");
}

void hostile_starve(hostile_reader *read, const void *bytes, size_t length)
{
    for (uint64_t n = 1; n < 100000; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        bool accepted = accepts(read, bytes, length, &err);
        adl_mem_fail_nth(0);
        if (accepted) {
            CU_ASSERT(n > 1);
            return;
        }
        if (err.kind != ADL_ERR_NOMEM) {
            TEST_FAIL("allocation %llu: %s", (unsigned long long)n, err.message);
            return;
        }
    }
    TEST_FAIL("never succeeded");
}

void hostile_refused(hostile_reader *read, const void *bytes, size_t length,
                     enum adl_error_kind kind, const char *part)
{
    struct adl_error err = {0};
    if (accepts(read, bytes, length, &err))
        TEST_FAIL("accepted, expected a refusal that says \"%s\"", part);
    else if (err.kind != kind || !strstr(err.message, part))
        TEST_FAIL("refused as %s \"%s\", expected %s with \"%s\"", test_error_kind(err.kind),
                  err.message, test_error_kind(kind), part);
    else
        CU_PASS("");
}
