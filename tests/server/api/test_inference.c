/* The Open Inference Protocol as its clients see it. The server runs in a process of its own. */

#include "support/test.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "io/safetensors.h"
#include "support/formula.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define INFER "/v2/models/default/infer"
#define JSON "Content-Type: application/json\r\n"
#define NUMBERS (3 * 96 * 96) /* of the small model's input */

static struct test_service service;

static bool open_server(const char *const *more)
{
    return test_service_open(&service, 200, 120, more);
}

/* Returns the text with the version of the model, as GET /models/default says it, in place of each
 * VERSION; valid until the next call. */
static const char *with_version(const char *text)
{
    static char out[2000];
    struct test_reply reply = test_get(&service.server, "GET", "/models/default", NULL);
    json_t *json = test_reply_json(&reply);
    const char *version = json_string_value(json_object_get(json, "model_version"));
    size_t length = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(version);
    while (*text && length < sizeof out - 100) {
        if (strncmp(text, "VERSION", 7) == 0) {
            length += (size_t)snprintf(out + length, sizeof out - length, "%s", version);
            text += 7;
        } else {
            out[length++] = *text++;
        }
    }
    out[length] = '\0';
    json_decref(json);
    test_reply_release(&reply);
    return out;
}

/* --- metadata and health --------------------------------------------------------------- */

