/* wsol/map_rule: the rules against their formulas on sorted copies, as the published code computes
 * them with numpy. */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/formula.h"
#include "wsol/boxes.h"
#include "wsol/cam.h"
#include "wsol/map_rule.h"

#define SIDE 37
#define PIXELS (SIDE * SIDE)

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sorted_copy(const double *map, size_t count, double *sorted)
{
    memcpy(sorted, map, count * sizeof *map);
    qsort(sorted, count, sizeof *sorted, ascending);
}

/* Maps with what trips a selection: many equal values, steps, an outlier, tiny and huge spreads. */
enum { KINDS = 8 };
static void fill(int kind, double *map, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double u = formula_u("map", i);
        double values[KINDS] = {u,
                                floor(4 * u),
                                i == count / 2 ? 1e6 : u,
                                i == count / 3 ? -1e12 : 1e-9 * u,
                                1 + 1e-15 * floor(8 * u),
                                i % 9 ? 0 : u,
                                5e-324 * floor(3 * u),
                                1e300 * u};
        map[i] = values[kind];
    }
}

static void the_rank_is_that_of_the_sorted_values(void)
{
    static double map[PIXELS], sorted[PIXELS];
    static const size_t counts[] = {1, 2, 3, 196, PIXELS};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t c = 0; c < ADL_COUNT(counts); c++) {
            fill(kind, map, counts[c]);
            sorted_copy(map, counts[c], sorted);
            for (size_t k = 0; k <= 20; k++) {
                size_t rank = ADL_MIN(counts[c] * k / 20, counts[c] - 1);
                CU_ASSERT_EQUAL(adl_map_rank(map, counts[c], rank), sorted[rank]);
            }
        }
}

/* One pixel by the formulas of the papers, in the order of the published code. */
static double expected(const struct adl_map_rule *rule, double value, const double *sorted,
                       size_t count)
{
    double least = sorted[0], greatest = sorted[count - 1];
    size_t index = ADL_MIN((size_t)((double)count * rule->percentile), count - 1);
    switch (rule->normalise) {
    case ADL_MAP_MAX: return greatest > 0 ? fmax(0, value) / greatest : 0;
    case ADL_MAP_PAS:
        return value <= least ? 0 : fmin(1, (value - least) / (sorted[index] - least));
    case ADL_MAP_IVR: return fmax(0, value - sorted[index]) / (greatest - sorted[index]);
    default: return (value - least) / (greatest - least);
    }
}

static void rules_follow_their_formulas(void)
{
    static double map[PIXELS], sorted[PIXELS], made[PIXELS];
    static const struct adl_map_rule rules[] = {
        {.normalise = ADL_MAP_MINMAX},
        {.normalise = ADL_MAP_MAX},
        {.normalise = ADL_MAP_PAS, .percentile = 0.9},
        {.normalise = ADL_MAP_PAS, .percentile = 0.5},
        {.normalise = ADL_MAP_PAS, .percentile = 1},
        {.normalise = ADL_MAP_IVR, .percentile = 0},
        {.normalise = ADL_MAP_IVR, .percentile = 0.45},
        {.normalise = ADL_MAP_IVR, .percentile = 0.8},
    };
    for (int kind = 0; kind < 4; kind++)
        for (size_t r = 0; r < ADL_COUNT(rules); r++) {
            fill(kind, map, PIXELS);
            sorted_copy(map, PIXELS, sorted);
            memcpy(made, map, sizeof map);
            struct adl_map_range range = adl_map_normalise(&rules[r], made, PIXELS);
            CU_ASSERT(range.low <= sorted[PIXELS - 1] && range.high >= range.low);
            for (size_t i = 0; i < PIXELS; i++)
                CU_ASSERT_EQUAL(made[i], expected(&rules[r], map[i], sorted, PIXELS));
        }
}

