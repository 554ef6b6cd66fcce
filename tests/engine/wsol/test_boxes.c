/* wsol/boxes: boxes and box arithmetic against the reference evaluation code. */

#include "support/test.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/golden.h"
#include "wsol/boxes.h"
#include "wsol/evaluator.h"
#include "wsol/map_rule.h"

static struct adl_box box_of(const json_t *array)
{
    int values[4] = {0};
    CU_ASSERT_EQUAL(json_array_size(array), 4);
    for (size_t i = 0; i < 4; i++)
        values[i] = (int)json_integer_value(json_array_get(array, i));
    return (struct adl_box){values[0], values[1], values[2], values[3]};
}

static bool same(struct adl_box a, struct adl_box b)
{
    return a.x0 == b.x0 && a.y0 == b.y0 && a.x1 == b.x1 && a.y1 == b.y1;
}

static void check_boxes(const char *name, double threshold, const struct adl_boxes *got,
                        const json_t *want, const json_t *truth, double want_iou)
{
    double best = 0;
    if (got->count != json_array_size(want)) {
        TEST_FAIL("%s at %g: %zu boxes, expected %zu", name, threshold, got->count,
                  json_array_size(want));
        return;
    }
    for (size_t i = 0; i < got->count; i++) {
        struct adl_box box = got->items[i], expected = box_of(json_array_get(want, i));
        if (!same(box, expected))
            TEST_FAIL("%s at %g: box %zu is %d,%d,%d,%d, expected %d,%d,%d,%d", name, threshold, i,
                      box.x0, box.y0, box.x1, box.y1, expected.x0, expected.y0, expected.x1,
                      expected.y1);
        for (size_t j = 0; j < json_array_size(truth); j++) {
            double iou = adl_box_iou(box, box_of(json_array_get(truth, j)));
            best = ADL_MAX(best, iou);
        }
    }
    if (best != want_iou)
        TEST_FAIL("%s at %g: best IoU %.17g, expected %.17g", name, threshold, best, want_iou);
}

static void check_map(const json_t *item, enum adl_box_mode mode, const char *boxes_key,
                      const char *iou_key)
{
    const char *name = golden_string(item, "name");
    int height = golden_int(item, "height"), width = golden_int(item, "width");
    const json_t *thresholds = golden_get(item, "thresholds");
    struct adl_boxes boxes = {0};
    struct adl_error err = {0};
    size_t length;
    uint8_t *bytes = golden_base64(golden_string(item, "map_u8_base64"), &length);
    double *map = adl_malloc(length, sizeof *map);

    CU_ASSERT_EQUAL_FATAL(length, (size_t)height * (size_t)width);
    for (size_t i = 0; i < length; i++)
        map[i] = bytes[i] / 255.0;
    for (size_t i = 0; i < json_array_size(thresholds); i++) {
        double threshold = json_number_value(json_array_get(thresholds, i));
        TEST_OK(adl_boxes_from_map(map, height, width, threshold, mode, &boxes, &err), &err);
        check_boxes(name, threshold, &boxes, json_array_get(golden_get(item, boxes_key), i),
                    golden_get(item, "gt_boxes"),
                    json_number_value(json_array_get(golden_get(item, iou_key), i)));
    }
    adl_free(bytes);
    adl_free(map);
    adl_boxes_release(&boxes);
}

static void equal_the_reference(void)
{
    json_t *root = golden_load("metrics/boxes.json"), *item;
    size_t i;
    json_array_foreach(root, i, item)
    {
        check_map(item, ADL_BOXES_LARGEST, "largest", "largest_best_iou");
        check_map(item, ADL_BOXES_ALL, "all", "all_best_iou");
    }
    json_decref(root);
}

/* The value at `index` in a run-length list of [first index, value]. */
static const json_t *run_value(const json_t *runs, size_t index)
{
    const json_t *value = NULL;
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        if ((size_t)json_integer_value(json_array_get(run, 0)) <= index)
            value = json_array_get(run, 1);
    }
    return value;
}

