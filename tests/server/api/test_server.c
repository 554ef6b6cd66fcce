/* `serve` as clients see it: the answers to well-behaved clients. The
 * server runs in a process of its own. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/size.h"
#include "image/image_decode.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

#define JPEG "Content-Type: image/jpeg\r\n"
#define FORM "Content-Type: multipart/form-data; boundary=b\r\n"

static struct test_service service;

static bool open_server(const char *const *more)
{
    return test_service_open(&service, 200, 120, more);
}

static struct test_reply post_jpeg(const char *target)
{
    return test_post(&service.server, target, JPEG, service.jpeg, service.jpeg_length);
}

/* --- answers ------------------------------------------------------------------ */

static void check_prediction(json_t *prediction, int width, int height)
{
    json_t *boxes = json_object_get(prediction, "boxes"), *box;
    double score = json_real_value(json_object_get(prediction, "score"));
    size_t index;

    CU_ASSERT(score > 0 && score <= 1);
    CU_ASSERT(json_is_string(json_object_get(prediction, "label")));
    CU_ASSERT(json_is_integer(json_object_get(prediction, "class_id")));
    CU_ASSERT(json_array_size(boxes) > 0);
    json_array_foreach(boxes, index, box)
    {
        int x0, y0, x1, y1;
        double inside;
        CU_ASSERT_EQUAL(json_unpack(box, "{s:i, s:i, s:i, s:i, s:F !}", "x0", &x0, "y0", &y0, "x1",
                                    &x1, "y1", &y1, "score", &inside),
                        0);
        CU_ASSERT(0 <= x0 && x0 <= x1 && x1 < width && 0 <= y0 && y0 <= y1 && y1 < height);
        CU_ASSERT(inside >= 0 && inside <= 1);
    }
}

static void answers_a_picture(void)
{
    if (!open_server(NULL))
        return;
    struct test_reply reply =
        test_post(&service.server, "/localize?top_k=3&boxes=all&heatmap=array",
                  JPEG "X-Request-Id: a.b-C_9\r\n", service.jpeg, service.jpeg_length);
    json_t *json = test_reply_json(&reply), *timing;
    const char *model, *id;
    double threshold;
    int width, height;
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT(test_header_is(&reply, "Content-Type", "application/json"));
    CU_ASSERT(test_header_is(&reply, "Cache-Control", "no-store"));
    CU_ASSERT(test_header_is(&reply, "X-Content-Type-Options", "nosniff"));
    CU_ASSERT(test_header_is(&reply, "X-Request-Id", "a.b-C_9"));
    CU_ASSERT_FATAL(reply.length > 0 && json != NULL);
    CU_ASSERT_EQUAL(reply.body[reply.length - 1], '\n');
    CU_ASSERT_EQUAL(json_unpack(json, "{s:s, s:s, s:{s:i, s:i !}, s:F, s:o}", "model", &model,
                                "request_id", &id, "image", "width", &width, "height", &height,
                                "threshold", &threshold, "timing_ms", &timing),
                    0);
    CU_ASSERT_STRING_EQUAL(model, "default");
    CU_ASSERT_STRING_EQUAL(id, "a.b-C_9");
    CU_ASSERT(width == 200 && height == 120);
    json_t *predictions = json_object_get(json, "predictions");
    CU_ASSERT_EQUAL(json_array_size(predictions), 3);
    double last = 1;
    for (size_t i = 0; i < json_array_size(predictions); i++) {
        json_t *prediction = json_array_get(predictions, i);
        json_t *map = json_object_get(prediction, "heatmap");
        json_t *data = json_object_get(map, "data");
        double score = json_real_value(json_object_get(prediction, "score"));
        check_prediction(prediction, width, height);
        CU_ASSERT(score <= last);
        last = score;
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(map, "width")) *
                            json_integer_value(json_object_get(map, "height")),
                        (json_int_t)json_array_size(data));
        double least = 2, most = -1;
        for (size_t k = 0; k < json_array_size(data); k++) {
            double value = json_number_value(json_array_get(data, k));
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        CU_ASSERT(least == 0 && most == 1);
    }
    double sum = 0, total = json_number_value(json_object_get(timing, "total"));
    static const char *const stages[] = {"decode", "queue", "inference", "postprocess"};
    for (size_t i = 0; i < ADL_COUNT(stages); i++)
        sum += json_number_value(json_object_get(timing, stages[i]));
    CU_ASSERT(sum > 0 && total >= sum * 0.999);
    json_decref(json);
    test_reply_release(&reply);
    test_service_close(&service);
}

