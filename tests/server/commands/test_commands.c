/* The program as a user runs it: exit status, stdout and stderr, files read and
 * written. The environment variable ADL_SERVER names the program. */

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "server/commands/subcommands.h"
#include "support/program.h"
#include "support/test.h"

#define TINY "mobilenet_v1", "--width", "0.25", "--num-classes", "3"

struct result {
    int status;
    char *out, *err; /* what was written; owned */
};

/* A path in the scratch directory, valid until the eighth call after this one. */
static const char *tmp(const char *name)
{
    static char paths[8][300];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_tmp_dir(), name);
    return path;
}

static char *slurp(const char *path)
{
    struct adl_error err = {0};
    size_t length;
    char *text = adl_file_read(path, 64 << 20, &length, &err);
    if (!text)
        TEST_FAIL("%s", err.message);
    return text ? text : adl_strdup("");
}

#define RUN(...) run_program((const char *[]){program_path(), __VA_ARGS__, NULL})

static struct result run_program(const char *const *argv)
{
    posix_spawn_file_actions_t files;
    struct result result = {.status = -1};
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
    result.out = slurp(out);
    result.err = slurp(err);
    return result;
}

static void release(struct result *result)
{
    adl_free(result->out);
    adl_free(result->err);
}

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* Checks the exit status, and that stderr has one line on failure, none on success. */
static void expect(struct result result, int status, const char *what)
{
    if (result.status != status)
        TEST_FAIL("%s: exit %d instead of %d: %s", what, result.status, status, result.err);
    if (lines(result.err) != (status ? 1 : 0))
        TEST_FAIL("%s: stderr has %zu lines: %s", what, lines(result.err), result.err);
    if (status && strncmp(result.err, "adl-server: ", 12) != 0)
        TEST_FAIL("%s: stderr is \"%s\"", what, result.err);
    release(&result);
}

/* --- usage -------------------------------------------------------------------------- */

static void explains_itself(void)
{
    if (!program_exists())
        return;
    struct result all = RUN("--help"), version = RUN("--version");
    CU_ASSERT_PTR_NOT_NULL(strstr(version.out, "adl-server " ADL_VERSION));
    CU_ASSERT_PTR_NOT_NULL(strstr(version.out, "OpenBLAS"));
    expect(version, 0, "--version");
    for (size_t i = 0; adl_commands[i]; i++) {
        const char *name = adl_commands[i]->name;
        CU_ASSERT_PTR_NOT_NULL(strstr(all.out, adl_commands[i]->summary));
        struct result help = RUN(name, "--help");
        CU_ASSERT_PTR_NOT_NULL(strstr(help.out, "Usage: adl-server "));
        expect(help, 0, name);
        struct result wrong = RUN(name, "--no-such-thing");
        CU_ASSERT_STRING_EQUAL(wrong.out, "");
        CU_ASSERT_PTR_NOT_NULL(strstr(wrong.err, "unknown option --no-such-thing"));
        expect(wrong, 2, name);
    }
    expect(all, 0, "--help");
    struct result typo = RUN("convrt");
    CU_ASSERT_PTR_NOT_NULL(strstr(typo.err, "did you mean convert?"));
    expect(typo, 2, "convrt");
    struct result bare = run_program((const char *[]){program_path(), NULL});
    expect(bare, 2, "no subcommand");
}

/* Output of less than a stdio buffer, and of more: then an earlier write has failed. */
static void says_why_results_are_lost(void)
{
    static const char *const cases[] = {"exec \"$0\" --help >/dev/full",
                                        "exec \"$0\" completion bash >/dev/full",
                                        "exec \"$0\" completion bash >&-"};
    if (!program_exists())
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct result lost =
            run_program((const char *[]){"/bin/sh", "-c", cases[i], program_path(), NULL});
        CU_ASSERT_PTR_NOT_NULL(strstr(lost.err, "cannot write to standard output"));
        CU_ASSERT_PTR_NULL(strstr(lost.err, "Input/output error"));
        expect(lost, 1, cases[i]);
    }
}

static void completes_shells(void)
{
    if (!program_exists())
        return;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < ADL_COUNT(shells); i++) {
        struct result result = RUN("completion", shells[i]);
        for (size_t c = 0; adl_commands[c]; c++)
            for (const struct adl_option *o = adl_command_options(adl_commands[c]); o->name; o++)
                if (!strstr(result.out, o->name))
                    TEST_FAIL("the %s completion lacks --%s", shells[i], o->name);
        expect(result, 0, shells[i]);
    }
    expect(RUN("completion", "csh"), 2, "csh");
}

