/* `train` on directories of generated images: the result has the same bits for any number of
 * threads and interruptions; what a run learns and when it ends. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/model.h"
#include "plan/session.h"
#include "support/scratch.h"
#include "support/train_fixture.h"
#include "wsol/localize.h"
#include "wsol/session_cam.h"

#define METHOD "--method", "adl", "--epochs", "3", "--seed", "5"

static void same_bits_however_it_runs(void)
{
    struct adl_error err;
    train_directories("bits");
    /* 22 images are three batches per epoch; evaluating val is a fourth part. */
    CU_ASSERT_EQUAL(TRAIN_CHECK_BITS(METHOD), 12);
    CU_ASSERT(train_logged("done"));
    CU_ASSERT(
        strcmp(train_digest("one/best.safetensors"), train_digest("parts/best.safetensors")) == 0);
    train_check_epochs("one", 3);
    train_check_epochs("parts", 3);
    /* Another seed gives another result. */
    TEST_OK(TRAIN("other", false, &err, METHOD, "--seed", "6"), &err);
    CU_ASSERT(
        strcmp(train_digest("one/last.safetensors"), train_digest("other/last.safetensors")) != 0);
}

/* A finished run that is extended equals one with all epochs from the start. */
static void a_finished_run_can_be_extended(void)
{
    struct adl_error err;
    train_directories("more");
    TEST_OK(TRAIN("whole", false, &err, "--epochs", "3"), &err);
    TEST_OK(TRAIN("part", false, &err, "--epochs", "1"), &err);
    train_check_epochs("part", 1);
    TEST_OK(TRAIN("part", false, &err, "--epochs", "3", "--resume"), &err);
    train_check_epochs("part", 3);
    CU_ASSERT(
        strcmp(train_digest("whole/last.safetensors"), train_digest("part/last.safetensors")) == 0);
    /* Resuming a finished run changes nothing. */
    TEST_OK(TRAIN("part", false, &err, "--epochs", "3", "--resume"), &err);
    train_check_epochs("part", 3);
}

/* Images of 48 x 48 are 5.8 times the frame of 20 x 20; JPEGs are reduced by none or two. */
static void caches_and_decoding(void)
{
#define SMALL "--epochs", "2", "--resize-size", "20", "--crop-size", "16"
    struct adl_error err;
    train_directories("caches");
    TEST_OK(TRAIN("none", false, &err, SMALL, "--cache-memory", "0"), &err);
    TEST_OK(TRAIN("memory", false, &err, SMALL), &err);
    TEST_OK(TRAIN("disk", false, &err, SMALL, "--cache", scratch_path("frames")), &err);
    TEST_OK(TRAIN("disk-2", true, &err, SMALL, "--cache", scratch_path("frames")), &err);
    TEST_OK(TRAIN("disk-2", false, &err, SMALL, "--resume", "--cache-memory", "0"), &err);
    char want[65];
    snprintf(want, sizeof want, "%s", train_digest("none/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(want, train_digest("memory/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(want, train_digest("disk/last.safetensors"));
    CU_ASSERT_STRING_EQUAL(want, train_digest("disk-2/last.safetensors"));
    json_t *lines = train_metrics("memory"), *none = train_metrics("none");
    const json_t *cache = json_object_get(json_array_get(lines, 1), "cache");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(cache, "images")), 2 * TRAIN_PER_CLASS);
    CU_ASSERT(!json_object_get(json_array_get(none, 1), "cache"));
    /* Images of val are the same whatever the training images are decoded by. */
    TEST_OK(TRAIN("exact", true, &err, SMALL, "--exact-decode"), &err);
    CU_ASSERT(TRAIN("exact", true, &err, SMALL, "--resume") < 0);
    CU_ASSERT(strstr(err.message, "fast_decode unset, not yes") != NULL);
    json_decref(lines);
    json_decref(none);
    CU_ASSERT(TRAIN("bad", false, &err, SMALL, "--cache", scratch_path("none/run.json")) < 0);
#undef SMALL
}

static void one_is_singular(void)
{
    struct adl_error err;
    int box[4];
    train_new_root("singular");
    mkdir(scratch_path("data"), 0777);
    mkdir(scratch_path("data/blue"), 0777);
    train_write_image(scratch_path("data/blue/0.png"), 0, false, false, box);
    fclose(fopen(scratch_path("data/blue/1.png"), "w"));
    TEST_OK(TRAIN("run", false, &err, "--epochs", "1", "--threads", "1"), &err);
    CU_ASSERT(train_logged("2 training images of 1 class, "));
    CU_ASSERT(train_logged("2 images are few"));
    CU_ASSERT(train_logged("1 image could not be read and was skipped"));
    CU_ASSERT_EQUAL(unlink(scratch_path("data/blue/1.png")), 0);
    TEST_OK(TRAIN("one", false, &err, "--epochs", "1"), &err);
    CU_ASSERT(train_logged("1 training image of 1 class, ") && train_logged("1 image is few"));
    CU_ASSERT(!train_logged(" 1 images") && !train_logged("1 classes"));
}