/* A class requested by its number, label or synonym is the one in the answer. */
static void localizes_a_class_and_obeys_the_threshold(void)
{
    static const char *const names[] = {"2", "cat", "CAT", "bee", "bee,%20wasp"};
    static const int ids[] = {2, 2, 2, 1, 1};
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        char target[100];
        snprintf(target, sizeof target, "/localize?threshold=0.5&class=%s", names[i]);
        struct test_reply reply = test_post(&service.server, target, "Content-Type: image/png\r\n",
                                            service.png, service.png_length);
        json_t *json = test_reply_json(&reply);
        json_t *one = json_array_get(json_object_get(json, "predictions"), 0);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "predictions")), 1);
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(one, "class_id")), ids[i]);
        CU_ASSERT_EQUAL(json_real_value(json_object_get(json, "threshold")), 0.5);
        check_prediction(one, 61, 83);
        json_decref(json);
        test_reply_release(&reply);
    }
    /* `class` may be combined with top_k=1, which says the same. */
    struct test_reply one = post_jpeg("/localize?class=cat&top_k=1");
    CU_ASSERT_EQUAL(one.status, 200);
    test_reply_release(&one);
    /* The empty text between two ampersands is not a parameter. */
    one = post_jpeg("/localize?&&&&&&&&&&&&&&&&&&&top_k=2&");
    json_t *two = test_reply_json(&one);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(two, "predictions")), 2);
    json_decref(two);
    test_reply_release(&one);
    /* At threshold 1 no pixel is above the threshold; an answer without boxes is valid. */
    struct test_reply reply = post_jpeg("/localize?threshold=1");
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    test_service_close(&service);
}

static int decode_reply(const struct test_reply *reply, struct adl_image_info *info)
{
    struct adl_error err = {0};
    struct adl_image image;
    int result = adl_image_decode(reply->body, reply->length, NULL, &image, info, &err);
    adl_image_release(&image);
    return result;
}

static void draws_overlays(void)
{
    if (!open_server(NULL))
        return;
    struct adl_image_info info;
    struct test_reply reply = test_post(&service.server, "/localize", JPEG "Accept: image/png\r\n",
                                        service.jpeg, service.jpeg_length);
    CU_ASSERT(test_header_is(&reply, "Content-Type", "image/png"));
    CU_ASSERT_EQUAL(decode_reply(&reply, &info), 0);
    CU_ASSERT(info.type == ADL_IMAGE_PNG && info.width == 200 && info.height == 120);
    test_reply_release(&reply);
    size_t length;
    void *form = test_form(service.png, service.png_length, 1, &length);
    reply = test_post(&service.server, "/localize", FORM "Accept: text/html, image/*\r\n", form,
                      length);
    CU_ASSERT(test_header_is(&reply, "Content-Type", "image/jpeg"));
    CU_ASSERT_EQUAL(decode_reply(&reply, &info), 0);
    CU_ASSERT(info.type == ADL_IMAGE_JPEG && info.width == 61 && info.height == 83);
    test_reply_release(&reply);
    adl_free(form);
    test_service_close(&service);
}

static void takes_several_pictures(void)
{
    if (!open_server(NULL))
        return;
    size_t length;
    char *form = test_form(service.jpeg, service.jpeg_length, 4, &length);
    /* The second image becomes none by its first byte, and the last one a corrupt JPEG by its
     * third: they follow the empty line of their part. */
    char *second = memmem(form + 300, length - 300, "\r\n\r\n\xff\xd8", 6), *last = second;
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    for (char *at = second; at;
         at = memmem(at + 1, length - (size_t)(at + 1 - form), "\r\n\r\n\xff\xd8", 6))
        last = at;
    second[4] = 'x';
    last[6] = 'x';
    struct test_reply reply = test_post(&service.server, "/localize?top_k=2", FORM, form, length);
    adl_free(form);
    json_t *json = test_reply_json(&reply), *results = json_object_get(json, "results");
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_EQUAL(json_array_size(results), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *entry = json_array_get(results, i), *error = json_object_get(entry, "error");
        if (i % 2) {
            CU_ASSERT_EQUAL(json_integer_value(json_object_get(error, "status")),
                            i == 1 ? 415 : 422);
            CU_ASSERT_PTR_NULL(json_object_get(entry, "predictions"));
        } else {
            CU_ASSERT_PTR_NULL(error);
            CU_ASSERT_EQUAL(json_array_size(json_object_get(entry, "predictions")), 2);
        }
    }
    /* The same image gives the same answer, alone or together with others. */
    CU_ASSERT(json_equal(json_object_get(json_array_get(results, 0), "predictions"),
                         json_object_get(json_array_get(results, 2), "predictions")));
    json_decref(json);
    test_reply_release(&reply);
    test_service_close(&service);
}