/* Each row is a sentence of the specification about a GET. `format` is that of json_unpack. */
static void describes_server_and_model(void)
{
    static const struct {
        const char *path;
        int status;
        const char *members;
    } rows[] = {
        {"/v2", 200, "{s:s, s:s, s:o !}"},
        {"/v2/", 200, "{s:s, s:s, s:o !}"},
        {"/v2/models/default", 200, "{s:s, s:o, s:s, s:o, s:o !}"},
        {"/v2/models/default/versions/VERSION", 200, "{s:s, s:o, s:s, s:o, s:o !}"},
        {"/v2/models/default/ready", 200, "{s:s, s:b !}"},
        {"/v2/models/default/versions/VERSION/ready", 200, "{s:s, s:b !}"},
        {"/v2/health/live", 200, "{s:b !}"},
        {"/v2/health/ready", 200, "{s:b, s:b !}"},
        /* "The HTTP body must contain the error object", for every error below /v2. */
        {"/v2/models/default/versions/2", 404, "{s:s !}"},
        {"/v2/models/default/versions/2/ready", 404, "{s:s !}"},
        {"/v2/models/none", 404, "{s:s !}"},
        {"/v2/models/none/ready", 404, "{s:s !}"},
        {"/v2/models/none/versions/1", 404, "{s:s !}"},
        {"/v2/models/a/b/c/d", 404, "{s:s !}"},
        {"/v2/models/", 404, "{s:s !}"},
        {"/v2/models//ready", 404, "{s:s !}"},
        {"/v2/models/default/versions//ready", 404, "{s:s !}"},
        {"/v2/models/default/infer", 405, "{s:s !}"},
        {"/v2/none", 404, "{s:s !}"},
    };
    static const char *const names[][5] = {
        {"name", "version", "extensions"},
        {"name", "version", "extensions"},
        {"name", "versions", "platform", "inputs", "outputs"},
        {"name", "versions", "platform", "inputs", "outputs"},
        {"name", "ready"},
        {"name", "ready"},
        {"live"},
        {"live", "ready"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct test_reply reply =
            test_get(&service.server, "GET", with_version(rows[i].path), NULL);
        json_t *json = test_reply_json(&reply);
        const char *const *name = i < ADL_COUNT(names) ? names[i] : (const char *[5]){"error"};
        void *out[5];
        if (reply.status != rows[i].status ||
            json_unpack(json, rows[i].members, name[0], &out[0], name[1], &out[1], name[2], &out[2],
                        name[3], &out[3], name[4], &out[4]) < 0)
            TEST_FAIL("%s: %d %s", rows[i].path, reply.status, reply.body);
        CU_ASSERT(test_header_is(&reply, "Content-Type", "application/json"));
        CU_ASSERT_PTR_NOT_NULL(test_reply_header(&reply, "X-Request-Id"));
        json_decref(json);
        test_reply_release(&reply);
        struct test_reply head =
            test_get(&service.server, "HEAD", with_version(rows[i].path), NULL);
        CU_ASSERT_EQUAL(head.status, rows[i].status);
        test_reply_release(&head);
    }
    struct test_reply reply = test_get(&service.server, "GET", "/v2/models/default", NULL);
    json_t *json = test_reply_json(&reply);
    json_t *wanted = json_loads(
        with_version("{\"name\":\"default\",\"versions\":[\"VERSION\"],\"platform\":\"adl_"
                     "safetensors\",\"inputs\":["
                     "{\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[-1,3,96,96]},"
                     "{\"name\":\"image\",\"datatype\":\"BYTES\",\"shape\":[-1]}],\"outputs\":["
                     "{\"name\":\"logits\",\"datatype\":\"FP32\",\"shape\":[-1,5]},"
                     "{\"name\":\"scores\",\"datatype\":\"FP32\",\"shape\":[-1,5]},"
                     "{\"name\":\"cam\",\"datatype\":\"FP32\",\"shape\":[-1,6,6]},"
                     "{\"name\":\"boxes\",\"datatype\":\"FP32\",\"shape\":[-1,6]}]}"),
        0, NULL);
    if (!wanted || !json_equal(json, wanted))
        TEST_FAIL("%s", reply.body);
    json_decref(wanted);
    json_decref(json);
    test_reply_release(&reply);
    test_service_close(&service);
}

/* --- requests ------------------------------------------------------------------------------ */

static struct test_reply post_text(const char *target, const char *headers, const char *text)
{
    return test_post(&service.server, target, headers, text, strlen(text));
}

/* Returns the output with this name. */
static json_t *output_of(json_t *json, const char *name)
{
    json_t *output;
    size_t index;

    json_array_foreach(json_object_get(json, "outputs"), index,
                       output) if (!strcmp(json_string_value(json_object_get(output, "name")),
                                           name)) return output;
    return NULL;
}

/* Appends the beginning of a request with `count` times the picture in base64. */
static void append_pictures(struct adl_str *text, size_t count, const char *more)
{
    adl_str_printf(text,
                   "{%s\"inputs\":[{\"name\":\"image\",\"shape\":[%zu],\"datatype\":\"BYTES\","
                   "\"data\":[",
                   more, count);
    for (size_t i = 0; i < count; i++) {
        adl_str_puts(text, i ? ",\"" : "\"");
        adl_str_base64(text, i % 2 ? service.png : service.jpeg,
                       i % 2 ? service.png_length : service.jpeg_length);
        adl_str_puts(text, "\"");
    }
    adl_str_puts(text, "]}]");
}

/* Every rule for requests: what is sent, and what has to come. "$" is an input that is right, "#"
 * a picture in base64. */
static void keeps_the_rules_of_requests(void)
{
    static const struct {
        const char *rule, *body;
        int status;
        const char *holds; /* the answer */
    } rows[] = {
        {"an id is returned", "{\"id\":\"4\\n2\",\"inputs\":[$]}", 200, "\"id\":\"4\\n2\""},
        {"without an id there is none", "{\"inputs\":[$]}", 200,
         "{\"model_name\":\"default\",\"model_version\":\"VERSION\",\"outputs\":["},
        {"an id is a string", "{\"id\":42,\"inputs\":[$]}", 400, "\\\"id\\\""},
        {"without outputs, all of the metadata", "{\"inputs\":[$]}", 200, "\"boxes\""},
        {"an empty list is no list", "{\"inputs\":[$],\"outputs\":[]}", 200, "\"logits\""},
        {"only those asked for, in their order",
         "{\"inputs\":[$],\"outputs\":[{\"name\":\"labels\"},{\"name\":\"classes\"}]}", 200,
         "\"outputs\":[{\"name\":\"labels\",\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\""},
        {"an output that does not exist", "{\"inputs\":[$],\"outputs\":[{\"name\":\"logit\"}]}",
         400, "did you mean logits?"},
        {"an output twice", "{\"inputs\":[$],\"outputs\":[{\"name\":\"cam\"},{\"name\":\"cam\"}]}",
         400, "twice"},
        {"an output without a name", "{\"inputs\":[$],\"outputs\":[{}]}", 400, "name"},
        {"outputs that are no list", "{\"inputs\":[$],\"outputs\":{}}", 400, "outputs"},
        {"inputs are required", "{}", 400, "inputs"},
        {"inputs that are no list", "{\"inputs\":{}}", 400, "inputs"},
        {"no input", "{\"inputs\":[]}", 400, "inputs"},
        {"two inputs", "{\"inputs\":[$,$]}", 400, "inputs"},
        {"many inputs", "{\"inputs\":[{},{},{},{},{},{},{},{},{}]}", 400, "inputs"},
        {"an input without shape",
         "{\"inputs\":[{\"name\":\"image\",\"datatype\":\"BYTES\",\"data\":[#]}]}", 400, "shape"},
        {"an input without datatype",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"data\":[#]}]}", 400, "datatype"},
        {"an input without name",
         "{\"inputs\":[{\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[#]}]}", 400, "name"},
        {"an input without data",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\"}]}", 400, "data"},
        {"data that is no array",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":#}]}", 400,
         "data"},
        {"data with an escaped name",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"d\\u0061ta\":[#]}"
         "]}",
         400, "data"},
        {"an unknown input",
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[#]}]}", 400,
         "image"},
        {"an unknown datatype",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"STRING\",\"data\":[#]}]}",
         400, "BYTES"},
        {"another datatype",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,3,96,96],\"datatype\":\"FP16\",\"data\":[1]"
         "}]}",
         400, "FP32"},
        {"a tensor of another size",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,3,96,97],\"datatype\":\"FP32\",\"data\":[1]"
         "}]}",
         400, "[N,3,96,96]"},
        {"a tensor of another layout",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,96,96,3],\"datatype\":\"FP32\",\"data\":[1]"
         "}]}",
         400, "[N,3,96,96]"},
        {"an empty batch",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[0,3,96,96],\"datatype\":\"FP32\",\"data\":[]}"
         "]}",
         400, "1 to 64"},
        {"a batch over the limit",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[65,3,96,96],\"datatype\":\"FP32\",\"data\":["
         "1]}]}",
         400, "1 to 64"},
        {"a shape that overflows",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[9223372036854775807,3,96,96],\"datatype\":"
         "\"FP32\",\"data\":[1]}]}",
         400, "1 to 64"},
        {"a shape beyond 64 bits",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[18446744073709551617,3,96,96],\"datatype\":"
         "\"FP32\",\"data\":[1]}]}",
         400, ""},
        {"a negative shape",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[-1],\"datatype\":\"BYTES\",\"data\":[#]}]}",
         400, "1 to 64"},
        {"a shape of reals",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1.0],\"datatype\":\"BYTES\",\"data\":[#]}]}",
         400, "1 to 64"},
        {"a shape of text",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[\"1\"],\"datatype\":\"BYTES\",\"data\":[#]}]"
         "}",
         400, "1 to 64"},
        {"a shape without dimensions",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[],\"datatype\":\"BYTES\",\"data\":[#]}]}",
         400, "[N]"},
        {"pictures as [N,1], nested",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[2,1],\"datatype\":\"BYTES\",\"data\":[[#],[#]"
         "]}]}",
         200, "\"shape\":[2,5]"},
        {"pictures as [N,1], flat",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[2,1],\"datatype\":\"BYTES\",\"data\":[#,#]}]"
         "}",
         200, "\"shape\":[2,5]"},
        {"fewer pictures than the shape",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[#]}]}",
         400, "shape"},
        {"more pictures than the shape",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[#,#]}]}",
         400, "shape"},
        {"a picture that is no base64",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"a\"]}]"
         "}",
         400, "base64"},
        {"a picture that is no picture",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[#,"
         "\"AAAA\"]}]}",
         415, "element 1"},
        {"half a picture",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"/9j/"
         "4AAQ\"]}]}",
         422, "error"},
        {"fewer numbers than the shape",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[2,3,96,96],\"datatype\":\"FP32\",\"data\":[1,"
         "2]}]}",
         400, "fewer"},
        {"one image with too few numbers",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,3,96,96],\"datatype\":\"FP32\",\"data\":[1,"
         "2]}]}",
         400, "shape"},
        {"text in place of numbers",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,3,96,96],\"datatype\":\"FP32\",\"data\":["
         "\"1\"]}]}",
         400, "element 0"},
        {"a parameter of the server",
         "{\"inputs\":[$],\"parameters\":{\"class\":\"cat\"},\"outputs\":[{\"name\":\"classes\"}]}",
         200, "\"data\":[2]"},
        {"a class by its number",
         "{\"inputs\":[$],\"parameters\":{\"class\":3},\"outputs\":[{\"name\":\"labels\"}]}", 200,
         "\"data\":[\"dog\"]"},
        {"a class that does not exist", "{\"inputs\":[$],\"parameters\":{\"class\":\"fox\"}}", 400,
         "fox"},
        {"a bad value of a parameter", "{\"inputs\":[$],\"parameters\":{\"threshold\":2}}", 400,
         "threshold"},
        {"a boolean parameter", "{\"inputs\":[$],\"parameters\":{\"map_flip\":true}}", 200,
         "outputs"},
        {"parameters of other servers",
         "{\"inputs\":[$],\"parameters\":{\"priority\":1,\"x\":\"y\"}}", 200, "outputs"},
        {"a parameter that is an array", "{\"inputs\":[$],\"parameters\":{\"x\":[1]}}", 400,
         "parameter"},
        {"a parameter that is null", "{\"inputs\":[$],\"parameters\":{\"x\":null}}", 400,
         "parameter"},
        {"parameters that are no object", "{\"inputs\":[$],\"parameters\":[]}", 400, "parameters"},
        {"classification is another extension",
         "{\"inputs\":[$],\"outputs\":[{\"name\":\"scores\",\"parameters\":{\"classification\":3}}]"
         "}",
         400, "extension"},
        {"shared memory is another extension",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"parameters\":{"
         "\"shared_memory_region\":\"a\"}}]}",
         400, "extension"},
        {"binary data without a header",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"parameters\":{"
         "\"binary_data_size\":4}}]}",
         400, "binary_data_size"},
        {"binary_data is a boolean",
         "{\"inputs\":[$],\"outputs\":[{\"name\":\"cam\",\"parameters\":{\"binary_data\":1}}]}",
         400, "boolean"},
        {"members of other versions", "{\"model_name\":\"m\",\"inputs\":[$]}", 200, "outputs"},
        {"a name twice", "{\"inputs\":[$],\"inputs\":[$]}", 400, "JSON"},
        {"no JSON", "{\"inputs\":[$]", 400, "JSON"},
        {"more than JSON", "{\"inputs\":[$]}x", 400, "JSON"},
        {"an array without an end", "{\"inputs\":[{\"data\":[1,2", 400, "ends"},
        {"a string without an end", "{\"inputs\":[\"", 400, "ends"},
        {"no object", "[]", 400, "object"},
        {"no body", "", 400, "JSON"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct adl_str text = {0};
        for (const char *at = rows[i].body; *at; at++) {
            if (*at == '$')
                adl_str_puts(&text, "{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\","
                                    "\"data\":[");
            if (*at == '$' || *at == '#') {
                adl_str_puts(&text, "\"");
                adl_str_base64(&text, service.jpeg, service.jpeg_length);
                adl_str_puts(&text, "\"");
                adl_str_puts(&text, *at == '$' ? "]}" : "");
            } else {
                adl_str_append(&text, at, 1);
            }
        }
        struct test_reply reply =
            text.data ? post_text(INFER, JSON, text.data)
                      : test_post(&service.server, INFER, JSON "Content-Length: 0\r\n", NULL, 0);
        json_t *json = test_reply_json(&reply);
        if (reply.status != rows[i].status || !json ||
            !strstr(reply.body, with_version(rows[i].holds)))
            TEST_FAIL("%s: %d %.300s", rows[i].rule, reply.status, reply.body);
        if (reply.status >= 400 &&
            (!json_is_string(json_object_get(json, "error")) || json_object_size(json) != 1))
            TEST_FAIL("%s: %s", rows[i].rule, reply.body);
        json_decref(json);
        test_reply_release(&reply);
        adl_str_release(&text);
    }
    test_service_close(&service);
}

/* --- binary data ------------------------------------------------------------------------------ */

static void append_u32(struct adl_str *text, size_t value)
{
    const unsigned char bytes[4] = {(unsigned char)value, (unsigned char)(value >> 8),
                                    (unsigned char)(value >> 16), (unsigned char)(value >> 24)};
    adl_str_append(text, (const char *)bytes, 4);
}

static struct test_reply post_binary(const char *target, const char *head, long header,
                                     const void *bytes, size_t length)
{
    struct adl_str body = {0};
    char headers[200];

    snprintf(headers, sizeof headers,
             "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %ld\r\n",
             header < 0 ? (long)strlen(head) : header);
    adl_str_puts(&body, head);
    adl_str_append(&body, bytes, length);
    struct test_reply reply = test_post(&service.server, target, headers, body.data, body.length);
    adl_str_release(&body);
    return reply;
}

/* Returns the JSON of a binary answer, and sets *tail to what follows it. */
static json_t *binary_json(const struct test_reply *reply, const char **tail)
{
    const char *text = test_reply_header(reply, "Inference-Header-Content-Length");
    const size_t length = text ? (size_t)atoi(text) : reply->length;

    *tail = reply->body + length;
    return length <= reply->length ? json_loadb(reply->body, length, 0, NULL) : NULL;
}

/* Every rule for binary data: the JSON, its length in the header (-1: that of the text), and bytes
 * of a picture after its length in four bytes, cut or lengthened by `change`. "%zu" is the size. */
static void keeps_the_rules_of_binary_data(void)
{
#define PICTURE(size)                                                                              \
    "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"parameters\":"        \
    "{\"binary_data_size\":" size "}}]"
    static const struct {
        const char *rule, *head;
        long header;
        long change;
        int status;
        const char *holds;
    } rows[] = {
        {"a binary input, JSON outputs", PICTURE("%zu") "}", -1, 0, 200, "\"data\":["},
        {"a size that is too small", PICTURE("%zu") "}", -1, 1, 400, "after the data"},
        {"a size that is too large", PICTURE("%zu") "}", -1, -1, 400, "binary_data_size"},
        {"a negative size", PICTURE("-1") "}", -1, 0, 400, "binary_data_size"},
        {"a size that is a text", PICTURE("\"9\"") "}", -1, 0, 400, "binary_data_size"},
        {"a size beyond all", PICTURE("9223372036854775807") "}", -1, 0, 400, "binary_data_size"},
        {"a size without an element", PICTURE("3") "}", -1, 0, 400, "length of element 0"},
        {"a size within an element", PICTURE("30") "}", -1, 0, 400, "element 0"},
        {"a header that is too small", PICTURE("%zu") "}", 20, 0, 400, ""},
        {"a header of zero", PICTURE("%zu") "}", 0, 0, 400, "JSON"},
        {"a header beyond the body", PICTURE("%zu") "}", 99999999, 0, 400,
         "Inference-Header-Content-Length"},
        {"both kinds of data",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"\"],"
         "\"parameters\":{\"binary_data_size\":%zu}}]}",
         -1, 0, 400, "both"},
        {"a tensor with another length",
         "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,3,96,96],\"datatype\":\"FP32\","
         "\"parameters\":{\"binary_data_size\":%zu}}]}",
         -1, 0, 400, "its shape needs 110592"},
        {"one element in place of two",
         "{\"inputs\":[{\"name\":\"image\",\"shape\":[2],\"datatype\":\"BYTES\",\"parameters\":"
         "{\"binary_data_size\":%zu}}]}",
         -1, 0, 400, "length of element 1"},
    };
    if (!open_server(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct adl_str bytes = {0};
        char head[400];
        append_u32(&bytes, service.jpeg_length);
        adl_str_append(&bytes, service.jpeg, service.jpeg_length);
        adl_str_puts(&bytes, "x");
        const size_t size = bytes.length - 1;
        if (strstr(rows[i].head, "%zu")) {
            const char *at = strstr(rows[i].head, "%zu");
            snprintf(head, sizeof head, "%.*s%zu%s", (int)(at - rows[i].head), rows[i].head, size,
                     at + 3);
        } else {
            snprintf(head, sizeof head, "%s", rows[i].head);
        }
        struct test_reply reply =
            post_binary(INFER, head, rows[i].header, bytes.data, size + (size_t)rows[i].change);
        if (reply.status != rows[i].status || !strstr(reply.body, with_version(rows[i].holds)))
            TEST_FAIL("%s: %d %.300s", rows[i].rule, reply.status, reply.body);
        test_reply_release(&reply);
        adl_str_release(&bytes);
    }
    struct test_reply reply =
        post_text(INFER, JSON "Inference-Header-Content-Length: 1x\r\n", "{}");
    CU_ASSERT_EQUAL(reply.status, 400);
    test_reply_release(&reply);
    test_service_close(&service);
}

/* "binary_data_output" asks for all outputs as binary data, "binary_data" of an output overrides
 * it; the data follows in the order of the outputs, and the header gives the length of the JSON. */
static void answers_in_binary(void)
{
    struct adl_str text = {0};
    const char *tail;
    int label_size = -1, class_size = -1, logits_size = -1;

    if (!open_server(NULL))
        return;
    append_pictures(&text, 2, "\"parameters\":{\"binary_data_output\":true},");
    adl_str_puts(&text, ",\"outputs\":[{\"name\":\"labels\"},{\"name\":\"scores\",\"parameters\":"
                        "{\"binary_data\":false}},{\"name\":\"classes\"},{\"name\":\"logits\"}]}");
    struct test_reply reply = post_text(INFER, JSON, text.data);
    json_t *json = binary_json(&reply, &tail);
    CU_ASSERT(test_header_is(&reply, "Content-Type", "application/octet-stream"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_EQUAL(json_unpack(output_of(json, "labels"), "{s:{s:i !}}", "parameters",
                                "binary_data_size", &label_size),
                    0);
    CU_ASSERT_EQUAL(json_unpack(output_of(json, "classes"), "{s:{s:i !}}", "parameters",
                                "binary_data_size", &class_size),
                    0);
    CU_ASSERT_EQUAL(json_unpack(output_of(json, "logits"), "{s:{s:i !}}", "parameters",
                                "binary_data_size", &logits_size),
                    0);
    CU_ASSERT(class_size == 2 * 8 && logits_size == 2 * 5 * 4);
    CU_ASSERT_EQUAL(reply.body + reply.length, tail + label_size + class_size + logits_size);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(output_of(json, "scores"), "data")), 10);
    CU_ASSERT_PTR_NULL(json_object_get(output_of(json, "labels"), "data"));
    /* Labels and classes name the same, and the class has the greatest logit. */
    static const char *const labels[] = {"ant", "bee, wasp", "cat", "dog", "eel"};
    const char *at = tail;
    for (size_t i = 0; i < 2; i++) {
        float logits[5];
        uint32_t length;
        uint64_t class_id;
        memcpy(&length, at, 4);
        memcpy(&class_id, tail + label_size + 8 * i, 8);
        memcpy(logits, tail + label_size + class_size + 20 * i, 20);
        CU_ASSERT_FATAL(class_id < 5);
        CU_ASSERT(length == strlen(labels[class_id]) && !memcmp(at + 4, labels[class_id], length));
        for (size_t c = 0; c < 5; c++)
            CU_ASSERT(logits[c] <= logits[class_id]);
        at += 4 + length;
    }
    json_decref(json);
    test_reply_release(&reply);
    adl_str_release(&text);
    test_service_close(&service);
}

/* --- values -------------------------------------------------------------------------------------
 */

static float input[3 * NUMBERS];

/* Runs `forward` on the input in a process of its own. */
static struct adl_tensors *forward(void)
{
    struct adl_error err = {0};
    char in[300], out[300], message[400];
    struct adl_tensors *set = adl_tensors_create(&err);
    struct adl_tensor *tensor =
        set ? adl_tensors_add(set, "input", ADL_F32, 4, (size_t[]){3, 3, 96, 96}, &err) : NULL;

    TEST_OK(tensor ? 0 : -1, &err);
    memcpy(tensor->data, input, sizeof input);
    snprintf(in, sizeof in, "%s/inference-in.safetensors", test_tmp_dir());
    snprintf(out, sizeof out, "%s/inference-out.safetensors", test_tmp_dir());
    TEST_OK(adl_safetensors_write(in, set, &err), &err);
    adl_tensors_free(set);
    CU_ASSERT_EQUAL(test_program_run((const char *const[]){"forward", "--model", test_small_model(),
                                                           "--input", in, "--output", out, NULL},
                                     message, sizeof message),
                    0);
    set = adl_safetensors_read(out, &err);
    TEST_OK(set ? 0 : -1, &err);
    return set;
}

static void check_values(json_t *json, const char *name, const struct adl_tensors *want)
{
    const struct adl_tensor *tensor = adl_tensors_find(want, name);
    json_t *data = json_object_get(output_of(json, name), "data"), *value;
    size_t index;

    CU_ASSERT_EQUAL_FATAL(json_array_size(data), tensor->count);
    json_array_foreach(data, index, value) if ((float)json_number_value(value) !=
                                               ((const float *)tensor->data)[index])
        TEST_FAIL("%s: element %zu is %.9g, not %.9g", name, index, json_number_value(value),
                  (double)((const float *)tensor->data)[index]);
}

#define TENSOR "{\"inputs\":[{\"name\":\"input\",\"shape\":[3,3,96,96],\"datatype\":\"FP32\","

/* A tensor gives the logits and the maps of `forward` bit for bit, flat, nested and binary. */
static void gives_the_logits_of_forward(void)
{
    if (!open_server(NULL))
        return;
    formula_image("inference", 3, 3, 96, 96, input);
    struct adl_tensors *want = forward();
    for (int nested = 0; nested < 2; nested++) {
        struct adl_str text = {0};
        adl_str_puts(&text, TENSOR "\"data\":[");
        for (size_t i = 0; i < 3 * NUMBERS; i++) {
            if (nested)
                adl_str_puts(&text, i % NUMBERS == 0     ? "[[["
                                    : i % (96 * 96) == 0 ? "[["
                                    : i % 96 == 0        ? "["
                                                         : "");
            adl_str_printf(&text, "%.9g", (double)input[i]);
            if (nested)
                adl_str_puts(&text, (i + 1) % NUMBERS == 0     ? "]]]"
                                    : (i + 1) % (96 * 96) == 0 ? "]]"
                                    : (i + 1) % 96 == 0        ? "]"
                                                               : "");
            adl_str_puts(&text, i + 1 < 3 * NUMBERS ? "," : "]}]}");
        }
        struct test_reply reply = post_text(INFER, JSON, text.data);
        json_t *json = test_reply_json(&reply);
        CU_ASSERT_EQUAL(reply.status, 200);
        check_values(json, "logits", want);
        check_values(json, "cam", want);
        json_decref(json);
        test_reply_release(&reply);
        adl_str_release(&text);
    }
    char head[400];
    const char *tail;
    snprintf(head, sizeof head,
             TENSOR "\"parameters\":{\"binary_data_size\":%zu}}],\"outputs\":[{\"name\":\"logits\","
                    "\"parameters\":{\"binary_data\":true}}]}",
             sizeof input);
    struct test_reply reply = post_binary(INFER, head, -1, input, sizeof input);
    json_t *json = binary_json(&reply, &tail);
    const struct adl_tensor *logits = adl_tensors_find(want, "logits");
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_FATAL(json && tail + 60 == reply.body + reply.length);
    CU_ASSERT(!memcmp(tail, logits->data, 60));
    json_decref(json);
    test_reply_release(&reply);
    /* Infinities and NaN are refused, wherever they are. */
    for (int i = 0; i < 2; i++) {
        input[2 * NUMBERS + 17] = i ? INFINITY : NAN;
        reply = post_binary(INFER, head, -1, input, sizeof input);
        CU_ASSERT_EQUAL(reply.status, 400);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply.body, "element 55313 of"));
        test_reply_release(&reply);
    }
    adl_tensors_free(want);
    test_service_close(&service);
}

