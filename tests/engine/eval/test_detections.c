/* eval/detections: matching by hand, average precision against the formulas of pycocotools. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/size.h"
#include "eval/detections.h"
#include "support/formula.h"

/* Boxes of 10 x 10 and the like, so that the overlaps can be worked out: two boxes of 100 pixels
 * that share 70 have an IoU of 70 / 130. */
static void each_true_box_is_taken_once(void)
{
    static const struct adl_box truth[] = {{0, 0, 9, 9}, {20, 0, 29, 9}, {23, 0, 32, 9}};
    static const struct adl_localized_box found[] = {
        {.box = {0, 0, 9, 6}, .score = 0.2},    /* IoU 0.7 with the first, which is taken then */
        {.box = {0, 0, 9, 9}, .score = 0.5},    /* takes the first */
        {.box = {22, 0, 31, 9}, .score = 0.9},  /* 2/3 with the second, 9/11 with the third */
        {.box = {21, 0, 30, 9}, .score = 0.8},  /* 9/11 with the second, 2/3 with the third */
        {.box = {50, 0, 59, 9}, .score = 0.95}, /* takes nothing */
        {.box = {0, 0, 9, 9}, .score = 0.5},    /* equal to an earlier one: comes after it */
    };
    static const bool expected[] = {false, true, true, true, false, false};
    size_t order[ADL_COUNT(found)];
    bool taken[ADL_COUNT(truth)], right[ADL_COUNT(found)];

    adl_detections_match(found, ADL_COUNT(found), truth, ADL_COUNT(truth), 0.5, order, taken,
                         right);
    for (size_t i = 0; i < ADL_COUNT(found); i++)
        CU_ASSERT_EQUAL(right[i], expected[i]);
    /* Exactly half: 10 x 5 of 10 x 10. */
    const struct adl_localized_box half = {.box = {0, 0, 9, 4}, .score = 1};
    adl_detections_match(&half, 1, truth, 1, 0.5, order, taken, right);
    CU_ASSERT(right[0]);
    adl_detections_match(&half, 1, truth, 0, 0.5, order, taken, right);
    CU_ASSERT(!right[0]);
}

static void average_precision_is_that_of_pycocotools(void)
{
    /* For n boxes with score floor(20 u(2 i)), right if u(2 i + 1) > 0, and a number of truths, as
     * in COCOeval.accumulate():
     *
     *   order = np.argsort(-scores, kind='mergesort')
     *   tp = np.cumsum(right[order]); fp = np.cumsum(~right[order])
     *   rc = tp / truths; pr = tp / (tp + fp + np.spacing(1))
     *   for i in range(n - 1, 0, -1): pr[i - 1] = max(pr[i - 1], pr[i])
     *   inds = np.searchsorted(rc, np.linspace(0, 1, 101), side='left')
     *   ap = np.mean([pr[i] if i < n else 0 for i in inds])
     */
    static const struct {
        size_t boxes, truths;
        double ap;
    } cases[] = {
        {7, 5, 0.029702970297},
        {50, 30, 0.508712871287},
        {200, 100, 0.509321099765},
        {200, 250, 0.206797232619},
    };
    for (size_t k = 0; k < ADL_COUNT(cases); k++) {
        size_t n = cases[k].boxes, right = 0;
        char name[32];
        struct adl_error err = {0};
        struct adl_dataset_image *images = adl_calloc(n, sizeof *images);
        struct adl_detection *items = adl_calloc(n, sizeof *items);
        CU_ASSERT_FATAL(images && items);
        snprintf(name, sizeof name, "ap.%zu", n);
        for (size_t i = 0; i < n; i++) {
            images[i].box_count = i % 2 && i < cases[k].truths;
            items[i] = (struct adl_detection){.image = i,
                                              .score = floor(20 * formula_u(name, 2 * i)),
                                              .right = formula_u(name, 2 * i + 1) > 0};
            right += items[i].right;
        }
        images[0].box_count = 0;
        size_t others = 0;
        for (size_t i = 0; i < n; i++)
            others += images[i].box_count;
        images[0].box_count = cases[k].truths - others;
        struct adl_dataset dataset = {.images = images, .count = n, .class_count = 3};
        struct adl_detections all = {.items = {[ADL_BOXES_ALL] = items},
                                     .counts = {[ADL_BOXES_ALL] = n}};
        struct adl_detection_choice choice = {.dataset = &dataset, .total = n, .class_id = -1};
        struct adl_detection_figures f;
        TEST_OK(adl_detections_figures(&all, ADL_BOXES_ALL, &choice, &f, &err), &err);
        CU_ASSERT_DOUBLE_EQUAL(f.ap50, 100 * cases[k].ap, 1e-9);
        CU_ASSERT_DOUBLE_EQUAL(f.f1_50, 200 * (double)right / (double)(n + cases[k].truths), 1e-9);
        CU_ASSERT(f.images == n && f.truths == cases[k].truths && f.boxes == n);
        adl_free(images);
        adl_free(items);
    }
}

/* Two classes: one found without fault, one not at all, and one without images, which does not
 * count. Only the second class has an image with several true boxes. */
