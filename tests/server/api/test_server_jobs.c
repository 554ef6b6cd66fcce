/* `serve --jobs`: the pictures of a folder get the answers that /localize gives, in the
 * background, whatever the folder holds and whoever asks. */

#include "support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "io/file.h"
#include "server/api/folder_jobs.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define JSON "Content-Type: application/json\r\n"
#define WAIT_MS 30000

static struct test_service service;

static void write_file(const char *path, const void *bytes, size_t length)
{
    FILE *file = scratch_file(path, "w");
    CU_ASSERT_EQUAL(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

/* Opens a server whose --jobs has the folder "zoo", with two pictures and two that are none, and
 * "many", with pictures that take long. */
static bool open_service(const char *name, const char *const *more)
{
    const char *arguments[17] = {"--jobs", NULL};
    size_t slow_length;

    scratch_open(name,
                 (const char *const[]){"in", "in/zoo", "in/zoo/b", "in/many", "in/none", NULL});
    arguments[1] = scratch_path("in");
    for (size_t i = 0; more && more[i]; i++)
        arguments[i + 2] = more[i];
    if (!test_service_open(&service, 200, 120, arguments))
        return false;
    write_file("in/zoo/a.jpg", service.jpeg, service.jpeg_length);
    write_file("in/zoo/b/c.png", service.png, service.png_length);
    write_file("in/zoo/cut.jpg", service.jpeg, service.jpeg_length / 2);
    write_file("in/zoo/text.webp", "no image", 8);
    void *slow = test_slow_picture(2000, &slow_length);
    write_file("in/many/000.jpg", slow, slow_length);
    adl_free(slow);
    for (int i = 1; i < 300; i++)
        CU_ASSERT_EQUAL(link(scratch_path("in/many/000.jpg"), scratch_path("in/many/%03d.jpg", i)),
                        0);
    return true;
}

/* Sends a job; returns the status of the answer, and its id if it was taken. */
static int post(const char *body, const char *headers, char id[40])
{
    char all[300];
    const char *location;

    snprintf(all, sizeof all, JSON "%s", headers ? headers : "");
    struct test_reply reply = test_post(&service.server, "/jobs", all, body, strlen(body));
    int status = reply.status;
    location = test_reply_header(&reply, "Location");
    if (id)
        snprintf(id, 40, "%s", status == 202 && location ? location + strlen("/jobs/") : "");
    if (status == 429)
        CU_ASSERT_PTR_NOT_NULL(test_reply_header(&reply, "Retry-After"));
    test_reply_release(&reply);
    return status;
}

static struct test_reply ask(const char *method, const char *id, const char *rest,
                             const char *headers)
{
    char target[100];
    snprintf(target, sizeof target, "/jobs/%s%s", id, rest);
    return test_get(&service.server, method, target, headers);
}

static int status_of(const char *method, const char *id, const char *rest, const char *headers)
{
    struct test_reply reply = ask(method, id, rest, headers);
    test_reply_release(&reply);
    return reply.status;
}

static json_t *describe(const char *id)
{
    struct test_reply reply = ask("GET", id, "", NULL);
    json_t *job = test_reply_json(&reply);
    test_reply_release(&reply);
    return job;
}

static long member(const json_t *job, const char *name)
{
    const json_t *value = json_object_get(job, name);
    return json_is_integer(value) ? (long)json_integer_value(value) : -1;
}

/* Waits until a job has this state and has done so many pictures; returns its description. */
static json_t *wait_for(const char *id, const char *state, long done)
{
    const uint64_t begin = adl_clock_ns();

    for (;;) {
        json_t *job = describe(id);
        const char *now = json_string_value(json_object_get(job, "state"));
        if (now && !strcmp(now, state) && member(job, "done") >= done)
            return job;
        if (!now || adl_clock_ms(begin, adl_clock_ns()) > WAIT_MS) {
            printf("the job is %s, not %s; ", now ? now : "gone", state);
            CU_FAIL("a job does not reach its state");
            return job;
        }
        json_decref(job);
        usleep(5000);
    }
}

static bool reaches(const char *id, const char *state, long done)
{
    json_t *job = wait_for(id, state, done);
    const char *now = json_string_value(json_object_get(job, "state"));
    bool same = now && !strcmp(now, state);
    json_decref(job);
    return same;
}

/* Returns what /localize answers for a file, without what is of the request alone; of an error the
 * problem as "error". */
static json_t *answer_of(const char *path, const char *type, const char *query)
{
    char target[100], header[100];
    struct adl_error err = {0};
    size_t length;
    char *bytes = adl_file_read(scratch_path("in/%s", path), 1 << 20, &length, &err);

    snprintf(target, sizeof target, "/localize%s", query);
    snprintf(header, sizeof header, "Content-Type: %s\r\n", type);
    struct test_reply reply = test_post(&service.server, target, header, bytes, length);
    json_t *answer = test_reply_json(&reply);
    adl_free(bytes);
    json_object_del(answer, "request_id");
    json_object_del(answer, "timing_ms");
    test_reply_release(&reply);
    return reply.status == 200 ? answer : json_pack("{s:o}", "error", answer);
}

/* A line of results is the file's name and the answer to it. */
static void compare_line(const char *line, const char *path, const char *type, const char *query)
{
    json_t *want = answer_of(path, type, query);
    json_t *got = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);

    json_object_set_new(want, "file", json_string(path));
    json_object_del(got, "timing_ms");
    if (!got || !json_equal(got, want)) {
        char *text = json_dumps(want, JSON_COMPACT);
        printf("%.300s\nis not %.300s\n", line, text ? text : "");
        free(text);
        CU_FAIL("a line is not the answer of /localize");
    }
    json_decref(got);
    json_decref(want);
}

static void lines_are_the_answers_of_localize(void)
{
    static const struct {
        const char *path, *type;
    } files[] = {{"zoo/a.jpg", "image/jpeg"},
                 {"zoo/b/c.png", "image/png"},
                 {"zoo/cut.jpg", "image/jpeg"},
                 {"zoo/text.webp", "image/webp"}};
    char id[40];

    if (!open_service("jobs_lines", NULL))
        return;
    const double open_files = test_metric(&service.server, "\nprocess_open_fds ");
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\", \"top_k\": 3, \"boxes\": \"all\", \"heatmap\": "
                         "\"array\", \"map_weights\": \"positive\", \"class\": null}",
                         NULL, id),
                    202);
    json_t *job = wait_for(id, "done", 4);
    CU_ASSERT_EQUAL(member(job, "images"), 4);
    CU_ASSERT_EQUAL(member(job, "failed"), 2);
    CU_ASSERT_TRUE(json_is_string(json_object_get(job, "ended")));
    json_decref(job);
    struct test_reply reply = ask("GET", id, "/results", NULL);
    CU_ASSERT_EQUAL(reply.status, 200);
    CU_ASSERT(test_header_is(&reply, "Content-Type", "application/jsonl"));
    const char *line = reply.body;
    for (size_t i = 0; line && i < ADL_COUNT(files); i++) {
        compare_line(line, files[i].path, files[i].type,
                     "?top_k=3&boxes=all&heatmap=array&map_weights=positive");
        line = strchr(line, '\n');
        line += line != NULL;
    }
    CU_ASSERT(line && !*line);
    struct test_reply rest = ask("GET", id, "/results?from=3", NULL);
    CU_ASSERT(rest.body && !strncmp(rest.body, "{\"file\":\"zoo/text.webp\"", 23));
    CU_ASSERT(rest.length < reply.length && rest.body && reply.body &&
              !strcmp(rest.body, reply.body + reply.length - rest.length));
    test_reply_release(&rest);
    test_reply_release(&reply);
    rest = ask("GET", id, "/results?from=4", NULL);
    CU_ASSERT_EQUAL(rest.status, 200);
    CU_ASSERT_EQUAL(rest.length, 0);
    test_reply_release(&rest);
    CU_ASSERT_EQUAL(status_of("HEAD", id, "/results", NULL), 200);
    CU_ASSERT_EQUAL(status_of("GET", id, "/results?from=-1", NULL), 400);
    CU_ASSERT_EQUAL(status_of("GET", id, "/results?from=", NULL), 400);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_job_images_total{outcome=\"ok\"} "), 2);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_job_images_total{outcome=\"failed\"} "), 2);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_jobs{state=\"done\"} "), 1);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_memory_reserved_bytes "), 0);
    CU_ASSERT_EQUAL(status_of("DELETE", id, "", NULL), 204);
    /* Connections that the server has not closed yet count too. */
    double now = test_metric(&service.server, "\nprocess_open_fds ");
    for (int i = 0; i < 300 && now > open_files; i++) {
        usleep(10000);
        now = test_metric(&service.server, "\nprocess_open_fds ");
    }
    CU_ASSERT(now <= open_files);
    CU_ASSERT_EQUAL(post("{\"folder\": \"none/\"}", NULL, id), 202);
    CU_ASSERT(reaches(id, "done", 0));
    test_service_close(&service);
}