static void says_which_file_is_missing(void)
{
    if (!program_exists())
        return;
    struct result cases[] = {
        RUN("info", "no-such.pth"),
        RUN("convert", "no-such.pth", tmp("out.safetensors")),
        RUN("forward", "--model", "no-such.pth", "--input", "a", "--output", "b"),
        RUN("bench", "--model", "no-such.pth"),
        RUN("localize", "--model", "no-such.pth", "x.jpg"),
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(cases[i].err, "no-such.pth"));
        expect(cases[i], 1, "a missing file");
    }
    CU_ASSERT_NOT_EQUAL(access(tmp("out.safetensors"), F_OK), 0);
}

/* --- a tiny model ------------------------------------------------------------------- */

static struct adl_model *make_model(int num_classes, double width, int side)
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

static bool save_tiny(const char *path)
{
    struct adl_error err = {0};
    struct adl_model *model = make_model(3, 0.25, 64);
    int saved = model ? adl_model_save(model, path, &err) : -1;
    if (saved < 0)
        TEST_FAIL("%s", err.message);
    adl_model_free(model);
    return saved == 0;
}

/* --- info --------------------------------------------------------------------------- */

/* Parameters and multiply-adds of MobileNetV1 1.0 with its last stride at 1, as
 * counted from the reference implementation: 4,231,976 and 0.80 G. */
static void counts_as_published(void)
{
    struct adl_error err = {0};
    if (!program_exists())
        return;
    struct adl_model *model = make_model(1000, 1, 224);
    if (!model)
        return;
    TEST_OK(adl_model_save(model, tmp("full.safetensors"), &err), &err);
    adl_model_free(model);

    struct result result = RUN("info", "--json", tmp("full.safetensors"));
    json_t *info = json_loads(result.out, 0, NULL);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(info, "parameters")), 4231976);
    CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(info, "gflops")), 1.6, 0.02);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(info, "class_count")), 1000);
    CU_ASSERT_STRING_EQUAL(
        json_string_value(json_object_get(json_object_get(info, "arch"), "name")), "mobilenet_v1");
    json_decref(info);
    expect(result, 0, "info --json");

    struct result table = RUN("info", tmp("full.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(table.out, "4231976"));
    expect(table, 0, "info");
    struct result plan = RUN("info", "--plan", tmp("full.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(plan.out, "depthwise"));
    expect(plan, 0, "info --plan");
    unlink(tmp("full.safetensors"));
}

/* --- convert ------------------------------------------------------------------------ */

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
    char *bytes = slurp(path);
    CU_ASSERT_EQUAL(strncmp(bytes, "\x08\x05", 2), 0);
    adl_free(bytes);
}

static void converts(void)
{
    struct adl_error err = {0};
    if (!program_exists())
        return;
    struct adl_model *model = make_model(3, 0.25, 64);
    if (!model)
        return;
    save_plain(model, NULL, tmp("plain.safetensors"));
    FILE *names = fopen(tmp("names.txt"), "w");
    fputs("\xef\xbb\xbf"
          "cat\r\ndog\nM\xc3\xb6we\n\n",
          names);
    fclose(names);

    expect(RUN("convert", "--arch", TINY, "--classes", tmp("names.txt"), "--input-size", "64x96",
               "--mean", "0.5", "--std", "0.1,0.2,0.3", "--threshold", "0.25",
               tmp("plain.safetensors"), tmp("c.safetensors")),
           0, "convert");
    struct adl_model *back = adl_model_load(tmp("c.safetensors"), NULL, &err);
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

    expect(RUN("convert", "--arch", "mobilenet_v1", "--width", "0.25", "--num-classes", "4",
               "--classes", tmp("names.txt"), tmp("plain.safetensors"), tmp("d.safetensors")),
           1, "another number of classes");
    /* Every subcommand says what to do, whether it has --arch or not. */
    struct result result = RUN("localize", "--model", tmp("plain.safetensors"), "x.jpg");
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "convert --arch ARCH IN OUT"));
    expect(result, 1, "localize without an architecture");
    expect(RUN("convert", tmp("plain.safetensors"), tmp("d.safetensors")), 1, "no --arch");
    expect(RUN("convert", "--arch", TINY, tmp("plain.safetensors"), tmp("d.onnx")), 0, "ONNX");
    expect(RUN("convert", tmp("c.safetensors"), tmp("e.onnx")), 0, "ONNX of a model file");
    expect_onnx(tmp("d.onnx"));
    expect_onnx(tmp("e.onnx"));
    expect(RUN("convert", "--arch", TINY, "--std", "0", tmp("plain.safetensors"),
               tmp("d.safetensors")),
           2, "a std of zero");
    expect(RUN("convert", "--arch", TINY, "--mean", "1,2", tmp("plain.safetensors"),
               tmp("d.safetensors")),
           2, "two numbers");
    CU_ASSERT_NOT_EQUAL(access(tmp("d.safetensors"), F_OK), 0);
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
    struct adl_model *model = program_exists() ? make_model(3, 0.25, 64) : NULL;
    if (!model)
        return;
    save_plain(model, NULL, tmp("plain.safetensors"));
    adl_model_free(model);
    pid_t feeder = feed(tmp("plain.safetensors"), tmp("pipe"));
    expect(RUN("convert", "--arch", TINY, tmp("pipe"), tmp("piped.safetensors")), 0, "a pipe");
    kill(feeder, SIGKILL);
    waitpid(feeder, NULL, 0);
    struct adl_model *back = adl_model_load(tmp("piped.safetensors"), NULL, &err);
    TEST_OK(back ? 0 : -1, &err);
    if (back)
        CU_ASSERT_PTR_NULL(json_object_get(back->training, "sha256"));
    adl_model_free(back);
    unlink(tmp("pipe"));
}

