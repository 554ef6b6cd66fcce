/* `serve` as clients see it: the answers to well-behaved clients, and each refusal. The
 * server runs in a process of its own. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
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

static struct test_server server;
static void *jpeg, *png;
static size_t jpeg_length, png_length;

/* Starts a server with additional options, and makes the images. */
static bool open_server(const char *const *more)
{
    const char *arguments[20] = {"--model"};
    const char *model = test_small_model();

    if (!model)
        return false;
    arguments[1] = model;
    for (size_t i = 0; more && more[i] && i < 17; i++)
        arguments[i + 2] = more[i];
    if (!jpeg)
        jpeg = test_picture(TEST_JPEG, 200, 120, &jpeg_length);
    if (!png)
        png = test_picture(TEST_PNG, 61, 83, &png_length);
    return jpeg && png && test_server_start(&server, arguments) == 0 &&
           test_server_ready(&server) == 0;
}

static void close_server(void)
{
    CU_ASSERT_EQUAL(test_server_stop(&server), 0);
    adl_free(jpeg);
    adl_free(png);
    jpeg = png = NULL;
}

static struct test_reply post(const char *target, const char *headers, const void *body,
                              size_t length)
{
    struct test_reply reply;
    test_request(&server, "POST", target, headers, body, length, &reply);
    return reply;
}

static struct test_reply get(const char *method, const char *target, const char *headers)
{
    struct test_reply reply;
    test_request(&server, method, target, headers, NULL, 0, &reply);
    return reply;
}

static bool header_is(const struct test_reply *reply, const char *name, const char *want)
{
    const char *value = test_reply_header(reply, name);
    return value && !strcmp(value, want);
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
    struct test_reply reply = post("/localize?top_k=3&boxes=all&heatmap=array",
                                   JPEG "X-Request-Id: a.b-C_9\r\n", jpeg, jpeg_length);
    json_t *json = test_reply_json(&reply), *timing;
    const char *model, *id;
    double threshold;
    int width, height;
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT(header_is(&reply, "Content-Type", "application/json"));
    CU_ASSERT(header_is(&reply, "Cache-Control", "no-store"));
    CU_ASSERT(header_is(&reply, "X-Content-Type-Options", "nosniff"));
    CU_ASSERT(header_is(&reply, "X-Request-Id", "a.b-C_9"));
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
    close_server();
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
        struct test_reply reply = post(target, "Content-Type: image/png\r\n", png, png_length);
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
    struct test_reply one = post("/localize?class=cat&top_k=1", JPEG, jpeg, jpeg_length);
    CU_ASSERT_EQUAL(one.status, 200);
    test_reply_release(&one);
    /* The empty text between two ampersands is not a parameter. */
    one = post("/localize?&&&&&&&&&&&&&&&&&&&top_k=2&", JPEG, jpeg, jpeg_length);
    json_t *two = test_reply_json(&one);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(two, "predictions")), 2);
    json_decref(two);
    test_reply_release(&one);
    /* At threshold 1 no pixel is above the threshold; an answer without boxes is valid. */
    struct test_reply reply = post("/localize?threshold=1", JPEG, jpeg, jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    close_server();
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
    struct test_reply reply = post("/localize", JPEG "Accept: image/png\r\n", jpeg, jpeg_length);
    CU_ASSERT(header_is(&reply, "Content-Type", "image/png"));
    CU_ASSERT_EQUAL(decode_reply(&reply, &info), 0);
    CU_ASSERT(info.type == ADL_IMAGE_PNG && info.width == 200 && info.height == 120);
    test_reply_release(&reply);
    size_t length;
    void *form = test_form(png, png_length, 1, &length);
    reply = post("/localize", FORM "Accept: text/html, image/*\r\n", form, length);
    CU_ASSERT(header_is(&reply, "Content-Type", "image/jpeg"));
    CU_ASSERT_EQUAL(decode_reply(&reply, &info), 0);
    CU_ASSERT(info.type == ADL_IMAGE_JPEG && info.width == 61 && info.height == 83);
    test_reply_release(&reply);
    adl_free(form);
    close_server();
}