static void refuses_what_it_cannot_do(void)
{
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"", 400},
        {"{", 400},
        {"[]", 400},
        {"{}", 400},
        {"{\"folder\": 1}", 400},
        {"{\"folder\": \"\"}", 400},
        {"{\"folder\": \"/etc\"}", 400},
        {"{\"folder\": \"..\"}", 400},
        {"{\"folder\": \"zoo/../..\"}", 400},
        {"{\"folder\": \"zoo\\u0000\"}", 400},
        {"{\"folder\": \"zoo\", \"folder\": \"zoo\"}", 400},
        {"{\"folder\": \"zoo\", \"top_k\": 0}", 400},
        {"{\"folder\": \"zoo\", \"nothing\": 1}", 400},
        {"{\"folder\": \"zoo\", \"class\": \"unicorn\"}", 400},
        {"{\"folder\": \"zoo\", \"map_scales\": [1, 1.8, 1.9, 2], \"map_flip\": true}", 400},
        {"{\"folder\": \"zoo\", \"model\": \"none\"}", 404},
        {"{\"folder\": \"zoo/a.jpg\"}", 404},
        {"{\"folder\": \"gone\"}", 404},
        {"{\"folder\": \"out\"}", 404},
    };
    char *large = adl_calloc(20000, 1);

    if (!open_service("jobs_refused", NULL))
        return;
    CU_ASSERT_EQUAL(symlink("/", scratch_path("in/out")), 0);
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        int status = post(cases[i].body, NULL, NULL);
        if (status != cases[i].status)
            TEST_FAIL("%s gives %d", cases[i].body, status);
    }
    memset(large, ' ', 19999);
    CU_ASSERT_EQUAL(post(large, NULL, NULL), 413);
    adl_free(large);
    struct test_reply reply =
        test_post(&service.server, "/jobs", "Content-Type: text/plain\r\n", "{}", 2);
    CU_ASSERT_EQUAL(reply.status, 415);
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/jobs", NULL);
    CU_ASSERT(reply.body && !strcmp(reply.body, "{\"jobs\":[]}\n"));
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(status_of("GET", "0123456789abcdef0123456789abcdef", "", NULL), 404);
    CU_ASSERT_EQUAL(status_of("DELETE", "x", "", NULL), 404);
    CU_ASSERT_EQUAL(status_of("GET", "x", "/results", NULL), 404);
    test_service_close(&service);
}