/* Converts measured.safetensors with an option; checks whether the metrics are kept. */
static void expect_metrics(const char *option, const char *value, bool kept)
{
    struct adl_error err = {0};
    const char *in = tmp("measured.safetensors"), *out = tmp("changed.safetensors");
    struct result result = RUN("convert", option, value, in, out);
    struct adl_model *model = adl_model_load(out, NULL, &err);
    if (result.status != 0 || lines(result.err) != !kept)
        TEST_FAIL("%s %s: exit %d, \"%s\"", option, value, result.status, result.err);
    CU_ASSERT(kept || strstr(result.err, "dropped the metrics"));
    if (!model)
        TEST_FAIL("%s", err.message);
    else if ((model->metrics != NULL) != kept)
        TEST_FAIL("%s %s: the metrics are %s", option, value, kept ? "gone" : "still there");
    adl_model_free(model);
    release(&result);
}

static void metrics_are_those_of_the_file(void)
{
    struct adl_error err = {0};
    struct adl_model *model = program_exists() ? make_model(3, 0.25, 64) : NULL;
    if (!model)
        return;
    model->metrics = json_pack("{s:f}", "top1_loc", 71.5);
    TEST_OK(adl_model_save(model, tmp("measured.safetensors"), &err), &err);
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
    struct adl_model *model = make_model(3, 0.25, 64);
    if (!model)
        return;
    save_plain(model, "blocks.3.pw.weight", tmp("part.safetensors"));
    adl_model_free(model);

    struct result result =
        RUN("convert", "--arch", TINY, tmp("part.safetensors"), tmp("e.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "blocks.3.pw.weight"));
    expect(result, 1, "a missing tensor");
    CU_ASSERT_NOT_EQUAL(access(tmp("e.safetensors"), F_OK), 0);
    expect(RUN("convert", "--allow-missing", "--arch", TINY, tmp("part.safetensors"),
               tmp("e.safetensors")),
           0, "--allow-missing");
    CU_ASSERT_EQUAL(access(tmp("e.safetensors"), F_OK), 0);
}

/* --- forward ------------------------------------------------------------------------ */

static void save_input(const char *path, size_t images, size_t h, size_t w, size_t first)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    struct adl_tensor *input =
        adl_tensors_add(set, "input", ADL_F32, 4, (size_t[]){images, 3, h, w}, &err);
    float *data = input->data;
    for (size_t i = 0; i < input->count; i++)
        data[i] =
            (float)sin((double)(i + first * 3 * h * w) * 0.37) + (float)cos((double)(i % w) * 0.2);
    TEST_OK(adl_safetensors_write(path, set, &err), &err);
    adl_tensors_free(set);
}

/* The logits have to be the classifier applied to the mean of the features, and the
 * map the class's weights applied to the features, both recomputed here. */
static void check_forward(const struct adl_tensors *out, const struct adl_model *model,
                          int forced_class)
{
    const struct adl_tensor *logits = adl_tensors_find(out, "logits");
    const struct adl_tensor *features = adl_tensors_find(out, "features");
    const struct adl_tensor *cam = adl_tensors_find(out, "cam");
    const float *weight = adl_tensors_find(model->weights, "fc.weight")->data;
    const float *bias = adl_tensors_find(model->weights, "fc.bias")->data;
    size_t channels = features->shape[1], pixels = features->shape[2] * features->shape[3];

    CU_ASSERT_EQUAL(logits->rank, 2);
    CU_ASSERT_EQUAL(logits->shape[1], 3);
    CU_ASSERT_EQUAL(cam->rank, 3);
    CU_ASSERT_EQUAL(cam->shape[1], features->shape[2]);
    for (size_t n = 0; n < logits->shape[0]; n++) {
        const float *f = (const float *)features->data + n * channels * pixels;
        const float *l = (const float *)logits->data + n * 3;
        double want[3], map[4096];
        size_t top = 0;
        for (size_t c = 0; c < 3; c++) {
            want[c] = (double)bias[c];
            for (size_t k = 0; k < channels; k++)
                for (size_t p = 0; p < pixels; p++)
                    want[c] += (double)weight[c * channels + k] * (double)f[k * pixels + p] /
                               (double)pixels;
            top = l[c] > l[top] ? c : top;
        }
        test_close("logits", l, want, 3, 1e-4);
        if (forced_class >= 0)
            top = (size_t)forced_class;
        for (size_t p = 0; p < pixels; p++) {
            map[p] = 0;
            for (size_t k = 0; k < channels; k++)
                map[p] += (double)weight[top * channels + k] * (double)f[k * pixels + p];
        }
        test_close("cam", (const float *)cam->data + n * pixels, map, pixels, 1e-4);
    }
}

static void runs_tensors(void)
{
    struct adl_error err = {0};
    if (!program_exists() || !save_tiny(tmp("m.safetensors")))
        return;
    struct adl_model *model = adl_model_load(tmp("m.safetensors"), NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(model);
    /* More images than one batch takes, and a shape that is not square. */
    save_input(tmp("in.safetensors"), 19, 64, 96, 0);
    expect(RUN("forward", "--model", tmp("m.safetensors"), "--input", tmp("in.safetensors"),
               "--output", tmp("out.safetensors")),
           0, "forward");
    struct adl_tensors *all = adl_safetensors_read(tmp("out.safetensors"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    CU_ASSERT_EQUAL(adl_tensors_find(all, "features")->shape[2], 4);
    CU_ASSERT_EQUAL(adl_tensors_find(all, "features")->shape[3], 6);
    check_forward(all, model, -1);

    /* A single image, on one thread, with a given class. */
    save_input(tmp("in.safetensors"), 1, 64, 96, 17);
    expect(RUN("forward", "--model", tmp("m.safetensors"), "--input", tmp("in.safetensors"),
               "--output", tmp("out.safetensors"), "--threads", "1", "--class", "1"),
           0, "forward --class");
    struct adl_tensors *one = adl_safetensors_read(tmp("out.safetensors"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    check_forward(one, model, 1);
    CU_ASSERT_EQUAL(memcmp((float *)adl_tensors_find(all, "logits")->data + 17 * 3,
                           adl_tensors_find(one, "logits")->data, 3 * sizeof(float)),
                    0);
    adl_tensors_free(all);
    adl_tensors_free(one);
    adl_model_free(model);

    expect(RUN("forward", "--model", tmp("m.safetensors"), "--input", tmp("in.safetensors"),
               "--output", tmp("out.safetensors"), "--class", "3"),
           1, "no such class");
    expect(RUN("forward", "--model", tmp("m.safetensors"), "--input", tmp("m.safetensors"),
               "--output", tmp("out.safetensors")),
           1, "no tensor called input");
}

/* --- localize ----------------------------------------------------------------------- */

static void save_image(const char *path, int width, int height)
{
    struct adl_error err = {0};
    struct adl_image image = {0};
    void *bytes = NULL;
    size_t length = 0;
    TEST_OK(adl_image_init(&image, width, height, &err), &err);
    for (int i = 0; i < width * height * 3; i++)
        image.rgb[i] = (uint8_t)(i * 7 ^ i >> 5);
    TEST_OK(adl_image_encode_png(&image, &bytes, &length, &err), &err);
    TEST_OK(adl_file_write(path, &(struct adl_file_piece){bytes, length}, 1, &err), &err);
    adl_free(bytes);
    adl_image_release(&image);
}

static void check_line(const char *line, int width, int height)
{
    json_t *json = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL), *prediction, *box;
    size_t i, b;
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_PTR_NOT_NULL(json_object_get(json, "file"));
    json_t *image = json_object_get(json, "image");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(image, "width")), width);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(image, "height")), height);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "predictions")), 2);
    json_array_foreach(json_object_get(json, "predictions"), i, prediction)
    {
        json_array_foreach(json_object_get(prediction, "boxes"), b, box)
        {
            long x0 = (long)json_integer_value(json_object_get(box, "x0"));
            long y0 = (long)json_integer_value(json_object_get(box, "y0"));
            long x1 = (long)json_integer_value(json_object_get(box, "x1"));
            long y1 = (long)json_integer_value(json_object_get(box, "y1"));
            CU_ASSERT(0 <= x0 && x0 <= x1 && x1 < width);
            CU_ASSERT(0 <= y0 && y0 <= y1 && y1 < height);
        }
        json_t *heatmap = json_object_get(prediction, "heatmap");
        CU_ASSERT_EQUAL(json_array_size(json_object_get(heatmap, "data")), 16);
    }
    json_decref(json);
}

