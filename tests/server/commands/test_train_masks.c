/* `train` on data whose val split has masks and no boxes. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "io/file.h"
#include "models/file/load.h"
#include "models/model.h"
#include "support/scratch.h"
#include "support/train_fixture.h"

enum { VAL = 8 };

/* Replaces the boxes of val by masks with the same corners. */
static void make_masks(const char *name)
{
    struct adl_error err = {0};
    train_lists(name);
    FILE *list = train_open_list("val", "localization");
    for (int i = 0; i < VAL; i++) {
        uint8_t grey[TRAIN_SIDE * TRAIN_SIDE] = {0};
        struct adl_image image;
        int box[4];
        size_t length;
        void *png;
        train_draw((uint64_t)(100 + i), i % 2, &image, box);
        adl_image_release(&image);
        for (int y = box[1]; y <= box[3]; y++)
            memset(grey + y * TRAIN_SIDE + box[0], 255, (size_t)(box[2] - box[0] + 1));
        TEST_OK(adl_image_encode_grey_png(grey, TRAIN_SIDE, TRAIN_SIDE, NULL, &png, &length, &err),
                &err);
        TEST_OK(adl_file_write(scratch_path("data/images/mask%d.png", i),
                               &(struct adl_file_piece){png, length}, 1, &err),
                &err);
        adl_free(png);
        fprintf(list, "val%d.png,mask%d.png,\n", i, i);
    }
    fclose(list);
}

static double val_figure(const json_t *lines, size_t line, const char *key)
{
    const json_t *val = json_object_get(json_array_get(lines, line), "val");
    return json_number_value(json_object_get(val, key));
}

/* PxAP of a model file, computed anew. */
static double pxap_of(const char *file, double *threshold)
{
    struct adl_error err = {0};
    const struct adl_dataset_options where = {.dir = scratch_path("data"), .split = "val"};
    struct adl_dataset *data = adl_dataset_open(&where, &err);
    struct adl_model *model = adl_model_load(scratch_path("%s", file), NULL, &err);
    CU_ASSERT_FATAL(data && model);
    struct adl_views *views = adl_model_into_views(model, NULL, 3, &err);
    struct adl_evaluate_options options = {.curve_interval = 0.001, .map = model->map};
    struct adl_evaluate_report report;
    memcpy(options.mean, model->mean, sizeof options.mean);
    memcpy(options.std, model->std, sizeof options.std);
    TEST_OK(adl_evaluate_views(data, views, 3, NULL, &options, &report, &err), &err);
    double pxap = report.masks.pxap;
    /* At the threshold that the model keeps, the mean IoU is its best. */
    CU_ASSERT_DOUBLE_EQUAL(report.masks.miou, report.masks.best_miou, 1e-9);
    *threshold = model->map.threshold;
    adl_evaluate_report_release(&report);
    adl_views_free(views);
    adl_model_free(model);
    adl_dataset_free(data);
    return pxap;
}

static void the_best_epoch_is_that_of_pxap(void)
{
    struct adl_error err;
    make_masks("train-masks");
    TEST_OK(TRAIN("out", false, &err, "--epochs", "4", "--threads", "1"), &err);
    CU_ASSERT(train_logged("PxAP"));
    json_t *lines = train_metrics("out");
    CU_ASSERT_EQUAL_FATAL(json_array_size(lines), 4);
    size_t best = 0;
    for (size_t i = 0; i < 4; i++) {
        const json_t *line = json_array_get(lines, i);
        CU_ASSERT_PTR_NULL(json_object_get(json_object_get(line, "val"), "max_box_acc"));
        CU_ASSERT(val_figure(lines, i, "pxap") > 0 && val_figure(lines, i, "best_miou") > 0);
        if (val_figure(lines, i, "pxap") >= val_figure(lines, best, "pxap"))
            best = i;
    }
    for (size_t i = best; i < 4; i++)
        CU_ASSERT_EQUAL(json_is_true(json_object_get(json_array_get(lines, i), "best")), i == best);
    double threshold, pxap = pxap_of("out/best.safetensors", &threshold);
    CU_ASSERT_DOUBLE_EQUAL(pxap, val_figure(lines, best, "pxap"), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(threshold, val_figure(lines, best, "best_miou_threshold"), 1e-6);
    json_decref(lines);
}

static void a_resumed_run_ends_in_the_same_bits(void)
{
    struct adl_error err;
    make_masks("train-masks-resume");
    const char *const words[] = {TRAIN_COMMON, "--epochs", "2", NULL};
    TEST_OK(TRAIN("whole", false, &err, "--epochs", "2", "--threads", "1"), &err);
    char whole[100];
    snprintf(whole, sizeof whole, "%s", train_digest("whole/best.safetensors"));
    CU_ASSERT(train_in_parts("parts", words) > 1);
    CU_ASSERT_STRING_EQUAL(whole, train_digest("parts/best.safetensors"));
}

TEST_SUITE(train_masks, {"the best epoch is that of PxAP", the_best_epoch_is_that_of_pxap},
           {"a resumed run ends in the same bits", a_resumed_run_ends_in_the_same_bits});
