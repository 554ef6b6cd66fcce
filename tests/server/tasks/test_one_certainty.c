/* One picture, one certainty: `eval`, `localize` and HTTP say the same of the same box, and nothing
 * of boxes that are cut otherwise than those that the confidence was fitted to. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/dataset_open.h"
#include "eval/evaluate.h"
#include "io/file.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/http_client.h"
#include "support/image_bytes.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

enum { WIDTH = 120, HEIGHT = 90 };

static const struct adl_certainty certainty = {.temperature = 1.7,
                                               .has_presence = true,
                                               .has_confidence = true,
                                               .presence = {0.9, 1.5},
                                               .confidence = {.bias = 0.5,
                                                              .weights = {0.3, -1, -2, 0.7, 0.4},
                                                              .low = {-5, 0, 0, 0, 0},
                                                              .high = {5, 1, 1, 1, 1}}};

static void write_certain_model(const char *path)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_model_load(test_small_model(), NULL, &err);
    CU_ASSERT_FATAL(model != NULL);
    model->certainty = certainty;
    TEST_OK(adl_model_save(model, path, &err), &err);
    adl_model_free(model);
}

static void write_picture(const void *png, size_t length)
{
    struct adl_error err = {0};
    const struct adl_file_piece piece = {png, length};
    TEST_OK(adl_file_write(scratch_path("images/a.png"), &piece, 1, &err), &err);
    scratch_append("metadata/all/image_ids.txt", "a.png\n");
    scratch_append("metadata/all/class_labels.txt", "a.png,0\n");
    scratch_append("metadata/all/image_sizes.txt", "a.png,%d,%d\n", WIDTH, HEIGHT);
    scratch_append("metadata/all/localization.txt", "a.png,10,10,60,70\n");
}

struct answer {
    double score, present, confidence; /* -1: not given */
};

static struct answer answer_of(const json_t *json)
{
    const json_t *one = json_array_get(json_object_get(json, "predictions"), 0);
    const json_t *box = json_array_get(json_object_get(one, "boxes"), 0);
    const json_t *present = json_object_get(one, "present");
    const json_t *confidence = json_object_get(box, "confidence");
    return (struct answer){json_number_value(json_object_get(one, "score")),
                           present ? json_number_value(present) : -1,
                           confidence ? json_number_value(confidence) : -1};
}

/* Asks a running server. */
static struct answer ask(struct test_server *server, const char *target, const void *png,
                         size_t length)
{
    struct test_reply reply = {0};
    test_request(server, "POST", target, "Content-Type: image/png\r\n", png, length, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    json_t *json = test_reply_json(&reply);
    struct answer answer = answer_of(json);
    json_decref(json);
    test_reply_release(&reply);
    return answer;
}

/* Returns the score of the box that `localize` exports: the chance that class and box are right. */
static double exported(const char *model)
{
    char error[500], coco[500];
    snprintf(coco, sizeof coco, "%s", scratch_path("boxes.json"));
    const char *arguments[] = {"localize", "--model", model, "--class",
                               "0",        "--coco",  coco,  scratch_path("images/a.png"),
                               NULL};
    CU_ASSERT_EQUAL(test_program_run(arguments, error, sizeof error), 0);
    json_t *json = json_load_file(coco, 0, NULL);
    double score = json_number_value(json_object_get(json_array_get(json, 0), "score"));
    CU_ASSERT_EQUAL(json_array_size(json), 1);
    json_decref(json);
    return score;
}

/* What `eval` measures of the one image: its bins hold one answer each. */
static struct answer evaluate(const char *path)
{
    struct adl_error err = {0};
    const struct adl_dataset_options where = {.dir = scratch_root(), .split = "all"};
    struct adl_dataset *d = adl_dataset_open(&where, &err);
    struct adl_model *model = adl_model_load(path, NULL, &err);
    CU_ASSERT_FATAL(d && model);
    struct adl_evaluate_place place = {0};
    struct adl_evaluate_options how = {.curve_interval = 0.1,
                                       .map = model->map,
                                       .temperature = model->certainty.temperature,
                                       .confidence = adl_model_confidence(model, &model->map),
                                       .places = &place};
    struct adl_views *views = adl_model_into_views(model, NULL, 1, &err);
    struct adl_evaluate_report report;
    CU_ASSERT_FATAL(views != NULL);
    memcpy(how.mean, model->mean, sizeof how.mean);
    memcpy(how.std, model->std, sizeof how.std);
    TEST_OK(adl_evaluate_views(d, views, 1, NULL, &how, &report, &err), &err);
    CU_ASSERT(report.class_scores.count == 1 && report.box_confidences.count == 1);
    struct answer answer = {(double)place.probability, -1, 0};
    for (int b = 0; b < ADL_RELIABILITY_BINS; b++) {
        answer.confidence += report.box_confidences.bins[b].sum;
        CU_ASSERT_EQUAL(report.box_confidences.bins[b].right,
                        report.box_confidences.bins[b].count && place.iou >= 0.5F);
    }
    adl_evaluate_report_release(&report);
    adl_views_free(views);
    adl_model_free(model);
    adl_dataset_free(d);
    return answer;
}

static void everyone_is_as_sure(void)
{
    struct test_server server = {0};
    size_t length;
    char path[500];
    scratch_open("one-certainty",
                 (const char *const[]){"images", "metadata", "metadata/all", NULL});
    snprintf(path, sizeof path, "%s", scratch_path("sure.safetensors"));
    write_certain_model(path);
    void *png = test_picture(TEST_PNG, WIDTH, HEIGHT, &length);
    write_picture(png, length);
    const struct answer measured = evaluate(path);
    CU_ASSERT_DOUBLE_EQUAL(exported(path), measured.score * measured.confidence, 1e-6);

    CU_ASSERT_FATAL(test_server_start(&server, (const char *const[]){"--model", path, NULL}) == 0);
    CU_ASSERT_FATAL(test_server_ready(&server) == 0);
    struct answer http = ask(&server, "/localize?class=0", png, length);
    const double present = http.present;
    CU_ASSERT_DOUBLE_EQUAL(http.score, measured.score, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(http.confidence, measured.confidence, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(present, adl_presence(&certainty.presence, measured.score), 1e-5);
    http = ask(&server, "/localize?class=0&threshold=0.2", png, length);
    CU_ASSERT(http.present == present && http.confidence == -1);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);

    /* A server that cuts otherwise than the model says. */
    const char *const otherwise[] = {"--model", path, "--map-weights", "positive", NULL};
    CU_ASSERT_FATAL(test_server_start(&server, otherwise) == 0);
    CU_ASSERT_FATAL(test_server_ready(&server) == 0);
    http = ask(&server, "/localize?class=0", png, length);
    CU_ASSERT(http.present == present && http.confidence == -1);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);

    /* The model as trained has another probability and knows nothing more. */
    const char *const plain[] = {"--model", test_small_model(), NULL};
    CU_ASSERT_FATAL(test_server_start(&server, plain) == 0);
    CU_ASSERT_FATAL(test_server_ready(&server) == 0);
    http = ask(&server, "/localize?class=0", png, length);
    CU_ASSERT(http.score != measured.score && http.present == -1 && http.confidence == -1);
    CU_ASSERT_DOUBLE_EQUAL(exported(test_small_model()), http.score, 1e-6);
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    adl_free(png);
}

TEST_SUITE(one_certainty, {"everyone is as sure", everyone_is_as_sure});