static void localizes(void)
{
    if (!program_exists() || !save_tiny(tmp("m.safetensors")))
        return;
    mkdir(tmp("images"), 0700);
    mkdir(tmp("images/sub"), 0700);
    save_image(tmp("images/b.png"), 120, 80);
    save_image(tmp("images/sub/b.png"), 33, 77);
    FILE *bad = fopen(tmp("images/a.jpg"), "w");
    fputs("no image", bad);
    fclose(bad);
    fclose(fopen(tmp("images/notes.txt"), "w"));

    struct result result =
        RUN("localize", "--model", tmp("m.safetensors"), "--json", "--top-k", "2", "--boxes", "all",
            "--heatmap", "array", "--coco", tmp("coco.json"), "--coco-annotations", tmp("all.json"),
            "--overlay", tmp("drawn"), tmp("images"));
    CU_ASSERT_EQUAL(result.status, 1);
    CU_ASSERT_EQUAL(lines(result.out), 2);
    CU_ASSERT_EQUAL(lines(result.err), 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "notes.txt"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "a.jpg"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "1 of 3 images"));
    if (lines(result.out) == 2) {
        check_line(result.out, 120, 80);
        check_line(strchr(result.out, '\n') + 1, 33, 77);
    }
    release(&result);
    CU_ASSERT_EQUAL(access(tmp("drawn/b.jpg"), R_OK), 0);
    CU_ASSERT_EQUAL(access(tmp("drawn/b-2.jpg"), R_OK), 0);

    json_t *boxes = json_load_file(tmp("coco.json"), 0, NULL);
    json_t *about = json_load_file(tmp("coco_images.json"), 0, NULL);
    CU_ASSERT_TRUE(json_is_array(boxes));
    CU_ASSERT_EQUAL(json_array_size(json_object_get(about, "images")), 2);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(about, "categories")), 3);
    /* The same boxes, and files as someone names them who has the directory. */
    json_t *all = json_load_file(tmp("all.json"), 0, NULL);
    const json_t *annotations = json_object_get(all, "annotations");
    CU_ASSERT_EQUAL(json_array_size(annotations), json_array_size(boxes));
    for (size_t i = 0; i < json_array_size(annotations); i++)
        for (size_t k = 0; k < 3; k++) {
            static const char *const keys[] = {"image_id", "category_id", "bbox"};
            CU_ASSERT_TRUE(json_equal(json_object_get(json_array_get(annotations, i), keys[k]),
                                      json_object_get(json_array_get(boxes, i), keys[k])));
        }
    const json_t *second = json_array_get(json_object_get(all, "images"), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(second, "file_name")), "sub/b.png");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(second, "width")), 33);
    json_decref(all);
    json_decref(boxes);
    json_decref(about);
    expect(RUN("localize", "-m", tmp("m.safetensors"), "--coco", tmp("x.json"),
               "--coco-annotations", tmp("x_images.json"), tmp("images/b.png")),
           2, "two outputs in one file");

    char pattern[300];
    snprintf(pattern, sizeof pattern, "%s/images/*.png", test_tmp_dir());
    struct result table = RUN("localize", "-m", tmp("m.safetensors"), pattern, "--class", "2");
    CU_ASSERT_EQUAL(lines(table.out), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(table.out, "class 2"));
    expect(table, 0, "localize");
    expect(RUN("localize", "-m", tmp("m.safetensors"), tmp("nothing*.png")), 1, "no match");
    expect(RUN("localize", "-m", tmp("m.safetensors"), "--class", "9", pattern), 1, "no class");
    expect(RUN("localize", "-m", tmp("m.safetensors")), 2, "no images");
    expect(RUN("localize", "-m", tmp("m.safetensors"), "--heatmap", "png", pattern), 2,
           "a heat map in a table");
}

