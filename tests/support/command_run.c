#include "support/command_run.h"

#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "models/file/save.h"
#include "support/test.h"

/* A path in the scratch directory, valid until the eighth call after this one. */
void command_says(int status, const char *part, const char *const *arguments)
{
    struct command_result result = command_run(arguments);
    if (result.status != status)
        TEST_FAIL("%s: exit status %d, not %d: %s", arguments[1], result.status, status,
                  result.err);
    if (!strstr(status ? result.err : result.out, part))
        TEST_FAIL("%s: \"%s%s\" does not say \"%s\"", arguments[1], result.out, result.err, part);
    command_release(&result);
}

const char *command_path(const char *name)
{
    static char paths[8][300];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_tmp_dir(), name);
    return path;
}

char *command_text(const char *path)
{
    struct adl_error err = {0};
    size_t length;
    char *text = adl_file_read(path, 64 << 20, &length, &err);
    if (!text)
        TEST_FAIL("%s", err.message);
    return text ? text : adl_strdup("");
}

struct command_result command_run(const char *const *argv)
{
    posix_spawn_file_actions_t files;
    struct command_result result = {.status = -1};
    char out[300], err[300];
    int status;
    pid_t pid;

    snprintf(out, sizeof out, "%s/stdout", test_tmp_dir());
    snprintf(err, sizeof err, "%s/stderr", test_tmp_dir());
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (posix_spawn(&pid, argv[0], &files, NULL, (char *const *)(uintptr_t)argv, environ) == 0 &&
        waitpid(pid, &status, 0) == pid && WIFEXITED(status))
        result.status = WEXITSTATUS(status);
    posix_spawn_file_actions_destroy(&files);
    result.out = command_text(out);
    result.err = command_text(err);
    return result;
}

void command_release(struct command_result *result)
{
    adl_free(result->out);
    adl_free(result->err);
}

size_t command_lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* Checks the exit status, and that stderr has one line on failure, none on success. */
void command_expect(struct command_result result, int status, const char *what)
{
    if (result.status != status)
        TEST_FAIL("%s: exit %d instead of %d: %s", what, result.status, status, result.err);
    if (command_lines(result.err) != (status ? 1 : 0))
        TEST_FAIL("%s: stderr has %zu lines: %s", what, command_lines(result.err), result.err);
    if (status && strncmp(result.err, "adl-server: ", 12) != 0)
        TEST_FAIL("%s: stderr is \"%s\"", what, result.err);
    command_release(&result);
}

struct adl_model *command_model(int num_classes, double width, int side)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    uint32_t state = 12345;

    adl_arch_init(&arch, adl_backbone_find("mobilenet_v1"));
    arch.num_classes = num_classes;
    arch.width = width;
    struct adl_model *model = adl_model_create(&arch, side, side, &err);
    if (!model) {
        TEST_FAIL("%s", err.message);
        return NULL;
    }
    for (int id = 0; id < adl_graph_param_count(model->graph); id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        float *data = adl_tensors_find(model->weights, param->name)->data;
        if (param->role != ADL_PARAM_CONV_WEIGHT && param->role != ADL_PARAM_LINEAR_WEIGHT)
            continue;
        double spread = sqrt(6.0 * (double)param->shape[0] / (double)param->count);
        for (size_t i = 0; i < param->count; i++) {
            state = state * 1664525 + 1013904223;
            data[i] = (float)(spread * (state / 2147483648.0 - 1));
        }
    }
    return model;
}

bool command_save_tiny(const char *path)
{
    struct adl_error err = {0};
    struct adl_model *model = command_model(3, 0.25, 64);
    int saved = model ? adl_model_save(model, path, &err) : -1;
    if (saved < 0)
        TEST_FAIL("%s", err.message);
    adl_model_free(model);
    return saved == 0;
}
