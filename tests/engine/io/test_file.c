/* io/file: reading and replacing whole files. */

#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"

static char path_buffer[4096];

static const char *in_tmp(const char *name)
{
    snprintf(path_buffer, sizeof path_buffer, "%s/%s", test_tmp_dir(), name);
    return path_buffer;
}

static int write_text(const char *path, const char *text, struct adl_error *err)
{
    size_t half = strlen(text) / 2;
    struct adl_file_piece pieces[] = {{text, half}, {NULL, 0}, {text + half, strlen(text) - half}};
    return adl_file_write(path, pieces, 3, err);
}

static void expect_text(const char *path, const char *text)
{
    struct adl_error err = {0};
    size_t length = 0;
    char *data = adl_file_read(path, 1000000, &length, &err);
    if (!data)
        TEST_FAIL("%s", err.message);
    else if (length != strlen(text) || memcmp(data, text, length + 1))
        TEST_FAIL("%s holds something else", path);
    adl_free(data);
}

static void round_trip_replaces_in_one_step(void)
{
    struct adl_error err = {0};
    struct stat info;
    char path[4096], temporary[4200];
    snprintf(path, sizeof path, "%s", in_tmp("round"));
    snprintf(temporary, sizeof temporary, "%s.tmp", path);

    TEST_OK(write_text(path, "first", &err), &err);
    expect_text(path, "first");
    CU_ASSERT_EQUAL(chmod(path, 0640), 0);
    TEST_OK(write_text(path, "the second content", &err), &err);
    expect_text(path, "the second content");
    CU_ASSERT_EQUAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0640);
    TEST_OK(write_text(path, "", &err), &err);
    expect_text(path, "");
    CU_ASSERT_NOT_EQUAL(access(temporary, F_OK), 0);
}

static void link_stays_and_device_is_not_replaced(void)
{
    struct adl_error err = {0};
    struct stat info;
    char path[4096], link_path[4096];
    snprintf(path, sizeof path, "%s", in_tmp("target"));
    snprintf(link_path, sizeof link_path, "%s", in_tmp("link"));
    TEST_OK(write_text(path, "old", &err), &err);
    CU_ASSERT_EQUAL(symlink(path, link_path), 0);
    TEST_OK(write_text(link_path, "new", &err), &err);
    expect_text(path, "new");
    CU_ASSERT(lstat(link_path, &info) == 0 && S_ISLNK(info.st_mode));
    TEST_OK(write_text("/dev/null", "nothing", &err), &err);
    CU_ASSERT(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
}

static void expect_read_error(const char *path, size_t limit, enum adl_error_kind kind)
{
    struct adl_error err = {0};
    size_t length;
    void *data = adl_file_read(path, limit, &length, &err);
    CU_ASSERT_PTR_NULL(data);
    CU_ASSERT_EQUAL(err.kind, kind);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, path));
    adl_free(data);
}

static void failures_name_the_file(void)
{
    struct adl_error err = {0};
    expect_read_error(in_tmp("absent"), 10, ADL_ERR_NOT_FOUND);
    expect_read_error(test_tmp_dir(), 10, ADL_ERR_IO);
    expect_read_error("/dev/zero", 1000, ADL_ERR_LIMIT);
    TEST_OK(write_text(in_tmp("ten"), "0123456789", &err), &err);
    expect_read_error(in_tmp("ten"), 9, ADL_ERR_LIMIT);
    size_t length;
    void *data = adl_file_read(in_tmp("ten"), 10, &length, &err);
    CU_ASSERT(data && length == 10);
    adl_free(data);
    CU_ASSERT_EQUAL(write_text(in_tmp("no/such/folder"), "x", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
    adl_error_clear(&err);
    /* The old content survives a write that fails. */
    char full[4096 + sizeof ".tmp"];
    snprintf(full, sizeof full, "%s.tmp", in_tmp("ten"));
    CU_ASSERT_EQUAL(mkdir(full, 0755), 0);
    CU_ASSERT_EQUAL(write_text(in_tmp("ten"), "lost", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
    expect_text(in_tmp("ten"), "0123456789");
    adl_error_clear(&err);
    CU_ASSERT_EQUAL(write_text("/dev/full", "x", &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
}

/* A pipe in place of standard input or output, filled from a file. */
static void dash_is_a_stream(void)
{
    struct adl_error err = {0};
    size_t size = 300000, length = 0;
    char *big = malloc(size + 1), *data;
    memset(big, 'b', size);
    big[size] = '\0';

    fflush(stdout);
    int saved_out = dup(STDOUT_FILENO), saved_in = dup(STDIN_FILENO);
    int out = open(in_tmp("stream"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(out, STDOUT_FILENO);
    int result = write_text("-", big, &err);
    dup2(saved_out, STDOUT_FILENO);
    close(out);
    close(saved_out);
    TEST_OK(result, &err);
    expect_text(in_tmp("stream"), big);

    char command[4200];
    snprintf(command, sizeof command, "cat '%s'", in_tmp("stream"));
    FILE *pipe = popen(command, "r");
    dup2(fileno(pipe), STDIN_FILENO);
    data = adl_file_read("-", size, &length, &err);
    dup2(saved_in, STDIN_FILENO);
    close(saved_in);
    pclose(pipe);
    CU_ASSERT(data && length == size && !memcmp(data, big, size + 1));
    adl_free(data);
    free(big);
}

static void survives_no_memory(void)
{
    struct adl_error err = {0};
    size_t length, before = adl_mem_stats().live_blocks;
    TEST_OK(write_text(in_tmp("memory"), "text", &err), &err);
    adl_mem_fail_nth(1);
    void *data = adl_file_read(in_tmp("memory"), 10, &length, &err);
    adl_mem_fail_nth(0);
    CU_ASSERT_PTR_NULL(data);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
    adl_free(data);
}

TEST_SUITE(file, {"a round trip replaces in one step", round_trip_replaces_in_one_step},
           {"a link stays and a device is not replaced", link_stays_and_device_is_not_replaced},
           {"failures name the file", failures_name_the_file},
           {"a dash is a stream", dash_is_a_stream}, {"survives no memory", survives_no_memory});
