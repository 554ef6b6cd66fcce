#include "support/scratch.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "support/test.h"

static char root[300];
static int real_stderr;

void scratch_open(const char *name, const char *const *subdirectories)
{
    snprintf(root, sizeof root, "%s/%s", test_tmp_dir(), name);
    mkdir(root, 0777);
    for (; subdirectories && *subdirectories; subdirectories++)
        mkdir(scratch_path("%s", *subdirectories), 0777);
}

const char *scratch_root(void)
{
    return root;
}

const char *scratch_path(const char *fmt, ...)
{
    static char paths[5][700];
    static unsigned turn;
    char *path = paths[turn++ % 5];
    va_list args;

    int used = snprintf(path, sizeof paths[0], "%s/", root);
    va_start(args, fmt);
    vsnprintf(path + used, sizeof paths[0] - (size_t)used, fmt, args);
    va_end(args);
    return path;
}

FILE *scratch_file(const char *path, const char *mode)
{
    FILE *file = fopen(scratch_path("%s", path), mode);
    CU_ASSERT_FATAL(file != NULL);
    return file;
}

void scratch_append(const char *path, const char *fmt, ...)
{
    FILE *file = scratch_file(path, "a");
    va_list args;

    va_start(args, fmt);
    vfprintf(file, fmt, args);
    va_end(args);
    fclose(file);
}

void scratch_stderr_begin(void)
{
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    int file = open(scratch_path("stderr"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(file, STDERR_FILENO);
    close(file);
}

char *scratch_stderr_end(void)
{
    struct adl_error err = {0};

    fflush(stderr);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    char *text = adl_file_read(scratch_path("stderr"), 1 << 20, NULL, &err);
    if (!text)
        TEST_FAIL("%s", err.message);
    CU_ASSERT_FATAL(text != NULL);
    return text;
}
