/* io/tensor: the set of named tensors, and elements as float32. */

#include "support/test.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "io/tensor.h"

static void set_keeps_order_and_finds_names(void)
{
    struct adl_error err = {0};
    size_t before = adl_mem_stats().live_blocks, shape[] = {2, 3}, wrong = 0;
    struct adl_tensors *set = adl_tensors_create(&err);
    char name[32];

    CU_ASSERT_PTR_NULL(adl_tensors_find(set, "t0"));
    for (size_t i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "t%zu", i);
        struct adl_tensor *t = adl_tensors_add(set, name, ADL_F32, 2, shape, &err);
        wrong += !t || (uintptr_t)t->data % ADL_ALIGNMENT || ((float *)t->data)[5] != 0.0f;
        if (t)
            ((float *)t->data)[0] = (float)i;
    }
    CU_ASSERT_EQUAL(adl_tensors_count(set), 1000);
    for (size_t i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "t%zu", i);
        const struct adl_tensor *t = adl_tensors_find(set, name);
        wrong += t != adl_tensors_at(set, i) || ((float *)t->data)[0] != (float)i;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_PTR_NULL(adl_tensors_add(set, "t7", ADL_F32, 2, shape, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"t7\""));
    adl_tensors_free(set);
    adl_tensors_free(NULL);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
}

static void data_move_between_sets(void)
{
    struct adl_error err = {0};
    size_t before = adl_mem_stats().live_blocks, shape[] = {5};
    struct adl_tensors *from = adl_tensors_create(&err), *to = adl_tensors_create(&err);

    CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(from, "first", ADL_F32, 1, shape, &err));
    float *there = adl_tensors_add(from, "x", ADL_F32, 1, shape, &err)->data;
    there[4] = 7;
    float *data = adl_tensors_take_data(from, "x");
    CU_ASSERT_PTR_EQUAL(data, there);
    CU_ASSERT_PTR_NULL(adl_tensors_find(from, "x")->data);

    CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(to, "y", ADL_F32, 1, shape, &err));
    CU_ASSERT_PTR_NULL(adl_tensors_add_data(to, "y", ADL_F32, 1, shape, data, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_EQUAL(data[4], 7); /* still the caller's */
    const struct adl_tensor *moved = adl_tensors_add_data(to, "z", ADL_F32, 1, shape, data, &err);
    CU_ASSERT(moved && moved->data == data && moved->count == 5);
    adl_tensors_free(from);
    CU_ASSERT_EQUAL(data[4], 7);
    adl_tensors_free(to);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
}

static void renaming_keeps_the_index(void)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    char name[32];
    size_t wrong = 0;

    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "module.%d", i);
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, name, ADL_U8, 0, NULL, &err));
    }
    for (size_t i = 0; i < 500; i += 2)
        TEST_OK(adl_tensors_rename(set, i, adl_tensors_at(set, i)->name + 7, &err), &err);
    for (size_t i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "module.%zu", i);
        wrong += adl_tensors_find(set, name) != (i % 2 ? adl_tensors_at(set, i) : NULL);
        wrong += adl_tensors_find(set, name + 7) != (i % 2 ? NULL : adl_tensors_at(set, i));
    }
    CU_ASSERT_EQUAL(wrong, 0);
    TEST_OK(adl_tensors_rename(set, 0, "0", &err), &err);
    CU_ASSERT_EQUAL(adl_tensors_rename(set, 1, "0", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_STRING_EQUAL(adl_tensors_at(set, 1)->name, "module.1");
    adl_tensors_free(set);
}

static void expect_limit(struct adl_tensors *set, const char *name, int rank, const size_t *shape)
{
    struct adl_error err = {0};
    CU_ASSERT_PTR_NULL(adl_tensors_add(set, name, ADL_F64, rank, shape, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
}

static void limits_are_kept(void)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    char name[ADL_LIMIT_TENSOR_NAME_BYTES + 2];
    size_t ones[ADL_LIMIT_RANK + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    size_t huge[] = {(size_t)1 << 33, (size_t)1 << 33}, empty[] = {0, 5}, over[] = {SIZE_MAX};

    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    expect_limit(set, name, 0, NULL);
    expect_limit(set, "rank", ADL_LIMIT_RANK + 1, ones);
    expect_limit(set, "rank", -1, ones);
    expect_limit(set, "huge", 2, huge);
    expect_limit(set, "over", 1, over);
    name[ADL_LIMIT_TENSOR_NAME_BYTES] = '\0';
    CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, name, ADL_F64, ADL_LIMIT_RANK, ones, &err));
    const struct adl_tensor *none = adl_tensors_add(set, "none", ADL_F64, 2, empty, &err);
    CU_ASSERT(none && none->count == 0 && adl_tensor_bytes(none) == 0 && none->data);
    CU_ASSERT_EQUAL(adl_tensors_count(set), 2);
    adl_tensors_free(set);
}

static void metadata_is_text_by_key(void)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    char key[32];
    const char *k, *v;

    CU_ASSERT_PTR_NULL(adl_tensors_meta(set, "format"));
    TEST_OK(adl_tensors_set_meta(set, "format", "tf", &err), &err);
    TEST_OK(adl_tensors_set_meta(set, "adl", "{}", &err), &err);
    TEST_OK(adl_tensors_set_meta(set, "format", "pt", &err), &err);
    CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "format"), "pt");
    CU_ASSERT_EQUAL(adl_tensors_meta_count(set), 2);
    adl_tensors_meta_at(set, 1, &k, &v);
    CU_ASSERT(!strcmp(k, "adl") && !strcmp(v, "{}"));
    for (int i = 2; i < ADL_LIMIT_METADATA; i++) {
        snprintf(key, sizeof key, "k%d", i);
        TEST_OK(adl_tensors_set_meta(set, key, "", &err), &err);
    }
    CU_ASSERT_EQUAL(adl_tensors_set_meta(set, "more", "", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_tensors_free(set);
}

static void dtypes_have_names(void)
{
    static const struct {
        const char *name;
        size_t size;
    } known[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U64", 8},  {"U32", 4},
                 {"U16", 2}, {"U8", 1},  {"BOOL", 1}};
    enum adl_dtype dtype = ADL_F32;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        CU_ASSERT_EQUAL(adl_dtype_from_name(known[i].name, &dtype), 0);
        CU_ASSERT_STRING_EQUAL(adl_dtype_name(dtype), known[i].name);
        CU_ASSERT_EQUAL(adl_dtype_size(dtype), known[i].size);
    }
    CU_ASSERT_EQUAL(adl_dtype_from_name("F8_E4M3", &dtype), -1);
    CU_ASSERT_EQUAL(adl_dtype_from_name("f32", &dtype), -1);
}

