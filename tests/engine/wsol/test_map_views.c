/* wsol/map_views: lists of scales, the sizes of views and their order. */

#include "support/test.h"

#include <string.h>

#include "base/size.h"
#include "wsol/map_views.h"

static int parse(const char *text, double scales[ADL_LIMIT_MAP_SCALES])
{
    struct adl_error err = {0};
    int count = -2;
    int result = adl_map_scales_parse(text, scales, &count, &err);
    CU_ASSERT_EQUAL(result < 0, count < 0);
    CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_ARG : ADL_ERR_NONE);
    return count;
}

static void lists_of_scales_are_strict(void)
{
    static const char *const bad[] = {"",          ",",
                                      "1,",        ",1",
                                      "1,,2",      "0.49",
                                      "2.01",      "-1",
                                      "nan",       "inf",
                                      "1 ",        " 1",
                                      "0x1",       "1e9",
                                      "1,1",       "1;2",
                                      "1,1.0",     "abcd",
                                      "1,1.5,1.5", "1e0,1e-0",
                                      "1.5.5",     "1,2,1.5,0.5,0.75"};
    double scales[ADL_LIMIT_MAP_SCALES];
    for (size_t i = 0; i < ADL_COUNT(bad); i++)
        if (parse(bad[i], scales) != -1)
            TEST_FAIL("\"%s\" is a list of scales", bad[i]);
    CU_ASSERT_EQUAL(parse("1", scales), 0);
    CU_ASSERT_EQUAL(parse("1.43", scales), 1);
    CU_ASSERT_EQUAL(scales[0], 1.43);
    CU_ASSERT_EQUAL(parse("2,0.5,1,1.43e0", scales), 4);
    CU_ASSERT(scales[0] == 0.5 && scales[1] == 1 && scales[2] == 1.43 && scales[3] == 2);
}

/* Sides differ from those of the input by multiples of 16: 1.43 x 224 = 320.3 and 1.43 x 177 =
 * 253.1, which 257 = 177 + 5 x 16 is nearest to. */
static void sizes_keep_the_grid(void)
{
    const struct adl_map_views views = {.scale_count = 3, .scales = {0.5, 1, 1.43}};
    struct adl_view_sizes sizes;
    adl_map_views_sizes(&views, 224, 177, &sizes);
    CU_ASSERT_EQUAL(sizes.count, 3);
    CU_ASSERT(sizes.items[0].h == 224 && sizes.items[0].w == 177);
    CU_ASSERT(sizes.items[1].h == 112 && sizes.items[1].w == 81);
    CU_ASSERT(sizes.items[2].h == 320 && sizes.items[2].w == 257);
    /* Never below one pixel. */
    adl_map_views_sizes(&views, 9, 17, &sizes);
    for (int i = 0; i < sizes.count; i++)
        CU_ASSERT(sizes.items[i].h >= 1 && sizes.items[i].w >= 1);
}

/* The list as text: size, m for mirrored, s for stride 1, - for a map that does not count. */
static const char *list(const struct adl_map_views *views, bool can_stride1)
{
    static char text[100];
    struct adl_view items[ADL_MAX_VIEWS];
    char *to = text;
    for (int i = 0, n = adl_map_views_list(views, 224, 224, can_stride1, items); i < n; i++) {
        *to++ = (char)('0' + items[i].size);
        *to = 'm';
        to += items[i].mirrored;
        *to = 's';
        to += items[i].stride1;
        *to = '-';
        to += !items[i].in_map;
        *to++ = i + 1 < n ? ' ' : '\0';
    }
    return text;
}

