/* POST /localize with a JSON body: its answers are those to the same picture and query, and
 * everything else is refused in words. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "support/http_client.h"
#include "support/server_fixture.h"

#define JSON "Content-Type: application/json; charset=utf-8\r\n"

static struct test_service service;
static struct adl_str picture; /* in base64 */

static bool open_service(void)
{
    static const char *const more[] = {"--model", "other=", NULL};
    char other[400];
    const char *arguments[ADL_COUNT(more)];

    memcpy(arguments, more, sizeof more);
    snprintf(other, sizeof other, "other=%s", test_small_model());
    arguments[1] = other;
    if (!test_service_open(&service, 200, 120, arguments))
        return false;
    adl_str_base64(&picture, service.jpeg, service.jpeg_length);
    return true;
}

static void close_service(void)
{
    adl_str_release(&picture);
    test_service_close(&service);
}

/* Sends a body in which % stands for the picture. */
static struct test_reply post(const char *target, const char *body)
{
    struct adl_str text = {0};
    const char *mark = strchr(body, '%');

    adl_str_append(&text, body, mark ? (size_t)(mark - body) : strlen(body));
    if (mark)
        adl_str_append(&text, picture.data, picture.length);
    adl_str_puts(&text, mark ? mark + 1 : "");
    struct test_reply reply = test_post(&service.server, target, JSON, text.data, text.length);
    adl_str_release(&text);
    return reply;
}

/* Takes out what differs from answer to answer. */
static json_t *answer_of(struct test_reply *reply)
{
    json_t *json = test_reply_json(reply);
    CU_ASSERT_EQUAL(reply->status, 200);
    json_object_del(json, "request_id");
    json_object_del(json, "timing_ms");
    test_reply_release(reply);
    return json;
}

static void the_answers_are_the_same(void)
{
    static const struct {
        const char *body, *target, *query;
    } cases[] = {
        {"{\"image\":\"%\"}", "/localize", "/localize"},
        {" {\n\"top_k\" : 3 , \"image\" : \"%\" , \"boxes\": \"all\" } ", "/localize",
         "/localize?top_k=3&boxes=all"},
        {"{\"image\":\"data:image/jpeg;base64,%\",\"threshold\":0.25,\"model\":\"other\"}",
         "/localize", "/localize?threshold=0.25&model=other"},
        {"{\"map_flip\":true,\"map_scales\":[1,1.5],\"class\":null,\"image\":\"%\"}", "/localize",
         "/localize?map_flip=true&map_scales=1,1.5"},
        {"{\"class\":\"bee, wasp\",\"image\":\"%\"}", "/localize?heatmap=array",
         "/localize?class=1&heatmap=array"},
        {"{\"class\":4,\"image\":\"%\"}", "/localize", "/localize?class=eel"},
    };
    if (!open_service())
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct test_reply mine = post(cases[i].target, cases[i].body);
        struct test_reply other =
            test_post(&service.server, cases[i].query, "Content-Type: image/jpeg\r\n", service.jpeg,
                      service.jpeg_length);
        json_t *a = answer_of(&mine), *b = answer_of(&other);
        if (!a || !json_equal(a, b))
            TEST_FAIL("%s", cases[i].body);
        json_decref(a);
        json_decref(b);
    }
    /* An overlay is asked for as ever. */
    struct test_reply overlay;
    char body[40000];
    int length = snprintf(body, sizeof body, "{\"image\":\"%s\"}", picture.data);
    test_request(&service.server, "POST", "/localize", JSON "Accept: image/png\r\n", body,
                 (size_t)length, &overlay);
    CU_ASSERT(overlay.status == 200 && test_header_is(&overlay, "Content-Type", "image/png"));
    test_reply_release(&overlay);
    close_service();
}

static void the_rest_is_refused(void)
{
    static const struct {
        const char *body;
        int status;
        const char *part;
    } cases[] = {
        {"x", 400, "not JSON"},
        {"{\"image\":\"%\"", 400, "not JSON"},
        {"{\"image\":\"abc", 400, "ends in the image"},
        {"{\"a", 400, "ends in a string"},
        {"[\"%\"]", 400, "has to be an object"},
        {"{}", 400, "in base64 as \\\"image\\\""},
        {"{\"top_k\":[{\"image\":\"%\"}]}", 400, "in base64 as \\\"image\\\""},
        {"{\"image\":7}", 400, "has to be a text"},
        {"{\"image\":\"abc\"}", 400, "not base64"},
        {"{\"image\":\"ab\\u0063d\"}", 400, "not base64"},
        {"{\"image\":\"data:image/png,abcd\"}", 400, "not one of base64"},
        {"{\"image\":\"%\",\"image\":\"%\"}", 400, "not JSON"},
        {"{\"image\":\"\"}", 415, ""},
        {"{\"image\":\"AAAA\"}", 415, ""},
        {"{\"image\":\"%\",\"top\":1}", 400, "did you mean top_k?"},
        {"{\"image\":\"%\",\"top_k\":{}}", 400, "top_k has to be a text"},
        {"{\"image\":\"%\",\"top_k\":\"9\\u0000\"}", 400, "not JSON"},
        {"{\"image\":\"%\",\"model\":\"no\"}", 404, "no"},
        {"{\"image\":\"%\",\"class\":\"zebra\"}", 400, "zebra"},
    };
    if (!open_service())
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct test_reply reply = post("/localize", cases[i].body);
        if (reply.status != cases[i].status || !reply.body || !strstr(reply.body, cases[i].part))
            TEST_FAIL("%s: %d %s", cases[i].body, reply.status, reply.body ? reply.body : "");
        test_reply_release(&reply);
    }
    struct test_reply twice = post("/localize?top_k=2", "{\"image\":\"%\",\"top_k\":2}");
    CU_ASSERT(twice.status == 400 && strstr(twice.body, "more than once"));
    test_reply_release(&twice);
    /* More than its head may have beside the image. */
    char *big = adl_malloc(100000, 1);
    memset(big, ' ', 100000);
    memcpy(big, "{\"image\":\"", 10);
    memset(big + 10, 'A', 60000);
    memcpy(big + 60010, "\",\"x\":\"", 7);
    memset(big + 60017, 'x', 39980);
    memcpy(big + 99997, "\"}\0", 3);
    struct test_reply reply = post("/localize", big);
    CU_ASSERT(reply.status == 400 && strstr(reply.body, "unknown parameter"));
    test_reply_release(&reply);
    adl_free(big);
    close_service();
}

TEST_SUITE(localize_json, {"the answers are the same", the_answers_are_the_same},
           {"the rest is refused", the_rest_is_refused});
