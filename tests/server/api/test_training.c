/* The routes of /training: files that are being written, files of strangers, and a server that has
 * no runs. */

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/server_fixture.h"

static struct test_service service;
static char runs[64];

static void put(const char *name, const char *text, const char *mode)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", runs, name);
    FILE *file = fopen(path, mode);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

static bool open_server(void)
{
    char path[100];
    snprintf(runs, sizeof runs, "/tmp/adl-training-XXXXXX");
    if (!mkdtemp(runs))
        return false;
    snprintf(path, sizeof path, "%s/first", runs);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/first/pictures", runs);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    put("first/run.json", "{\"network\":\"n\",\"epochs\":-3,\"config\":{\"method\":7,\"seed\":5}}",
        "w");
    put("first/metrics.jsonl", "{\"epoch\":1}\nnonsense\n[1]\n{\"epoch\":2}\n{\"epo", "w");
    put("first/pictures/index.json", "{\"pictures\":[]}", "w");
    put("first/pictures/epoch-0007.json", "{\"epoch\":7}", "w");
    put("first/pictures/epoch-x.json", "{}", "w");
    put("first/pictures/00.jpg", "\xff\xd8\xff not much of a picture", "w");
    put("first/pictures/01.jpg", "<script>alert(1)</script>", "w");
    return test_service_open(&service, 200, 120, (const char *const[]){"--runs", runs, NULL});
}

static void close_server(void)
{
    char command[100];
    test_service_close(&service);
    snprintf(command, sizeof command, "rm -r %s", runs);
    CU_ASSERT_EQUAL(system(command), 0);
}

static json_t *get(const char *target, int status)
{
    struct test_reply reply = test_get(&service.server, "GET", target, NULL);
    if (reply.status != status)
        TEST_FAIL("%s: %d", target, reply.status);
    json_t *json = test_reply_json(&reply);
    test_reply_release(&reply);
    return json;
}

static json_int_t whole(const json_t *json, const char *name)
{
    return json_integer_value(json_object_get(json, name));
}

static void lines_come_as_they_are_finished(void)
{
    char target[100];

    if (!open_server())
        return;
    json_t *json = get("/training/runs", 200);
    json_t *run = json_array_get(json_object_get(json, "runs"), 0);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "runs")), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(run, "name")), "first");
    CU_ASSERT(whole(run, "seed") == 5 && !json_object_get(run, "method") &&
              !json_object_get(run, "epochs"));
    json_decref(json);

    json = get("/training/lines?run=first", 200);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "lines")), 2);
    json_int_t next = whole(json, "next");
    CU_ASSERT_EQUAL(next, 37);
    CU_ASSERT(json_is_false(json_object_get(json, "anew")));
    json_decref(json);

    put("first/metrics.jsonl", "ch\":3}\n", "a");
    snprintf(target, sizeof target, "/training/lines?run=first&from=%d", (int)next);
    json = get(target, 200);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "lines")), 1);
    CU_ASSERT_EQUAL(whole(json_array_get(json_object_get(json, "lines"), 0), "epoch"), 3);
    snprintf(target, sizeof target, "/training/lines?run=first&from=%d", (int)whole(json, "next"));
    json_decref(json);

    put("first/metrics.jsonl", "{\"epoch\":1}\n", "w");
    json = get(target, 200);
    CU_ASSERT(json_is_true(json_object_get(json, "anew")) && whole(json, "next") == 0);
    json_decref(json);

    /* A run has none before its first epoch is over. */
    json = get("/training/lines?run=first&file=steps", 200);
    CU_ASSERT(json_is_array(json_object_get(json, "lines")) && whole(json, "next") == 0);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "lines")), 0);
    json_decref(json);
    close_server();
}

static void what_is_asked_wrongly_is_refused(void)
{
    static const struct {
        const char *target;
        int status;
    } cases[] = {
        {"/training", 200},
        {"/training/nothing", 404},
        {"/training/lines", 400},
        {"/training/lines?run=", 400},
        {"/training/lines?run=other", 404},
        {"/training/lines?run=../first", 404},
        {"/training/lines?run=%2e%2e/", 404},
        {"/training/lines?run=/etc", 404},
        {"/training/lines?run=first&from=-1", 400},
        {"/training/lines?run=first&from=1e3", 400},
        {"/training/lines?run=first&from=99999999999999999999", 400},
        {"/training/lines?run=first&file=run.json", 400},
        {"/training/lines?run=first&file=steps", 200},
        {"/training/pictures?run=first", 200},
        {"/training/pictures?run=first&epoch=7", 200},
        {"/training/pictures?run=first&epoch=8", 404},
        {"/training/pictures?run=first&epoch=../../run", 400},
        {"/training/picture?run=first&number=0", 200},
        {"/training/picture?run=first&number=1", 404},
        {"/training/picture?run=first&number=999999999999999", 404},
    };
    if (!open_server())
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++)
        json_decref(get(cases[i].target, cases[i].status));
    json_t *json = get("/training/pictures?run=first", 200);
    json_t *epochs = json_object_get(json, "epochs");
    CU_ASSERT(json_array_size(epochs) == 1 && json_integer_value(json_array_get(epochs, 0)) == 7);
    json_decref(json);
    close_server();
    if (!test_service_open(&service, 200, 120, NULL))
        return;
    json_decref(get("/training", 404));
    json_decref(get("/training/runs", 404));
    test_service_close(&service);
}

TEST_SUITE(server_training, {"lines come as they are finished", lines_come_as_they_are_finished},
           {"what is asked wrongly is refused", what_is_asked_wrongly_is_refused});