static void takes_several_pictures(void)
{
    if (!open_server(NULL))
        return;
    size_t length;
    char *form = test_form(jpeg, jpeg_length, 4, &length);
    /* The second image becomes none by its first byte, and the last one a corrupt JPEG by its
     * third: they follow the empty line of their part. */
    char *second = memmem(form + 300, length - 300, "\r\n\r\n\xff\xd8", 6), *last = second;
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    for (char *at = second; at;
         at = memmem(at + 1, length - (size_t)(at + 1 - form), "\r\n\r\n\xff\xd8", 6))
        last = at;
    second[4] = 'x';
    last[6] = 'x';
    struct test_reply reply = post("/localize?top_k=2", FORM, form, length);
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
    adl_free(form);
    close_server();
}

static void sends_heatmaps_as_pictures(void)
{
    if (!open_server(NULL))
        return;
    struct test_reply reply = post("/localize?heatmap=png", JPEG, jpeg, jpeg_length);
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
    close_server();
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
    struct test_reply reply = post("/localize?heatmap=png&top_k=5", FORM, form, form_length);
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
    close_server();
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
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8"},
        {"/openapi.json", "application/json"},
        {"/problems", "text/html; charset=utf-8"},
        {"/problems/queue-full", "text/html; charset=utf-8"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(paths); i++) {
        struct test_reply whole = get("GET", paths[i][0], NULL);
        struct test_reply head = get("HEAD", paths[i][0], NULL);
        struct test_reply options = get("OPTIONS", paths[i][0], NULL);
        if (whole.status != 200 || head.status != 200 || whole.length == 0 ||
            !header_is(&whole, "Content-Type", paths[i][1]) ||
            !header_is(&head, "Content-Type", paths[i][1]))
            TEST_FAIL("%s: %d, HEAD %d", paths[i][0], whole.status, head.status);
        if (strcmp(paths[i][0], "/metrics") != 0) {
            char length[30];
            snprintf(length, sizeof length, "%zu", whole.length);
            if (!header_is(&head, "Content-Length", length))
                TEST_FAIL("HEAD %s has another length", paths[i][0]);
        }
        CU_ASSERT_EQUAL(whole.body[whole.length - 1], '\n');
        CU_ASSERT_EQUAL(options.status, 204);
        CU_ASSERT(header_is(&options, "Allow", "GET, HEAD, OPTIONS"));
        const char *etag = test_reply_header(&whole, "ETag");
        if (etag) {
            char known[100], digest[20];
            snprintf(known, sizeof known, "If-None-Match: %s\r\n", etag);
            struct test_reply same = get("GET", paths[i][0], known);
            CU_ASSERT(same.status == 304 && same.length == 0);
            test_reply_release(&same);
            /* The ETag does not change from one answer to the next. */
            same = get("GET", paths[i][0], NULL);
            CU_ASSERT(header_is(&same, "ETag", etag_of(&whole, digest)));
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
        struct test_reply reply = get("GET", whole[i], NULL);
        if (reply.status != 200)
            TEST_FAIL("%s: %d", whole[i], reply.status);
        test_reply_release(&reply);
    }
    struct test_reply page = get("GET", "/", NULL);
    CU_ASSERT_PTR_NOT_NULL(test_reply_header(&page, "Content-Security-Policy"));
    test_reply_release(&page);
    close_server();
}

static void describes_its_models(void)
{
    char named[400];
    snprintf(named, sizeof named, "second=%s", test_small_model());
    if (!open_server((const char *const[]){"--model", named, NULL}))
        return;
    struct test_reply reply = get("GET", "/models", NULL);
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
    reply = post("/localize?model=second", JPEG, jpeg, jpeg_length);
    json = test_reply_json(&reply);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "model")), "second");
    json_decref(json);
    test_reply_release(&reply);
    close_server();
}

/* --- refusals -------------------------------------------------------------------- */

static void check_problem(const struct test_reply *reply, const char *what, int status,
                          const char *name)
{
    json_t *json = test_reply_json(reply);
    char type[100];

    snprintf(type, sizeof type, "/problems/%s", name);
    if (reply->status != status || !json ||
        !header_is(reply, "Content-Type", "application/problem+json"))
        TEST_FAIL("%s: %d, expected %d: %s", what, reply->status, status,
                  reply->body ? reply->body : "");
    else if (strcmp(json_string_value(json_object_get(json, "type")), type) != 0)
        TEST_FAIL("%s: %s, expected %s", what, json_string_value(json_object_get(json, "type")),
                  type);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json, "status")), status);
    CU_ASSERT(json_is_string(json_object_get(json, "title")));
    CU_ASSERT(json_is_string(json_object_get(json, "detail")));
    const char *id = test_reply_header(reply, "X-Request-Id");
    CU_ASSERT(id && json_is_string(json_object_get(json, "request_id")) &&
              !strcmp(id, json_string_value(json_object_get(json, "request_id"))));
    json_decref(json);
}

