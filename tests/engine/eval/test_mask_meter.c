/* eval/mask_meter and wsol/mask_iou: figures of maps against masks, with those that numpy and
 * OpenCV give. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "eval/mask_meter.h"
#include "image/image.h"
#include "io/file.h"
#include "io/npy.h"
#include "support/scratch.h"
#include "wsol/boxes.h"
#include "wsol/pxap.h"

/* --- six maps with masks of other sizes ------------------------------------------------- */

enum { IMAGES = 6, H = 20, W = 24, CLASSES = 3 };

static const struct {
    int class_id, width, height, masks;
    bool ignore;
} images[IMAGES] = {{0, 37, 29, 2, true},  {0, 48, 40, 1, false}, {1, 13, 11, 1, true},
                    {1, 100, 83, 2, true}, {1, 24, 20, 1, false}, {2, 31, 26, 1, false}};

static double map_value(int k, int y, int x)
{
    return (y * 37 + x * 91 + k * 53 + (x * y) % 17 * 13) % 256 / 255.0 * (k == 3 ? 0.8 : 1);
}

/* Masks 0 and 1 are instances, 2 is the ignored part. */
static bool is_on(int k, int mask, int y, int x)
{
    return (y / 3 * 5 + x / 4 * 7 + k * 11 + mask * 3) % (mask < 2 ? 5 : 3) == 0;
}

static void write_mask(int k, int mask)
{
    struct adl_error err = {0};
    int w = images[k].width, h = images[k].height;
    uint8_t *grey = adl_malloc((size_t)w, (size_t)h);
    size_t length;
    void *png;
    CU_ASSERT_FATAL(grey != NULL);
    for (int i = 0; grey && i < w * h; i++)
        grey[i] = is_on(k, mask, i / w, i % w) ? 255 : 0;
    TEST_OK(adl_image_encode_grey_png(grey, w, h, NULL, &png, &length, &err), &err);
    TEST_OK(adl_file_write(scratch_path("masks/%d_%d.png", k, mask),
                           &(struct adl_file_piece){png, length}, 1, &err),
            &err);
    adl_free(grey);
    adl_free(png);
}

static struct adl_dataset *make_data(const char *name)
{
    static const char *const folders[] = {"masks", "maps", "metadata", "metadata/test", NULL};
    struct adl_error err = {0};
    double map[H * W];
    scratch_open(name, folders);
    for (int k = 0; k < IMAGES; k++) {
        for (int i = 0; i < H * W; i++)
            map[i] = map_value(k, i / W, i % W);
        TEST_OK(adl_npy_write(scratch_path("maps/%d.jpg.npy", k), ADL_NPY_F64, map, H, W, &err),
                &err);
        scratch_append("metadata/test/image_ids.txt", "%d.jpg\n", k);
        scratch_append("metadata/test/class_labels.txt", "%d.jpg,%d\n", k, images[k].class_id);
        scratch_append("metadata/test/image_sizes.txt", "%d.jpg,%d,%d\n", k, images[k].width,
                       images[k].height);
        for (int m = 0; m < images[k].masks; m++) {
            write_mask(k, m);
            scratch_append("metadata/test/localization.txt", "%d.jpg,%d_%d.png,", k, k, m);
            if (m == 0 && images[k].ignore)
                scratch_append("metadata/test/localization.txt", "%d_2.png", k);
            scratch_append("metadata/test/localization.txt", "\n");
        }
        if (images[k].ignore)
            write_mask(k, 2);
    }
    const struct adl_dataset_options options = {
        .metadata = scratch_path("metadata"), .split = "test", .masks = scratch_path("masks")};
    struct adl_dataset *d = adl_dataset_open(&options, &err);
    if (!d)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(d != NULL);
    return d;
}

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-9))
        TEST_FAIL("%s: %.12g, expected %.12g", what, got, want);
}

/* The constants come from numpy 1.24 and OpenCV 4.6 on the same maps and masks: masks read by
 * cv2.imread(f, 0) and cv2.resize(float32, (W, H), INTER_NEAREST) > 0.5, united, ignored where only
 * mask 2 is on; PxAP by np.histogram with the bins of the reference; a cut is
 * b = (map * 255).astype(uint8); b > int(t * b.max()), and its counts are summed over the images of
 * a class before the quotients TP / (TP + FP + FN) are formed; the thresholds are i * 0.01. */
