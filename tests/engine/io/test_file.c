/* io/file: reading and replacing whole files. */

#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

/* The number of names in the test's directory that contain `part`, hidden ones too. */
static int names_with(const char *part)
{
    int count = 0;
    const struct dirent *entry;
    DIR *directory = opendir(test_tmp_dir());
    CU_ASSERT_FATAL(directory != NULL);
    while ((entry = readdir(directory)))
        count += strstr(entry->d_name, part) != NULL;
    closedir(directory);
    return count;
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
    char path[4096];
    snprintf(path, sizeof path, "%s", in_tmp("one-step"));

    mode_t mask = umask(027);
    TEST_OK(write_text(path, "first", &err), &err);
    umask(mask);
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0640);
    expect_text(path, "first");
    CU_ASSERT_EQUAL(chmod(path, 0604), 0);
    TEST_OK(write_text(path, "the second content", &err), &err);
    expect_text(path, "the second content");
    CU_ASSERT_EQUAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0604);
    TEST_OK(write_text(path, "", &err), &err);
    expect_text(path, "");
    CU_ASSERT_EQUAL(names_with("one-step"), 1);
}

/* A user may have files of any name beside the one that is written, and its name may be as
 * long as the file system allows. */
static void other_files_stay(void)
{
    struct adl_error err = {0};
    char long_name[256];
    TEST_OK(write_text(in_tmp("m.onnx.tmp"), "the user's own", &err), &err);
    TEST_OK(write_text(in_tmp("m.onnx"), "a model", &err), &err);
    expect_text(in_tmp("m.onnx"), "a model");
    expect_text(in_tmp("m.onnx.tmp"), "the user's own");
    CU_ASSERT_EQUAL(names_with("m.onnx"), 2);
    memset(long_name, 'n', 255);
    long_name[255] = '\0';
    TEST_OK(write_text(in_tmp(long_name), "long", &err), &err);
    expect_text(in_tmp(long_name), "long");

    /* What a killed process left goes on demand, and nothing else. */
    static const char *const kept[] = {".m.onnx.tmp", ".m.onnx.0123456789abcde.tmp",
                                       ".m.onnx.0123456789abcdeX.tmp",
                                       ".n.onnx.0123456789abcdef.tmp"};
    for (size_t i = 0; i < 4; i++)
        TEST_OK(write_text(in_tmp(kept[i]), "kept", &err), &err);
    TEST_OK(write_text(in_tmp(".m.onnx.0123456789abcdef.tmp"), "left", &err), &err);
    adl_file_remove_leftovers(in_tmp("m.onnx"));
    CU_ASSERT_NOT_EQUAL(access(in_tmp(".m.onnx.0123456789abcdef.tmp"), F_OK), 0);
    for (size_t i = 0; i < 4; i++)
        expect_text(in_tmp(kept[i]), "kept");
}

enum { CONTENT = 100000, WRITES = 30 };

/* Writes the same path again and again, filled with the letter; returns NULL if all went
 * well. */
static void *write_often(void *letter)
{
    struct adl_error err = {0};
    char *text = malloc(CONTENT + 1), path[4096];
    snprintf(path, sizeof path, "%s/shared", test_tmp_dir());
    memset(text, *(const char *)letter, CONTENT);
    text[CONTENT] = '\0';
    int failed = 0;
    for (int i = 0; i < WRITES; i++)
        failed |= write_text(path, text, &err);
    free(text);
    return failed ? letter : NULL;
}

/* Two writers of one path at a time: whoever reads sees the content of one of them. */
static void two_writers_do_not_collide(void)
{
    struct adl_error err = {0};
    char letters[] = "ab";
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, write_often, &letters[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CU_ASSERT_PTR_NULL(failed);
    }
    size_t length = 0;
    char *data = adl_file_read(in_tmp("shared"), 1000000, &length, &err);
    CU_ASSERT(data && length == CONTENT && strspn(data, (char[]){*data, 0}) == CONTENT);
    adl_free(data);
    CU_ASSERT_EQUAL(names_with("shared"), 1);
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
    struct rlimit limit, small = {.rlim_cur = 2};
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small.rlim_max = limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    int result = write_text(in_tmp("ten"), "lost", &err);
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_DFL);
    CU_ASSERT_EQUAL(result, -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
    CU_ASSERT_EQUAL(names_with(".ten."), 0);
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
           {"other files stay", other_files_stay},
           {"two writers do not collide", two_writers_do_not_collide},
           {"a link stays and a device is not replaced", link_stays_and_device_is_not_replaced},
           {"failures name the file", failures_name_the_file},
           {"a dash is a stream", dash_is_a_stream}, {"survives no memory", survives_no_memory});