static void jobs_are_cancelled_and_bounded(void)
{
    char running[40], queued[40], third[40];

    if (!open_service("jobs_bounds", (const char *const[]){"--max-jobs", "2", NULL}))
        return;
    CU_ASSERT_EQUAL(post("{\"folder\": \"many\"}", NULL, running), 202);
    CU_ASSERT(reaches(running, "running", 1));
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", NULL, queued), 202);
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", NULL, third), 429);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_jobs{state=\"queued\"} "), 1);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_jobs{state=\"running\"} "), 1);
    json_t *job = describe(running);
    CU_ASSERT_EQUAL(member(job, "images"), 300);
    CU_ASSERT_TRUE(json_is_real(json_object_get(job, "seconds_left")));
    json_decref(job);
    /* The one that waits is cancelled at once, and makes room for another. */
    CU_ASSERT_EQUAL(status_of("DELETE", queued, "", NULL), 200);
    CU_ASSERT(reaches(queued, "cancelled", 0));
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", NULL, third), 202);
    CU_ASSERT_EQUAL(status_of("GET", queued, "", NULL), 404);
    /* The one that runs keeps what it has answered, and the next begins. */
    CU_ASSERT_EQUAL(status_of("DELETE", running, "", NULL), 200);
    CU_ASSERT(reaches(running, "cancelled", 1));
    CU_ASSERT(reaches(third, "done", 4));
    job = describe(running);
    CU_ASSERT(member(job, "done") < 300);
    json_decref(job);
    struct test_reply reply = ask("GET", running, "/results", NULL);
    CU_ASSERT(reply.status == 200 && reply.length > 0 && reply.body[reply.length - 1] == '\n');
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(status_of("DELETE", running, "", NULL), 204);
    CU_ASSERT_EQUAL(status_of("DELETE", running, "", NULL), 404);
    CU_ASSERT_EQUAL(status_of("GET", running, "/results", NULL), 404);
    test_service_close(&service);
}