static void unusable_maps_become_zeros(void)
{
    const double bad[][3] = {{1, 1, 1}, {0, NAN, 1}, {0, INFINITY, 1}, {-INFINITY, 0, 1}};
    for (int n = 0; n < 4; n++)
        for (size_t b = 0; b < ADL_COUNT(bad); b++) {
            const struct adl_map_rule rule = {.normalise = (enum adl_map_normalise)n,
                                              .percentile = 0.5};
            double map[3];
            memcpy(map, bad[b], sizeof map);
            struct adl_map_range range = adl_map_normalise(&rule, map, 3);
            CU_ASSERT(range.low == 0 && range.high == 0);
            CU_ASSERT(map[0] == 0 && map[1] == 0 && map[2] == 0);
        }
    /* Nothing above 0, and a percentile equal to the least value. */
    double below[2] = {-2, -1}, flat[4] = {3, 3, 3, 7};
    adl_map_normalise(&(struct adl_map_rule){.normalise = ADL_MAP_MAX}, below, 2);
    CU_ASSERT(below[0] == 0 && below[1] == 0);
    adl_map_normalise(&(struct adl_map_rule){.normalise = ADL_MAP_PAS, .percentile = 0.5}, flat, 4);
    CU_ASSERT(flat[0] == 0 && flat[2] == 0 && flat[3] == 1);
}

static void a_map_is_enlarged_and_then_normalised(void)
{
    enum { SMALL = 7 };
    float cam[SMALL * SMALL];
    static double small[SMALL * SMALL], map[PIXELS], made[PIXELS], sorted[PIXELS];
    const struct adl_map_rule rule = {.normalise = ADL_MAP_IVR, .percentile = 0.6};
    struct adl_map_range range;
    struct adl_error err = {0};
    for (size_t i = 0; i < ADL_COUNT(cam); i++)
        small[i] = (double)(cam[i] = (float)formula_u("cam", i));
    TEST_OK(adl_scoremap_resize(small, SMALL, SMALL, map, SIDE, SIDE, &err), &err);
    TEST_OK(adl_map_make(&rule, cam, SMALL, SMALL, made, SIDE, SIDE, &range, &err), &err);
    sorted_copy(map, PIXELS, sorted);
    CU_ASSERT_EQUAL(range.low, sorted[PIXELS * 6 / 10]);
    CU_ASSERT_EQUAL(range.high, sorted[PIXELS - 1]);
    for (size_t i = 0; i < PIXELS; i++)
        CU_ASSERT_EQUAL(made[i], expected(&rule, map[i], sorted, PIXELS));
}

/* The map is that of a classifier whose negative weights are 0, which test_cam.c compares with the
 * plain sum. */
static void positive_weights_leave_the_others_out(void)
{
    enum { CHANNELS = 33, COUNT = 19 };
    float features[COUNT * CHANNELS], weight[CHANNELS], cam[COUNT], expected[COUNT];
    formula_param("nwc.features", 0.5, 0.5, COUNT * CHANNELS, features);
    formula_param("nwc.weight", 0, 1, CHANNELS, weight);
    const float *row = weight;
    float *positive = cam, *all = expected;
    adl_cam_weighted(features, COUNT, CHANNELS, &row, ADL_MAP_WEIGHTS_POSITIVE, 1, &positive);
    for (size_t k = 0; k < CHANNELS; k++)
        weight[k] = fmaxf(weight[k], 0);
    adl_cam_weighted(features, COUNT, CHANNELS, &row, ADL_MAP_WEIGHTS_ALL, 1, &all);
    CU_ASSERT(!memcmp(cam, expected, sizeof cam));
}