static void views_are_listed_in_order(void)
{
    struct adl_map_views views = {0};
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0");
    views.flip = true;
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0 0m");
    views = (struct adl_map_views){.flip = true, .scale_count = 2, .scales = {1, 1.43}};
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0 0m 1 1m");
    /* Without scale 1, the image as it is counts for the scores only. */
    views = (struct adl_map_views){.scale_count = 2, .scales = {0.7, 1.43}};
    CU_ASSERT_STRING_EQUAL(list(&views, false), "0- 1 2");
    views = (struct adl_map_views){.stride1 = true};
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0s");
    CU_ASSERT_STRING_EQUAL(list(&views, false), "0");
    views =
        (struct adl_map_views){.stride1 = true, .flip = true, .scale_count = 2, .scales = {0.7, 1}};
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0s 1s 1ms 0ms");
    /* Scales that give one size are one view: 0.99 x 224 is 224 again. */
    views = (struct adl_map_views){.scale_count = 4, .scales = {0.99, 1, 1.42, 1.43}};
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0 1");
    views.stride1 = true;
    CU_ASSERT_STRING_EQUAL(list(&views, true), "0s 1s");
    views = (struct adl_map_views){
        .stride1 = true, .flip = true, .scale_count = 4, .scales = {0.5, 0.75, 1.5, 2}};
    struct adl_view items[ADL_MAX_VIEWS];
    CU_ASSERT_EQUAL(adl_map_views_list(&views, 224, 224, true, items), ADL_MAX_VIEWS);
}

/* Pixels of all views: 224 and 320, each twice, over 224. */
static void the_cost_counts_pixels(void)
{
    const struct adl_map_views both = {.flip = true, .scale_count = 2, .scales = {1, 1.43}};
    const struct adl_map_views plain = {0};
    CU_ASSERT_EQUAL(adl_map_views_cost(&plain, 224, 224, true), 1);
    CU_ASSERT_DOUBLE_EQUAL(adl_map_views_cost(&both, 224, 224, true),
                           2 * (1 + 320.0 * 320 / (224 * 224)), 1e-9);
}

static void large_sides_are_refused(void)
{
    const struct adl_map_views twice = {.scale_count = 1, .scales = {2}};
    struct adl_error err = {0};
    TEST_OK(adl_map_views_check(&twice, ADL_LIMIT_INPUT_SIDE / 2, 64, &err), &err);
    CU_ASSERT_EQUAL(adl_map_views_check(&twice, 64, ADL_LIMIT_INPUT_SIDE / 2 + 16, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
}

static void changes_keep_what_they_do_not_name(void)
{
    struct adl_map_views views = {.flip = true, .scale_count = 1, .scales = {1.5}}, was = views;
    struct adl_map_view_changes changes = ADL_MAP_VIEWS_UNCHANGED;
    adl_map_views_change(&views, &changes);
    CU_ASSERT(adl_map_views_equal(&views, &was));
    changes.stride = 1;
    changes.flip = 0;
    adl_map_views_change(&views, &changes);
    CU_ASSERT(!views.flip && views.stride1 && views.scale_count == 1 && views.scales[0] == 1.5);
    changes = (struct adl_map_view_changes)ADL_MAP_VIEWS_UNCHANGED;
    changes.stride = 2;
    changes.scale_count = 0;
    adl_map_views_change(&views, &changes);
    CU_ASSERT(adl_map_views_plain(&views));
    changes = (struct adl_map_view_changes)ADL_MAP_VIEWS_UNCHANGED;
    changes.has_layer = true;
    changes.layer = (struct adl_map_layer){ADL_LAYER_GRADCAM, "relu"};
    adl_map_views_change(&views, &changes);
    CU_ASSERT(!adl_map_views_plain(&views) && !adl_map_views_equal(&views, &was));
    char text[100];
    CU_ASSERT_STRING_EQUAL(adl_map_views_describe(&views, text, sizeof text), ", gradcam:relu");
    was.scales[0] = 1.4;
    CU_ASSERT(!adl_map_views_equal(&views, &was));
}

TEST_SUITE(map_views, {"lists of scales are strict", lists_of_scales_are_strict},
           {"sizes keep the grid of the positions", sizes_keep_the_grid},
           {"views are listed in order", views_are_listed_in_order},
           {"the cost counts pixels", the_cost_counts_pixels},
           {"large sides are refused", large_sides_are_refused},
           {"changes keep what they do not name", changes_keep_what_they_do_not_name});
