/* wsol/scoremap: enlargement and normalisation against OpenCV and the
 * reference evaluation code. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/formula.h"
#include "support/golden.h"
#include "wsol/boxes.h"
#include "wsol/map_rule.h"

/* The expected values were computed in float, which leaves ripples even on the constant map; in
 * double it stays constant and becomes the documented zeros. */
static double wanted_value(const double *map, size_t count, double want)
{
    for (size_t i = 1; i < count; i++)
        if (map[i] != map[0])
            return want;
    return 0;
}

static void equals_the_reference(void)
{
    json_t *root = golden_load("metrics/resize_and_normalise.json"), *item;
    size_t i;
    json_array_foreach(root, i, item)
    {
        int out_h = golden_int(item, "out_height"), out_w = golden_int(item, "out_width");
        const json_t *rows = golden_get(item, "map");
        int h = (int)json_array_size(rows), w = (int)json_array_size(json_array_get(rows, 0));
        size_t pixels = (size_t)out_h * (size_t)out_w, count, wanted, wrong = 0;
        struct adl_error err = {0};
        double *map = golden_doubles(rows, &count), *out = adl_malloc(pixels, sizeof *out);
        double *want = golden_doubles(golden_get(item, "resized_cubic_normalised"), &wanted);
        CU_ASSERT_EQUAL_FATAL(wanted, pixels);
        TEST_OK(adl_scoremap_resize(map, h, w, out, out_h, out_w, &err), &err);
        adl_map_normalise(&(struct adl_map_rule){0}, out, pixels);
        for (size_t k = 0; k < pixels; k++)
            wrong += !(fabs(out[k] - wanted_value(map, count, want[k])) <= 2e-7);
        if (wrong > 0)
            TEST_FAIL("map %zu: %zu pixels differ", i, wrong);
        adl_free(map);
        adl_free(out);
        adl_free(want);
    }
    json_decref(root);
}

/* The input map of a case of methods/scoremap.json. */
static double *formula_map(const json_t *input, int *h, int *w)
{
    const json_t *shape = golden_get(input, "shape");
    const char *name = golden_string(input, "name");
    size_t rank = json_array_size(shape);
    *h = (int)json_integer_value(json_array_get(shape, rank - 2));
    *w = (int)json_integer_value(json_array_get(shape, rank - 1));
    size_t pixels = (size_t)*h * (size_t)*w;
    float *values = adl_malloc(pixels, sizeof *values);
    double *map = adl_malloc(pixels, sizeof *map);
    float scale = 1;

    if (strcmp(golden_string(input, "formula"), "image") == 0) {
        formula_image(name, 1, 1, *h, *w, values);
        scale = (float)golden_double(input, "scale");
    } else {
        formula_param(name, golden_double(input, "a"), golden_double(input, "b"), pixels, values);
    }
    for (size_t i = 0; i < pixels; i++)
        map[i] = (double)(values[i] * scale);
    adl_free(values);
    return map;
}

static void check_samples(const char *name, const json_t *record, const double *got)
{
    size_t count, samples;
    int *at = golden_ints(golden_get(record, "idx"), &count);
    double *want = golden_doubles(golden_get(record, "f64"), &samples);
    CU_ASSERT_EQUAL_FATAL(count, samples);
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[at[i]] - want[i]) <= 1e-8 * fmax(1, fabs(want[i]))))
            TEST_FAIL("%s, pixel %d: %.10g, expected %.10g", name, at[i], got[at[i]], want[i]);
    adl_free(at);
    adl_free(want);
}

static void equals_opencv(void)
{
    json_t *root = golden_load("methods/scoremap.json"), *item;
    size_t i, checked = 0;
    json_array_foreach(golden_get(root, "cases"), i, item)
    {
        const json_t *inputs = json_object_get(item, "inputs");
        if (!inputs || strcmp(golden_string(item, "interpolation"), "cubic") != 0)
            continue;
        int h, w, out_h = golden_int(item, "out_height"), out_w = golden_int(item, "out_width");
        size_t pixels = (size_t)out_h * (size_t)out_w;
        struct adl_error err = {0};
        double *map = formula_map(golden_get(inputs, "map"), &h, &w);
        double *out = adl_malloc(pixels, sizeof *out);
        const json_t *results = golden_get(item, "results");
        TEST_OK(adl_scoremap_resize(map, h, w, out, out_h, out_w, &err), &err);
        check_samples(golden_string(item, "case"), golden_get(results, "resized"), out);
        adl_map_normalise(&(struct adl_map_rule){0}, out, pixels);
        check_samples(golden_string(item, "case"), golden_get(results, "normalized"), out);
        checked++;
        adl_free(map);
        adl_free(out);
    }
    CU_ASSERT(checked >= 4);
    json_decref(root);
}

/* The weights sum to one, so a constant map stays constant, as does a single pixel; equal sizes
 * change nothing. */
static void keeps_what_it_must(void)
{
    enum { MAX = 40 };
    static double map[MAX * MAX], out[MAX * MAX];
    struct adl_error err = {0};
    for (int h = 1; h < MAX; h += 3) {
        for (int w = 1; w < MAX; w += 4) {
            for (int i = 0; i < h * w; i++)
                map[i] = 3;
            TEST_OK(adl_scoremap_resize(map, h, w, out, MAX, MAX, &err), &err);
            for (size_t i = 0; i < ADL_COUNT(out); i++)
                CU_ASSERT_DOUBLE_EQUAL(out[i], 3, 1e-6);
            for (int i = 0; i < h * w; i++)
                map[i] = formula_u("scoremap.same", (uint64_t)i);
            TEST_OK(adl_scoremap_resize(map, h, w, out, h, w, &err), &err);
            CU_ASSERT_EQUAL(memcmp(map, out, (size_t)(h * w) * sizeof *map), 0);
        }
    }
    CU_ASSERT_EQUAL(adl_scoremap_resize(map, 0, 3, out, 3, 3, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

static void normalises_odd_maps_to_zero(void)
{
    double cases[][3] = {{5, 5, 5}, {1, NAN, 2}, {NAN, 1, 2}, {INFINITY, 0, 1}, {-1e308, 0, 1e308}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        adl_map_normalise(&(struct adl_map_rule){0}, cases[i], 3);
        CU_ASSERT(cases[i][0] == 0 && cases[i][1] == 0 && cases[i][2] == 0);
    }
    double map[3] = {-3, -1, -2};
    adl_map_normalise(&(struct adl_map_rule){0}, map, 3);
    CU_ASSERT(map[0] == 0 && map[1] == 1 && map[2] == 0.5);
    adl_map_normalise(&(struct adl_map_rule){0}, map, 0);
    CU_ASSERT_EQUAL(map[1], 1);
}

static void survives_no_memory(void)
{
    struct adl_mem_stats before = adl_mem_stats();
    double map[4] = {1, 2, 3, 4}, out[9];
    uint64_t nth = 0;
    int result;
    do {
        struct adl_error err = {0};
        adl_mem_fail_nth(++nth);
        result = adl_scoremap_resize(map, 2, 2, out, 3, 3, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
    } while (result < 0 && nth < 100);
    CU_ASSERT_EQUAL(nth, 6);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(scoremap, {"score maps equal the reference's", equals_the_reference},
           {"enlarged maps equal OpenCV's", equals_opencv},
           {"enlargement keeps what it must", keeps_what_it_must},
           {"odd maps become zeros", normalises_odd_maps_to_zero},
           {"enlargement survives running out of memory", survives_no_memory});
