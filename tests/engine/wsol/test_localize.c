/* wsol/localize: from a class activation map to boxes of a photograph. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "support/formula.h"
#include "wsol/localize.h"

enum { SIDE = 14, INPUT = 224 };

static void blob(float *cam, double centre_x, double centre_y)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            cam[y * SIDE + x] = (float)exp(
                -((x - centre_x) * (x - centre_x) + (y - centre_y) * (y - centre_y)) / 6);
}

static bool inside(const struct adl_box *box, int width, int height)
{
    return 0 <= box->x0 && box->x0 <= box->x1 && box->x1 < width && 0 <= box->y0 &&
           box->y0 <= box->y1 && box->y1 < height;
}

/* By the reference's rule. */
static int localize(const float *cam, int cam_h, int cam_w, int input_h, int input_w,
                    double threshold, enum adl_box_mode mode, int image_w, int image_h,
                    struct adl_localization *out, struct adl_error *err)
{
    const struct adl_map_rule rule = {.threshold = threshold};
    const struct adl_class_map map = {
        .values = cam, .h = cam_h, .w = cam_w, .input_h = input_h, .input_w = input_w};
    return adl_localize_map(&rule, &map, mode, true, image_w, image_h, out, err);
}

/* The box of a blob is symmetric around its centre and scales with the image. */
static void finds_a_blob_in_the_photograph(void)
{
    float cam[SIDE * SIDE];
    static const int sizes[][2] = {{224, 224}, {640, 480}, {31, 1000}, {1, 1}, {65535, 3}};
    blob(cam, 4, 9);
    for (size_t i = 0; i < ADL_COUNT(sizes); i++) {
        int w = sizes[i][0], h = sizes[i][1];
        struct adl_localization found;
        struct adl_error err = {0};
        TEST_OK(localize(cam, SIDE, SIDE, INPUT, INPUT, 0.5, ADL_BOXES_LARGEST, w, h, &found, &err),
                &err);
        CU_ASSERT_EQUAL_FATAL(found.box_count, 1);
        CU_ASSERT(found.map_width == INPUT && found.map_height == INPUT);
        const struct adl_box *box = &found.boxes[0].box;
        CU_ASSERT(inside(box, w, h));
        CU_ASSERT_DOUBLE_EQUAL((box->x0 + box->x1 + 1) / 2.0 / w, 4.5 / SIDE, 0.01 + 1.0 / w);
        CU_ASSERT_DOUBLE_EQUAL((box->y0 + box->y1 + 1) / 2.0 / h, 9.5 / SIDE, 0.01 + 1.0 / h);
        CU_ASSERT(found.boxes[0].score > 0.5 && found.boxes[0].score < 1);
        adl_localization_release(&found);
    }
}

/* If the image has the size of the map, boxes and scores are those of the map itself. */
static void scores_are_means_of_the_map(void)
{
    float cam[SIDE * SIDE];
    for (int round = 0; round < 10; round++) {
        char name[32];
        struct adl_localization found;
        struct adl_error err = {0};
        snprintf(name, sizeof name, "localize.%d", round);
        formula_image(name, 1, 1, SIDE, SIDE, cam);
        TEST_OK(
            localize(cam, SIDE, SIDE, INPUT, INPUT, 0.6, ADL_BOXES_ALL, INPUT, INPUT, &found, &err),
            &err);
        CU_ASSERT(found.box_count >= 1);
        for (size_t i = 0; i < found.box_count; i++) {
            const struct adl_box *box = &found.boxes[i].box;
            double sum = 0, count = 0;
            for (int y = box->y0; y <= box->y1; y++)
                for (int x = box->x0; x <= box->x1; x++, count++)
                    sum += (double)found.map[y * INPUT + x];
            CU_ASSERT(inside(box, INPUT, INPUT));
            CU_ASSERT_DOUBLE_EQUAL(found.boxes[i].score, sum / count, 1e-6);
        }
        float least = 1, greatest = 0;
        for (size_t i = 0; i < (size_t)INPUT * INPUT; i++) {
            least = ADL_MIN(least, found.map[i]);
            greatest = ADL_MAX(greatest, found.map[i]);
        }
        CU_ASSERT(least == 0 && greatest == 1);
        adl_localization_release(&found);
    }
}