static void text_fits_one_line(void)
{
    struct adl_tensor tensor = {.rank = 4, .shape = {64, 3, 7, 7}};
    char text[64], small[8], name[300];
    CU_ASSERT_STRING_EQUAL(adl_tensor_shape_text(&tensor, text, sizeof text), "[64, 3, 7, 7]");
    CU_ASSERT_EQUAL(strlen(adl_tensor_shape_text(&tensor, small, sizeof small)), sizeof small - 1);
    tensor.rank = 0;
    CU_ASSERT_STRING_EQUAL(adl_tensor_shape_text(&tensor, text, sizeof text), "[]");
    CU_ASSERT_STRING_EQUAL(adl_name_quote("a\nb\x80\x7f", 5).text, "\"a?b??\"");
    memset(name, 'x', sizeof name);
    struct adl_name_quoted quoted = adl_name_quote(name, sizeof name);
    CU_ASSERT(strlen(quoted.text) < sizeof quoted.text && strstr(quoted.text, "x...x"));
}

/* --- conversion ------------------------------------------------------------ */

static void convert(enum adl_dtype dtype, const void *data, size_t count, float *out)
{
    struct adl_tensor tensor = {.dtype = dtype, .count = count, .data = (void *)(uintptr_t)data};
    adl_tensor_to_f32(&tensor, out);
}

