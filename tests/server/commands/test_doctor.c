/* `doctor` where something is really broken, and the memory limits of control groups. */

#include "support/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "support/command_run.h"
#include "support/http_client.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

/* Runs `doctor --json` after shell commands, with arguments; returns the report. */
static json_t *examine(const char *before, const char *arguments, int status)
{
    char line[1200];

    snprintf(line, sizeof line,
             "%s; exec \"$0\" doctor --json --model '%s' --listen 127.0.0.1:0 %s", before,
             test_small_model(), arguments);
    struct command_result result =
        command_run((const char *[]){"/bin/sh", "-c", line, program_path(), NULL});
    json_t *json = json_loads(result.out, 0, NULL);
    if (result.status != status || !json)
        TEST_FAIL("%s: status %d: %s%s", line, result.status, result.out, result.err);
    const char *whole = json_string_value(json_object_get(json, "status"));
    CU_ASSERT_EQUAL(whole && !strcmp(whole, "fail"), status == 1);
    command_release(&result);
    return json;
}

/* Checks that a finding of a check has this status, these words and, unless it is ok, a hint. */
static void expect(json_t *report, const char *check, const char *status, const char *words)
{
    json_t *one;
    size_t index;

    json_array_foreach(json_object_get(report, "checks"), index, one)
    {
        const char *name = json_string_value(json_object_get(one, "check"));
        const char *got = json_string_value(json_object_get(one, "status"));
        const char *message = json_string_value(json_object_get(one, "message"));
        if (strcmp(name, check) != 0 || strcmp(got, status) != 0 || !strstr(message, words))
            continue;
        CU_ASSERT_EQUAL(json_is_string(json_object_get(one, "hint")), strcmp(status, "ok") != 0);
        json_decref(report);
        return;
    }
    char *text = json_dumps(report, 0);
    TEST_FAIL("no %s of %s with \"%s\" in %s", status, check, words, text);
    free(text);
    json_decref(report);
}

static void finds_nothing_on_a_good_machine(void)
{
    static const char *const names[] = {"processor", "threads", "blas",    "libraries", "files",
                                        "memory",    "model",   "address", "systemd",   "time"};
    if (!program_exists())
        return;
    json_t *report = examine("unset ADL_CPU NOTIFY_SOCKET", "", 0), *one;
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        bool found = false;
        size_t index;
        json_array_foreach(json_object_get(report, "checks"), index, one) found |=
            !strcmp(json_string_value(json_object_get(one, "check")), names[i]);
        if (!found)
            TEST_FAIL("no line about %s", names[i]);
    }
    json_decref(report);
    struct command_result text =
        RUN("doctor", "--model", test_small_model(), "--listen", "127.0.0.1:0");
    CU_ASSERT_EQUAL(text.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text.out, "ok    model        "));
    CU_ASSERT_PTR_NULL(strstr(text.out, "\033"));
    CU_ASSERT_STRING_EQUAL(text.err, "");
    command_release(&text);
}

static void finds_a_port_that_is_taken(void)
{
    char arguments[100];
    int port, fd;

    if (!program_exists())
        return;
    fd = test_listen(&port);
    snprintf(arguments, sizeof arguments, "--listen 127.0.0.1:%d", port);
    expect(examine("true", arguments, 1), "address", "fail", "in use");
    close(fd);
    expect(examine("true", arguments, 0), "address", "ok", "is free");
    expect(examine("true", "--listen nonsense", 1), "address", "fail", "nonsense");
}

/* A model that is cut short, and one of which the weights are no numbers. */
static void finds_a_broken_model(void)
{
    struct adl_error err = {0};
    char arguments[400];
    size_t length;
    unsigned char *bytes;

    if (!program_exists())
        return;
    bytes = adl_file_read(test_small_model(), 100 << 20, &length, &err);
    TEST_OK(bytes ? 0 : -1, &err);
    for (int i = 0; i < 2; i++) {
        const char *path = command_path(i ? "nan.safetensors" : "short.safetensors");
        const struct adl_file_piece piece = {bytes, i ? length : length / 2};
        if (i)
            memset(bytes + length - length / 4, 0xFF, length / 4);
        TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
        snprintf(arguments, sizeof arguments, "--model '%s'", path);
        expect(examine("true", arguments, 1), "model", "fail", path);
    }
    adl_free(bytes);
    expect(examine("true", "--model /no/such/model", 1), "model", "fail", "/no/such/model");
}

static void finds_directories_that_cannot_be_used(void)
{
    char arguments[400];

    if (!program_exists())
        return;
    snprintf(arguments, sizeof arguments, "--annotations '%s' --runs '%s'", test_tmp_dir(),
             test_tmp_dir());
    expect(examine("true", arguments, 0), "annotations", "ok", "written");
    expect(examine("true", arguments, 0), "runs", "ok", "read");
    expect(examine("true", "--annotations /no/such", 1), "annotations", "fail", "No such");
    expect(examine("true", "--runs /no/such", 1), "runs", "fail", "No such");
    expect(examine("true", "--runs /dev/null", 1), "runs", "fail", "not a directory");
    snprintf(arguments, sizeof arguments, "--jobs '%s'", test_tmp_dir());
    expect(examine("true", arguments, 0), "jobs", "ok", "read");
    expect(examine("export TMPDIR=/proc", arguments, 1), "jobs", "fail", "no file");
    expect(examine("true", "--jobs /no/such", 1), "jobs", "fail", "No such");
    /* Nobody, not even root, makes files there. */
    expect(examine("true", "--annotations /proc", 1), "annotations", "fail", "no file");
    expect(examine("true", "--runs /proc", 0), "runs", "ok", "read");
}

static void finds_limits_that_are_too_low(void)
{
    if (!program_exists())
        return;
    expect(examine("ulimit -n 40", "", 1), "files", "fail", "40");
    expect(examine("ulimit -n 500", "", 0), "files", "warn", "500");
    /* AddressSanitizer reserves terabytes of addresses. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    expect(examine("ulimit -v 1000000", "", 0), "memory", "warn", "976 MiB");
#endif
}

static void finds_a_wrong_environment(void)
{
    if (!program_exists())
        return;
    expect(examine("export ADL_CPU=sse9", "", 1), "processor", "fail", "sse9");
    expect(examine("export NOTIFY_SOCKET=/no/such", "", 1), "systemd", "fail", "/no/such");
}

TEST_SUITE(doctor, {"finds nothing on a good machine", finds_nothing_on_a_good_machine},
           {"finds a port that is taken", finds_a_port_that_is_taken},
           {"finds a broken model", finds_a_broken_model},
           {"finds directories that cannot be used", finds_directories_that_cannot_be_used},
           {"finds limits that are too low", finds_limits_that_are_too_low},
           {"finds a wrong environment", finds_a_wrong_environment});
