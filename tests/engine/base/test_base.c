/* base/: errors, memory, sizes, arenas, text, edits. */

#include "support/test.h"

#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/edit.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/size.h"
#include "base/str.h"

static void first_error_wins(void)
{
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_fail(&err, ADL_ERR_FORMAT, "bad %d", 1), -1);
    adl_fail(&err, ADL_ERR_IO, "later");
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_STRING_EQUAL(err.message, "bad 1");
    adl_error_context(&err, "file.%s", "x");
    CU_ASSERT_STRING_EQUAL(err.message, "file.x: bad 1");
    char longer[2000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    adl_error_context(&err, "%s", longer);
    CU_ASSERT_EQUAL(strlen(err.message), sizeof err.message - 1);
    CU_ASSERT_STRING_EQUAL(err.message + sizeof err.message - 6, "aa...");
    /* Whatever the length before it, no character is split. */
    for (size_t i = 0; i < 4; i++) {
        adl_error_clear(&err);
        memset(longer, 'a', i);
        for (size_t at = i; at + 3 < sizeof longer; at += 3)
            memcpy(longer + at, "\xe2\x82\xac", 4);
        adl_fail(&err, ADL_ERR_FORMAT, "%s", longer);
        size_t length = strlen(err.message);
        CU_ASSERT(length > sizeof err.message - 6 && (length - 3 - i) % 3 == 0);
        CU_ASSERT_STRING_EQUAL(err.message + length - 3, "...");
    }
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NONE);
}

static void long_values_are_shortened(void)
{
    char text[100];
    /* Two bytes each: however many come before, none is split. */
    for (size_t i = 0; i < sizeof text - 2; i++) {
        size_t length = 0;
        text[length] = '\0';
        if (i % 2)
            text[length++] = 'a';
        while (length + 2 <= i + 1)
            memcpy(text + length, "\xc3\xa4", 3), length += 2;
        text[length] = '\0';
        struct adl_name_short shortened = adl_name_shorten(text);
        size_t kept = strlen(shortened.text);
        if (length < sizeof shortened.text) {
            CU_ASSERT_STRING_EQUAL(shortened.text, text);
            continue;
        }
        CU_ASSERT(kept < sizeof shortened.text && kept + 3 > sizeof shortened.text - 2);
        CU_ASSERT_STRING_EQUAL(shortened.text + kept - 3, "...");
        CU_ASSERT((kept - 3 - i % 2) % 2 == 0 && !memcmp(shortened.text, text, kept - 3));
    }
}

static void memory_is_counted_and_aligned(void)
{
    struct adl_mem_stats before = adl_mem_stats();
    void *a = adl_malloc(3, 5), *b = adl_calloc(0, 8);
    CU_ASSERT_EQUAL((uintptr_t)a % ADL_ALIGNMENT, 0);
    CU_ASSERT_PTR_NOT_NULL(b);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks + 2);
    memset(a, 7, 15);
    a = adl_realloc(a, 100, 100);
    CU_ASSERT_EQUAL(((char *)a)[14], 7);
    adl_free(a);
    adl_free(b);
    adl_free(NULL);
    CU_ASSERT_EQUAL(adl_mem_stats().live_bytes, before.live_bytes);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    CU_ASSERT_PTR_NULL(adl_malloc(SIZE_MAX / 2, 3));
    adl_mem_fail_nth(2);
    a = adl_malloc(1, 1);
    b = adl_malloc(1, 1);
    CU_ASSERT_PTR_NOT_NULL(a);
    CU_ASSERT_PTR_NULL(b);
    adl_mem_fail_nth(0);
    adl_free(a);
}