static void figures_equal_those_of_numpy(void)
{
    struct adl_dataset *d = make_data("mask-meter");
    for (int threads = 1; threads <= 3; threads += 2) {
        struct adl_error err = {0};
        struct adl_pool *pool = adl_pool_create(threads, &err);
        const struct adl_evaluate_options options = {.curve_interval = 0.01, .map.threshold = 0.35};
        struct adl_evaluate_report r;
        TEST_OK(adl_evaluate_scoremaps(d, scratch_path("maps"), pool, &options, &r, &err), &err);
        const struct adl_mask_figures *f = &r.masks;
        CU_ASSERT(r.masked && !r.localized && !r.classified && r.images == IMAGES);
        CU_ASSERT_FATAL(f->class_count == CLASSES);
        near("PxAP", f->pxap, 27.75517922861867);
        near("PxAP of class 0", f->classes[0].pxap, 38.87402164257207);
        near("PxAP of class 1", f->classes[1].pxap, 19.29098800370922);
        near("PxAP of class 2", f->classes[2].pxap, 33.05064990761034);
        near("mIoU", f->miou, 27.016407949892507);
        near("foreground", f->foreground, 25.300575013068478);
        near("background", f->background, 30.79903147699758);
        near("mean over images", f->image_iou, 23.94161148600795);
        near("best mIoU", f->best_miou, 28.390905178511105);
        near("its threshold", f->best_threshold, 0.52);
        near("peak IoU", f->peak_iou, 29.051383399209485);
        near("its threshold", f->peak_threshold, 0.01);
        near("foreground of class 1", f->classes[1].foreground, 19.863791146424518);
        near("background of class 1", f->classes[1].background, 30.237154150197625);
        CU_ASSERT(f->classes[0].images == 2 && f->classes[1].images == 3);
        adl_evaluate_report_release(&r);
        adl_pool_free(pool);
    }
    adl_dataset_free(d);
}

/* An image without a map counts as one whose map is 0 everywhere. */
static void an_unreadable_image_counts_as_empty(void)
{
    struct adl_dataset *d = make_data("mask-meter-empty");
    struct adl_error err = {0};
    static const double zeros[H * W];
    struct adl_mask_figures figures[2];
    for (int way = 0; way < 2; way++) {
        struct adl_mask_meter *meter =
            adl_mask_meter_create(d, 0.1, &(struct adl_map_rule){.threshold = 0.3}, 1, &err);
        double iou = 0, map[H * W];
        CU_ASSERT_FATAL(meter != NULL);
        for (int i = 0; i < H * W; i++)
            map[i] = map_value(1, i / W, i % W);
        TEST_OK(adl_mask_meter_add(meter, 0, 0, 0, 0, way ? zeros : NULL, H, W, &iou, &err), &err);
        CU_ASSERT_EQUAL(iou, 0);
        TEST_OK(adl_mask_meter_add(meter, 0, 1, 48, 40, map, H, W, &iou, &err), &err);
        CU_ASSERT(iou > 0 && iou < 1);
        TEST_OK(adl_mask_meter_figures(meter, &figures[way], &err), &err);
        adl_mask_meter_free(meter);
    }
    CU_ASSERT_EQUAL(figures[0].pxap, figures[1].pxap);
    CU_ASSERT_EQUAL(figures[0].best_miou, figures[1].best_miou);
    CU_ASSERT(figures[0].classes[0].images == 2 && isnan(figures[0].classes[1].pxap));
    CU_ASSERT(isnan(figures[0].image_iou));
    adl_mask_figures_release(&figures[0]);
    adl_mask_figures_release(&figures[1]);
    adl_dataset_free(d);
}

static void missing_masks_end_the_evaluation(void)
{
    struct adl_dataset *d = make_data("mask-meter-missing");
    const struct adl_evaluate_options options = {.curve_interval = 0.1, .map.threshold = 0.35};
    struct adl_evaluate_report r;
    struct adl_error err = {0};
    remove(scratch_path("masks/3_1.png"));
    CU_ASSERT_EQUAL(adl_evaluate_scoremaps(d, scratch_path("maps"), NULL, &options, &r, &err), -1);
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND && strstr(err.message, "masks/3_1.png"));
    adl_dataset_free(d);
}

