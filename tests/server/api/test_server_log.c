/* `serve --access-log`: a line for each request, in JSON with the times of the stages or in the
 * combined format; the file is opened again on SIGUSR1, and one that cannot be written holds
 * nobody. */

#include "support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define IMAGE "Content-Type: image/jpeg\r\n"

static struct test_service service;

static bool open_service(const char *path, const char *format, const char *token_file)
{
    const char *more[] = {"--access-log", path, "--access-log-format", format, NULL, NULL, NULL};

    if (token_file) {
        more[4] = "--token-file";
        more[5] = token_file;
    }
    return test_service_open(&service, 64, 48, more);
}

/* The text of a file; "" if there is none. Owned by the caller. */
static char *text_of(const char *path)
{
    struct adl_error err = {0};
    char *text = access(path, F_OK) == 0 ? adl_file_read(path, 1 << 20, NULL, &err) : NULL;
    return text ? text : adl_strdup("");
}

/* The lines of a file whose path is `path`: the last one, and how many there are. */
static json_t *last_with(const char *file, const char *path, int *count)
{
    char *text = text_of(file), *save = NULL;
    json_t *last = NULL;

    *count = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *of = json_string_value(json_object_get(json, "path"));
        if (!json)
            TEST_FAIL("no JSON: %s", line);
        if (of && !strcmp(of, path)) {
            ++*count;
            json_decref(last);
            last = json_incref(json);
        }
        json_decref(json);
    }
    adl_free(text);
    return last;
}

/* Waits until the file has a line about the path. */
static json_t *wait_for(const char *file, const char *path)
{
    json_t *json = NULL;
    int count;

    for (int i = 0; i < 500 && !(json = last_with(file, path, &count)); i++)
        poll(NULL, 0, 10);
    return json;
}

static double number(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);
    return json_is_number(value) ? json_number_value(value) : -1;
}

static void get(const char *path)
{
    struct test_reply reply = test_get(&service.server, "GET", path, NULL);
    test_reply_release(&reply);
}

static void has_the_times_of_the_stages(void)
{
    static const char *const stages[] = {"decode", "queue", "inference", "postprocess", "encode"};
    double sum = 0;

    scratch_open("access", NULL);
    unlink(scratch_path("log"));
    if (!open_service(scratch_path("log"), "json", NULL))
        return;
    struct test_reply reply = test_post(&service.server, "/localize", IMAGE "X-Request-Id: me\r\n",
                                        service.jpeg, service.jpeg_length);
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    json_t *line = wait_for(scratch_path("log"), "/localize");
    const json_t *ms = json_object_get(line, "stages_ms");
    for (size_t i = 0; i < ADL_COUNT(stages); i++) {
        CU_ASSERT(number(ms, stages[i]) >= 0);
        sum += number(ms, stages[i]);
    }
    CU_ASSERT_EQUAL(json_object_size(ms), ADL_COUNT(stages));
    CU_ASSERT(number(ms, "inference") > 0 && sum <= number(line, "duration_ms"));
    CU_ASSERT(number(line, "batch") == 1 && number(line, "ahead") == 0);
    CU_ASSERT(number(line, "status") == 200 &&
              number(line, "bytes_in") == (double)service.jpeg_length);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(line, "request_id")), "me");
    json_decref(line);
    get("/nope");
    line = wait_for(scratch_path("log"), "/nope");
    CU_ASSERT(number(line, "status") == 404 && !json_object_get(line, "stages_ms"));
    json_decref(line);
    /* U+009B is the beginning of a command to some terminals. */
    get("/%C2%9B31m%7F\xc3\xa9");
    line = wait_for(scratch_path("log"), "/??31m?\xc3\xa9");
    CU_ASSERT_PTR_NOT_NULL(line);
    json_decref(line);
    test_service_close(&service);
    char *log = test_server_log(&service.server);
    CU_ASSERT(strstr(log, "\"ready\"") && !strstr(log, "\"event\":\"request\""));
    free(log);
}

/* An unparsable picture has gone through the first stage alone. */
static void says_what_was_not_computed(void)
{
    scratch_open("access", NULL);
    unlink(scratch_path("log"));
    if (!open_service(scratch_path("log"), "json", NULL))
        return;
    struct test_reply reply =
        test_post(&service.server, "/localize", IMAGE, service.jpeg, service.jpeg_length / 2);
    CU_ASSERT_EQUAL(reply.status, 422);
    test_reply_release(&reply);
    json_t *line = wait_for(scratch_path("log"), "/localize");
    CU_ASSERT(number(line, "batch") == 0);
    CU_ASSERT(number(json_object_get(line, "stages_ms"), "inference") == 0);
    json_decref(line);
    test_service_close(&service);
}

