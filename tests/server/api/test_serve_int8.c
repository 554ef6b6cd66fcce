/* A model in float32 that is made int8 when it is loaded: `serve`, `localize` and `eval` with
 * --precision int8 --calibrate DIR run what `convert` writes. */

#include "support/test.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "support/command_run.h"
#include "support/program.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

enum { IMAGES = 5 };

static char dir[300], first[300], int8_path[300];

static void write_pictures(const char *name)
{
    scratch_open(name, (const char *const[]){"photos", NULL});
    for (int i = 0; i < IMAGES; i++) {
        struct adl_error err = {0};
        size_t length;
        void *png = test_picture(TEST_PNG, 70 + 11 * i, 80, &length);
        struct adl_file_piece piece = {png, length};
        TEST_OK(adl_file_write(scratch_path("photos/%d.png", i), &piece, 1, &err), &err);
        adl_free(png);
    }
    snprintf(dir, sizeof dir, "%s", scratch_path("photos"));
    snprintf(first, sizeof first, "%s", scratch_path("photos/0.png"));
    snprintf(int8_path, sizeof int8_path, "%s", scratch_path("int8.safetensors"));
}

static bool make_int8(const char *name)
{
    write_pictures(name);
    struct command_result made =
        RUN("convert", test_small_model(), int8_path, "--precision", "int8", "--calibrate", dir);
    bool fine = made.status == 0;
    command_release(&made);
    return fine;
}

/* Returns the answer of `localize --json` without the times and the model's name; NULL: failed. */
static json_t *predictions_of(const struct command_result *result)
{
    json_t *json =
        result->status == 0 ? json_loads(result->out, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    json_t *predictions = json_incref(json_object_get(json, "predictions"));
    json_decref(json);
    return predictions;
}

static void localize_runs_what_convert_writes(void)
{
    if (!program_exists() || !make_int8("int8-choose"))
        return;
    struct command_result a =
        RUN("localize", "--json", "--top-k", "3", "--model", int8_path, first);
    struct command_result b = RUN("localize", "--json", "--top-k", "3", "--precision", "int8",
                                  "--calibrate", dir, "--model", test_small_model(), first);
    json_t *want = predictions_of(&a), *got = predictions_of(&b);
    CU_ASSERT(want != NULL && json_equal(want, got));
    json_decref(want);
    json_decref(got);
    command_release(&a);
    command_release(&b);
    command_expect(RUN("localize", "--calibrate", dir, first), 2, "--calibrate without int8");
    command_expect(RUN("localize", "--precision", "int8", "--calibrate", int8_path, first), 1,
                   "--calibrate with what is no photograph");
    char error[500];
    CU_ASSERT_EQUAL(test_program_run((const char *const[]){"serve", "--calibrate", dir, NULL},
                                     error, sizeof error),
                    2);
}

static json_t *described(const struct test_server *server)
{
    struct test_reply reply = test_get(server, "GET", "/models/default", NULL);
    json_t *json = test_reply_json(&reply);
    test_reply_release(&reply);
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static void serve_chooses_ranges_at_every_load(void)
{
    struct test_service service = {0};
    if (!program_exists() || !make_int8("int8-serve"))
        return;
    struct command_result info = RUN("info", "--json", int8_path);
    json_t *want = json_loads(info.out, 0, NULL);
    if (!test_service_open(&service, 100, 80,
                           (const char *const[]){"--precision", "int8", "--calibrate", dir, NULL}))
        return;
    json_t *before = described(&service.server);
    CU_ASSERT_STRING_EQUAL(text_of(before, "precision"), "int8");
    CU_ASSERT_STRING_EQUAL(text_of(before, "digest"), text_of(want, "digest"));

    test_server_signal(&service.server, SIGHUP);
    CU_ASSERT_EQUAL(
        test_metric_reaches(&service.server,
                            "adl_model_reloads_total{model=\"default\",outcome=\"ok\"} ", 1),
        1);
    json_t *after = described(&service.server);
    CU_ASSERT_STRING_EQUAL(text_of(after, "digest"), text_of(want, "digest"));

    /* Without photographs a reload fails, and the old version answers. */
    for (int i = 0; i < IMAGES; i++)
        unlink(scratch_path("photos/%d.png", i));
    test_server_signal(&service.server, SIGHUP);
    CU_ASSERT_EQUAL(
        test_metric_reaches(&service.server,
                            "adl_model_reloads_total{model=\"default\",outcome=\"failed\"} ", 1),
        1);
    struct test_reply reply =
        test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n", service.jpeg,
                  service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    char *log = test_server_log(&service.server);
    CU_ASSERT(log && strstr(log, "choosing ranges for int8"));
    free(log);
    test_service_close(&service);
    json_decref(before);
    json_decref(after);
    json_decref(want);
    command_release(&info);
}

/* Without a directory the command to run is named. */
static void serve_without_photographs_says_what_to_run(void)
{
    char error[1000];
    const char *model = test_small_model();
    if (!model)
        return;
    int status =
        test_program_run((const char *const[]){"serve", "--listen", "127.0.0.1:0", "--precision",
                                               "int8", "--model", model, NULL},
                         error, sizeof error);
    CU_ASSERT(status != 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "--precision int8 --calibrate"));
}

TEST_SUITE(serve_int8, {"localize runs what convert writes", localize_runs_what_convert_writes},
           {"serve chooses ranges at every load", serve_chooses_ranges_at_every_load},
           {"serve without photographs says what to run",
            serve_without_photographs_says_what_to_run});