static void a_map_that_points_nowhere_has_no_box(void)
{
    float cam[SIDE * SIDE];
    static const int inputs[] = {1, 7, 100, 224, 299};
    static const float constants[] = {0, 3.3F, -1e-20F, NAN, INFINITY};
    for (size_t c = 0; c < ADL_COUNT(constants); c++) {
        for (size_t i = 0; i < ADL_COUNT(inputs); i++) {
            struct adl_localization found;
            struct adl_error err = {0};
            for (size_t k = 0; k < ADL_COUNT(cam); k++)
                cam[k] = constants[c];
            TEST_OK(localize(cam, SIDE, SIDE, inputs[i], inputs[i], 0, ADL_BOXES_ALL, 640, 480,
                             &found, &err),
                    &err);
            CU_ASSERT_EQUAL(found.box_count, 0);
            CU_ASSERT_EQUAL(found.map[0], 0);
            adl_localization_release(&found);
        }
    }
    /* At a threshold of 1 no pixel exceeds the largest value. */
    struct adl_localization found;
    struct adl_error err = {0};
    blob(cam, 3, 3);
    TEST_OK(localize(cam, SIDE, SIDE, INPUT, INPUT, 1, ADL_BOXES_ALL, 9, 9, &found, &err), &err);
    CU_ASSERT_EQUAL(found.box_count, 0);
    CU_ASSERT(found.map[3 * 16 * INPUT + 3 * 16] > 0.9F);
    adl_localization_release(&found);
}

/* 64 x 64 single dots and one square: the square must be among the boxes. */
static void keeps_the_largest_boxes(void)
{
    enum { WIDE = 128 };
    static float cam[WIDE * WIDE];
    struct adl_localization found;
    struct adl_error err = {0};
    for (int y = 0; y < WIDE; y++)
        for (int x = 0; x < WIDE; x++)
            cam[y * WIDE + x] =
                (x > 61 && x < 69 && y > 61 && y < 69) || (x % 2 == 0 && y % 2 == 0);
    TEST_OK(localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_ALL, WIDE, WIDE, &found, &err),
            &err);
    CU_ASSERT_EQUAL(found.box_count, ADL_LIMIT_BOXES);
    CU_ASSERT(found.boxes[0].box.x0 == 62 && found.boxes[0].box.x1 == 68);
    adl_localization_release(&found);
}

/* A frame with an island in its hole, and a smaller square: the hole's rim is no box, and the order
 * is that of the areas. The reference would list the rim as a fourth box. */
static void holes_have_no_box(void)
{
    enum { WIDE = 24 };
    static const struct adl_box expected[] = {{1, 1, 11, 11}, {14, 1, 18, 5}, {5, 5, 7, 7}};
    float cam[WIDE * WIDE] = {0};
    struct adl_localization found;
    struct adl_error err = {0};
    for (int y = 0; y < WIDE; y++)
        for (int x = 0; x < WIDE; x++) {
            bool outside = x < 1 || x > 11 || y < 1 || y > 11;
            bool hole = x > 2 && x < 10 && y > 2 && y < 10;
            bool island = x > 4 && x < 8 && y > 4 && y < 8;
            bool square = x > 13 && x < 19 && y > 0 && y < 6;
            cam[y * WIDE + x] = (!outside && (!hole || island)) || square;
        }
    TEST_OK(localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_ALL, WIDE, WIDE, &found, &err),
            &err);
    CU_ASSERT_EQUAL(found.box_count, ADL_COUNT(expected));
    for (size_t i = 0; i < ADL_MIN(found.box_count, ADL_COUNT(expected)); i++)
        CU_ASSERT_EQUAL(memcmp(&found.boxes[i].box, &expected[i], sizeof expected[i]), 0);
    adl_localization_release(&found);
}