static void classes_count_alike(void)
{
    struct adl_dataset_image images[] = {{.class_id = 0, .box_count = 1},
                                         {.class_id = 0, .box_count = 1},
                                         {.class_id = 1, .box_count = 3}};
    struct adl_detection items[] = {{.image = 0, .class_id = 0, .right = true, .score = 0.1},
                                    {.image = 1, .class_id = 0, .right = true, .score = 0.9},
                                    {.image = 2, .class_id = 1, .right = false, .score = 0.5}};
    struct adl_dataset dataset = {.images = images, .count = 3, .class_count = 3};
    struct adl_detections found = {.items = {items}, .counts = {3}};
    struct adl_detection_choice choice = {.dataset = &dataset, .total = 3, .class_id = -1};
    struct adl_detection_figures f;
    struct adl_error err = {0};
    TEST_OK(adl_detections_figures(&found, ADL_BOXES_LARGEST, &choice, &f, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(f.ap50, 50, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(f.f1_50, 100 * 4 / 8.0, 1e-12);
    choice.class_id = 0;
    TEST_OK(adl_detections_figures(&found, ADL_BOXES_LARGEST, &choice, &f, &err), &err);
    CU_ASSERT(f.ap50 == 100 && f.f1_50 == 100 && f.images == 2);
    TEST_OK(adl_detections_figures(&found, ADL_BOXES_OBJECTS, &choice, &f, &err), &err);
    CU_ASSERT(f.ap50 == 0 && f.f1_50 == 0 && f.boxes == 0 && f.truths == 2);
    choice.class_id = -1;
    choice.several = true;
    TEST_OK(adl_detections_figures(&found, ADL_BOXES_LARGEST, &choice, &f, &err), &err);
    CU_ASSERT(f.ap50 == 0 && f.images == 1 && f.truths == 3 && f.boxes == 1);
}

/* Two true boxes, and a map that shows both as one region: only objects find them. */
static void a_detector_fills_all_modes(void)
{
    enum { SIDE = 32 };
    struct adl_dataset_box truth[] = {{0, 10, 15, 21}, {16, 10, 31, 21}};
    struct adl_dataset_image image = {.class_id = 0, .first_box = 0, .box_count = 2};
    struct adl_dataset dataset = {
        .images = &image, .count = 1, .boxes = truth, .box_count = 2, .class_count = 1};
    const struct adl_detection_choice choice = {.dataset = &dataset, .total = 1, .class_id = -1};
    const struct adl_map_rule rule = {.threshold = 0.4};
    static double map[SIDE * SIDE];
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;
    do {
        struct adl_detector detector = {0};
        struct adl_error err = {0};
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                map[y * SIDE + x] =
                    1 - fmin(1, hypot((x % 16 - 7.5) / 16, (y - 15.5) / 12) / (x < 16 ? 1 : 1.1));
        adl_mem_fail_nth(++nth);
        result = adl_detector_add(&detector, &rule, map, SIDE, SIDE, &dataset, 0, SIDE, SIDE, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
        for (int mode = 0; result == 0 && mode < ADL_BOX_MODES; mode++) {
            struct adl_detection_figures f;
            TEST_OK(
                adl_detections_figures(&detector.found, (enum adl_box_mode)mode, &choice, &f, &err),
                &err);
            CU_ASSERT_EQUAL(f.boxes, mode == ADL_BOXES_OBJECTS ? 2 : 1);
            CU_ASSERT_EQUAL(f.ap50, mode == ADL_BOXES_OBJECTS ? 100 : f.ap50);
            CU_ASSERT(mode == ADL_BOXES_OBJECTS || f.right < 2);
        }
        adl_detector_release(&detector);
    } while (result < 0 && nth < 100);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
}

/* The ends of a data set's boxes lie one pixel past the object, but at the border. The true box has
 * the pixels 10..13 by 10..13, and the map shows the upper half of it: an IoU of exactly 8/16. With
 * one pixel more a side it would be 8/25. At the border the data set's ends are the last pixels. */
static void true_boxes_end_at_their_last_pixels(void)
{
    enum { SIDE = 40 };
    static const struct {
        struct adl_dataset_box truth;
        int x0, y0, width, height; /* what the map shows */
    } cases[] = {{{10, 10, 14, 14}, 10, 10, 4, 2}, {{36, 30, 39, 39}, 36, 30, 4, 5}};
    const struct adl_map_rule rule = {.threshold = 0.5};
    static double map[SIDE * SIDE];

    for (size_t k = 0; k < ADL_COUNT(cases); k++) {
        struct adl_dataset_box truth = cases[k].truth;
        struct adl_dataset_image image = {.class_id = 0, .first_box = 0, .box_count = 1};
        struct adl_dataset dataset = {
            .images = &image, .count = 1, .boxes = &truth, .box_count = 1, .class_count = 1};
        const struct adl_detection_choice choice = {.dataset = &dataset, .total = 1};
        struct adl_detector detector = {0};
        struct adl_detection_figures f;
        struct adl_error err = {0};
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                map[y * SIDE + x] = x >= cases[k].x0 && x < cases[k].x0 + cases[k].width &&
                                    y >= cases[k].y0 && y < cases[k].y0 + cases[k].height;
        TEST_OK(adl_detector_add(&detector, &rule, map, SIDE, SIDE, &dataset, 0, SIDE, SIDE, &err),
                &err);
        TEST_OK(adl_detections_figures(&detector.found, ADL_BOXES_LARGEST, &choice, &f, &err),
                &err);
        CU_ASSERT_EQUAL(f.ap50, 100);
        CU_ASSERT_EQUAL(f.f1_50, 100);
        adl_detector_release(&detector);
    }
}

TEST_SUITE(detections, {"each true box is taken once", each_true_box_is_taken_once},
           {"average precision is that of pycocotools", average_precision_is_that_of_pycocotools},
           {"classes count alike", classes_count_alike},
           {"a detector fills all modes", a_detector_fills_all_modes},
           {"true boxes end at their last pixels", true_boxes_end_at_their_last_pixels});