/* Clipping the map that was left unclipped gives the same bits, whatever the rule and the map. */
static void the_clip_can_come_later(void)
{
    enum { CAM = 7 };
    static double map[PIXELS], later[PIXELS];
    static float cam[CAM * CAM];
    bool beyond = false;
    for (int kind = 0; kind < KINDS; kind++)
        for (int n = ADL_MAP_MINMAX; n <= ADL_MAP_IVR; n++) {
            const struct adl_map_rule rule = {.normalise = (enum adl_map_normalise)n,
                                              .percentile = 0.7};
            struct adl_error err = {0};
            fill(kind, map, ADL_COUNT(cam));
            for (size_t i = 0; i < ADL_COUNT(cam); i++)
                cam[i] = (float)map[i];
            TEST_OK(adl_map_make(&rule, cam, CAM, CAM, map, SIDE, SIDE, NULL, &err), &err);
            TEST_OK(adl_map_make_unclipped(&rule, cam, CAM, CAM, later, SIDE, SIDE, NULL, &err),
                    &err);
            for (size_t i = 0; i < PIXELS; i++)
                beyond |= later[i] > 1;
            adl_map_clip(later, PIXELS);
            CU_ASSERT_EQUAL(memcmp(map, later, sizeof map), 0);
        }
    CU_ASSERT(beyond);
}

static void changes_keep_what_they_do_not_name(void)
{
    const struct adl_map_rule model = {.weights = ADL_MAP_WEIGHTS_POSITIVE,
                                       .normalise = ADL_MAP_IVR,
                                       .percentile = 0.6,
                                       .threshold = 0.3};
    struct adl_map_rule rule = model;
    struct adl_map_changes changes = ADL_MAP_NO_CHANGES;
    struct adl_error err = {0};
    TEST_OK(adl_map_rule_change(&rule, &changes, NULL, &err), &err);
    CU_ASSERT(adl_map_rule_equal(&rule, &model));
    changes.normalise = ADL_MAP_IVR; /* the model's own: its percentile stays */
    TEST_OK(adl_map_rule_change(&rule, &changes, NULL, &err), &err);
    CU_ASSERT(adl_map_rule_equal(&rule, &model));
    changes.normalise = ADL_MAP_PAS;
    changes.threshold = 0.5;
    TEST_OK(adl_map_rule_change(&rule, &changes, NULL, &err), &err);
    CU_ASSERT(adl_map_rule_equal(&rule, &(struct adl_map_rule){.weights = ADL_MAP_WEIGHTS_POSITIVE,
                                                               .normalise = ADL_MAP_PAS,
                                                               .percentile = 0.9,
                                                               .threshold = 0.5}));
    rule = model;
    changes = (struct adl_map_changes)ADL_MAP_NO_CHANGES;
    changes.reference = true;
    TEST_OK(adl_map_rule_change(&rule, &changes, NULL, &err), &err);
    CU_ASSERT(adl_map_rule_is_reference(&rule) && rule.threshold == 0.3);
    changes.percentile = 0.2; /* the reference's rule has none */
    CU_ASSERT(adl_map_rule_change(&rule, &changes, NULL, &err) < 0 && err.kind == ADL_ERR_ARG);
    CU_ASSERT(adl_map_rule_is_reference(&rule));
    const struct adl_foreground_head head = {.channels = 1, .weights = (const float[]){1, 0}};
    changes = (struct adl_map_changes)ADL_MAP_NO_CHANGES;
    changes.foreground = 1;
    CU_ASSERT(adl_map_rule_change(&rule, &changes, NULL, &err) < 0 && err.kind == ADL_ERR_ARG);
    TEST_OK(adl_map_rule_change(&rule, &changes, &head, &err), &err);
    CU_ASSERT(rule.foreground == &head && !adl_map_rule_is_reference(&rule));
    changes.foreground = 0;
    TEST_OK(adl_map_rule_change(&rule, &changes, &head, &err), &err);
    CU_ASSERT(adl_map_rule_is_reference(&rule));
}

TEST_SUITE(map_rule, {"a rank is that of the sorted values", the_rank_is_that_of_the_sorted_values},
           {"rules follow their formulas", rules_follow_their_formulas},
           {"unusable maps become zeros", unusable_maps_become_zeros},
           {"a map is enlarged, then normalised", a_map_is_enlarged_and_then_normalised},
           {"positive weights leave the others out", positive_weights_leave_the_others_out},
           {"the clip can come later", the_clip_can_come_later},
           {"changes keep what they do not name", changes_keep_what_they_do_not_name});