static void sends_heatmaps_as_pictures(void)
{
    if (!open_server(NULL))
        return;
    struct test_reply reply = post_jpeg("/localize?heatmap=png");
    json_t *json = test_reply_json(&reply);
    json_t *map =
        json_object_get(json_array_get(json_object_get(json, "predictions"), 0), "heatmap");
    const char *text = json_string_value(json_object_get(map, "data"));
    /* The signature of a PNG file. */
    CU_ASSERT(text && !strncmp(text, "iVBORw0KGgo", 11) && strlen(text) % 4 == 0);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(map, "width")), 200);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(map, "height")), 120);
    json_decref(json);
    test_reply_release(&reply);
    test_service_close(&service);
}

/* A request for so many large heat maps that they would take minutes: those beyond the
 * limit and those that cannot be done within --timeout are answered as errors. */
static void bounds_heatmaps_of_a_request(void)
{
    if (!open_server((const char *const[]){"--timeout", "2", NULL}))
        return;
    size_t length, form_length;
    void *picture = test_slow_picture(4400, &length);
    void *form = test_form(picture, length, 6, &form_length);
    uint64_t begin = adl_clock_ns();
    struct test_reply reply =
        test_post(&service.server, "/localize?heatmap=png&top_k=5", FORM, form, form_length);
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 8000 * TEST_SLOWDOWN);
    CU_ASSERT_EQUAL(reply.status, 200);
    json_t *json = test_reply_json(&reply), *results = json_object_get(json, "results");
    CU_ASSERT_EQUAL(json_array_size(results), 6);
    /* Whether the first one is done in time depends on the machine. */
    for (size_t i = 1; i < 6; i++) {
        json_t *error = json_object_get(json_array_get(results, i), "error");
        json_int_t status = json_integer_value(json_object_get(error, "status"));
        CU_ASSERT(status == 413 || status == 503);
    }
    json_decref(json);
    test_reply_release(&reply);
    adl_free(form);
    adl_free(picture);
    test_service_close(&service);
}

/* --- other routes --------------------------------------------------------------- */

/* Writes the ETag that the reply's body has to have into `text`. */
static const char *etag_of(const struct test_reply *reply, char text[20])
{
    struct adl_sha256 hash;
    char hex[65];

    adl_sha256_init(&hash);
    adl_sha256_update(&hash, reply->body, reply->length);
    adl_sha256_hex(&hash, hex);
    snprintf(text, 20, "\"%.16s\"", hex);
    return text;
}