/* Runs one image through the saved model; returns the number of boxes. */
static size_t localize(const struct adl_model *model, bool red, int *class_id)
{
    struct adl_error err = {0};
    struct adl_image image = {0}, small = {0};
    struct adl_localization found = {0};
    int box[4];
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(session != NULL);
    train_draw(777, red, &image, box);
    TEST_OK(adl_image_resize(&image, model->input_w, model->input_h, &small, &err), &err);
    adl_image_to_input(&small, model->mean, model->std, adl_session_input(session, 0));
    adl_session_run(session, 1);
    const float *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
    *class_id = logits[1] > logits[0];
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    float *cam = adl_malloc((size_t)map.h * (size_t)map.w, sizeof *cam);
    adl_session_cam(session, 0, *class_id, &model->map, cam);
    const struct adl_class_map class_map = {.values = cam,
                                            .h = map.h,
                                            .w = map.w,
                                            .input_h = model->input_h,
                                            .input_w = model->input_w};
    TEST_OK(adl_localize_map(&model->map, &class_map, ADL_BOXES_LARGEST, true, TRAIN_SIDE,
                             TRAIN_SIDE, &found, &err),
            &err);
    size_t boxes = found.box_count;
    adl_localization_release(&found);
    adl_free(cam);
    adl_image_release(&image);
    adl_image_release(&small);
    adl_session_free(session);
    adl_plan_unref(plan);
    return boxes;
}

static double figure(const json_t *lines, size_t epoch, const char *key)
{
    const json_t *line = json_array_get(lines, epoch - 1);
    const json_t *value = json_object_get(line, key);
    value = value ? value : json_object_get(json_object_get(line, "val"), key);
    if (!json_is_number(value))
        TEST_FAIL("epoch %zu has no %s", epoch, key);
    return json_number_value(value);
}

/* Two colours are learned in a few epochs; the model then classifies and localizes
 * images that it was not trained on. */
static void learns_two_colours(void)
{
    enum { EPOCHS = 30, LATE = 25 };
    struct adl_error err;
    static const char *const names[] = {"last", "best"};
    train_lists("learns");
    TEST_OK(TRAIN("run", false, &err, "--width", "0.5", "--epochs", "30", "--schedule", "cosine",
                  "--lr", "0.01", "--cam-curve-interval", "0.01"),
            &err);
    json_t *lines = train_metrics("run");
    CU_ASSERT_EQUAL_FATAL(json_array_size(lines), EPOCHS);
    double top1 = 0;
    for (size_t epoch = LATE; epoch <= EPOCHS; epoch++)
        top1 = fmax(top1, figure(lines, epoch, "train_top1"));
    CU_ASSERT_EQUAL(top1, 100);
    CU_ASSERT_EQUAL(figure(lines, EPOCHS, "top1_cls"), 100);
    CU_ASSERT(figure(lines, EPOCHS, "train_loss") < figure(lines, 1, "train_loss") / 2);
    CU_ASSERT_EQUAL(figure(lines, EPOCHS, "images"), 8);
    double best = -1, loss = 0;
    size_t best_epoch = 0;
    for (size_t epoch = 1; epoch <= EPOCHS; epoch++) {
        double a = figure(lines, epoch, "max_box_acc_v2"), b = figure(lines, epoch, "val_loss");
        if (a > best || (a == best && b <= loss)) {
            best = a;
            loss = b;
            best_epoch = epoch;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        struct adl_model *model =
            adl_model_load(scratch_path("run/%s.safetensors", names[i]), NULL, &err);
        TEST_OK(model ? 0 : -1, &err);
        if (!model)
            break;
        CU_ASSERT_EQUAL(model->input_h, 32);
        CU_ASSERT_EQUAL(model->class_count == 0 || model->class_count == 2, true);
        size_t epoch = i ? best_epoch : EPOCHS;
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(model->training, "epochs")),
                        (json_int_t)epoch);
        CU_ASSERT_DOUBLE_EQUAL(model->map.threshold, figure(lines, epoch, "best_threshold"), 1e-9);
        for (int red = 0; i == 0 && red < 2; red++) {
            int class_id;
            CU_ASSERT(localize(model, red, &class_id) >= 1);
            CU_ASSERT_EQUAL(class_id, red);
        }
        adl_model_free(model);
    }
    json_decref(lines);
}

/* Whether every number in a file of tensors is finite, by the C library. */
static bool is_finite_file(const char *path)
{
    struct adl_error err = {0};
    bool finite = true;
    struct adl_tensors *tensors = adl_safetensors_read(path, &err);
    TEST_OK(tensors ? 0 : -1, &err);
    for (size_t i = 0; tensors && i < adl_tensors_count(tensors); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(tensors, i);
        const float *values = tensor->data;
        for (size_t k = 0; k < adl_tensor_bytes(tensor) / sizeof *values; k++)
            finite &= isfinite(values[k]) != 0;
    }
    adl_tensors_free(tensors);
    return finite;
}