static void sizes_are_checked(void)
{
    size_t r = 1;
    CU_ASSERT_EQUAL(adl_size_mul(SIZE_MAX, 2, &r), -1);
    CU_ASSERT_EQUAL(adl_size_add(SIZE_MAX, 1, &r), -1);
    CU_ASSERT_EQUAL(adl_size_round_up(SIZE_MAX - 1, 64, &r), -1);
    CU_ASSERT_EQUAL(r, 1);
    CU_ASSERT_EQUAL(adl_size_round_up(65, 64, &r), 0);
    CU_ASSERT_EQUAL(r, 128);
}

static void arena_keeps_everything(void)
{
    struct adl_arena arena = {0};
    char *names[500];
    for (int i = 0; i < 500; i++)
        names[i] = adl_arena_printf(&arena, "%d-%*s", i, 300, "x");
    for (int i = 0; i < 500; i++) {
        char want[32];
        snprintf(want, sizeof want, "%d-", i);
        CU_ASSERT_EQUAL(strncmp(names[i], want, strlen(want)), 0);
    }
    CU_ASSERT_PTR_NOT_NULL(adl_arena_alloc(&arena, 1, 1000000));
    CU_ASSERT_PTR_NULL(adl_arena_alloc(&arena, SIZE_MAX, 2));
    adl_arena_release(&arena);
}

static void text_grows_and_remembers_failure(void)
{
    struct adl_error err = {0};
    struct adl_str str = {0};
    size_t length;
    for (int i = 0; i < 1000; i++)
        adl_str_printf(&str, "%d,", i % 10);
    char *text = adl_str_take(&str, &length, &err);
    CU_ASSERT_EQUAL(length, 2000);
    CU_ASSERT_EQUAL(strlen(text), 2000);
    adl_free(text);
    adl_mem_fail_nth(1);
    adl_str_puts(&str, "x");
    adl_mem_fail_nth(0);
    adl_str_puts(&str, "y");
    CU_ASSERT_PTR_NULL(adl_str_take(&str, NULL, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
}

/* The vectors of RFC 4648, section 10, and the two digits that they do not contain. */
static void encodes_base64(void)
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    for (size_t i = 0; i < ADL_COUNT(vectors); i++) {
        struct adl_str str = {0};
        adl_str_puts(&str, ":");
        adl_str_base64(&str, vectors[i][0], strlen(vectors[i][0]));
        CU_ASSERT_STRING_EQUAL(str.data + 1, vectors[i][1]);
        CU_ASSERT_EQUAL(str.length, 1 + strlen(vectors[i][1]));
        adl_str_release(&str);
    }
}

static void edits_are_counted(void)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},         {"", "abc", 3},  {"kitten", "sitting", 3}, {"flaw", "lawn", 2},
        {"same", "same", 0}, {"ab", "ba", 2}, {"abc", "abcd", 1},       {"saturday", "sunday", 3},
    };
    char word[ADL_EDIT_BYTES + 1];
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        const char *a = cases[i].a, *b = cases[i].b;
        CU_ASSERT_EQUAL(adl_edit_distance(a, strlen(a), b, strlen(b)), cases[i].distance);
        CU_ASSERT_EQUAL(adl_edit_distance(b, strlen(b), a, strlen(a)), cases[i].distance);
    }
    memset(word, 'a', sizeof word);
    CU_ASSERT_EQUAL(adl_edit_distance(word, ADL_EDIT_BYTES, "a", 1), ADL_EDIT_BYTES - 1);
    CU_ASSERT_EQUAL(adl_edit_distance(word, sizeof word, "a", 1), SIZE_MAX);
    CU_ASSERT_EQUAL(adl_edit_distance("a", 1, word, sizeof word), SIZE_MAX);
}

TEST_SUITE(base, {"the first error wins", first_error_wins},
           {"long values are shortened", long_values_are_shortened},
           {"memory is counted and aligned", memory_is_counted_and_aligned},
           {"sizes are checked", sizes_are_checked},
           {"an arena keeps everything", arena_keeps_everything},
           {"text grows and remembers failure", text_grows_and_remembers_failure},
           {"encodes base64", encodes_base64}, {"edits are counted", edits_are_counted});