/* With a queue of one, a client is never refused for the pictures of a job. */
static void a_job_takes_no_place_in_the_queue(void)
{
    char id[40];

    if (!open_service("jobs_background", (const char *const[]){"--queue", "1", NULL}))
        return;
    CU_ASSERT_EQUAL(post("{\"folder\": \"many\"}", NULL, id), 202);
    CU_ASSERT(reaches(id, "running", 1));
    for (int i = 0; i < 12; i++) {
        struct test_reply reply =
            test_post(&service.server, "/localize", "Content-Type: image/jpeg\r\n", service.jpeg,
                      service.jpeg_length);
        if (reply.status != 200)
            TEST_FAIL("the answer to request %d is %d: %.300s", i, reply.status,
                      reply.body ? reply.body : "");
        test_reply_release(&reply);
    }
    /* The job has gone on, or goes on now. */
    json_t *job = wait_for(id, "running", 2);
    json_decref(job);
    uint64_t begin = adl_clock_ns();
    test_service_close(&service);
    /* SIGTERM does not wait for the folder. */
    CU_ASSERT(adl_clock_ms(begin, adl_clock_ns()) < 15000);
    char *log = test_server_log(&service.server);
    CU_ASSERT(log && strstr(log, "\"state\":\"cancelled\"") && !strstr(log, "hangs"));
    free(log);
}

static void a_token_sees_its_own(void)
{
    static const char first[] = "Authorization: Bearer secret-1\r\n";
    static const char second[] = "Authorization: Bearer secret-2\r\n";
    char tokens[700], id[40];
    const char *more[] = {"--token-file", tokens, NULL};

    scratch_open("jobs_tokens", NULL);
    FILE *file = scratch_file("tokens", "w");
    fputs("secret-1\nsecret-2\nsecret-3 rights=models\n", file);
    fclose(file);
    snprintf(tokens, sizeof tokens, "%s", scratch_path("tokens"));
    if (!open_service("jobs_tokens", more))
        return;
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", NULL, NULL), 401);
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", "Authorization: Bearer secret-3\r\n", NULL), 403);
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", first, id), 202);
    CU_ASSERT_EQUAL(strlen(id), ADL_FOLDER_JOB_ID_BYTES);
    CU_ASSERT_EQUAL(status_of("GET", id, "", first), 200);
    CU_ASSERT_EQUAL(status_of("GET", id, "", second), 404);
    CU_ASSERT_EQUAL(status_of("GET", id, "/results", second), 404);
    CU_ASSERT_EQUAL(status_of("DELETE", id, "", second), 404);
    CU_ASSERT_EQUAL(status_of("GET", id, "/results", first), 200);
    struct test_reply reply = test_get(&service.server, "GET", "/jobs", second);
    CU_ASSERT(reply.body && !strcmp(reply.body, "{\"jobs\":[]}\n"));
    test_reply_release(&reply);
    reply = test_get(&service.server, "GET", "/jobs", first);
    CU_ASSERT(reply.body && strstr(reply.body, id));
    test_reply_release(&reply);
    test_service_close(&service);
}

/* Returns the version in the last line; "" where there is none. */
static void last_version(const char *id, char version[20])
{
    struct test_reply reply = ask("GET", id, "/results", NULL);
    const char *at = NULL, *next = reply.body;

    while (next && (next = strstr(next, "\"model_version\":\"")))
        at = next += strlen("\"model_version\":\"");
    snprintf(version, 20, "%.12s", at ? at : "");
    test_reply_release(&reply);
}

