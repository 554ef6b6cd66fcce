/* wsol/objects: parting at saddles, against small maps worked out by hand, against counts of peaks
 * that numpy and OpenCV made from the superlevel sets, and against properties. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "support/formula.h"
#include "wsol/localize.h"
#include "wsol/objects.h"

static struct adl_object_finder finder;
static struct adl_box_finder cut;
static struct adl_boxes boxes;

static void release_all(void)
{
    adl_object_finder_release(&finder);
    adl_box_finder_release(&cut);
    adl_boxes_release(&boxes);
}

/* Parts a map of values in 0..1; returns the number of objects, whose boxes are in `boxes`. */
static size_t part(const double *map, int height, int width, int byte, double prominence,
                   double area)
{
    const struct adl_object_rule rule = {prominence, area};
    struct adl_error err = {0};
    TEST_OK(adl_object_finder_load(&finder, map, height, width, &err), &err);
    TEST_OK(adl_box_finder_load(&cut, map, height, width, &err), &err);
    TEST_OK(adl_object_finder_part(&finder, &cut, byte, &rule, &boxes, &err), &err);
    return boxes.count;
}

static bool is_box(size_t i, int x0, int y0, int x1, int y1)
{
    const struct adl_box expected = {x0, y0, x1, y1};
    struct adl_box box = adl_box_to_inclusive(boxes.items[i], finder.width, finder.height);
    return i < boxes.count && memcmp(&box, &expected, sizeof box) == 0;
}

/* Between the peaks 1 and 0.8 there is a saddle of 0.4: half of the lower peak. Above it, the parts
 * have 3 pixels each, of 11. The saddle belongs to the side with the higher neighbour. */
static void two_peaks_are_two_objects_if_their_saddle_is_low(void)
{
    static const double row[] = {0, 0.1, 0.6, 1, 0.6, 0.4, 0.5, 0.8, 0.5, 0.1, 0};
    int byte = (int)(0.3 * 255), width = (int)ADL_COUNT(row);

    CU_ASSERT_EQUAL(part(row, 1, width, byte, 0.49, 0.27), 2);
    CU_ASSERT(is_box(0, 2, 0, 5, 0) && is_box(1, 6, 0, 8, 0));
    CU_ASSERT_EQUAL(part(row, 1, width, byte, 0.51, 0.27), 1);
    CU_ASSERT(is_box(0, 2, 0, 8, 0));
    CU_ASSERT_EQUAL(part(row, 1, width, byte, 0.49, 0.28), 1);
    CU_ASSERT_EQUAL(part(row, width, 1, byte, 0.49, 0.27), 2);
    CU_ASSERT(is_box(0, 0, 2, 0, 5) && is_box(1, 0, 6, 0, 8));
    /* Above the saddle the two are separate whatever the rule. */
    CU_ASSERT_EQUAL(part(row, 1, width, (int)(0.45 * 255), 1, 0.2), 2);
    CU_ASSERT(is_box(0, 2, 0, 4, 0) && is_box(1, 6, 0, 8, 0));
    release_all();
}

/* A separate part is left out if it covers less than half of the rule's area, 0.1 of 20 pixels. */
static void fragments_are_no_objects(void)
{
    static const double row[20] = {[1] = 0.6, [2] = 0.7, [3] = 0.6, [6] = 0.9, [17] = 1};

    CU_ASSERT_EQUAL(part(row, 1, 20, 50, 0.1, 0.1), 3);
    CU_ASSERT(is_box(0, 1, 0, 3, 0) && is_box(1, 17, 0, 17, 0) && is_box(2, 6, 0, 6, 0));
    CU_ASSERT_EQUAL(part(row, 1, 20, 50, 0.1, 0.11), 1);
    CU_ASSERT(is_box(0, 1, 0, 3, 0));
    CU_ASSERT_EQUAL(part(row, 1, 20, 50, 0.1, 1), 1); /* the largest one stays */
    CU_ASSERT_EQUAL(part(row, 1, 20, 255, 0.1, 0.1), 0);
    CU_ASSERT_EQUAL(part(row, 1, 20, 50, 0, 0), 3); /* as with 0.1 and 0.1 */
    release_all();
}