/* The foreground of a drawing in which each character is a pixel, '#' the foreground. */
static void draw(const char *const *rows, int side, float *cam)
{
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            cam[y * side + x] = rows[y][x] == '#';
}

/* Of equal areas the region that a scan by rows meets last comes first, wherever it lies: here the
 * square in the ring and the one beside it both have area 1. The one beside is met first, although
 * OpenCV's tree lists it before the ring and what the ring encloses. A line and a point have area
 * 0. All boxes are counted by hand on the drawing. */
static void ties_go_by_rows_whatever_encloses_them(void)
{
    enum { WIDE = 16 };
    static const char *const rows[WIDE] = {
        "................", ".########.......", ".#......#...##..", ".#......#...##..",
        ".#..##..#.......", ".#..##..#.......", ".#......#.......", ".########.......",
        "................", "...####.........", "................", "..........#.....",
        "................", "................", "................", "................",
    };
    static const struct adl_box expected[] = {
        {1, 1, 8, 7}, {4, 4, 5, 5}, {12, 2, 13, 3}, {10, 11, 10, 11}, {3, 9, 6, 9}};
    float cam[WIDE * WIDE];
    struct adl_localization found, largest;
    struct adl_error err = {0};

    draw(rows, WIDE, cam);
    TEST_OK(localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_ALL, WIDE, WIDE, &found, &err),
            &err);
    CU_ASSERT_EQUAL(found.box_count, ADL_COUNT(expected));
    for (size_t i = 0; i < ADL_MIN(found.box_count, ADL_COUNT(expected)); i++)
        CU_ASSERT_EQUAL(memcmp(&found.boxes[i].box, &expected[i], sizeof expected[i]), 0);
    TEST_OK(
        localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_LARGEST, WIDE, WIDE, &largest, &err),
        &err);
    CU_ASSERT(largest.box_count == 1 &&
              memcmp(&largest.boxes[0].box, &expected[0], sizeof expected[0]) == 0);
    adl_localization_release(&found);
    adl_localization_release(&largest);
}

/* A deterministic noise of 0 and 1 has many ties: the first box is the largest one all the same, no
 * box lies twice, and there are as many as regions of a flood fill. */
static int count_regions(const float *cam, int side, bool *seen)
{
    int regions = 0, *stack = adl_malloc((size_t)(side * side), sizeof *stack);

    memset(seen, 0, (size_t)(side * side));
    for (int start = 0; start < side * side; start++) {
        int depth = 0;
        if (cam[start] < 0.5F || seen[start])
            continue;
        regions++;
        seen[start] = true;
        stack[depth++] = start;
        while (depth > 0) {
            int at = stack[--depth];
            for (int k = 0; k < 9; k++) {
                int x = at % side + k % 3 - 1, y = at / side + k / 3 - 1;
                if (x < 0 || y < 0 || x >= side || y >= side || seen[y * side + x] ||
                    cam[y * side + x] < 0.5F)
                    continue;
                seen[y * side + x] = true;
                stack[depth++] = y * side + x;
            }
        }
    }
    adl_free(stack);
    return regions;
}

