/* serving/trace, serving/otlp: what a header traceparent may be, by the cases of the W3C's test
 * suite, and what a collector gets, against the definition of OTLP's JSON. */

#include "support/test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "server/serving/otlp.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void headers_are_read(void)
{
    static const struct {
        const char *header;
        bool valid, sampled;
    } cases[] = {
        {NULL, false, false},
        {"", false, false},
        {"00-" TRACE "-" PARENT "-01", true, true},
        {"00-" TRACE "-" PARENT "-00", true, false},
        {"00-" TRACE "-" PARENT "-03", true, true},
        {"00-" TRACE "-" PARENT "-fe", true, false},
        /* Of a later version, what is known of this one is read. */
        {"cc-" TRACE "-" PARENT "-01", true, true},
        {"cc-" TRACE "-" PARENT "-01-what-the-future-will-be-like", true, true},
        {"cc-" TRACE "-" PARENT "-01.what-the-future-will-be-like", false, false},
        {"00-" TRACE "-" PARENT "-01-what-the-future-will-be-like", false, false},
        {"ff-" TRACE "-" PARENT "-01", false, false},
        {".0-" TRACE "-" PARENT "-01", false, false},
        {"0-" TRACE "-" PARENT "-01", false, false},
        {"000-" TRACE "-" PARENT "-01", false, false},
        {"00-00000000000000000000000000000000-" PARENT "-01", false, false},
        {"00-" TRACE "-0000000000000000-01", false, false},
        {"00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01", false, false},
        {"00-0af7651916cd43dd8448eb211c80319-" PARENT "-01", false, false},
        {"00-" TRACE "-b7ad6b716920333-01", false, false},
        {"00-" TRACE "-" PARENT "-0", false, false},
        {"00-" TRACE "-" PARENT "-.0", false, false},
        {"00-" TRACE "-" PARENT, false, false},
        {"00_" TRACE "-" PARENT "-01", false, false},
    };

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_trace trace;
        bool sampled;
        bool valid = adl_trace_parse(cases[i].header, &trace, &sampled);
        if (valid != cases[i].valid || sampled != cases[i].sampled)
            TEST_FAIL("%s: valid %d, sampled %d", cases[i].header, valid, sampled);
        CU_ASSERT_STRING_EQUAL(trace.trace_id, valid ? TRACE : "");
        CU_ASSERT_STRING_EQUAL(trace.parent_id, valid ? PARENT : "");
        CU_ASSERT_STRING_EQUAL(trace.span_id, "");
    }
}

static void ids_are_random(void)
{
    struct adl_trace a, b;
    double sum = 0;

    for (int i = 0; i < 400; i++) {
        sum += adl_trace_begin(&a);
        CU_ASSERT(strlen(a.trace_id) == 32 && strspn(a.trace_id, "0123456789abcdef") == 32);
    }
    /* The mean of 400 uniform numbers, within six standard errors. */
    CU_ASSERT_DOUBLE_EQUAL(sum / 400, 0.5, 6 * 0.2887 / 20);
    (void)adl_trace_begin(&b);
    CU_ASSERT_STRING_NOT_EQUAL(a.trace_id, b.trace_id);
    adl_trace_add_span(&a);
    adl_trace_add_span(&b);
    CU_ASSERT(strlen(a.span_id) == 16 && strcmp(a.span_id, b.span_id) != 0);
}

/* Returns the value of an attribute, of whatever type, as text; NULL: there is none. */
static const char *attribute(const json_t *span, const char *key)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(span, "attributes"), i, one)
    {
        const json_t *value = json_object_get(one, "value");
        if (strcmp(json_string_value(json_object_get(one, "key")), key) != 0)
            continue;
        CU_ASSERT_EQUAL(json_object_size(value), 1);
        const json_t *text = json_object_get(value, "stringValue");
        return json_string_value(text ? text : json_object_get(value, "intValue"));
    }
    return NULL;
}

