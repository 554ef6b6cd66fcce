/* `serve` with a model whose images may have several classes: the scores, and which classes are
 * answered. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

enum { CLASSES = 5 };

static struct test_service service;

/* Writes the small model as one of several labels; returns "labels=PATH". */
static const char *save_model(void)
{
    static char text[400];
    struct adl_error err = {0};
    const char *path = test_small_model();
    struct adl_model *model = path ? adl_model_load(path, NULL, &err) : NULL;
    CU_ASSERT_FATAL(model != NULL);
    model->labels.several = true;
    model->labels.threshold = 0.999999;
    snprintf(text, sizeof text, "labels=%s", scratch_path("labels.safetensors"));
    TEST_OK(adl_model_save(model, strchr(text, '=') + 1, &err), &err);
    adl_model_free(model);
    return text;
}

/* Posts the image; fills in the scores by class, and returns the number of predictions, which have
 * to be in the order of their scores. */
static size_t localize(const char *query, double scores[CLASSES])
{
    char target[100];
    double last = 2;
    size_t i;
    json_t *one;

    snprintf(target, sizeof target, "/localize?%s", query);
    struct test_reply reply = test_post(&service.server, target, "Content-Type: image/jpeg\r\n",
                                        service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL_FATAL(reply.status, 200);
    json_t *root = test_reply_json(&reply), *list = json_object_get(root, "predictions");
    json_array_foreach(list, i, one)
    {
        double score = json_number_value(json_object_get(one, "score"));
        CU_ASSERT(score >= 0 && score <= last);
        last = score;
        scores[json_integer_value(json_object_get(one, "class_id"))] = score;
    }
    size_t count = json_array_size(list);
    json_decref(root);
    test_reply_release(&reply);
    return count;
}

/* Softmax and sigmoid are of the same logits: log p[i] - log p[j] = z[i] - z[j], and so is the
 * difference of the log odds of the sigmoids. */
static void scores_are_sigmoids_of_the_logits(void)
{
    double softmax[CLASSES], sigmoid[CLASSES];
    if (!test_service_open(&service, 200, 120,
                           (const char *const[]){"--model", save_model(), NULL}))
        return;
    CU_ASSERT_EQUAL(localize("top_k=5", softmax), CLASSES);
    CU_ASSERT_EQUAL(localize("model=labels&top_k=5", sigmoid), CLASSES);
    for (int i = 1; i < CLASSES; i++) {
        double odds = log(sigmoid[i] / (1 - sigmoid[i])) - log(sigmoid[0] / (1 - sigmoid[0]));
        CU_ASSERT_DOUBLE_EQUAL(odds, log(softmax[i] / softmax[0]), 1e-3);
    }
    test_service_close(&service);
}

static void the_threshold_says_what_is_present(void)
{
    double scores[CLASSES], other[CLASSES];
    char query[80];
    if (!test_service_open(&service, 200, 120,
                           (const char *const[]){"--model", save_model(), NULL}))
        return;
    CU_ASSERT_EQUAL(localize("model=labels&top_k=5", scores), CLASSES);
    /* The model's own threshold is above all scores: the most probable class alone. */
    CU_ASSERT_EQUAL(localize("model=labels", other), 1);
    CU_ASSERT_EQUAL(localize("model=labels&label_threshold=0", other), CLASSES);
    CU_ASSERT_EQUAL(localize("model=labels&label_threshold=0&top_k=2", other), 2);
    CU_ASSERT_EQUAL(localize("model=labels&label_threshold=0&class=cat", other), 1);
    for (int i = 0; i < CLASSES; i++) {
        size_t above = 0;
        for (int k = 0; k < CLASSES; k++)
            above += scores[k] >= scores[i] - 1e-5;
        snprintf(query, sizeof query, "model=labels&label_threshold=%.9f", scores[i] - 1e-5);
        CU_ASSERT_EQUAL(localize(query, other), above);
    }
    /* Models of one class ignore it. */
    CU_ASSERT_EQUAL(localize("label_threshold=0", other), 1);
    struct test_reply reply = test_get(&service.server, "GET", "/models/labels", NULL);
    CU_ASSERT(strstr(reply.body, "\"multi_label\":{\"threshold\":0.999999}") != NULL);
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/models/default", NULL);
    CU_ASSERT(strstr(reply.body, "multi_label") == NULL);
    test_reply_release(&reply);
    test_service_close(&service);
}

TEST_SUITE(server_labels, {"scores are sigmoids of the logits", scores_are_sigmoids_of_the_logits},
           {"the threshold says what is present", the_threshold_says_what_is_present});