static void opens_the_file_again(void)
{
    char path[300], moved[300];
    int before, after;

    scratch_open("access", NULL);
    snprintf(path, sizeof path, "%s", scratch_path("log"));
    snprintf(moved, sizeof moved, "%s", scratch_path("log.1"));
    unlink(path);
    if (!open_service(path, "json", NULL))
        return;
    for (int i = 0; i < 5; i++)
        get("/counted");
    json_decref(wait_for(path, "/counted"));
    CU_ASSERT_EQUAL(rename(path, moved), 0);
    get("/counted"); /* still goes to the old one, or to the new one if that is there already */
    test_server_signal(&service.server, SIGUSR1);
    for (int i = 0; i < 500 && access(path, F_OK) < 0; i++)
        poll(NULL, 0, 10);
    get("/after");
    json_decref(wait_for(path, "/after"));
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    json_decref(last_with(moved, "/counted", &before));
    json_decref(last_with(path, "/counted", &after));
    CU_ASSERT_EQUAL(before + after, 6);
    json_decref(last_with(moved, "/after", &before));
    json_decref(last_with(path, "/after", &after));
    CU_ASSERT(before == 0 && after == 1);
    test_service_release(&service);
}

static void writes_the_combined_format(void)
{
    /* As the documentation of Apache's mod_log_config has it, with escapes for quotes. */
    static const char want[] =
        "^127\\.0\\.0\\.1 - app \\[[0-3][0-9]/[A-Z][a-z][a-z]/20[0-9][0-9]:[0-9:]{8} \\+0000\\] "
        "\"GET /models HTTP/1\\.1\" 200 [1-9][0-9]+ \"http://a\\.example/\" "
        "\"cu\\\\x22rl\\\\x5c/7\\\\xe4\"$";
    char path[300], tokens[300];
    regex_t pattern;

    scratch_open("access", NULL);
    snprintf(path, sizeof path, "%s", scratch_path("combined"));
    snprintf(tokens, sizeof tokens, "%s", scratch_path("tokens"));
    unlink(path);
    FILE *file = fopen(tokens, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("secret name=app\n", file);
    fclose(file);
    if (!open_service(path, "combined", tokens))
        return;
    struct test_reply reply =
        test_get(&service.server, "GET", "/models",
                 "Authorization: Bearer secret\r\nReferer: http://a.example/\r\n"
                 "User-Agent: cu\"rl\\/7\xe4\r\n");
    CU_ASSERT_EQUAL(reply.status, 200);
    test_reply_release(&reply);
    test_service_close(&service);
    char *text = text_of(path);
    CU_ASSERT_EQUAL_FATAL(regcomp(&pattern, want, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0);
    if (regexec(&pattern, text, 0, NULL, 0) != 0)
        TEST_FAIL("%s", text);
    regfree(&pattern);
    adl_free(text);
}

/* Nobody reads from the pipe: requests are answered, and their lines counted. */
static void does_not_wait_for_a_reader(void)
{
    enum { REQUESTS = 2000 };
    static const char dropped[] = "\nadl_log_lines_dropped_total{log=\"access\"} ";
    char path[300], target[300];

    scratch_open("access", NULL);
    snprintf(path, sizeof path, "%s", scratch_path("pipe"));
    unlink(path);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    const char *const refused[] = {"serve",    "--model",     test_small_model(),
                                   "--listen", "127.0.0.1:0", "--access-log",
                                   path,       NULL};
    char error[600];
    CU_ASSERT_EQUAL(test_program_run(refused, error, sizeof error), 1);
    CU_ASSERT(strstr(error, "nobody reads") != NULL);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (!open_service(path, "json", NULL))
        return;
    CU_ASSERT_EQUAL(test_metric(&service.server, dropped), 0);
    memset(target, 'a', sizeof target);
    target[250] = '\0';
    int fd = test_connect(&service.server);
    for (int i = 0; i < REQUESTS; i++) {
        test_send_text(fd, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
        if (test_next_status(fd) != 404)
            TEST_FAIL("request %d", i);
    }
    close(fd);
    CU_ASSERT(test_metric(&service.server, dropped) > 0);
    test_service_close(&service);
    close(reader);
}

TEST_SUITE(server_log, {"has the times of the stages", has_the_times_of_the_stages},
           {"says what was not computed", says_what_was_not_computed},
           {"opens the file again", opens_the_file_again},
           {"writes the combined format", writes_the_combined_format},
           {"does not wait for a reader", does_not_wait_for_a_reader});