static void a_collector_gets_spans(void)
{
    struct adl_error err = {0};
    struct adl_request_span spans[2] = {
        {.begin_ns = 1000,
         .end_ns = 9007199254740993,
         .method = "POST",
         .route = "/localize",
         .path = "/localize",
         .remote = "192.0.2.1",
         .request_id = "r1",
         .model = "m",
         .agent = "curl/8 \"\xff\"",
         .status = 200,
         .sent = true,
         .bytes_in = 5,
         .bytes_out = 7,
         .images = 1,
         .batch = 3,
         .ahead = 2},
        {.begin_ns = 5,
         .end_ns = 6,
         .method = "GET",
         .path = "/x",
         .status = 503,
         .problem = "queue-full"},
    };
    bool sampled;
    size_t length;

    CU_ASSERT(adl_trace_parse("00-" TRACE "-" PARENT "-01", &spans[0].trace, &sampled));
    adl_trace_add_span(&spans[0].trace);
    spans[0].stages[ADL_STAGE_QUEUE] = (struct adl_stage_span){2000, 3000};
    spans[0].stages[ADL_STAGE_INFERENCE] = (struct adl_stage_span){3000, 4000};
    (void)adl_trace_begin(&spans[1].trace);
    adl_trace_add_span(&spans[1].trace);
    char *body = adl_otlp_body(spans, 2, "host:1", 1000000000, &length, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    const json_t *resource = json_array_get(json_object_get(json, "resourceSpans"), 0);
    CU_ASSERT_STRING_EQUAL(attribute(json_object_get(resource, "resource"), "service.name"),
                           "adl-server");
    const json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    const json_t *all = json_object_get(scope, "spans");
    CU_ASSERT_EQUAL_FATAL(json_array_size(all), 4);
    const char *trace_id, *span_id, *parent, *name, *from, *to;
    int kind;

    const json_t *first = json_array_get(all, 0);
    CU_ASSERT_EQUAL_FATAL(
        json_unpack((json_t *)(uintptr_t)first, "{s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "traceId",
                    &trace_id, "spanId", &span_id, "parentSpanId", &parent, "name", &name, "kind",
                    &kind, "startTimeUnixNano", &from, "endTimeUnixNano", &to),
        0);
    CU_ASSERT_STRING_EQUAL(trace_id, TRACE);
    CU_ASSERT_STRING_EQUAL(parent, PARENT);
    CU_ASSERT_STRING_EQUAL(span_id, spans[0].trace.span_id);
    CU_ASSERT_STRING_EQUAL(name, "POST /localize");
    CU_ASSERT_EQUAL(kind, 2);
    CU_ASSERT_STRING_EQUAL(from, "1000001000");
    CU_ASSERT_STRING_EQUAL(to, "9007200254740993"); /* not rounded to a double */
    CU_ASSERT_STRING_EQUAL(attribute(first, "http.response.status_code"), "200");
    CU_ASSERT_STRING_EQUAL(attribute(first, "http.route"), "/localize");
    CU_ASSERT_STRING_EQUAL(attribute(first, "client.address"), "192.0.2.1");
    CU_ASSERT_PTR_NOT_NULL(strstr(attribute(first, "user_agent.original"), "curl/8"));
    CU_ASSERT_PTR_NULL(json_object_get(first, "status"));

    const json_t *stage = json_array_get(all, 2);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(stage, "name")), "inference");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(stage, "parentSpanId")), span_id);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(stage, "traceId")), TRACE);
    CU_ASSERT_STRING_EQUAL(attribute(stage, "adl.batch.size"), "3");

    const json_t *refused = json_array_get(all, 3);
    CU_ASSERT_PTR_NULL(json_object_get(refused, "parentSpanId"));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(refused, "name")), "GET");
    CU_ASSERT_STRING_EQUAL(attribute(refused, "error.type"), "queue-full");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(refused, "status"), "code")),
                    2);
    json_decref(json);
    adl_free(body);
}

TEST_SUITE(trace, {"headers are read", headers_are_read}, {"ids are random", ids_are_random},
           {"a collector gets spans", a_collector_gets_spans});