/* Without a least area, the objects are the components of the foreground and those that a saddle
 * joined to them, (1 - prominence) times their peak or lower: counted by
 *
 *   for v in levels, descending:
 *       n, lab = cv2.connectedComponents((m >= v).astype(np.uint8), connectivity=8)
 *       # of the components of the level before that are now one, the highest lives on; each other
 *       # one is counted if v <= (1 - p) * its peak
 *
 * for m = floor(15 |u|) / 15, 31 x 23, at the cuts 0 and 100 of 255 and four prominences. */
static void counts_agree_with_superlevel_sets(void)
{
    enum { H = 31, W = 23 };
    static const double prominences[] = {0.05, 0.22, 0.55, 0.77};
    static const int cuts[] = {0, 100};
    static const size_t expected[3][2][4] = {
        {{77, 47, 3, 1}, {77, 49, 8, 7}},
        {{77, 45, 4, 2}, {76, 44, 4, 4}},
        {{77, 48, 5, 1}, {77, 48, 6, 3}},
    };
    static double map[H * W];

    for (int k = 0; k < 3; k++) {
        char name[32];
        snprintf(name, sizeof name, "objects.%d", k);
        for (size_t i = 0; i < ADL_COUNT(map); i++)
            map[i] = floor(fabs(formula_u(name, i)) * 15) / 15;
        for (size_t c = 0; c < ADL_COUNT(cuts); c++)
            for (size_t p = 0; p < ADL_COUNT(prominences); p++)
                CU_ASSERT_EQUAL(part(map, H, W, cuts[c], prominences[p], 1e-9), expected[k][c][p]);
    }
    release_all();
}

/* A mirrored map has the mirrored objects: the order in which equal pixels are visited must not
 * matter where no two neighbours are equal. */
static void mirroring_the_map_mirrors_the_boxes(void)
{
    enum { H = 20, W = 27 };
    static double map[H * W], mirrored[H * W];
    for (size_t i = 0; i < ADL_COUNT(map); i++) {
        size_t x = i % W, y = i / W;
        map[i] = 0.5 + 0.2 * sin(0.9 * (double)x) + 0.2 * cos(0.7 * (double)y) +
                 0.09 * formula_u("mirror", i);
        mirrored[i - x + W - 1 - x] = map[i];
    }
    size_t count = part(map, H, W, 100, 0.2, 0.01);
    struct adl_box found[64];
    CU_ASSERT_FATAL(count > 3 && count <= ADL_COUNT(found));
    memcpy(found, boxes.items, count * sizeof *found);
    for (size_t i = 0; i < count; i++)
        found[i] = adl_box_to_inclusive(found[i], W, H);
    CU_ASSERT_EQUAL(part(mirrored, H, W, 100, 0.2, 0.01), count);
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        for (size_t k = 0; k < count; k++) {
            struct adl_box box = adl_box_to_inclusive(boxes.items[k], W, H);
            same += box.x0 == W - 1 - found[i].x1 && box.x1 == W - 1 - found[i].x0 &&
                    box.y0 == found[i].y0 && box.y1 == found[i].y1;
        }
        CU_ASSERT_EQUAL(same, 1);
    }
    release_all();
}

/* The worst case for the number of basins, and a plateau: both take time in proportion to the
 * pixels, and there are never more than ADL_LIMIT_BOXES boxes. */
static void hostile_maps_have_bounded_boxes(void)
{
    enum { WIDE = 512 };
    double *map = adl_malloc((size_t)WIDE * WIDE, sizeof *map);
    CU_ASSERT_FATAL(map != NULL);
    for (size_t i = 0; i < (size_t)WIDE * WIDE; i++)
        map[i] = i % 2 == 0 && i / WIDE % 2 == 0 ? 1 : 0;
    CU_ASSERT_EQUAL(part(map, WIDE, WIDE, 0, 0.1, 1e-9), ADL_LIMIT_BOXES);
    for (size_t i = 0; i < (size_t)WIDE * WIDE; i++)
        map[i] = i % 2 == 0 && i / WIDE % 2 == 0 ? 1 : 0.01;
    CU_ASSERT_EQUAL(part(map, WIDE, WIDE, 0, 0.1, 1e-9), ADL_LIMIT_BOXES);
    CU_ASSERT_EQUAL(part(map, WIDE, WIDE, 0, 1, 1e-9), 1);
    for (size_t i = 0; i < (size_t)WIDE * WIDE; i++)
        map[i] = 1;
    CU_ASSERT_EQUAL(part(map, WIDE, WIDE, 0, 0.1, 1e-9), 1);
    CU_ASSERT(is_box(0, 0, 0, WIDE - 1, WIDE - 1));
    adl_free(map);
    release_all();
}