/* All 65536 halves, compared with their definition in double precision. */
static void halves_convert_exactly(void)
{
    size_t wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        float got;
        convert(ADL_F16, &half, 1, &got);
        int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
        double want = exponent == 0    ? ldexp(mantissa, -24)
                      : exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                                       : ldexp(1024 + mantissa, exponent - 25);
        if (bits & 0x8000)
            want = -want;
        if (isnan(want) ? !isnan(got) : (double)got != want || !signbit(got) != !signbit(want))
            wrong++;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void wider_types_round_to_nearest_even(void)
{
    /* 2^24 + 1 lies half-way between 2^24 and 2^24 + 2; 2^24 + 3 between + 2 and + 4. */
    double doubles[] = {16777217.0, 16777219.0, 1.0 + 0x1p-24, 1.0 + 0x1.8p-23, 1e300,
                        -1e300,     0x1p-149,   0x1p-150,      0x1.8p-150};
    float want[] = {16777216.0f, 16777220.0f, 1.0f, 1.0f + 0x1p-22f, INFINITY,
                    -INFINITY,   0x1p-149f,   0.0f, 0x1p-149f};
    float got[9];
    convert(ADL_F64, doubles, 9, got);
    for (int i = 0; i < 9; i++)
        CU_ASSERT_EQUAL(got[i], want[i]);
    int64_t longs[] = {16777217, 16777219, -16777217, INT64_MIN};
    convert(ADL_I64, longs, 4, got);
    CU_ASSERT(got[0] == 16777216.0f && got[1] == 16777220.0f && got[2] == -16777216.0f &&
              got[3] == -0x1p63f);
    uint64_t ulongs[] = {UINT64_MAX, 3};
    convert(ADL_U64, ulongs, 2, got);
    CU_ASSERT(got[0] == 0x1p64f && got[1] == 3.0f);
}

static void narrow_types_convert(void)
{
    float got[4];
    convert(ADL_BF16, (uint16_t[]){0x3f80, 0xc0a0, 0x7f80, 0x0001}, 4, got);
    CU_ASSERT(got[0] == 1.0f && got[1] == -5.0f && isinf(got[2]) && got[3] == 0x1p-133f);
    convert(ADL_I32, (int32_t[]){-7, 1 << 20}, 2, got);
    CU_ASSERT(got[0] == -7.0f && got[1] == 1048576.0f);
    convert(ADL_U32, (uint32_t[]){UINT32_MAX}, 1, got);
    CU_ASSERT_EQUAL(got[0], 0x1p32f);
    convert(ADL_I16, (int16_t[]){-32768, 5}, 2, got);
    CU_ASSERT(got[0] == -32768.0f && got[1] == 5.0f);
    convert(ADL_U16, (uint16_t[]){65535}, 1, got);
    CU_ASSERT_EQUAL(got[0], 65535.0f);
    convert(ADL_I8, (int8_t[]){-128, 127}, 2, got);
    CU_ASSERT(got[0] == -128.0f && got[1] == 127.0f);
    convert(ADL_U8, (uint8_t[]){255}, 1, got);
    CU_ASSERT_EQUAL(got[0], 255.0f);
    convert(ADL_BOOL, (uint8_t[]){0, 1, 200}, 3, got);
    CU_ASSERT(got[0] == 0.0f && got[1] == 1.0f && got[2] == 1.0f);
    convert(ADL_F32, (float[]){-0.0f, 3.5f}, 2, got);
    CU_ASSERT(signbit(got[0]) && got[1] == 3.5f);
}

static int build_some(struct adl_error *err)
{
    struct adl_tensors *set = adl_tensors_create(err);
    char name[32];
    int result = -1;
    if (!set)
        return -1;
    for (size_t i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "t%zu", i);
        if (!adl_tensors_add(set, name, ADL_F32, 1, &i, err))
            goto out;
        ADL_TRY(adl_tensors_set_meta(set, name, "x", err));
    }
    ADL_TRY(adl_tensors_rename(set, 3, "renamed", err));
    ADL_TRY(adl_tensors_set_meta(set, "t5", "y", err));
    result = 0;
out:
    adl_tensors_free(set);
    return result;
}

static void survives_no_memory(void)
{
    size_t before = adl_mem_stats().live_blocks;
    for (uint64_t n = 1; n < 10000; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        int result = build_some(&err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
        if (result == 0) {
            CU_ASSERT(n > 300);
            return;
        }
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    }
    TEST_FAIL("never succeeded");
}

TEST_SUITE(tensor, {"a set keeps order and finds names", set_keeps_order_and_finds_names},
           {"data move between sets", data_move_between_sets},
           {"renaming keeps the index", renaming_keeps_the_index},
           {"limits are kept", limits_are_kept},
           {"metadata is text by key", metadata_is_text_by_key},
           {"dtypes have names", dtypes_have_names}, {"text fits one line", text_fits_one_line},
           {"halves convert exactly", halves_convert_exactly},
           {"wider types round to nearest even", wider_types_round_to_nearest_even},
           {"narrow types convert", narrow_types_convert},
           {"survives no memory", survives_no_memory});