/* Results must not overwrite input images. */
static void keeps_input_images(void)
{
    if (!program_exists() || !save_tiny(tmp("m.safetensors")))
        return;
    mkdir(tmp("album"), 0700);
    save_image(tmp("album/a.jpg"), 40, 30);
    char *before = slurp(tmp("album/a.jpg"));
    expect(RUN("localize", "-m", tmp("m.safetensors"), "--overlay", tmp("album"), tmp("album")), 2,
           "an overlay over its photograph");
    expect(RUN("localize", "-m", tmp("m.safetensors"), "--coco", tmp("album/a.jpg"),
               tmp("album/a.jpg")),
           2, "COCO over a photograph");
    char *after = slurp(tmp("album/a.jpg"));
    CU_ASSERT(strcmp(before, after) == 0);
    adl_free(before);
    adl_free(after);
    expect(RUN("localize", "-m", tmp("m.safetensors"), "--coco", tmp("nowhere/x.json"),
               tmp("album/a.jpg")),
           1, "COCO nowhere");

    /* An operand that matches nothing does not affect the others. */
    struct result result =
        RUN("localize", "-m", tmp("m.safetensors"), tmp("no*.jpg"), tmp("album/a.jpg"));
    CU_ASSERT(result.status == 1 && lines(result.out) == 1 && lines(result.err) == 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "1 of 2 images"));
    release(&result);
}