static void answers_every_get_and_head(void)
{
    static const char *const paths[][2] = {
        {"/", "text/html; charset=utf-8"},
        {"/style.css", "text/css; charset=utf-8"},
        {"/app.js", "text/javascript; charset=utf-8"},
        {"/favicon.svg", "image/svg+xml"},
        {"/healthz", "text/plain; charset=utf-8"},
        {"/readyz", "text/plain; charset=utf-8"},
        {"/health", "application/json"},
        {"/models", "application/json"},
        {"/models/default", "application/json"},
        {"/status", "application/json"},
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8"},
        {"/openapi.json", "application/json"},
        {"/problems", "text/html; charset=utf-8"},
        {"/problems/queue-full", "text/html; charset=utf-8"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        struct test_reply whole = test_get(&service.server, "GET", paths[i][0], NULL);
        struct test_reply head = test_get(&service.server, "HEAD", paths[i][0], NULL);
        struct test_reply options = test_get(&service.server, "OPTIONS", paths[i][0], NULL);
        if (whole.status != 200 || head.status != 200 || whole.length == 0 ||
            !test_header_is(&whole, "Content-Type", paths[i][1]) ||
            !test_header_is(&head, "Content-Type", paths[i][1]))
            TEST_FAIL("%s: %d, HEAD %d", paths[i][0], whole.status, head.status);
        if (strcmp(paths[i][0], "/metrics") != 0 && strcmp(paths[i][0], "/status") != 0) {
            char length[30];
            snprintf(length, sizeof length, "%zu", whole.length);
            if (!test_header_is(&head, "Content-Length", length))
                TEST_FAIL("HEAD %s has another length", paths[i][0]);
        }
        CU_ASSERT_EQUAL(whole.body[whole.length - 1], '\n');
        CU_ASSERT_EQUAL(options.status, 204);
        CU_ASSERT(test_header_is(&options, "Allow", "GET, HEAD, OPTIONS"));
        const char *etag = test_reply_header(&whole, "ETag");
        if (etag) {
            char known[100], length[30], digest[20];
            snprintf(known, sizeof known, "If-None-Match: %s\r\n", etag);
            struct test_reply same = test_get(&service.server, "GET", paths[i][0], known);
            CU_ASSERT_EQUAL(same.status, 304);
            /* RFC 9110, 8.6: the length of 200, if any. */
            snprintf(length, sizeof length, "%zu", whole.length);
            CU_ASSERT(test_header_is(&same, "Content-Length", length));
            test_reply_release(&same);
            /* And no body: the next answer follows at once. */
            int fd = test_connect(&service.server);
            test_send_text(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", paths[i][0], known);
            test_send_text(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            CU_ASSERT_EQUAL(test_next_status(fd), 304);
            CU_ASSERT_EQUAL(test_next_status(fd), 200);
            close(fd);
            /* The ETag does not change from one answer to the next. */
            same = test_get(&service.server, "GET", paths[i][0], NULL);
            CU_ASSERT(test_header_is(&same, "ETag", etag_of(&whole, digest)));
            test_reply_release(&same);
        }
        test_reply_release(&whole);
        test_reply_release(&head);
        test_reply_release(&options);
    }
    /* Requests in the form that is sent to a proxy. */
    static const char *const whole[] = {"http://localhost", "HTTP://127.0.0.1:80/healthz",
                                        "https://localhost/openapi.json?x=y"};
    for (size_t i = 0; i < ADL_COUNT(whole); i++) {
        struct test_reply reply = test_get(&service.server, "GET", whole[i], NULL);
        if (reply.status != 200)
            TEST_FAIL("%s: %d", whole[i], reply.status);
        test_reply_release(&reply);
    }
    struct test_reply page = test_get(&service.server, "GET", "/", NULL);
    CU_ASSERT_PTR_NOT_NULL(test_reply_header(&page, "Content-Security-Policy"));
    test_reply_release(&page);
    test_service_close(&service);
}

static void describes_its_models(void)
{
    char named[400];
    snprintf(named, sizeof named, "second=%s", test_small_model());
    if (!open_server((const char *const[]){"--model", named, NULL}))
        return;
    struct test_reply reply = test_get(&service.server, "GET", "/models", NULL);
    json_t *json = test_reply_json(&reply), *models = json_object_get(json, "models");
    CU_ASSERT_EQUAL(json_array_size(models), 2);
    json_t *model = json_array_get(models, 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(model, "name")), "second");
    CU_ASSERT_EQUAL(json_array_size(json_object_get(model, "classes")), 5);
    CU_ASSERT_EQUAL(json_integer_value(json_array_get(
                        json_object_get(json_object_get(model, "input"), "size"), 0)),
                    96);
    CU_ASSERT(json_is_number(json_object_get(model, "threshold")));
    CU_ASSERT_EQUAL(strlen(json_string_value(json_object_get(model, "digest"))), 64);
    json_decref(json);
    test_reply_release(&reply);
    reply = post_jpeg("/localize?model=second");
    json = test_reply_json(&reply);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "model")), "second");
    json_decref(json);
    test_reply_release(&reply);
    test_service_close(&service);
}

TEST_SUITE(server, {"answers a picture", answers_a_picture},
           {"localizes a class and obeys the threshold", localizes_a_class_and_obeys_the_threshold},
           {"draws overlays", draws_overlays}, {"takes several pictures", takes_several_pictures},
           {"sends heatmaps as pictures", sends_heatmaps_as_pictures},
           {"bounds heatmaps of a request", bounds_heatmaps_of_a_request},
           {"answers every GET and HEAD", answers_every_get_and_head},
           {"describes its models", describes_its_models});
TEST_ALONE(bounds_heatmaps_of_a_request);
