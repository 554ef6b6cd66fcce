/* models/file/packed: weights of fewer than 8 bits come back from their packed form, whose bits are
 * read here one by one; and what is not packed as the description says is refused in words. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "models/file/packed.h"

/* Returns weight `index` as the header of the format defines it. */
static int by_definition(const unsigned char *bytes, int bits, size_t index)
{
    int value = 0;
    for (int b = 0; b < bits; b++) {
        size_t at = index * (size_t)bits + (size_t)b;
        int bit = (bytes[at / 8] >> (at % 8)) & 1;
        value += b == bits - 1 ? -(bit << b) : bit << b;
    }
    return value;
}

static struct adl_tensors *set_with(const char *adl)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    TEST_OK(adl_tensors_set_meta(set, "adl", adl, &err), &err);
    return set;
}

static void weights_come_back(void)
{
    static const size_t counts[] = {1, 2, 7, 8, 9, 31, 120};
    struct adl_error err = {0};
    struct adl_rng rng;
    char adl[100];

    adl_rng_seed(&rng, 5, 0, 0);
    for (int bits = 2; bits <= 7; bits++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            size_t count = counts[c];
            signed char values[120];
            int most = (1 << (bits - 1)) - 1;
            for (size_t i = 0; i < count; i++)
                values[i] =
                    (signed char)((int)adl_rng_below(&rng, (uint64_t)(2 * most + 1)) - most);
            values[count - 1] = (signed char)(c % 2 ? most : -most);
            CU_ASSERT_EQUAL(adl_packed_bits(values, count), bits);

            snprintf(adl, sizeof adl, "{\"packed\":{\"w\":[%d,%zu,1]}}", bits, count);
            struct adl_tensors *set = set_with(adl);
            CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, "first", ADL_F32, 0, NULL, &err));
            TEST_OK(adl_packed_add(set, "w", values, count, bits, &err), &err);
            const struct adl_tensor *packed = adl_tensors_find(set, "w_packed");
            CU_ASSERT_PTR_NOT_NULL_FATAL(packed);
            CU_ASSERT_EQUAL(packed->count, (count * (size_t)bits + 7) / 8);
            for (size_t i = 0; i < count; i++)
                CU_ASSERT_EQUAL(by_definition(packed->data, bits, i), values[i]);

            TEST_OK(adl_packed_expand(set, &err), &err);
            const struct adl_tensor *back = adl_tensors_find(set, "w");
            CU_ASSERT_PTR_NOT_NULL_FATAL(back);
            CU_ASSERT(back->dtype == ADL_I8 && back->rank == 2 && back->shape[0] == count);
            CU_ASSERT_EQUAL(memcmp(back->data, values, count), 0);
            CU_ASSERT_PTR_NULL(adl_tensors_find(set, "w_packed"));
            CU_ASSERT_EQUAL(adl_tensors_count(set), 2);
            adl_tensors_free(set);
        }
}

static void others_are_left_alone(void)
{
    static const char *const texts[] = {"{}", "[]", "{", "{\"packed\":[1]}", "{\"packed\":null}"};
    struct adl_error err = {0};
    const size_t shape = 3;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct adl_tensors *set = set_with(texts[i]);
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, "w_packed", ADL_U8, 1, &shape, &err));
        TEST_OK(adl_packed_expand(set, &err), &err);
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_find(set, "w_packed"));
        adl_tensors_free(set);
    }
}

static void wrong_ones_are_refused(void)
{
    /* The set has w_packed, U8 [3]; v_packed, U8 [3]; v, I8 [3]; f_packed, F32 [3]. */
    static const struct {
        const char *packed, *part;
    } cases[] = {
        {"{\"w\":[5,5]}", "\"w\" should be in a tensor \"w_packed\", U8 [4]"},
        {"{\"w\":[5,3]}", "U8 [2]"},
        {"{\"f\":[8,3]}", "\"f\" is not [bits"},
        {"{\"f\":[7,3]}", "\"f_packed\", U8 [3]"},
        {"{\"x\":[5,4]}", "x_packed"},
        {"{\"w\":[1,24]}", "with 2 to 7 bits"},
        {"{\"w\":[-5,4]}", "with 2 to 7 bits"},
        {"{\"w\":[4294967301,4]}", "with 2 to 7 bits"},
        {"{\"w\":[5]}", "\"w\" is not"},
        {"{\"w\":[5,0]}", "positive sides"},
        {"{\"w\":[5,-4]}", "positive sides"},
        {"{\"w\":[5,4.5]}", "positive sides"},
        {"{\"w\":[5,4611686018427387904,4]}", "positive sides"},
        {"{\"w\":[5,4611686018427387904]}", "positive sides"},
        {"{\"w\":[5,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,4]}", "\"w\" is not"},
        {"{\"w\":{\"bits\":5}}", "\"w\" is not"},
        {"{\"w\":[5,4],\"v\":[5,4]}", "two tensors named \"v\""},
    };
    const size_t shape = 3;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_error err = {0};
        char adl[200];
        snprintf(adl, sizeof adl, "{\"packed\":%s}", cases[i].packed);
        struct adl_tensors *set = set_with(adl);
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, "w_packed", ADL_U8, 1, &shape, &err));
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, "v_packed", ADL_U8, 1, &shape, &err));
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, "v", ADL_I8, 1, &shape, &err));
        CU_ASSERT_PTR_NOT_NULL(adl_tensors_add(set, "f_packed", ADL_F32, 1, &shape, &err));
        CU_ASSERT_EQUAL(adl_packed_expand(set, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
        if (!strstr(err.message, cases[i].part))
            TEST_FAIL("%s: \"%s\" does not say \"%s\"", cases[i].packed, err.message,
                      cases[i].part);
        adl_tensors_free(set);
    }
}

TEST_SUITE(packed_file, {"weights of 2 to 7 bits come back", weights_come_back},
           {"sets without packed tensors are left alone", others_are_left_alone},
           {"tensors that are not packed as described are refused", wrong_ones_are_refused});