static void refuses_what_is_no_map(void)
{
    struct adl_error err = {0};
    double map[1] = {1};
    CU_ASSERT_EQUAL(adl_object_finder_load(&finder, map, 0, 1, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_object_finder_load(&finder, map, 70000, 70000, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    release_all();
}

/* --- through adl_localize_map ----------------------------------------------------------- */

enum { SIDE = 16 };

static int localize_two(enum adl_map_normalise normalise, enum adl_box_mode mode,
                        struct adl_localization *out, struct adl_error *err)
{
    const struct adl_map_rule rule = {.normalise = normalise, .percentile = 0.5, .threshold = 0.9};
    float cam[SIDE * SIDE];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            cam[y * SIDE + x] = (float)ADL_MAX(exp(-(hypot(x - 4, y - 8) / 5)),
                                               0.9 * exp(-(hypot(x - 12, y - 8) / 5)));
    const struct adl_class_map map = {
        .values = cam, .h = SIDE, .w = SIDE, .input_h = SIDE, .input_w = SIDE};
    return adl_localize_map(&rule, &map, mode, true, SIDE, SIDE, out, err);
}

/* PaS makes a plateau of 1 of the brighter half of the map, peaks and saddle included; they are
 * told apart by the values before the clip. What is shown and scored is the clipped map. */
static void peaks_are_those_before_the_clip(void)
{
    struct adl_localization all, objects;
    struct adl_error err = {0};
    TEST_OK(localize_two(ADL_MAP_PAS, ADL_BOXES_ALL, &all, &err), &err);
    TEST_OK(localize_two(ADL_MAP_PAS, ADL_BOXES_OBJECTS, &objects, &err), &err);
    CU_ASSERT_EQUAL(all.box_count, 1);
    CU_ASSERT_EQUAL(objects.box_count, 2);
    CU_ASSERT_EQUAL(memcmp(all.map, objects.map, SIDE * SIDE * sizeof *all.map), 0);
    for (size_t i = 0; i < objects.box_count; i++) {
        const struct adl_box *box = &objects.boxes[i].box;
        CU_ASSERT(box->x0 >= all.boxes[0].box.x0 && box->x1 <= all.boxes[0].box.x1);
        CU_ASSERT(i == 0 ? box->x0 <= 4 && box->x1 < 12 : box->x0 > 4 && box->x1 >= 12);
        CU_ASSERT(objects.boxes[i].score > 0 && objects.boxes[i].score <= 1);
    }
    adl_localization_release(&all);
    adl_localization_release(&objects);
}

static void survives_no_memory(void)
{
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;
    do {
        struct adl_localization found;
        struct adl_error err = {0};
        adl_mem_fail_nth(++nth);
        result = localize_two(ADL_MAP_PAS, ADL_BOXES_OBJECTS, &found, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
        adl_localization_release(&found);
    } while (result < 0 && nth < 100);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT(nth > 10);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(objects,
           {"two peaks are two objects if their saddle is low",
            two_peaks_are_two_objects_if_their_saddle_is_low},
           {"fragments are no objects", fragments_are_no_objects},
           {"counts of objects agree with superlevel sets", counts_agree_with_superlevel_sets},
           {"mirroring the map mirrors the boxes", mirroring_the_map_mirrors_the_boxes},
           {"hostile maps have bounded boxes", hostile_maps_have_bounded_boxes},
           {"what is no map is refused", refuses_what_is_no_map},
           {"peaks are those before the clip", peaks_are_those_before_the_clip},
           {"parting survives running out of memory", survives_no_memory});
