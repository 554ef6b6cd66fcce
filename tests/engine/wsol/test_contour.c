/* wsol/contour: borders of regions against OpenCV's, and properties that must hold for any
 * image. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/golden.h"
#include "wsol/contour.h"

#define MAX_SIDE 48

static uint8_t *mask_of_rows(const json_t *rows, int *height, int *width)
{
    *height = (int)json_array_size(rows);
    *width = (int)json_string_length(json_array_get(rows, 0));
    uint8_t *mask = adl_malloc((size_t)*height, (size_t)*width);
    for (int y = 0; y < *height; y++)
        for (int x = 0; x < *width; x++)
            mask[y * *width + x] = json_string_value(json_array_get(rows, (size_t)y))[x] == '1';
    return mask;
}

static void check_contour(const char *name, size_t index, const struct adl_contour *got,
                          const json_t *want)
{
    size_t count;
    int *rect = golden_ints(golden_get(want, "rect"), &count);
    if (!rect)
        return;
    if (got->x != rect[0] || got->y != rect[1] || got->width != rect[2] || got->height != rect[3])
        TEST_FAIL("%s: contour %zu is %d,%d,%d,%d, expected %d,%d,%d,%d", name, index, got->x,
                  got->y, got->width, got->height, rect[0], rect[1], rect[2], rect[3]);
    if (got->area != golden_double(want, "area") || got->parent != golden_int(want, "parent") ||
        got->hole != json_is_true(golden_get(want, "hole")))
        TEST_FAIL("%s: contour %zu has area %g, parent %d, hole %d", name, index, got->area,
                  got->parent, got->hole);
    adl_free(rect);
}

static void equals_opencv(void)
{
    struct adl_contour_finder finder = {0};
    struct adl_error err = {0};
    json_t *root = golden_load("metrics/contours.json"), *item;
    size_t i;

    json_array_foreach(golden_get(root, "cases"), i, item)
    {
        const char *name = golden_string(item, "name");
        const json_t *want = golden_get(item, "contours");
        int height, width;
        uint8_t *mask = mask_of_rows(golden_get(item, "rows"), &height, &width);
        TEST_OK(adl_contour_find(&finder, mask, height, width, 0, ADL_CONTOURS_ALL, &err), &err);
        if (finder.count != json_array_size(want))
            TEST_FAIL("%s: %zu contours, expected %zu", name, finder.count, json_array_size(want));
        for (size_t k = 0; k < ADL_MIN(finder.count, json_array_size(want)); k++)
            check_contour(name, k, &finder.items[k], json_array_get(want, k));
        const json_t *largest = json_object_get(item, "largest");
        if (json_is_integer(largest) && json_integer_value(largest) >= 0)
            CU_ASSERT_EQUAL(adl_contour_largest(&finder), (size_t)json_integer_value(largest));
        adl_free(mask);
    }
    json_decref(root);
    adl_contour_finder_release(&finder);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

struct picture {
    int height, width;
    uint8_t bytes[MAX_SIDE * MAX_SIDE];
};

/* Noise of some density, with filled and emptied rectangles over it. */
static void draw(struct picture *picture, uint32_t *state)
{
    picture->height = 1 + (int)(next_random(state) % MAX_SIDE);
    picture->width = 1 + (int)(next_random(state) % MAX_SIDE);
    uint32_t density = next_random(state) % 100;
    for (int i = 0; i < picture->height * picture->width; i++)
        picture->bytes[i] = next_random(state) % 100 < density;
    for (uint32_t n = next_random(state) % 6; n > 0; n--) {
        int x0 = (int)next_random(state) % picture->width;
        int y0 = (int)next_random(state) % picture->height;
        int x1 = x0 + (int)next_random(state) % (picture->width - x0);
        int y1 = y0 + (int)next_random(state) % (picture->height - y0);
        for (int y = y0; y <= y1; y++)
            memset(picture->bytes + y * picture->width + x0, (int)(n & 1), (size_t)(x1 - x0 + 1));
    }
}

/* Paints the region of equal pixels around `start` with `colour` and returns its bounds. */
struct region {
    int x0, y0, x1, y1;
    bool at_edge;
};

static struct region flood(struct picture *picture, int start, int neighbours, uint8_t colour)
{
    static const int dx[8] = {1, 0, -1, 0, 1, 1, -1, -1}, dy[8] = {0, 1, 0, -1, 1, -1, 1, -1};
    static int stack[MAX_SIDE * MAX_SIDE];
    struct region region = {MAX_SIDE, MAX_SIDE, -1, -1, false};
    uint8_t old = picture->bytes[start];
    int depth = 0;

    stack[depth++] = start;
    picture->bytes[start] = colour;
    while (depth > 0) {
        int at = stack[--depth], x = at % picture->width, y = at / picture->width;
        region.x0 = ADL_MIN(region.x0, x);
        region.y0 = ADL_MIN(region.y0, y);
        region.x1 = ADL_MAX(region.x1, x);
        region.y1 = ADL_MAX(region.y1, y);
        for (int i = 0; i < neighbours; i++) {
            int nx = x + dx[i], ny = y + dy[i];
            if (nx < 0 || ny < 0 || nx >= picture->width || ny >= picture->height) {
                region.at_edge = true;
                continue;
            }
            int next = ny * picture->width + nx;
            if (picture->bytes[next] != old)
                continue;
            picture->bytes[next] = colour;
            stack[depth++] = next;
        }
    }
    return region;
}

