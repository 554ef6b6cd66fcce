/* `convert` as a user runs it. */

#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/command_run.h"
#include "support/test.h"

/* Saves the weights as PyTorch's DataParallel does, with a prefix and without a
 * description, and without the tensor `skip`. */
static void save_plain(const struct adl_model *model, const char *skip, const char *path)
{
    struct adl_error err = {0};
    struct adl_tensors *plain = adl_tensors_create(&err);
    for (size_t i = 0; plain && i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *from = adl_tensors_at(model->weights, i);
        char name[200];
        if (skip && !strcmp(from->name, skip))
            continue;
        snprintf(name, sizeof name, "module.%s", from->name);
        struct adl_tensor *to =
            adl_tensors_add(plain, name, from->dtype, from->rank, from->shape, &err);
        if (to)
            memcpy(to->data, from->data, adl_tensor_bytes(from));
    }
    TEST_OK(plain ? adl_safetensors_write(path, plain, &err) : -1, &err);
    adl_tensors_free(plain);
}

/* An ONNX ModelProto starts with field 1, ir_version, here 5. */
static void expect_onnx(const char *path)
{
    char *bytes = command_text(path);
    CU_ASSERT_EQUAL(strncmp(bytes, "\x08\x05", 2), 0);
    adl_free(bytes);
}

static void converts(void)
{
    struct adl_error err = {0};
    if (!program_exists())
        return;
    struct adl_model *model = command_model(3, 0.25, 64);
    if (!model)
        return;
    save_plain(model, NULL, command_path("plain.safetensors"));
    FILE *names = fopen(command_path("names.txt"), "w");
    fputs("\xef\xbb\xbf"
          "cat\r\ndog\nM\xc3\xb6we\n\n",
          names);
    fclose(names);

    command_expect(RUN("convert", "--arch", TINY, "--classes", command_path("names.txt"),
                       "--input-size", "64x96", "--mean", "0.5", "--std", "0.1,0.2,0.3",
                       "--threshold", "0.25", command_path("plain.safetensors"),
                       command_path("c.safetensors")),
                   0, "convert");
    struct adl_model *back = adl_model_load(command_path("c.safetensors"), NULL, &err);
    TEST_OK(back ? 0 : -1, &err);
    if (back) {
        for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
            const struct adl_tensor *a = adl_tensors_at(model->weights, i);
            const struct adl_tensor *b = adl_tensors_find(back->weights, a->name);
            if (!b || memcmp(a->data, b->data, adl_tensor_bytes(a)) != 0)
                TEST_FAIL("%s has changed", a->name);
        }
        CU_ASSERT_STRING_EQUAL(back->classes[0], "cat");
        CU_ASSERT_STRING_EQUAL(back->classes[2], "M\xc3\xb6we");
        CU_ASSERT_EQUAL(back->input_h, 64);
        CU_ASSERT_EQUAL(back->input_w, 96);
        CU_ASSERT_EQUAL(back->mean[2], 0.5f);
        CU_ASSERT_EQUAL(back->std[1], 0.2f);
        CU_ASSERT_EQUAL(back->map.threshold, 0.25);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(back->training, "converted_from")),
                               "plain.safetensors");
        CU_ASSERT_EQUAL(json_string_length(json_object_get(back->training, "sha256")), 64);
    }
    adl_model_free(back);

    command_expect(RUN("convert", "--arch", "mobilenet_v1", "--width", "0.25", "--num-classes", "4",
                       "--classes", command_path("names.txt"), command_path("plain.safetensors"),
                       command_path("d.safetensors")),
                   1, "another number of classes");
    /* Every subcommand says what to do, whether it has --arch or not. */
    struct command_result result =
        RUN("localize", "--model", command_path("plain.safetensors"), "x.jpg");
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "convert --arch ARCH IN OUT"));
    command_expect(result, 1, "localize without an architecture");
    command_expect(RUN("convert", command_path("plain.safetensors"), command_path("d.safetensors")),
                   1, "no --arch");
    command_expect(
        RUN("convert", "--arch", TINY, command_path("plain.safetensors"), command_path("d.onnx")),
        0, "ONNX");
    command_expect(RUN("convert", command_path("c.safetensors"), command_path("e.onnx")), 0,
                   "ONNX of a model file");
    expect_onnx(command_path("d.onnx"));
    expect_onnx(command_path("e.onnx"));
    command_expect(RUN("convert", "--arch", TINY, "--std", "0", command_path("plain.safetensors"),
                       command_path("d.safetensors")),
                   2, "a std of zero");
    command_expect(RUN("convert", "--arch", TINY, "--mean", "1,2",
                       command_path("plain.safetensors"), command_path("d.safetensors")),
                   2, "two numbers");
    CU_ASSERT_NOT_EQUAL(access(command_path("d.safetensors"), F_OK), 0);
    adl_model_free(model);
}

