/* wsol/evaluator: localization figures against the reference evaluation code. */

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/golden.h"
#include "wsol/evaluator.h"
#include "wsol/map_rule.h"

enum { SIZE = 224 };

/* One image of a golden file, ready for the evaluator. */
struct sample {
    struct adl_eval_image image;
    double *map;
    struct adl_box *truth;
    float *logits;
};

static void sample_release(struct sample *sample)
{
    adl_free(sample->map);
    adl_free(sample->truth);
    adl_free(sample->logits);
}

static void sample_init(struct sample *sample, const json_t *rows, const json_t *image_size,
                        const json_t *boxes)
{
    struct adl_error err = {0};
    size_t count;
    int side = (int)json_array_size(rows);
    double *small = golden_doubles(rows, &count);
    int *size = golden_ints(image_size, &count), *corners = golden_ints(boxes, &count);

    memset(sample, 0, sizeof *sample);
    sample->map = adl_malloc((size_t)SIZE * SIZE, sizeof *sample->map);
    TEST_OK(adl_scoremap_resize(small, side, side, sample->map, SIZE, SIZE, &err), &err);
    adl_map_normalise(&(struct adl_map_rule){0}, sample->map, (size_t)SIZE * SIZE);
    sample->truth = adl_malloc(count / 4, sizeof *sample->truth);
    for (size_t i = 0; i < count / 4; i++) {
        const int *c = corners + 4 * i;
        sample->truth[i] = adl_box_resize_truth((struct adl_box){c[0], c[1], c[2], c[3]}, size[0],
                                                size[1], SIZE, SIZE);
    }
    sample->image = (struct adl_eval_image){.map = sample->map,
                                            .height = SIZE,
                                            .width = SIZE,
                                            .truth = sample->truth,
                                            .truth_count = count / 4};
    adl_free(small);
    adl_free(size);
    adl_free(corners);
}

static void check_curve(const char *name, const json_t *want, const uint64_t *got, size_t steps)
{
    CU_ASSERT_EQUAL_FATAL(json_array_size(want), steps);
    for (size_t i = 0; i < steps; i++)
        if ((double)got[i] != json_number_value(json_array_get(want, i)))
            TEST_FAIL("%s at step %zu: %d images, expected %g", name, i, (int)got[i],
                      json_number_value(json_array_get(want, i)));
}

static void check_curves(const json_t *root, const char *text)
{
    static const char *const ious[ADL_EVAL_IOUS] = {"30", "50", "70"};
    const json_t *sizes = golden_get(root, "image_sizes"), *rows;
    const json_t *boxes = golden_get(root, "gt_boxes_original");
    const json_t *expected = golden_get(root, "expected");
    struct adl_evaluator parts[2];
    struct adl_error err = {0};
    char key[64];
    const char *name;
    size_t n = 0;

    for (size_t i = 0; i < 2; i++)
        TEST_OK(adl_evaluator_init(&parts[i], strtod(text, NULL), 0.2, &err), &err);
    json_object_foreach(golden_get(root, "maps_14x14"), name, rows)
    {
        struct sample sample;
        sample_init(&sample, rows, golden_get(sizes, name), golden_get(boxes, name));
        TEST_OK(adl_evaluator_add(&parts[n++ % 2], &sample.image, &err), &err);
        sample_release(&sample);
    }
    TEST_OK(adl_evaluator_merge(&parts[0], &parts[1], &err), &err);

    struct adl_evaluation result = adl_evaluator_result(&parts[0]);
    size_t steps = parts[0].steps;
    snprintf(key, sizeof key, "max_box_acc_interval_%s", text);
    const json_t *v1 = golden_get(expected, key);
    CU_ASSERT_EQUAL(result.max_box_acc, golden_double(v1, "mean"));
    const json_t *curve = golden_get(golden_get(v1, "correct_at_threshold"), "50");
    check_curve("MaxBoxAcc", curve, parts[0].largest + ADL_EVAL_IOU_50 * steps, steps);
    size_t best = (size_t)lround(result.best_threshold / parts[0].interval);
    for (size_t i = 0; i < steps; i++)
        CU_ASSERT(json_number_value(json_array_get(curve, i)) <=
                  json_number_value(json_array_get(curve, best)));

    snprintf(key, sizeof key, "v2_interval_%s", text);
    const json_t *v2 = golden_get(expected, key);
    CU_ASSERT_DOUBLE_EQUAL(result.max_box_acc_v2, golden_double(v2, "mean"), 1e-12);
    for (size_t i = 0; i < ADL_EVAL_IOUS; i++) {
        CU_ASSERT_DOUBLE_EQUAL(result.max_box_acc_v2_iou[i],
                               json_number_value(json_array_get(golden_get(v2, "per_iou"), i)),
                               1e-12);
        check_curve("MaxBoxAccV2", golden_get(golden_get(v2, "correct_at_threshold"), ious[i]),
                    parts[0].all + i * steps, steps);
    }
    adl_evaluator_release(&parts[0]);
    adl_evaluator_release(&parts[1]);
}