static void memory_may_run_out(void)
{
    struct adl_dataset *d = make_data("mask-meter-memory");
    const struct adl_evaluate_options options = {.curve_interval = 0.1, .map.threshold = 0.35};
    struct adl_mem_stats before = adl_mem_stats();
    for (size_t n = 1;; n++) {
        struct adl_error err = {0};
        struct adl_evaluate_report r;
        adl_mem_fail_nth(n);
        int result = adl_evaluate_scoremaps(d, scratch_path("maps"), NULL, &options, &r, &err);
        adl_mem_fail_nth(0);
        if (result == 0) {
            adl_evaluate_report_release(&r);
            break;
        }
        if (err.kind != ADL_ERR_NOMEM)
            TEST_FAIL("allocation %zu: %s", n, err.message);
        CU_ASSERT_FATAL(n < 2000);
    }
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    adl_dataset_free(d);
}

/* --- cuts ------------------------------------------------------------------------------- */

/* The cut at each threshold has the pixels that boxes are cut from. */
static void cuts_are_those_of_boxes(void)
{
    enum { PIXELS = 211 };
    struct adl_error err = {0};
    struct adl_mask_iou counts;
    struct adl_box_finder finder = {0};
    struct adl_mask_cut cuts[15], own;
    struct adl_rng rng;
    adl_rng_seed(&rng, 5, 0, 0);
    TEST_OK(adl_mask_iou_init(&counts, 0.07, &err), &err);
    CU_ASSERT_FATAL(counts.steps == ADL_COUNT(cuts));
    for (int trial = 0; trial < 40; trial++) {
        double map[PIXELS], top = trial % 4 == 3 ? 0.1 * (trial % 10) : 1;
        uint8_t mask[PIXELS];
        adl_mask_iou_clear(&counts);
        for (int i = 0; i < PIXELS; i++) {
            map[i] = top * (double)adl_rng_below(&rng, 1001) / 1000;
            mask[i] = (const uint8_t[]){0, 1, 255}[adl_rng_below(&rng, 3)];
        }
        TEST_OK(adl_mask_iou_add(&counts, map, mask, PIXELS, 0.14, &own, &err), &err);
        adl_mask_iou_cuts(&counts, cuts);
        CU_ASSERT(memcmp(&own, &cuts[2], sizeof own) == 0);
        TEST_OK(adl_box_finder_load(&finder, map, 1, PIXELS, &err), &err);
        for (size_t t = 0; t < counts.steps; t++) {
            struct adl_mask_cut want = {0};
            int byte = adl_box_finder_byte(&finder, (double)t * 0.07);
            for (int i = 0; i < PIXELS; i++) {
                bool out = finder.bytes[i] > byte;
                if (mask[i] == ADL_PXAP_FOREGROUND)
                    *(out ? &want.both : &want.mask_only) += 1;
                else if (mask[i] == ADL_PXAP_BACKGROUND)
                    *(out ? &want.map_only : &want.neither) += 1;
            }
            if (memcmp(&want, &cuts[t], sizeof want) != 0)
                TEST_FAIL("trial %d, threshold %zu", trial, t);
        }
    }
    double bad[2] = {0, NAN};
    CU_ASSERT_EQUAL(adl_mask_iou_add(&counts, bad, (const uint8_t[]){0, 1}, 2, 0.5, &own, &err),
                    -1);
    CU_ASSERT(isnan(adl_mask_cut_foreground(&(struct adl_mask_cut){.neither = 3})));
    CU_ASSERT_EQUAL(adl_mask_cut_foreground(&(struct adl_mask_cut){1, 2, 1, 9}), 0.25);
    CU_ASSERT_EQUAL(adl_mask_cut_background(&(struct adl_mask_cut){1, 2, 1, 9}), 0.75);
    adl_box_finder_release(&finder);
    adl_mask_iou_release(&counts);
}

TEST_SUITE(mask_meter, {"figures equal those of numpy", figures_equal_those_of_numpy},
           {"an unreadable image counts as empty", an_unreadable_image_counts_as_empty},
           {"a missing mask ends the evaluation", missing_masks_end_the_evaluation},
           {"survives running out of memory", memory_may_run_out},
           {"cuts are those of boxes", cuts_are_those_of_boxes});