static void check_bytes(const json_t *item, const struct adl_box_finder *finder, int size)
{
    const char *name = golden_string(item, "name");
    size_t pixels = (size_t)size * (size_t)size, count;
    json_int_t crc = json_integer_value(golden_get(item, "u8_crc32"));
    int *bytes = golden_ints(golden_get(item, "byte_threshold_at_100_500_999"), &count);
    int *row = golden_ints(golden_get(item, "u8_row_112"), &count);

    if ((json_int_t)crc32(0, finder->bytes, (uInt)pixels) != crc)
        TEST_FAIL("%s: the bytes differ from the reference's", name);
    CU_ASSERT_EQUAL(finder->largest_byte, golden_int(item, "u8_max"));
    for (int x = 0; x < size; x++)
        CU_ASSERT_EQUAL(finder->bytes[112 * size + x], row[x]);
    CU_ASSERT_EQUAL(adl_box_finder_byte(finder, 100 * 0.001), bytes[0]);
    CU_ASSERT_EQUAL(adl_box_finder_byte(finder, 500 * 0.001), bytes[1]);
    CU_ASSERT_EQUAL(adl_box_finder_byte(finder, 999 * 0.001), bytes[2]);
    adl_free(bytes);
    adl_free(row);
}

static void check_grid(const json_t *item, struct adl_box_finder *finder, struct adl_boxes *boxes)
{
    const char *name = golden_string(item, "name");
    const json_t *rows = golden_get(item, "map");
    int side = (int)json_array_size(rows), size = golden_int(item, "size");
    size_t pixels = (size_t)size * (size_t)size, count;
    struct adl_error err = {0};
    double *small = golden_doubles(rows, &count), *map = adl_malloc(pixels, sizeof *map);

    CU_ASSERT_EQUAL_FATAL(count, (size_t)side * (size_t)side);
    TEST_OK(adl_scoremap_resize(small, side, side, map, size, size, &err), &err);
    adl_map_normalise(&(struct adl_map_rule){0}, map, pixels);
    TEST_OK(adl_box_finder_load(finder, map, size, size, &err), &err);
    check_bytes(item, finder, size);
    for (size_t step = 0; step < 1000; step++) {
        int byte = adl_box_finder_byte(finder, (double)step * 0.001);
        TEST_OK(adl_box_finder_cut(finder, byte, ADL_BOXES_LARGEST, boxes, &err), &err);
        if (!same(boxes->items[0], box_of(run_value(golden_get(item, "largest"), step))))
            TEST_FAIL("%s: the box at step %zu differs", name, step);
        TEST_OK(adl_box_finder_cut(finder, byte, ADL_BOXES_ALL, boxes, &err), &err);
        size_t want = (size_t)json_integer_value(run_value(golden_get(item, "count_all"), step));
        if (boxes->count != want)
            TEST_FAIL("%s: %zu boxes at step %zu, expected %zu", name, boxes->count, step, want);
    }
    adl_free(small);
    adl_free(map);
}

static void equal_the_reference_at_every_threshold(void)
{
    struct adl_box_finder finder = {0};
    struct adl_boxes boxes = {0};
    json_t *root = golden_load("metrics/threshold_grid.json"), *item;
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, item)
    {
        check_grid(item, &finder, &boxes);
    }
    json_decref(root);
    adl_boxes_release(&boxes);
    adl_box_finder_release(&finder);
}

static void iou_equals_the_reference(void)
{
    json_t *root = golden_load("metrics/iou.json"), *item;
    size_t i;
    json_array_foreach(golden_get(root, "cases"), i, item)
    {
        struct adl_box a = box_of(golden_get(item, "a")), b = box_of(golden_get(item, "b"));
        CU_ASSERT_EQUAL(adl_box_iou(a, b), golden_double(item, "iou"));
        CU_ASSERT_EQUAL(adl_box_iou(b, a), golden_double(item, "iou"));
    }
    json_decref(root);
    struct adl_box none = {5, 5, 4, 4};
    CU_ASSERT_EQUAL(adl_box_iou(none, none), 0);
}

static void check_truth_boxes(const json_t *cases)
{
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *item = json_array_get(cases, i);
        size_t count;
        int *from = golden_ints(golden_get(item, "image_size"), &count);
        int *to = golden_ints(golden_get(item, "resize"), &count);
        struct adl_box got =
            adl_box_resize_truth(box_of(golden_get(item, "box")), from[0], from[1], to[0], to[1]);
        CU_ASSERT(same(got, box_of(golden_get(item, "result"))));
        adl_free(from);
        adl_free(to);
    }
}