/* A learning rate that grows until training diverges. The run says so, and the files of
 * the last good epoch stay. */
static void a_diverging_run_ends_and_keeps_its_files(void)
{
    enum { LIMIT = 60 };
    static const char *const files[] = {"best", "last", "state"};
    struct adl_error err;
    train_directories("diverges");
    CU_ASSERT(TRAIN("run", false, &err, "--epochs", "60", "--lr", "60", "--warmup-epochs", "200") <
              0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_LIMIT);
    CU_ASSERT(strstr(err.message, "diverges") && strstr(err.message, "lower --lr"));
    CU_ASSERT(strstr(err.message, "keeps the last good weights") != NULL);
    json_t *lines = train_metrics("run"), *line;
    size_t epochs = json_array_size(lines), i;
    CU_ASSERT(epochs > 0 && epochs < LIMIT);
    /* Never a loss far above that of guessing between two, for a whole epoch. */
    json_array_foreach(lines, i, line) if (i > 0)
        CU_ASSERT(figure(lines, i + 1, "train_loss") < 100 * log(2));
    json_decref(lines);
    for (i = 0; i < ADL_COUNT(files); i++)
        CU_ASSERT(is_finite_file(scratch_path("run/%s.safetensors", files[i])));
    struct adl_model *model = adl_model_load(scratch_path("run/last.safetensors"), NULL, &err);
    CU_ASSERT(model &&
              json_integer_value(json_object_get(model->training, "epochs")) == (json_int_t)epochs);
    adl_model_free(model);
}

/* The mean cross-entropy of the val images of make_lists, one by one. */
static double val_loss_of(const struct adl_model *model)
{
    struct adl_error err = {0};
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    CU_ASSERT_FATAL(session != NULL);
    double sum = 0;
    for (int i = 0; i < 8; i++) {
        struct adl_image image = {0}, small = {0};
        int box[4];
        train_draw((uint64_t)(100 + i), i % 2, &image, box);
        TEST_OK(adl_image_resize(&image, model->input_w, model->input_h, &small, &err), &err);
        adl_image_to_input(&small, model->mean, model->std, adl_session_input(session, 0));
        adl_session_run(session, 1);
        const float *z = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
        sum += log1p(exp((double)z[1 - i % 2] - (double)z[i % 2]));
        adl_image_release(&image);
        adl_image_release(&small);
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    return sum / 8;
}

/* Of epochs with the same accuracy, the best is the one with the smallest loss on val. */
static void ties_go_by_the_loss(void)
{
    struct adl_error err;
    train_lists("ties");
    CU_ASSERT_EQUAL(unlink(scratch_path("data/metadata/train/localization.txt")), 0);
    CU_ASSERT_EQUAL(unlink(scratch_path("data/metadata/val/localization.txt")), 0);
    TEST_OK(TRAIN("run", false, &err, "--epochs", "20", "--lr", "0.005"), &err);
    json_t *lines = train_metrics("run");
    double top1 = -1, loss = 0;
    size_t best = 0, ties = 0;
    for (size_t epoch = 1; epoch <= 20; epoch++) {
        double a = figure(lines, epoch, "top1_cls"), b = figure(lines, epoch, "val_loss");
        bool better = a > top1 || (a == top1 && b <= loss);
        ties += a == top1 && b > loss;
        CU_ASSERT_EQUAL(json_is_true(json_object_get(json_array_get(lines, epoch - 1), "best")),
                        better);
        if (better) {
            top1 = a;
            loss = b;
            best = epoch;
        }
    }
    CU_ASSERT(ties > 0);
    struct adl_model *model = adl_model_load(scratch_path("run/best.safetensors"), NULL, &err);
    TEST_OK(model ? 0 : -1, &err);
    if (model) {
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(model->training, "epochs")),
                        (json_int_t)best);
        CU_ASSERT_DOUBLE_EQUAL(val_loss_of(model), loss, 1e-4 * (1 + loss));
    }
    adl_model_free(model);
    json_decref(lines);
}

TEST_SUITE(train, {"the same bits however it runs", same_bits_however_it_runs},
           {"a finished run can be extended", a_finished_run_can_be_extended},
           {"caches and decoding", caches_and_decoding}, {"one is singular", one_is_singular},
           {"learns two colours", learns_two_colours},
           {"a diverging run ends and keeps its files", a_diverging_run_ends_and_keeps_its_files},
           {"ties go by the loss", ties_go_by_the_loss});
TEST_SLOW(learns_two_colours);
TEST_SLOW(a_diverging_run_ends_and_keeps_its_files);
TEST_UNWATCHED(learns_two_colours);
TEST_UNWATCHED(ties_go_by_the_loss);