static void refuses_each_mistake(void)
{
    static const struct {
        const char *what, *method, *target, *headers, *body; /* body "J": the JPEG image */
        int status;
        const char *problem;
    } cases[] = {
        {"unknown path", "GET", "/nope", NULL, NULL, 404, "unknown-path"},
        {"unknown path, POST", "POST", "/nope", NULL, "x", 404, "unknown-path"},
        {"unknown model page", "GET", "/models/nope", NULL, NULL, 404, "unknown-model"},
        {"unknown problem", "GET", "/problems/nope", NULL, NULL, 404, "unknown-path"},
        {"GET /localize", "GET", "/localize", NULL, NULL, 405, "method-not-allowed"},
        {"POST /models", "POST", "/models", NULL, "x", 405, "method-not-allowed"},
        {"PUT", "PUT", "/localize", JPEG, "J", 405, "method-not-allowed"},
        {"text", "POST", "/localize", "Content-Type: text/plain\r\n", "hello", 415,
         "unsupported-media-type"},
        {"no type", "POST", "/localize", NULL, "J", 415, "unsupported-media-type"},
        {"curl's form", "POST", "/localize", "Content-Type: application/x-www-form-urlencoded\r\n",
         "J", 415, "unsupported-media-type"},
        {"bytes that are none", "POST", "/localize", "Content-Type: application/octet-stream\r\n",
         "hello", 415, "unsupported-media-type"},
        {"garbage", "POST", "/localize", JPEG, "hello", 415, "unsupported-media-type"},
        {"a page", "POST", "/localize", "Content-Type: image/webp\r\n", "<!DOCTYPE html>", 415,
         "unsupported-media-type"},
        {"other RIFF file", "POST", "/localize", "Content-Type: image/webp\r\n", "RIFF....WAVEfmt ",
         415, "unsupported-media-type"},
        {"start of a JPEG", "POST", "/localize", "Content-Type: application/octet-stream\r\n",
         "\xff\xd8", 422, "corrupt-image"},
        {"JPEG of markers only", "POST", "/localize", JPEG, "\xff\xd8\xff\xd9", 422,
         "corrupt-image"},
        {"PNG sent as text", "POST", "/localize", JPEG, "\x89PNG\n\x1a\n and more", 422,
         "corrupt-image"},
        {"PNG without chunks", "POST", "/localize", JPEG, "\x89PNG\r\n\x1a\n", 422,
         "corrupt-image"},
        {"start of a WebP", "POST", "/localize", JPEG, "RIFF....WEB", 422, "corrupt-image"},
        {"WebP without chunks", "POST", "/localize", JPEG, "RIFF....WEBP", 422, "corrupt-image"},
        {"GIF", "POST", "/localize", JPEG, "GIF89a and more", 415, "unsupported-media-type"},
        {"HEIC", "POST", "/localize", JPEG, "....ftypheic and more", 415, "unsupported-media-type"},
        {"GIF in a form that takes a picture", "POST", "/localize", FORM "Accept: image/png\r\n",
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nGIF89a\r\n--b--\r\n", 415,
         "unsupported-media-type"},
        {"empty", "POST", "/localize", JPEG, "", 400, "malformed-request"},
        {"no length", "POST", "/localize", JPEG, NULL, 411, "length-required"},
        {"top_k", "POST", "/localize?top_k=0", JPEG, "J", 400, "bad-parameter"},
        {"top_k text", "POST", "/localize?top_k=banana", JPEG, "J", 400, "bad-parameter"},
        {"threshold", "POST", "/localize?threshold=7", JPEG, "J", 400, "bad-parameter"},
        {"boxes", "POST", "/localize?boxes=some", JPEG, "J", 400, "bad-parameter"},
        {"heatmap", "POST", "/localize?heatmap=gif", JPEG, "J", 400, "bad-parameter"},
        {"parameter", "POST", "/localize?colour=red", JPEG, "J", 400, "bad-parameter"},
        {"class and top_k", "POST", "/localize?class=cat&top_k=2", JPEG, "J", 400, "bad-parameter"},
        {"parameter without a name", "POST", "/localize?=x", JPEG, "J", 400, "bad-parameter"},
        {"bare parameter", "POST", "/localize?top_k", JPEG, "J", 400, "bad-parameter"},
        {"NUL", "POST", "/localize?class=a%00b", JPEG, "J", 400, "unknown-class"},
        {"not UTF-8", "POST", "/localize?class=%ff%fe", JPEG, "J", 400, "unknown-class"},
        {"class", "POST", "/localize?class=zebra", JPEG, "J", 400, "unknown-class"},
        {"class number", "POST", "/localize?class=5", JPEG, "J", 400, "unknown-class"},
        {"model", "POST", "/localize?model=nope", JPEG, "J", 404, "unknown-model"},
        {"accept", "POST", "/localize", JPEG "Accept: text/html\r\n", "J", 406, "not-acceptable"},
        {"both lengths", "POST", "/localize",
         JPEG "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", NULL, 400,
         "malformed-request"},
        {"gzip", "POST", "/localize", JPEG "Content-Encoding: gzip\r\n", "J", 415,
         "unsupported-media-type"},
        {"two lengths", "POST", "/localize", JPEG "Content-Length: 3\r\n", "four", 400,
         "malformed-request"},
        {"no length and one", "POST", "/localize", JPEG "Content-Length: 0\r\n", "four", 400,
         "malformed-request"},
        {"unknown coding", "POST", "/localize", JPEG "Transfer-Encoding: gzip\r\n", NULL, 501,
         "unknown-coding"},
        {"codings", "POST", "/localize", JPEG "Transfer-Encoding: gzip, chunked\r\n", NULL, 501,
         "unknown-coding"},
        {"coding of nothing", "GET", "/healthz", "Transfer-Encoding: x\r\n", NULL, 501,
         "unknown-coding"},
        {"target of another host", "GET", "http://evil.example/healthz", NULL, NULL, 403,
         "unknown-host"},
        {"target without a host", "GET", "http:///healthz", NULL, NULL, 404, "unknown-path"},
        {"form", "POST", "/localize", FORM, "no form", 400, "malformed-request"},
        {"form without end", "POST", "/localize", FORM,
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx", 400, "malformed-request"},
        {"form, other part", "POST", "/localize", FORM,
         "--b\r\nContent-Disposition: form-data; name=top_k\r\n\r\n3\r\n--b--\r\n", 400,
         "malformed-request"},
        {"form, no part", "POST", "/localize", FORM, "--b--\r\n", 400, "malformed-request"},
        {"no boundary", "POST", "/localize", "Content-Type: multipart/form-data\r\n", "--b--", 400,
         "malformed-request"},
        {"form, one answer for two", "POST", "/localize", FORM "Accept: image/png\r\n",
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n"
         "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n--b--\r\n",
         406, "not-acceptable"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct test_reply reply;
        bool picture = cases[i].body && !strcmp(cases[i].body, "J");
        const void *body = picture ? jpeg : cases[i].body;
        size_t length = picture ? jpeg_length : cases[i].body ? strlen(cases[i].body) : 0;
        test_request(&server, cases[i].method, cases[i].target, cases[i].headers, body, length,
                     &reply);
        check_problem(&reply, cases[i].what, cases[i].status, cases[i].problem);
        if (cases[i].status == 405)
            CU_ASSERT_PTR_NOT_NULL(test_reply_header(&reply, "Allow"));
        test_reply_release(&reply);
    }
    /* Headers that are harmless. */
    struct test_reply plain =
        post("/localize", JPEG "Content-Encoding: identity\r\n", jpeg, jpeg_length);
    CU_ASSERT_EQUAL(plain.status, 200);
    test_reply_release(&plain);
    /* An image is corrupt wherever it is truncated. */
    for (size_t length = 4; length < jpeg_length; length += jpeg_length / 7) {
        struct test_reply reply = post("/localize", JPEG, jpeg, length);
        check_problem(&reply, "truncated", 422, "corrupt-image");
        test_reply_release(&reply);
    }
    struct test_reply reply = post("/localize", JPEG, jpeg, jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    close_server();
}

static void refuses_what_is_too_large(void)
{
    if (!open_server((const char *const[]){"--max-body", "64K", "--max-pixels", "20000", NULL}))
        return;
    struct test_reply reply = post("/localize", JPEG, jpeg, jpeg_length);
    check_problem(&reply, "pixels", 413, "image-too-large");
    test_reply_release(&reply);
    size_t length = 100 * 1024;
    char *zeros = adl_calloc(length, 1);
    reply = post("/localize", JPEG, zeros, length);
    check_problem(&reply, "body", 413, "body-too-large");
    test_reply_release(&reply);
    adl_free(zeros);
    close_server();
}

static void checks_tokens_and_hosts(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/server-tokens", test_tmp_dir());
    FILE *file = fopen(path, "w");
    fputs("# for tests\nsecret-1\nsecret-2\n", file);
    fclose(file);
    if (!open_server((const char *const[]){"--token-file", path, "--allow-host", "photos.example",
                                           "--cors-origin", "https://a.example", NULL}))
        return;
    static const char *const open[] = {"/", "/healthz", "/readyz", "/health", "/openapi.json"};
    for (size_t i = 0; i < ADL_COUNT(open); i++) {
        struct test_reply reply = get("GET", open[i], NULL);
        CU_ASSERT_EQUAL(reply.status, 200);
        test_reply_release(&reply);
    }
    struct test_reply reply = get("GET", "/models", NULL);
    check_problem(&reply, "no token", 401, "unauthorized");
    CU_ASSERT(header_is(&reply, "WWW-Authenticate", "Bearer realm=\"adl-server\""));
    test_reply_release(&reply);
    reply = post("/localize", JPEG "Authorization: Bearer wrong\r\n", jpeg, jpeg_length);
    check_problem(&reply, "wrong token", 401, "unauthorized");
    CU_ASSERT(header_is(&reply, "WWW-Authenticate",
                        "Bearer realm=\"adl-server\", error=\"invalid_token\""));
    test_reply_release(&reply);
    reply = get("GET", "/metrics", "Authorization: Bearer secret-2\r\n");
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);

    int fd = test_connect(&server);
    test_send_text(fd, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
                       "GET / HTTP/1.1\r\nHost: photos.example:80\r\n\r\n");
    test_receive(fd, false, &reply);
    check_problem(&reply, "host", 403, "unknown-host");
    test_reply_release(&reply);
    test_receive(fd, false, &reply);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    close(fd);

    reply = get("OPTIONS", "/localize",
                "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n");
    CU_ASSERT(header_is(&reply, "Access-Control-Allow-Origin", "https://a.example"));
    CU_ASSERT(header_is(&reply, "Access-Control-Allow-Methods", "POST, OPTIONS"));
    test_reply_release(&reply);
    reply = get("GET", "/healthz", "Origin: https://b.example\r\n");
    CU_ASSERT_PTR_NULL(test_reply_header(&reply, "Access-Control-Allow-Origin"));
    test_reply_release(&reply);
    close_server();
}

/* The reason why the server does not start is a line of the log. */
static void logs_a_failed_start(void)
{
    static const char *const cases[][6] = {
        {"serve", "--listen", "127.0.0.1:0", "--model", "/proc/self/status"},
        {"serve", "--model", "/nonexistent.safetensors"},
        {"serve", "--model", "/nonexistent-\xff"},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        char error[3000], *save = NULL;
        int lines = 0;
        CU_ASSERT_EQUAL(test_program_run(cases[i], error, sizeof error), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, i == 0 ? "status" : "/nonexistent"));
        for (char *line = strtok_r(error, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            json_t *json = json_loads(line, 0, NULL);
            if (!json)
                TEST_FAIL("no JSON: %s", line);
            json_decref(json);
            lines++;
        }
        CU_ASSERT(lines > 0);
    }
    /* With --log-format text, and for errors before the log is set up, the line is plain. */
    static const char *const plain[][7] = {
        {"serve", "--log-format", "text", "--model", "/nonexistent.safetensors"},
        {"serve", "--log-format", "xml"},
    };
    for (size_t i = 0; i < ADL_COUNT(plain); i++) {
        char error[3000];
        CU_ASSERT(test_program_run(plain[i], error, sizeof error) > 0);
        CU_ASSERT_EQUAL(strncmp(error, "adl-server: serve: ", 19), 0);
    }
}

static void checks_its_options(void)
{
    static const struct {
        const char *arguments[8];
        int status;
        const char *told;
    } cases[] = {
        {{"serve", "--check-config", "--model", "MODEL"}, 0, ""},
        {{"serve", "--model", "/nonexistent.safetensors"}, 1, "/nonexistent.safetensors"},
        {{"serve", "--model", "a b=MODEL"}, 2, "a b"},
        {{"serve", "--model", "MODEL", "--model", "MODEL"}, 2, "already"},
        {{"serve", "--model", "MODEL", "--listen", "0.0.0.0:0"}, 2, "--token-file"},
        {{"serve", "--model", "MODEL", "--listen", "nowhere"}, 2, "HOST:PORT"},
        {{"serve", "--model", "MODEL", "--listen", "127.0.0.1:99999"}, 2, "HOST:PORT"},
        {{"serve", "--model", "MODEL", "--token-file", "/nonexistent"}, 1, "/nonexistent"},
        {{"serve", "--model", "/proc/self/status", "--listen", "127.0.0.1:0"}, 1, "status"},
        {{"serve", "--queue", "0"}, 2, "--queue"},
        {{"serve", "--model", "-"}, 2, "SIGHUP"},
        {{"serve", "--model", "MODEL", "--model", "b=-"}, 2, "SIGHUP"},
        {{"serve", "--model", "/"}, 1, "directory"},
        {{"serve", "--model", "/dev/null"}, 1, "regular"},
        /* --check-config refuses whatever the server would refuse. */
        {{"serve", "--check-config", "--model", "/"}, 1, "directory"},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "nowhere"}, 2, "HOST:PORT"},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "[::]:0"}, 2, "--token-file"},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "0.0.0.0:1", "--no-auth"},
         0,
         ""},
        {{"serve", "--check-config", "--model", "MODEL", "--listen", "localhost:1"}, 0, ""},
        {{"serve", "--check-config", "--model", "MODEL", "--trusted-proxy", "10.0.0.0/8"}, 0, ""},
        {{"serve", "--check-config", "--model", "MODEL", "--trusted-proxy", "10.0.0.0/99"},
         2,
         "--trusted-proxy"},
    };
    const char *model = test_small_model();
    for (size_t i = 0; model && i < ADL_COUNT(cases); i++) {
        const char *arguments[10] = {NULL};
        char error[1000], named[400];
        for (size_t k = 0; k < 8 && cases[i].arguments[k]; k++) {
            const char *at = strstr(cases[i].arguments[k], "MODEL");
            arguments[k] = cases[i].arguments[k];
            if (at == arguments[k]) {
                arguments[k] = model;
            } else if (at) {
                snprintf(named, sizeof named, "%.*s%s", (int)(at - cases[i].arguments[k]),
                         cases[i].arguments[k], model);
                arguments[k] = named;
            }
        }
        int status = test_program_run(arguments, error, sizeof error);
        if (status != cases[i].status || !strstr(error, cases[i].told))
            TEST_FAIL("case %zu: status %d, %s", i, status, error);
    }
}

TEST_SUITE(server, {"answers a picture", answers_a_picture},
           {"localizes a class and obeys the threshold", localizes_a_class_and_obeys_the_threshold},
           {"draws overlays", draws_overlays}, {"takes several pictures", takes_several_pictures},
           {"sends heatmaps as pictures", sends_heatmaps_as_pictures},
           {"bounds heatmaps of a request", bounds_heatmaps_of_a_request},
           {"answers every GET and HEAD", answers_every_get_and_head},
           {"describes its models", describes_its_models},
           {"refuses each mistake", refuses_each_mistake},
           {"refuses what is too large", refuses_what_is_too_large},
           {"checks tokens and hosts", checks_tokens_and_hosts},
           {"logs a failed start", logs_a_failed_start},
           {"checks its options", checks_its_options});
TEST_ALONE(bounds_heatmaps_of_a_request);