static void true_boxes_equal_the_reference(void)
{
    json_t *root = golden_load("metrics/resize_bbox.json");
    check_truth_boxes(root);
    json_decref(root);
    root = golden_load("metrics/resize_bbox_more.json");
    check_truth_boxes(golden_get(root, "cases"));
    json_decref(root);
}

static void inclusive_boxes_lose_a_pixel_inside(void)
{
    struct adl_box inside = adl_box_to_inclusive((struct adl_box){3, 4, 10, 12}, 20, 20);
    struct adl_box edge = adl_box_to_inclusive((struct adl_box){3, 4, 19, 19}, 20, 20);
    struct adl_box corner = adl_box_to_inclusive((struct adl_box){0, 0, 0, 0}, 20, 20);
    CU_ASSERT(same(inside, (struct adl_box){3, 4, 9, 11}));
    CU_ASSERT(same(edge, (struct adl_box){3, 4, 19, 19}));
    CU_ASSERT(same(corner, (struct adl_box){0, 0, 0, 0}));
}

/* A scaled box covers exactly the pixels whose area the box's own pixels touch. */
static void scaled_boxes_cover_what_they_should(void)
{
    for (int from = 1; from <= 12; from++) {
        for (int to = 1; to <= 40; to++) {
            for (int first = 0; first < from; first++) {
                for (int last = first; last < from; last++) {
                    int want_first = to, want_last = -1;
                    for (int i = 0; i < to; i++) {
                        if ((i + 1) * from <= first * to || i * from >= (last + 1) * to)
                            continue;
                        want_first = ADL_MIN(want_first, i);
                        want_last = i;
                    }
                    struct adl_box got = adl_box_scale((struct adl_box){first, first, last, last},
                                                       from, from, to, to);
                    CU_ASSERT(
                        same(got, (struct adl_box){want_first, want_first, want_last, want_last}));
                }
            }
        }
    }
    struct adl_box wild = adl_box_scale((struct adl_box){-9, 0, 2147483647, 5}, 10, 10, 65535, 3);
    CU_ASSERT(same(wild, (struct adl_box){0, 0, 65534, 1}));
}

static void refuse_what_is_no_map(void)
{
    struct adl_boxes boxes = {0};
    struct {
        double map[4], threshold;
    } cases[] = {{{0, 1, NAN, 0}, 0.5},      {{0, 1.0000001, 0, 0}, 0.5}, {{-0.1, 1, 0, 0}, 0.5},
                 {{0, INFINITY, 0, 0}, 0.5}, {{0, 1, 0, 0}, NAN},         {{0, 1, 0, 0}, 1.5},
                 {{0, 1, 0, 0}, -0.5}};
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        CU_ASSERT_EQUAL(
            adl_boxes_from_map(cases[i].map, 2, 2, cases[i].threshold, ADL_BOXES_ALL, &boxes, &err),
            -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
        CU_ASSERT_EQUAL(boxes.count, 0);
    }
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_boxes_from_map(cases[0].map, -2, 2, 0, ADL_BOXES_ALL, &boxes, &err), -1);
    adl_boxes_release(&boxes);
}

static void survive_no_memory(void)
{
    enum { SIDE = 32 };
    static double map[SIDE * SIDE];
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;
    for (size_t i = 0; i < ADL_COUNT(map); i++)
        map[i] = i % 2 == 0 && i / SIDE % 2 == 0;
    do {
        struct adl_boxes boxes = {0};
        struct adl_error err = {0};
        adl_mem_fail_nth(++nth);
        result = adl_boxes_from_map(map, SIDE, SIDE, 0.5, ADL_BOXES_ALL, &boxes, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(boxes.count, result < 0 ? 0 : SIDE * SIDE / 4);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
        adl_boxes_release(&boxes);
    } while (result < 0 && nth < 100);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT(nth > 5);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(boxes, {"boxes equal the reference's", equal_the_reference},
           {"boxes equal the reference's at 1000 thresholds",
            equal_the_reference_at_every_threshold},
           {"IoU equals the reference's", iou_equals_the_reference},
           {"true boxes are scaled as the reference does", true_boxes_equal_the_reference},
           {"inclusive boxes lose a pixel inside", inclusive_boxes_lose_a_pixel_inside},
           {"scaled boxes cover what they should", scaled_boxes_cover_what_they_should},
           {"values that are no score map are refused", refuse_what_is_no_map},
           {"boxes survive running out of memory", survive_no_memory});