/* Checks one box of an answer against one of /localize. */
static bool same_box(json_t *row, size_t first, json_t *box)
{
    static const char *const names[] = {"x0", "y0", "x1", "y1", "score"};

    for (size_t i = 0; i < 5; i++) {
        double want = json_number_value(json_object_get(box, names[i]));
        double got = json_number_value(json_array_get(row, first + 1 + i));
        if (fabs(want - got) > 1e-6)
            return false;
    }
    return true;
}

/* Pictures give the boxes, classes, scores and maps of /localize. */
static void gives_the_boxes_of_localize(void)
{
    static const char *const verbs[] = {"infer", "explain", "versions/VERSION/explain"};
    struct adl_str text = {0};

    if (!open_server(NULL))
        return;
    json_t *localized[2];
    for (int i = 0; i < 2; i++) {
        struct test_reply reply =
            test_post(&service.server, "/localize?boxes=all&heatmap=array&map_flip=true",
                      i ? "Content-Type: image/png\r\n" : "Content-Type: image/jpeg\r\n",
                      i ? service.png : service.jpeg, i ? service.png_length : service.jpeg_length);
        json_t *json = test_reply_json(&reply);
        localized[i] = json_incref(json_array_get(json_object_get(json, "predictions"), 0));
        json_decref(json);
        test_reply_release(&reply);
    }
    append_pictures(&text, 2, "\"parameters\":{\"boxes\":\"all\",\"map_flip\":true},");
    adl_str_puts(&text, "}");
    for (size_t v = 0; v < ADL_COUNT(verbs); v++) {
        char target[100];
        snprintf(target, sizeof target, "/v2/models/default/%s", with_version(verbs[v]));
        struct test_reply reply = post_text(target, JSON, text.data);
        json_t *json = test_reply_json(&reply);
        json_t *rows = json_object_get(output_of(json, "boxes"), "data");
        size_t row = 0;
        CU_ASSERT_EQUAL(reply.status, 200);
        for (size_t i = 0; i < 2; i++) {
            json_t *boxes = json_object_get(localized[i], "boxes"), *box;
            json_t *heatmap = json_object_get(json_object_get(localized[i], "heatmap"), "data");
            json_t *classes = json_object_get(output_of(json, "classes"), "data");
            json_t *map = json_object_get(output_of(json, "map"), "data");
            const size_t cells = json_array_size(heatmap);
            size_t index;
            CU_ASSERT(json_array_size(boxes) > 0);
            json_array_foreach(boxes, index, box)
            {
                CU_ASSERT_EQUAL(json_number_value(json_array_get(rows, 6 * row)), (double)i);
                CU_ASSERT(same_box(rows, 6 * row, box));
                row++;
            }
            if (v == 0)
                continue;
            CU_ASSERT_EQUAL(json_integer_value(json_array_get(classes, i)),
                            json_integer_value(json_object_get(localized[i], "class_id")));
            CU_ASSERT_EQUAL_FATAL(json_array_size(map), 2 * cells);
            for (size_t k = 0; k < cells; k++)
                CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_array_get(map, i * cells + k)),
                                       json_number_value(json_array_get(heatmap, k)), 1e-5);
        }
        CU_ASSERT_EQUAL(json_array_size(rows), 6 * row);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "outputs")), 4);
        json_decref(json);
        test_reply_release(&reply);
    }
    json_decref(localized[0]);
    json_decref(localized[1]);
    adl_str_release(&text);
    test_service_close(&service);
}

