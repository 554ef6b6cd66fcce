/* wsol/pxap: pixel average precision against the reference evaluation code. */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/golden.h"
#include "wsol/pxap.h"

/* Adds the images of a case, those of odd number to a second struct that is merged. */
static void add_images(const json_t *item, double interval, struct adl_pxap *pxap)
{
    const json_t *maps = golden_get(item, "maps_u8"), *masks = golden_get(item, "masks");
    struct adl_error err = {0};
    struct adl_pxap part = {0};

    TEST_OK(adl_pxap_init(pxap, interval, &err), &err);
    TEST_OK(adl_pxap_init(&part, interval, &err), &err);
    for (size_t i = 0; i < json_array_size(maps); i++) {
        size_t pixels, count;
        double *map = golden_doubles(json_array_get(maps, i), &pixels);
        int *values = golden_ints(json_array_get(masks, i), &count);
        uint8_t *mask = adl_malloc(pixels, 1);
        CU_ASSERT_EQUAL_FATAL(count, pixels);
        for (size_t k = 0; k < pixels; k++) {
            map[k] /= 255;
            mask[k] = (uint8_t)values[k];
        }
        TEST_OK(adl_pxap_add(i % 2 ? &part : pxap, map, mask, pixels, &err), &err);
        adl_free(map);
        adl_free(values);
        adl_free(mask);
    }
    TEST_OK(adl_pxap_merge(pxap, &part, &err), &err);
    adl_pxap_release(&part);
}

static void equals_the_reference(void)
{
    json_t *root = golden_load("metrics/pxap.json"), *item, *want;
    const char *interval;
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, item)
    {
        json_object_foreach(golden_get(item, "pxap"), interval, want)
        {
            struct adl_pxap pxap;
            struct adl_error err = {0};
            double got = 0;
            add_images(item, strtod(interval, NULL), &pxap);
            TEST_OK(adl_pxap_result(&pxap, &got, &err), &err);
            if (!(fabs(got - json_number_value(want)) <= 1e-11)) /* order of the sum */
                TEST_FAIL("%s at %s: %.15g, expected %.15g", golden_string(item, "name"), interval,
                          got, json_number_value(want));
            adl_pxap_release(&pxap);
        }
    }
    json_decref(root);
}

static void edges_belong_to_the_upper_bin(void)
{
    struct adl_pxap pxap;
    struct adl_error err = {0};
    const uint8_t mask = ADL_PXAP_FOREGROUND;
    TEST_OK(adl_pxap_init(&pxap, 0.001, &err), &err);
    for (size_t i = 0; i < 1000; i++) {
        double on = (double)i * 0.001, below = nextafter(on, -1);
        TEST_OK(adl_pxap_add(&pxap, &on, &mask, 1, &err), &err);
        CU_ASSERT_EQUAL(pxap.foreground[i], 1);
        if (i == 0)
            continue;
        TEST_OK(adl_pxap_add(&pxap, &below, &mask, 1, &err), &err);
        CU_ASSERT_EQUAL(pxap.foreground[i - 1], 2);
    }
    double one = 1;
    TEST_OK(adl_pxap_add(&pxap, &one, &mask, 1, &err), &err);
    CU_ASSERT_EQUAL(pxap.foreground[1000], 1);
    adl_pxap_release(&pxap);
}

static void refuses_what_is_no_map_or_mask(void)
{
    struct adl_pxap pxap, other;
    struct adl_error err = {0};
    double values[] = {NAN, -0.1, 1.1}, half = 0.5, percent;
    uint8_t mask = ADL_PXAP_BACKGROUND, wrong = 2;
    CU_ASSERT_EQUAL(adl_pxap_init(&pxap, 0, &err), -1);
    CU_ASSERT_EQUAL(adl_pxap_init(&pxap, NAN, &err), -1);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_pxap_init(&pxap, 1e-9, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_error_clear(&err);
    TEST_OK(adl_pxap_init(&pxap, 0.1, &err), &err);
    TEST_OK(adl_pxap_init(&other, 0.2, &err), &err);
    for (size_t i = 0; i < ADL_COUNT(values); i++)
        CU_ASSERT_EQUAL(adl_pxap_add(&pxap, &values[i], &mask, 1, &err), -1);
    CU_ASSERT_EQUAL(adl_pxap_add(&pxap, &half, &wrong, 1, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    CU_ASSERT_EQUAL(adl_pxap_merge(&pxap, &other, &err), -1);
    adl_error_clear(&err);
    TEST_OK(adl_pxap_add(&pxap, &half, &mask, 1, &err), &err);
    CU_ASSERT_EQUAL(adl_pxap_result(&pxap, &percent, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_pxap_release(&pxap);
    adl_pxap_release(&other);
}

static void survives_no_memory(void)
{
    struct adl_mem_stats before = adl_mem_stats();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct adl_pxap pxap;
        struct adl_error err = {0};
        adl_mem_fail_nth(nth);
        CU_ASSERT_EQUAL(adl_pxap_init(&pxap, 0.01, &err), -1);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    }
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(pxap, {"PxAP equals the reference's", equals_the_reference},
           {"a score on an edge belongs to the upper bin", edges_belong_to_the_upper_bin},
           {"values that are no map or mask are refused", refuses_what_is_no_map_or_mask},
           {"PxAP survives running out of memory", survives_no_memory});