static void curves_equal_the_reference(void)
{
    json_t *root = golden_load("metrics/evaluator.json");
    check_curves(root, "0.01");
    check_curves(root, "0.1");
    json_decref(root);
}

static void check_box_and_iou(const struct sample *sample, double threshold, const json_t *want)
{
    struct adl_boxes boxes = {0};
    struct adl_error err = {0};
    size_t count;
    double *values = golden_doubles(want, &count), best = 0;
    TEST_OK(adl_boxes_from_map(sample->map, SIZE, SIZE, threshold, ADL_BOXES_LARGEST, &boxes, &err),
            &err);
    const struct adl_box *box = boxes.items;
    CU_ASSERT(box->x0 == values[0] && box->y0 == values[1] && box->x1 == values[2] &&
              box->y1 == values[3]);
    for (size_t i = 0; i < sample->image.truth_count; i++) {
        double iou = adl_box_iou(*box, sample->truth[i]);
        best = ADL_MAX(best, iou);
    }
    CU_ASSERT_DOUBLE_EQUAL(best, values[4], 1e-9); /* printed with nine digits */
    adl_free(values);
    adl_boxes_release(&boxes);
}

/* With logits. */
static void ranked_sample_init(struct sample *sample, const json_t *item)
{
    sample_init(sample, golden_get(item, "cam"), golden_get(item, "image_size"),
                golden_get(item, "boxes"));
    sample->logits = golden_floats(golden_get(item, "logits"), &sample->image.classes);
    sample->image.logits = sample->logits;
    sample->image.label = (size_t)golden_int(item, "label");
}