static void all_boxes_are_the_regions_and_begin_with_the_largest(void)
{
    enum { WIDE = 33 };
    float cam[WIDE * WIDE];
    bool seen[WIDE * WIDE];
    for (int round = 0; round < 40; round++) {
        char name[32];
        struct adl_localization found, largest;
        struct adl_error err = {0};
        snprintf(name, sizeof name, "regions.%d", round);
        formula_image(name, 1, 1, WIDE, WIDE, cam);
        for (size_t i = 0; i < ADL_COUNT(cam); i++)
            cam[i] = cam[i] > 0.1F * (float)(round % 10 - 3);
        cam[0] = 0; /* so that the map has both values */
        cam[WIDE * WIDE - 1] = 1;
        TEST_OK(localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_ALL, WIDE, WIDE, &found, &err),
                &err);
        TEST_OK(localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_LARGEST, WIDE, WIDE, &largest,
                         &err),
                &err);
        CU_ASSERT_EQUAL((int)found.box_count, count_regions(cam, WIDE, seen));
        CU_ASSERT_EQUAL(memcmp(&found.boxes[0].box, &largest.boxes[0].box, sizeof(struct adl_box)),
                        0);
        adl_localization_release(&found);
        adl_localization_release(&largest);
    }
}

static void heat_maps_lie_between_0_and_1(void)
{
    float cam[4] = {-2, 0, 2, 1}, constant[3] = {4, 4, 4}, broken[3] = {0, NAN, 1};
    adl_heatmap_normalise(cam, 4, cam);
    CU_ASSERT(cam[0] == 0 && cam[1] == 0.5F && cam[2] == 1 && cam[3] == 0.75F);
    adl_heatmap_normalise(constant, 3, constant);
    adl_heatmap_normalise(broken, 3, broken);
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT(constant[i] == 0 && broken[i] == 0);
    float far[2] = {-3e38F, 3e38F};
    adl_heatmap_normalise(far, 2, far);
    CU_ASSERT(far[0] == 0 && far[1] == 1);
}

static void refuses_impossible_sizes(void)
{
    static const int bad[][6] = {{0, 1, 1, 1, 1, 1}, {1, -1, 1, 1, 1, 1}, {1, 1, 0, 1, 1, 1},
                                 {1, 1, 1, 1, 0, 1}, {1, 1, 1, 1, 1, -5}, {1, 1, 5000, 1, 1, 1}};
    float cam = 1;
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        const int *b = bad[i];
        struct adl_localization found;
        struct adl_error err = {0};
        CU_ASSERT_EQUAL(
            localize(&cam, b[0], b[1], b[2], b[3], 0.5, ADL_BOXES_ALL, b[4], b[5], &found, &err),
            -1);
        CU_ASSERT(found.map == NULL && found.boxes == NULL);
        adl_error_clear(&err);
        CU_ASSERT_EQUAL(localize(&cam, 1, 1, 1, 1, NAN, ADL_BOXES_ALL, 1, 1, &found, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
}

static void survives_no_memory(void)
{
    enum { WIDE = 72 };
    static float cam[WIDE * WIDE];
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;
    for (size_t i = 0; i < ADL_COUNT(cam); i++)
        cam[i] = i % 2 == 0 && i / WIDE % 2 == 0;
    do {
        struct adl_localization found;
        struct adl_error err = {0};
        adl_mem_fail_nth(++nth);
        result = localize(cam, WIDE, WIDE, WIDE, WIDE, 0.5, ADL_BOXES_ALL, 640, 480, &found, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
        CU_ASSERT_EQUAL(found.box_count, result < 0 ? 0 : ADL_LIMIT_BOXES);
        adl_localization_release(&found);
    } while (result < 0 && nth < 100);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT(nth > 15);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(localize, {"a blob is found in the photograph", finds_a_blob_in_the_photograph},
           {"scores are means of the map", scores_are_means_of_the_map},
           {"a map that points nowhere has no box", a_map_that_points_nowhere_has_no_box},
           {"of too many boxes the largest remain", keeps_the_largest_boxes},
           {"holes have no box, and the largest box comes first", holes_have_no_box},
           {"ties go by rows, whatever encloses them", ties_go_by_rows_whatever_encloses_them},
           {"all boxes are the regions, the largest first",
            all_boxes_are_the_regions_and_begin_with_the_largest},
           {"heat maps lie between 0 and 1", heat_maps_lie_between_0_and_1},
           {"impossible sizes are refused", refuses_impossible_sizes},
           {"localization survives running out of memory", survives_no_memory});