/* --- limits ---------------------------------------------------------------------------------- */

static void check_error(struct test_reply reply, int status)
{
    json_t *json = test_reply_json(&reply);

    if (reply.status != status || json_object_size(json) != 1 ||
        !json_is_string(json_object_get(json, "error")))
        TEST_FAIL("%d in place of %d: %s", reply.status, status, reply.body);
    json_decref(json);
    test_reply_release(&reply);
}

/* Tokens, types, lengths and limits are those of the other routes; their form is the protocol's. */
static void keeps_the_limits_of_the_server(void)
{
    char tokens[300];
    FILE *file;

    snprintf(tokens, sizeof tokens, "%s/inference-tokens", test_tmp_dir());
    file = fopen(tokens, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("secret-secret-secret name=a rights=localize\nother-secret-secret name=b "
          "rights=models\n",
          file);
    fclose(file);
    if (!open_server((const char *const[]){"--token-file", tokens, "--max-body", "5000",
                                           "--max-pixels", "100", NULL}))
        return;
#define TOKEN "Authorization: Bearer secret-secret-secret\r\n"
    static char large[6000];
    check_error(post_text(INFER, JSON, "{}"), 401);
    check_error(test_get(&service.server, "GET", "/v2", NULL), 401);
    check_error(test_get(&service.server, "GET", "/v2", TOKEN), 403);
    check_error(test_get(&service.server, "GET", "/v2/models/default", TOKEN), 403);
    check_error(post_text(INFER, JSON "Authorization: Bearer other-secret-secret\r\n", "{}"), 403);
    check_error(post_text(INFER, TOKEN JSON, "{}"), 400);
    check_error(post_text("/v2/models/x/infer", TOKEN JSON, "{}"), 404);
    check_error(post_text("/v2/models/default/versions/7/infer", TOKEN JSON, "{}"), 404);
    check_error(post_text(INFER, TOKEN "Content-Type: image/jpeg\r\n", "{}"), 415);
    check_error(post_text(INFER, TOKEN JSON "Content-Encoding: gzip\r\n", "{}"), 415);
    check_error(test_post(&service.server, INFER, TOKEN JSON, large, sizeof large), 413);
    check_error(test_get(&service.server, "POST", INFER, TOKEN JSON), 411);
    check_error(test_get(&service.server, "PUT", INFER, TOKEN), 405);
    struct test_reply reply = test_get(&service.server, "GET", "/v2/health/ready", NULL);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    struct adl_str text = {0};
    append_pictures(&text, 1, "");
    adl_str_puts(&text, "}");
    if (text.length < 5000)
        check_error(post_text(INFER, TOKEN JSON, text.data), 413);
    adl_str_release(&text);
    test_service_close(&service);
}

/* Many images at once, of which some wait for others, and beside other requests. */
static void takes_as_many_as_a_form(void)
{
    struct adl_str text = {0};

    if (!open_server((const char *const[]){"--queue", "8", NULL}))
        return;
    append_pictures(&text, 64, "");
    adl_str_puts(&text, ",\"outputs\":[{\"name\":\"scores\"}]}");
    struct test_reply reply = post_text(INFER, JSON, text.data);
    json_t *json = test_reply_json(&reply);
    json_t *scores = json_object_get(output_of(json, "scores"), "data");
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT_EQUAL_FATAL(json_array_size(scores), 64 * 5);
    /* Two pictures in turn have two answers in turn, whatever batch they were computed in. */
    for (size_t i = 10; i < 64 * 5; i++)
        CU_ASSERT_EQUAL(json_number_value(json_array_get(scores, i)),
                        json_number_value(json_array_get(scores, i % 10)));
    json_decref(json);
    test_reply_release(&reply);
    check_error(post_text(INFER, JSON,
                          "{\"inputs\":[{\"name\":\"image\",\"shape\":[2],\"datatype\":\"BYTES\","
                          "\"data\":[\"AAAA\",\"/9j/4AAQ\"]}]}"),
                415);
    /* What answers took is given back, once they are sent. */
    double left = -1;
    for (int i = 0; i < 1000 && left != 0; i++) {
        left = test_metric(&service.server, "\nadl_memory_reserved_bytes ");
        poll(NULL, 0, left == 0 ? 0 : 10);
    }
    CU_ASSERT_EQUAL(left, 0);
    adl_str_release(&text);
    test_service_close(&service);
}

TEST_SUITE(inference, {"describes server and model", describes_server_and_model},
           {"keeps the rules of requests", keeps_the_rules_of_requests},
           {"keeps the rules of binary data", keeps_the_rules_of_binary_data},
           {"answers in binary", answers_in_binary},
           {"gives the logits of forward", gives_the_logits_of_forward},
           {"gives the boxes of localize", gives_the_boxes_of_localize},
           {"keeps the limits of the server", keeps_the_limits_of_the_server},
           {"takes as many as a form", takes_as_many_as_a_form});