static bool has_rect(const struct adl_contour_finder *finder, bool hole, struct region region)
{
    int margin = hole ? 1 : 0; /* the border of a hole consists of the pixels around it */
    for (size_t i = 0; i < finder->count; i++) {
        const struct adl_contour *c = &finder->items[i];
        if (c->hole == hole && c->x == region.x0 - margin && c->y == region.y0 - margin &&
            c->x + c->width - 1 == region.x1 + margin && c->y + c->height - 1 == region.y1 + margin)
            return true;
    }
    return false;
}

static void check_tree(const struct adl_contour_finder *finder)
{
    for (size_t i = 0; i < finder->count; i++) {
        const struct adl_contour *c = &finder->items[i];
        CU_ASSERT(c->parent < (int)i);
        if (c->parent < 0) {
            CU_ASSERT_FALSE(c->hole);
            continue;
        }
        const struct adl_contour *parent = &finder->items[c->parent];
        CU_ASSERT_NOT_EQUAL(parent->hole, c->hole);
        CU_ASSERT(parent->area >= c->area);
        CU_ASSERT(parent->x <= c->x && parent->y <= c->y &&
                  parent->x + parent->width >= c->x + c->width &&
                  parent->y + parent->height >= c->y + c->height);
    }
}

static void find(struct adl_contour_finder *finder, const struct picture *picture,
                 enum adl_contour_choice which)
{
    struct adl_error err = {0};
    TEST_OK(
        adl_contour_find(finder, picture->bytes, picture->height, picture->width, 0, which, &err),
        &err);
}

/* Calls `check` for random images. */
static void for_pictures(uint32_t seed, void (*check)(struct picture *picture, int round))
{
    struct picture picture;
    for (int round = 0; round < 400; round++) {
        draw(&picture, &seed);
        check(&picture, round);
    }
}

static void check_regions(struct picture *picture, int round)
{
    struct adl_contour_finder finder = {0};
    size_t regions = 0;

    find(&finder, picture, ADL_CONTOURS_ALL);
    check_tree(&finder);
    for (int i = 0; i < picture->height * picture->width; i++) {
        if (picture->bytes[i] > 1)
            continue;
        bool hole = picture->bytes[i] == 0;
        struct region region = flood(picture, i, hole ? 4 : 8, hole ? 3 : 2);
        if (hole && region.at_edge)
            continue;
        regions++;
        if (!has_rect(&finder, hole, region))
            TEST_FAIL("round %d: no contour for the region at %d", round, i);
    }
    CU_ASSERT_EQUAL(finder.count, regions);
    adl_contour_finder_release(&finder);
}

/* Regions found by flood filling correspond one to one to the contours. */
static void fits_flooded_regions(void)
{
    for_pictures(20, check_regions);
}

static void check_roots(struct picture *picture, int round)
{
    struct adl_contour_finder all = {0}, outermost = {0};
    size_t roots = 0;

    (void)round;
    find(&all, picture, ADL_CONTOURS_ALL);
    find(&outermost, picture, ADL_CONTOURS_OUTERMOST);
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].parent >= 0)
            continue;
        CU_ASSERT(roots < outermost.count);
        const struct adl_contour *a = &all.items[i], *b = &outermost.items[roots++];
        CU_ASSERT(a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height &&
                  a->area == b->area);
        if (i == adl_contour_largest(&all))
            CU_ASSERT_EQUAL(roots - 1, adl_contour_largest(&outermost));
    }
    CU_ASSERT_EQUAL(roots, outermost.count);
    adl_contour_finder_release(&all);
    adl_contour_finder_release(&outermost);
}

static void outermost_are_the_roots(void)
{
    for_pictures(21, check_roots);
}

static void refuses_impossible_sizes(void)
{
    struct adl_contour_finder finder = {0};
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_contour_find(&finder, NULL, 0, 5, 0, ADL_CONTOURS_ALL, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_contour_find(&finder, NULL, 70000, 70000, 0, ADL_CONTOURS_ALL, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_contour_finder_release(&finder);
}

static void survives_no_memory(void)
{
    enum { SIDE = 64 };
    static uint8_t dots[SIDE * SIDE];
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;

    for (int y = 0; y < SIDE; y += 2)
        for (int x = 0; x < SIDE; x += 2)
            dots[y * SIDE + x] = 1;
    do {
        struct adl_contour_finder finder = {0};
        struct adl_error err = {0};
        adl_mem_fail_nth(++nth);
        result = adl_contour_find(&finder, dots, SIDE, SIDE, 0, ADL_CONTOURS_ALL, &err);
        adl_mem_fail_nth(0);
        if (result < 0) {
            CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
            CU_ASSERT_EQUAL(finder.count, 0);
            adl_error_clear(&err);
            /* After a failure the same finder can be used again. */
            TEST_OK(adl_contour_find(&finder, dots, SIDE, SIDE, 0, ADL_CONTOURS_ALL, &err), &err);
        }
        CU_ASSERT_EQUAL(finder.count, SIDE * SIDE / 4);
        adl_contour_finder_release(&finder);
    } while (result < 0 && nth < 100);
    CU_ASSERT(nth > 5);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(contour, {"contours equal OpenCV's", equals_opencv},
           {"contours fit the regions a flood finds", fits_flooded_regions},
           {"outermost contours are the roots of the tree", outermost_are_the_roots},
           {"impossible sizes are refused", refuses_impossible_sizes},
           {"contours survive running out of memory", survives_no_memory});