/* Creates a named pipe and writes the file into it once; later readers get an empty
 * file. */
static pid_t feed(const char *file, const char *pipe)
{
    char script[700];
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    pid_t pid;
    CU_ASSERT_EQUAL_FATAL(mkfifo(pipe, 0600), 0);
    snprintf(script, sizeof script, "cat '%s' > '%s'; while :; do : > '%s'; done", file, pipe,
             pipe);
    CU_ASSERT_EQUAL_FATAL(
        posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    return pid;
}

static void reads_a_pipe_once(void)
{
    struct adl_error err = {0};
    struct adl_model *model = program_exists() ? command_model(3, 0.25, 64) : NULL;
    if (!model)
        return;
    save_plain(model, NULL, command_path("plain.safetensors"));
    adl_model_free(model);
    pid_t feeder = feed(command_path("plain.safetensors"), command_path("pipe"));
    command_expect(
        RUN("convert", "--arch", TINY, command_path("pipe"), command_path("piped.safetensors")), 0,
        "a pipe");
    test_kill(feeder, SIGKILL);
    waitpid(feeder, NULL, 0);
    struct adl_model *back = adl_model_load(command_path("piped.safetensors"), NULL, &err);
    TEST_OK(back ? 0 : -1, &err);
    if (back)
        CU_ASSERT_PTR_NULL(json_object_get(back->training, "sha256"));
    adl_model_free(back);
    unlink(command_path("pipe"));
}

/* Converts measured.safetensors with an option; checks whether the metrics are kept. */
static void expect_metrics(const char *option, const char *value, bool kept)
{
    struct adl_error err = {0};
    const char *in = command_path("measured.safetensors"),
               *out = command_path("changed.safetensors");
    struct command_result result = RUN("convert", option, value, in, out);
    struct adl_model *model = adl_model_load(out, NULL, &err);
    if (result.status != 0 || command_lines(result.err) != !kept)
        TEST_FAIL("%s %s: exit %d, \"%s\"", option, value, result.status, result.err);
    CU_ASSERT(kept || strstr(result.err, "dropped the metrics"));
    if (!model)
        TEST_FAIL("%s", err.message);
    else if ((model->metrics != NULL) != kept)
        TEST_FAIL("%s %s: the metrics are %s", option, value, kept ? "gone" : "still there");
    adl_model_free(model);
    command_release(&result);
}

static void metrics_are_those_of_the_file(void)
{
    struct adl_error err = {0};
    struct adl_model *model = program_exists() ? command_model(3, 0.25, 64) : NULL;
    if (!model)
        return;
    model->metrics = json_pack("{s:f}", "top1_loc", 71.5);
    TEST_OK(adl_model_save(model, command_path("measured.safetensors"), &err), &err);
    adl_model_free(model);
    expect_metrics("--input-size", "64x64", true);
    expect_metrics("--threshold", "0.35", true);
    expect_metrics("--input-size", "64x96", false);
    expect_metrics("--threshold", "0.3", false);
    expect_metrics("--mean", "0.5", false);
    expect_metrics("--std", "0.5", false);
}

static void shows_what_is_missing(void)
{
    if (!program_exists())
        return;
    struct adl_model *model = command_model(3, 0.25, 64);
    if (!model)
        return;
    save_plain(model, "blocks.3.pw.weight", command_path("part.safetensors"));
    adl_model_free(model);

    struct command_result result = RUN("convert", "--arch", TINY, command_path("part.safetensors"),
                                       command_path("e.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "blocks.3.pw.weight"));
    command_expect(result, 1, "a missing tensor");
    CU_ASSERT_NOT_EQUAL(access(command_path("e.safetensors"), F_OK), 0);
    command_expect(RUN("convert", "--allow-missing", "--arch", TINY,
                       command_path("part.safetensors"), command_path("e.safetensors")),
                   0, "--allow-missing");
    CU_ASSERT_EQUAL(access(command_path("e.safetensors"), F_OK), 0);
}

TEST_SUITE(cmd_convert, {"convert round trip", converts},
           {"convert reads a pipe once", reads_a_pipe_once},
           {"metrics are those of the file", metrics_are_those_of_the_file},
           {"convert shows what is missing", shows_what_is_missing});