static void check_fixed(const json_t *images, const char *threshold, const json_t *want)
{
    const json_t *percent = golden_get(want, "percent"), *item;
    struct adl_evaluator evaluator;
    struct adl_error err = {0};
    size_t i;

    TEST_OK(adl_evaluator_init(&evaluator, 1, strtod(threshold, NULL), &err), &err);
    json_array_foreach(images, i, item)
    {
        struct sample sample;
        ranked_sample_init(&sample, item);
        TEST_OK(adl_evaluator_add(&evaluator, &sample.image, &err), &err);
        check_box_and_iou(&sample, strtod(threshold, NULL),
                          json_array_get(golden_get(want, "box_and_best_iou"), i));
        sample_release(&sample);
    }
    struct adl_evaluation result = adl_evaluator_result(&evaluator);
    CU_ASSERT_DOUBLE_EQUAL(result.top1_cls, golden_double(percent, "top1_cls"), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(result.top5_cls, golden_double(percent, "top5_cls"), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(result.gt_known_loc, golden_double(percent, "gt_known_loc"), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(result.top1_loc, golden_double(percent, "top1_loc"), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(result.top5_loc, golden_double(percent, "top5_loc"), 1e-12);
    adl_evaluator_release(&evaluator);
}

static void fixed_threshold_figures_equal_the_reference(void)
{
    json_t *root = golden_load("metrics/topk_localization_31.json"), *want;
    const char *threshold;
    json_object_foreach(golden_get(root, "expected"), threshold, want)
    {
        check_fixed(golden_get(root, "images"), threshold, want);
    }
    json_decref(root);
}

/* All images with logits, at steps of a tenth. */
static struct adl_evaluation figures_at(const json_t *images, double threshold)
{
    struct adl_evaluator evaluator;
    struct adl_error err = {0};
    const json_t *item;
    size_t i;

    TEST_OK(adl_evaluator_init(&evaluator, 0.1, threshold, &err), &err);
    json_array_foreach(images, i, item)
    {
        struct sample sample;
        ranked_sample_init(&sample, item);
        TEST_OK(adl_evaluator_add(&evaluator, &sample.image, &err), &err);
        sample_release(&sample);
    }
    struct adl_evaluation result = adl_evaluator_result(&evaluator);
    adl_evaluator_release(&evaluator);
    return result;
}

/* The figures at the model's threshold when that is the best one. */
static void best_figures_are_those_at_the_best_threshold(void)
{
    json_t *root = golden_load("metrics/topk_localization_31.json");
    const json_t *images = golden_get(root, "images");
    struct adl_evaluation before = figures_at(images, 0.9);
    struct adl_evaluation after = figures_at(images, before.best_threshold);
    CU_ASSERT(before.gt_known_loc < before.max_box_acc);
    CU_ASSERT_EQUAL(after.gt_known_loc, before.max_box_acc);
    CU_ASSERT_EQUAL(after.top1_loc, before.best_top1_loc);
    CU_ASSERT_EQUAL(after.top5_loc, before.best_top5_loc);
    CU_ASSERT(after.top1_loc > 0 && after.top1_loc <= after.top5_loc);
    json_decref(root);
}

static const double corner_map[4] = {0, 0.3, 0.3, 1};
static const struct adl_box corner_truth = {1, 1, 1, 1};
static const struct adl_eval_image corner = {
    .map = corner_map, .height = 2, .width = 2, .truth = &corner_truth, .truth_count = 1};

static void parts_of_an_image_count_apart(void)
{
    static const float logits[3] = {1, 3, 2};
    struct adl_eval_image whole = corner, label_only = {.logits = logits, .classes = 3, .label = 0};
    struct adl_evaluator evaluator;
    struct adl_error err = {0};
    whole.logits = logits;
    whole.classes = 3;
    whole.label = 1;
    TEST_OK(adl_evaluator_init(&evaluator, 0.1, 0.5, &err), &err);
    struct adl_evaluation result = adl_evaluator_result(&evaluator);
    CU_ASSERT(result.top1_cls == 0 && result.max_box_acc == 0 && result.max_box_acc_v2 == 0);
    TEST_OK(adl_evaluator_add(&evaluator, &whole, &err), &err);
    TEST_OK(adl_evaluator_add(&evaluator, &corner, &err), &err);
    TEST_OK(adl_evaluator_add(&evaluator, &label_only, &err), &err);
    result = adl_evaluator_result(&evaluator);
    CU_ASSERT(evaluator.classified == 2 && evaluator.localized == 2 && evaluator.both == 1);
    CU_ASSERT(result.top1_cls == 50 && result.top5_cls == 100 && result.gt_known_loc == 100);
    CU_ASSERT(result.top1_loc == 100 && result.max_box_acc == 100);
    /* 0.3 is byte 76: background from int(0.3 * 255) = 76 on. */
    CU_ASSERT_DOUBLE_EQUAL(result.best_threshold, 0.3, 1e-12);
    adl_evaluator_release(&evaluator);
}

/* Two objects of the same size, one in the middle of its map: boxes that are moved to the
 * middle hit that one only. */
static void centred_boxes_keep_their_size(void)
{
    enum { SIDE = 9 };
    static const struct adl_box truths[2] = {{3, 3, 5, 5}, {0, 5, 2, 7}};
    struct adl_evaluator evaluator, other;
    struct adl_error err = {0};
    TEST_OK(adl_evaluator_init(&evaluator, 0.1, 0.5, &err), &err);
    TEST_OK(adl_evaluator_init(&other, 0.1, 0.5, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        double map[SIDE * SIDE] = {0};
        for (int y = truths[i].y0; y <= truths[i].y1; y++)
            for (int x = truths[i].x0; x <= truths[i].x1; x++)
                map[y * SIDE + x] = 1;
        struct adl_eval_image image = {
            .map = map, .height = SIDE, .width = SIDE, .truth = &truths[i], .truth_count = 1};
        TEST_OK(adl_evaluator_add(i ? &other : &evaluator, &image, &err), &err);
    }
    TEST_OK(adl_evaluator_merge(&evaluator, &other, &err), &err);
    struct adl_evaluation result = adl_evaluator_result(&evaluator);
    CU_ASSERT_EQUAL(result.max_box_acc, 100);
    CU_ASSERT_EQUAL(result.centred_box_acc, 50);
    adl_evaluator_release(&evaluator);
    adl_evaluator_release(&other);
}

/* Pixels that are in both boxes, over those in either, by looking at each. */
static double iou_by_pixels(const struct adl_box *a, const struct adl_box *b, int side)
{
    int both = 0, either = 0;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            bool in_a = x >= a->x0 && x <= a->x1 && y >= a->y0 && y <= a->y1;
            bool in_b = x >= b->x0 && x <= b->x1 && y >= b->y0 && y <= b->y1;
            both += in_a && in_b;
            either += in_a || in_b;
        }
    return (double)both / either;
}

/* In whatever frame the maps are, the square is in the same: found by pixels among all squares
 * around the middle, of which the twenty are some. */
static void the_centred_square_is_in_the_frame(void)
{
    static const int sides[][2] = {{56, 56}, {128, 128}, {177, 177}, {224, 112}};
    for (size_t s = 0; s < ADL_COUNT(sides); s++) {
        const int w = sides[s][0], h = sides[s][1], images = 12;
        struct adl_evaluator evaluator;
        struct adl_error err = {0};
        int best[ADL_EVAL_IOUS] = {0};
        struct adl_box truths[12];
        double *map = adl_calloc((size_t)(w * h), sizeof *map);
        map[0] = 1;
        TEST_OK(adl_evaluator_init(&evaluator, 0.5, 0.5, &err), &err);
        for (int i = 0; i < images; i++) {
            /* Around the middle, and ever smaller, some of them beside it. */
            int x = w * i / 40, y = h * i / 40, shift = i % 3 == 0 ? w / 6 : 0;
            truths[i] = (struct adl_box){x + shift, y, w - 1 - x, h - 1 - y};
            const struct adl_eval_image image = {
                .map = map, .width = w, .height = h, .truth = &truths[i], .truth_count = 1};
            TEST_OK(adl_evaluator_add(&evaluator, &image, &err), &err);
        }
        for (int q = 0; q < ADL_EVAL_SQUARES; q++) {
            const int x = w * q / 56, y = h * q / 56;
            const struct adl_box square = {x, y, w - 1 - x, h - 1 - y};
            int right[ADL_EVAL_IOUS] = {0};
            for (int i = 0; i < images; i++) {
                double iou = iou_by_pixels(&square, &truths[i], w);
                right[0] += iou >= 0.3;
                right[1] += iou >= 0.5;
                right[2] += iou >= 0.7;
            }
            for (int k = 0; k < ADL_EVAL_IOUS; k++)
                best[k] = ADL_MAX(best[k], right[k]);
        }
        struct adl_evaluation result = adl_evaluator_result(&evaluator);
        CU_ASSERT_DOUBLE_EQUAL(result.centred_square_acc, 100.0 * best[1] / images, 1e-9);
        CU_ASSERT_DOUBLE_EQUAL(result.centred_square_acc_v2,
                               100.0 * (best[0] + best[1] + best[2]) / 3 / images, 1e-9);
        CU_ASSERT(best[2] > 0 && best[2] < best[0] && result.max_box_acc == 0);
        adl_evaluator_release(&evaluator);
        adl_free(map);
    }
}

static void refuses_what_makes_no_sense(void)
{
    static const struct adl_box backwards = {1, 1, 0, 1}, negative = {-1, 0, 1, 1};
    static const double outside[4] = {0, 0, 2, 1};
    static const float logits[2] = {0, 1};
    struct adl_eval_image bad[5] = {corner, corner, corner, corner, corner};
    struct adl_evaluator evaluator, other;
    struct adl_error err = {0};
    CU_ASSERT_EQUAL(adl_evaluator_init(&evaluator, 0, 0.5, &err), -1);
    CU_ASSERT_EQUAL(adl_evaluator_init(&evaluator, 0.1, NAN, &err), -1);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_evaluator_init(&evaluator, 1e-300, 0.5, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    adl_error_clear(&err);
    TEST_OK(adl_evaluator_init(&evaluator, 0.1, 0.5, &err), &err);
    TEST_OK(adl_evaluator_init(&other, 0.2, 0.5, &err), &err);
    bad[0].truth = &backwards;
    bad[1].truth = &negative;
    bad[2].truth_count = 0;
    bad[3].map = outside;
    bad[4].logits = logits;
    bad[4].classes = bad[4].label = 2;
    for (size_t i = 0; i < ADL_COUNT(bad); i++) {
        adl_error_clear(&err);
        CU_ASSERT_EQUAL(adl_evaluator_add(&evaluator, &bad[i], &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
    CU_ASSERT_EQUAL(evaluator.localized, 0);
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(adl_evaluator_merge(&evaluator, &other, &err), -1);
    adl_evaluator_release(&evaluator);
    adl_evaluator_release(&other);
}

static void survives_no_memory(void)
{
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;
    do {
        struct adl_evaluator evaluator;
        struct adl_error err = {0};
        adl_mem_fail_nth(++nth);
        result = adl_evaluator_init(&evaluator, 0.1, 0.5, &err);
        if (result == 0) {
            result = adl_evaluator_add(&evaluator, &corner, &err);
            adl_mem_fail_nth(0);
            CU_ASSERT_EQUAL(evaluator.localized, result == 0);
            CU_ASSERT_EQUAL(evaluator.largest[0] + evaluator.all[9], result == 0 ? 1 : 0);
            adl_evaluator_release(&evaluator);
        }
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
    } while (result < 0 && nth < 100);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT(nth > 6);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

TEST_SUITE(evaluator, {"curves equal the reference's", curves_equal_the_reference},
           {"figures at fixed thresholds equal the reference's",
            fixed_threshold_figures_equal_the_reference},
           {"best figures are those at the best threshold",
            best_figures_are_those_at_the_best_threshold},
           {"classification and localization count apart", parts_of_an_image_count_apart},
           {"centred boxes keep their size", centred_boxes_keep_their_size},
           {"the centred square is in the frame of the map", the_centred_square_is_in_the_frame},
           {"what makes no sense is refused", refuses_what_makes_no_sense},
           {"the evaluator survives running out of memory", survives_no_memory});