static void a_reloaded_model_answers_from_then_on(void)
{
    char model[720], id[40], before[20], after[20];
    const char *more[] = {"--model", model, NULL};
    uint64_t begin;

    scratch_open("jobs_reload", NULL);
    snprintf(model, sizeof model, "b=%s", scratch_path("b.safetensors"));
    test_model_variant(model + 2, 0.3);
    if (!open_service("jobs_reload", more))
        return;
    /* Short work, and enough of it for any machine. */
    for (int i = 0; i < 3000; i++)
        CU_ASSERT_EQUAL(link(scratch_path("in/zoo/a.jpg"), scratch_path("in/none/%04d.jpg", i)), 0);
    CU_ASSERT_EQUAL(post("{\"folder\": \"none\", \"model\": \"b\"}", NULL, id), 202);
    CU_ASSERT(reaches(id, "running", 1));
    last_version(id, before);
    test_model_variant(scratch_path("new.safetensors"), 0.6);
    CU_ASSERT_EQUAL(rename(scratch_path("new.safetensors"), model + 2), 0);
    test_server_signal(&service.server, SIGHUP);
    begin = adl_clock_ns();
    do {
        usleep(20000);
        last_version(id, after);
    } while (!strcmp(before, after) && adl_clock_ms(begin, adl_clock_ns()) < 4 * WAIT_MS);
    CU_ASSERT_EQUAL(strlen(after), 12);
    CU_ASSERT_STRING_NOT_EQUAL(before, after);
    CU_ASSERT(reaches(id, "running", 2));
    test_service_close(&service);
}

static void a_job_without_a_disk_has_failed(void)
{
    char id[40];

    setenv("TMPDIR", "/proc", 1);
    bool opened = open_service("jobs_disk", NULL);
    unsetenv("TMPDIR");
    if (!opened)
        return;
    CU_ASSERT_EQUAL(post("{\"folder\": \"zoo\"}", NULL, id), 202);
    json_t *job = wait_for(id, "failed", 0);
    const char *error = json_string_value(json_object_get(job, "error"));
    CU_ASSERT(error && strstr(error, "TMPDIR"));
    json_decref(job);
    CU_ASSERT_EQUAL(status_of("GET", id, "/results", NULL), 200);
    test_service_close(&service);
}

/* Without a thread, so that every allocation of the test is one of a request. */
static void every_allocation_may_fail(void)
{
    struct adl_params params = {.top_k = 1};
    json_t *parameters = json_object();
    const struct adl_folder_job_request request = {
        .owner = "", .folder = ".", .params = &params, .parameters = parameters};
    char id[ADL_FOLDER_JOB_ID_BYTES + 1];
    const size_t before = adl_mem_stats().live_blocks;
    bool done = false;

    for (unsigned nth = 1; !done && nth < 100; nth++) {
        struct adl_error err = {0};
        unsigned wait_s;
        json_t *job = NULL;
        adl_mem_fail_nth(nth);
        struct adl_folder_jobs *jobs = adl_folder_jobs_open(NULL, test_tmp_dir(), 2, &err);
        enum adl_problem problem =
            jobs ? adl_folder_jobs_add(jobs, &request, &job, id, &wait_s, &err)
                 : ADL_PROBLEM_OUT_OF_MEMORY;
        adl_mem_fail_nth(0);
        done = problem == ADL_PROBLEM_NONE;
        CU_ASSERT(done ? job != NULL : problem == ADL_PROBLEM_OUT_OF_MEMORY && !job);
        json_decref(job);
        adl_folder_jobs_free(jobs);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
    }
    CU_ASSERT(done);
    json_decref(parameters);
}

static void without_the_option_there_is_nothing(void)
{
    if (!test_service_open(&service, 200, 120, NULL))
        return;
    CU_ASSERT_EQUAL(post("{\"folder\": \".\"}", NULL, NULL), 404);
    struct test_reply reply = test_get(&service.server, "GET", "/jobs", NULL);
    CU_ASSERT_EQUAL(reply.status, 404);
    test_reply_release(&reply);
    CU_ASSERT_EQUAL(test_metric(&service.server, "\nadl_jobs{state=\"done\"} "), -1);
    test_service_close(&service);
    char error[200];
    const char *arguments[] = {"serve", "--model", test_small_model(), "--jobs", "/no/such", NULL};
    CU_ASSERT_EQUAL(test_program_run(arguments, error, sizeof error), 1);
    if (!strstr(error, "--jobs: /no/such"))
        TEST_FAIL("it said: %s", error);
}

TEST_SUITE(server_jobs, {"lines are the answers of localize", lines_are_the_answers_of_localize},
           {"refuses what it cannot do", refuses_what_it_cannot_do},
           {"jobs are cancelled and bounded", jobs_are_cancelled_and_bounded},
           {"a job takes no place in the queue", a_job_takes_no_place_in_the_queue},
           {"a token sees its own", a_token_sees_its_own},
           {"a reloaded model answers from then on", a_reloaded_model_answers_from_then_on},
           {"a job without a disk has failed", a_job_without_a_disk_has_failed},
           {"every allocation may fail", every_allocation_may_fail},
           {"without the option there is nothing", without_the_option_there_is_nothing});