/* --- bench -------------------------------------------------------------------------- */

static void measures(void)
{
    if (!program_exists())
        return;
    struct result result = RUN("bench", "--arch", TINY, "--size", "64", "--seconds", "0.05",
                               "--batch", "2", "--threads", "1", "--layers", "--json");
    json_t *json = json_loads(result.out, 0, NULL);
    static const char *const keys[] = {"arch",           "batch",  "threads",      "cpu",
                                       "ms_per_image",   "gflops", "peak_rss_mib", "sgemm_gflops",
                                       "ratio_to_sgemm", "layers"};
    for (size_t i = 0; i < ADL_COUNT(keys); i++)
        if (!json_object_get(json, keys[i]))
            TEST_FAIL("bench --json lacks %s", keys[i]);
    json_t *ms = json_object_get(json, "ms_per_image");
    double least = json_real_value(json_object_get(ms, "min"));
    CU_ASSERT(least > 0 && least <= json_real_value(json_object_get(ms, "median")));
    CU_ASSERT(json_array_size(json_object_get(json, "layers")) > 20);
    json_decref(json);
    expect(result, 0, "bench --json");
    expect(RUN("bench"), 2, "bench of nothing");

    result = RUN("bench", "--arch", TINY, "--size", "32", "--runs", "2", "--batch", "2",
                 "--threads", "1", "--train", "--json");
    json = json_loads(result.out, 0, NULL);
    for (size_t i = 0; i < 7; i++)
        if (!json_object_get(json, keys[i]))
            TEST_FAIL("bench --train --json lacks %s", keys[i]);
    ms = json_object_get(json, "ms_per_image");
    double median = json_real_value(json_object_get(ms, "median"));
    CU_ASSERT(median > 0 && json_real_value(json_object_get(ms, "min")) <= median);
    json_decref(json);
    expect(result, 0, "bench --train --json");
    expect(RUN("bench", "--arch", TINY, "--train", "--layers"), 2, "layers of a training step");
}

TEST_SUITE(commands, {"explains itself", explains_itself}, {"completes shells", completes_shells},
           {"says why results are lost", says_why_results_are_lost},
           {"says which file is missing", says_which_file_is_missing},
           {"info counts as published", counts_as_published}, {"convert round trip", converts},
           {"convert reads a pipe once", reads_a_pipe_once},
           {"metrics are those of the file", metrics_are_those_of_the_file},
           {"convert shows what is missing", shows_what_is_missing},
           {"forward agrees with the classifier", runs_tensors},
           {"localize files, directories, patterns", localizes},
           {"keeps input images", keeps_input_images}, {"bench measures", measures});
