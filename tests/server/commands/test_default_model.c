/* The models that ship, on the drawings that ship: they have to recognise each, and the default one
 * to localize it. The true boxes are taken from the drawings' geometry (the SVG files). */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "models/file/load.h"
#include "models/model.h"
#include "server/tasks/predict.h"

#define MODEL "models/default.safetensors"
#define LARGEST_BYTES (8 * 1000 * 1000)
/* The box of the umbrella does not reach down its handle, a line of a few pixels. */
#define LEAST_IOU 0.45

static const struct drawing {
    const char *name;
    struct adl_box truth;
} umbrella = {"umbrella", {52, 36, 392, 372}}, yin_yang = {"yin_yang", {57, 57, 293, 293}},
  starfish = {"starfish", {68, 70, 330, 338}};

/* Fails unless a drawing has its own name; returns the IoU of its box. */
static double check_drawing(const struct adl_model *model, struct adl_views *views,
                            struct drawing drawing)
{
    double iou = 0;
    struct adl_error err = {0};
    struct adl_predict_input input = {0};
    struct adl_predictions found = {0};
    struct adl_predict_query query = {
        .class_id = -1, .top_k = 1, .map = model->map, .boxes = ADL_BOXES_LARGEST};
    static const struct adl_predict_decode how = {.max_pixels = 1000000,
                                                  .max_memory_bytes = 64 * 1024 * 1024};
    struct adl_view_run run;
    char path[100];
    size_t length;

    TEST_OK(adl_views_prepare(views, &query.map, false, &run, &err), &err);

    snprintf(path, sizeof path, "web/examples/%s.jpg", drawing.name);
    char *bytes = adl_file_read(path, LARGEST_BYTES, &length, &err);
    if (!bytes || adl_predict_decode(bytes, length, &how, &run.sizes, &input, &err) < 0) {
        TEST_FAIL("%s: %s", path, err.message);
        goto out;
    }
    for (int view = 0; view < run.count; view++) {
        adl_predict_load(model, &input, &run, view, 0);
        adl_session_run(run.items[view].session, 1);
        TEST_OK(adl_predict_collect(&run, view, 0, &query, &found, &err), &err);
    }
    TEST_OK(adl_predict_locate(&found, &query, input.info.width, input.info.height, NULL, &err),
            &err);
    if (found.count != 1 || found.items[0].place.box_count != 1) {
        TEST_FAIL("%s: %zu predictions", path, found.count);
        goto out;
    }
    const char *label = model->classes[found.items[0].class_id];
    struct adl_box box = found.items[0].place.boxes[0].box;
    iou = adl_box_iou(box, drawing.truth);
    if (strcmp(label, drawing.name) != 0)
        TEST_FAIL("%s: %s at %d,%d,%d,%d (IoU %.2f)", path, label, box.x0, box.y0, box.x1, box.y1,
                  iou);
out:
    adl_predictions_release(&found);
    adl_predict_input_release(&input);
    adl_free(bytes);
    return iou;
}

/* Checks the drawings with a model file, and gives the IoU of each. */
static void check_drawings(const char *file, const struct drawing *drawings, size_t count,
                           double *iou)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_model_load(file, NULL, &err);
    struct adl_views *views = model ? adl_model_into_views(model, NULL, 1, &err) : NULL;

    TEST_OK(views ? 0 : -1, &err);
    for (size_t i = 0; i < count; i++)
        iou[i] = views ? check_drawing(model, views, drawings[i]) : 0;
    adl_views_free(views);
    adl_model_free(model);
}

static void the_drawings_are_found(void)
{
    const struct drawing drawings[] = {umbrella, yin_yang, starfish};
    double iou[ADL_COUNT(drawings)];

    check_drawings(MODEL, drawings, ADL_COUNT(drawings), iou);
    for (size_t i = 0; i < ADL_COUNT(drawings); i++)
        if (iou[i] < LEAST_IOU)
            TEST_FAIL("%s: IoU %.2f", drawings[i].name, iou[i]);
}

/* What `serve --example` is there to show. */
static void the_pair_shows_what_adl_does(void)
{
    const struct drawing drawings[] = {umbrella, yin_yang};
    double cam[ADL_COUNT(drawings)], adl[ADL_COUNT(drawings)];

    check_drawings("models/example-cam.safetensors", drawings, ADL_COUNT(drawings), cam);
    check_drawings("models/example-adl.safetensors", drawings, ADL_COUNT(drawings), adl);
    for (size_t i = 0; i < ADL_COUNT(drawings); i++)
        if (adl[i] <= cam[i])
            TEST_FAIL("%s: IoU %.2f with ADL, %.2f without", drawings[i].name, adl[i], cam[i]);
}

/* Trained from random weights, with ADL, and small enough for the repository. */
static void its_training_is_recorded(void)
{
    struct adl_error err = {0};
    size_t length = 0;
    char *bytes = adl_file_read(MODEL, LARGEST_BYTES, &length, &err);
    TEST_OK(bytes ? 0 : -1, &err);
    adl_free(bytes);
    struct adl_model *model = adl_model_load(MODEL, NULL, &err);
    if (!model)
        return;
    CU_ASSERT(adl_arch_has_layers(&model->arch) && model->class_count == 104);
    const json_t *made = model->training;
    CU_ASSERT_PTR_NOT_NULL(made);
    for (const json_t *from; (from = json_object_get(made, "begun_from")); made = from)
        continue;
    CU_ASSERT_PTR_NULL(json_object_get(json_object_get(made, "config"), "init"));
    adl_model_free(model);
}

TEST_SUITE(default_model, {"the drawings are found", the_drawings_are_found},
           {"the pair shows what ADL does", the_pair_shows_what_adl_does},
           {"its training is recorded", its_training_is_recorded});
