/* The program as a user runs it: exit status, stdout and stderr, files read and
 * written. The environment variable ADL_SERVER names the program. */

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "image/image.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "methods/methods.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "server/commands/subcommands.h"
#include "support/command_run.h"
#include "support/test.h"

/* --- usage -------------------------------------------------------------------------- */

static void explains_itself(void)
{
    if (!program_exists())
        return;
    struct command_result all = RUN("--help"), version = RUN("--version");
    CU_ASSERT_PTR_NOT_NULL(strstr(version.out, "adl-server " ADL_VERSION));
    CU_ASSERT_PTR_NOT_NULL(strstr(version.out, "OpenBLAS"));
    command_expect(version, 0, "--version");
    for (size_t i = 0; adl_commands[i]; i++) {
        const char *name = adl_commands[i]->name;
        CU_ASSERT_PTR_NOT_NULL(strstr(all.out, adl_commands[i]->summary));
        struct command_result help = RUN(name, "--help");
        CU_ASSERT_PTR_NOT_NULL(strstr(help.out, "Usage: adl-server "));
        command_expect(help, 0, name);
        struct command_result wrong = RUN(name, "--no-such-thing");
        CU_ASSERT_STRING_EQUAL(wrong.out, "");
        CU_ASSERT_PTR_NOT_NULL(strstr(wrong.err, "unknown option --no-such-thing"));
        command_expect(wrong, 2, name);
    }
    command_expect(all, 0, "--help");
    struct command_result typo = RUN("convrt");
    CU_ASSERT_PTR_NOT_NULL(strstr(typo.err, "did you mean convert?"));
    command_expect(typo, 2, "convrt");
    struct command_result bare = command_run((const char *[]){program_path(), NULL});
    command_expect(bare, 2, "no subcommand");
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
        struct command_result lost =
            command_run((const char *[]){"/bin/sh", "-c", cases[i], program_path(), NULL});
        CU_ASSERT_PTR_NOT_NULL(strstr(lost.err, "cannot write to standard output"));
        CU_ASSERT_PTR_NULL(strstr(lost.err, "Input/output error"));
        command_expect(lost, 1, cases[i]);
    }
}

static void completes_shells(void)
{
    if (!program_exists())
        return;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < ADL_COUNT(shells); i++) {
        struct command_result result = RUN("completion", shells[i]);
        for (size_t c = 0; adl_commands[c]; c++)
            for (const struct adl_option *o = adl_command_options(adl_commands[c]); o->name; o++)
                if (!strstr(result.out, o->name))
                    TEST_FAIL("the %s completion lacks --%s", shells[i], o->name);
        command_expect(result, 0, shells[i]);
    }
    command_expect(RUN("completion", "csh"), 2, "csh");
    /* A colon parts the message from the action in zsh's _arguments. */
    struct command_result zsh = RUN("completion", "zsh");
    CU_ASSERT(strstr(zsh.out, "]:HOST\\:PORT:") && !strstr(zsh.out, "]:HOST:PORT:"));
    command_expect(zsh, 0, "zsh");
}

static void says_which_file_is_missing(void)
{
    if (!program_exists())
        return;
    struct command_result cases[] = {
        RUN("info", "no-such.pth"),
        RUN("convert", "no-such.pth", command_path("out.safetensors")),
        RUN("forward", "--model", "no-such.pth", "--input", "a", "--output", "b"),
        RUN("bench", "--model", "no-such.pth"),
        RUN("localize", "--model", "no-such.pth", "x.jpg"),
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(cases[i].err, "no-such.pth"));
        command_expect(cases[i], 1, "a missing file");
    }
    CU_ASSERT_NOT_EQUAL(access(command_path("out.safetensors"), F_OK), 0);
}

/* --- info --------------------------------------------------------------------------- */

/* Parameters and multiply-adds of MobileNetV1 1.0 with its last stride at 1, as
 * counted from the reference implementation: 4,231,976 and 0.80 G. */
static void counts_as_published(void)
{
    struct adl_error err = {0};
    if (!program_exists())
        return;
    struct adl_model *model = command_model(1000, 1, 224);
    if (!model)
        return;
    TEST_OK(adl_model_save(model, command_path("full.safetensors"), &err), &err);
    adl_model_free(model);

    struct command_result result = RUN("info", "--json", command_path("full.safetensors"));
    json_t *info = json_loads(result.out, 0, NULL);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(info, "parameters")), 4231976);
    CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(info, "gflops")), 1.6, 0.02);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(info, "class_count")), 1000);
    CU_ASSERT_STRING_EQUAL(
        json_string_value(json_object_get(json_object_get(info, "arch"), "name")), "mobilenet_v1");
    json_decref(info);
    command_expect(result, 0, "info --json");

    struct command_result table = RUN("info", command_path("full.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(table.out, "4231976"));
    command_expect(table, 0, "info");
    command_expect(RUN("info", "--json", "--plan", command_path("full.safetensors")), 2,
                   "info --json --plan");
    struct command_result plan = RUN("info", "--plan", command_path("full.safetensors"));
    CU_ASSERT_PTR_NOT_NULL(strstr(plan.out, "depthwise"));
    command_expect(plan, 0, "info --plan");
    unlink(command_path("full.safetensors"));
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
    if (!program_exists() || !command_save_tiny(command_path("m.safetensors")))
        return;
    struct adl_model *model = adl_model_load(command_path("m.safetensors"), NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(model);
    /* More images than one batch takes, and a shape that is not square. */
    save_input(command_path("in.safetensors"), 19, 64, 96, 0);
    command_expect(RUN("forward", "--model", command_path("m.safetensors"), "--input",
                       command_path("in.safetensors"), "--output", command_path("out.safetensors")),
                   0, "forward");
    struct adl_tensors *all = adl_safetensors_read(command_path("out.safetensors"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    CU_ASSERT_EQUAL(adl_tensors_find(all, "features")->shape[2], 4);
    CU_ASSERT_EQUAL(adl_tensors_find(all, "features")->shape[3], 6);
    check_forward(all, model, -1);

    /* A single image, on one thread, with a given class. */
    save_input(command_path("in.safetensors"), 1, 64, 96, 17);
    command_expect(RUN("forward", "--model", command_path("m.safetensors"), "--input",
                       command_path("in.safetensors"), "--output", command_path("out.safetensors"),
                       "--threads", "1", "--class", "1"),
                   0, "forward --class");
    struct adl_tensors *one = adl_safetensors_read(command_path("out.safetensors"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    check_forward(one, model, 1);
    CU_ASSERT_EQUAL(memcmp((float *)adl_tensors_find(all, "logits")->data + 17 * 3,
                           adl_tensors_find(one, "logits")->data, 3 * sizeof(float)),
                    0);
    adl_tensors_free(all);
    adl_tensors_free(one);
    adl_model_free(model);

    command_expect(RUN("forward", "--model", command_path("m.safetensors"), "--input",
                       command_path("in.safetensors"), "--output", command_path("out.safetensors"),
                       "--class", "3"),
                   1, "no such class");
    command_expect(RUN("forward", "--model", command_path("m.safetensors"), "--input",
                       command_path("m.safetensors"), "--output", command_path("out.safetensors")),
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
    if (!program_exists() || !command_save_tiny(command_path("m.safetensors")))
        return;
    mkdir(command_path("images"), 0700);
    mkdir(command_path("images/sub"), 0700);
    save_image(command_path("images/b.png"), 120, 80);
    save_image(command_path("images/sub/b.png"), 33, 77);
    FILE *bad = fopen(command_path("images/a.jpg"), "w");
    fputs("no image", bad);
    fclose(bad);
    fclose(fopen(command_path("images/notes.txt"), "w"));

    struct command_result result = RUN(
        "localize", "--model", command_path("m.safetensors"), "--json", "--top-k", "2", "--boxes",
        "all", "--heatmap", "array", "--coco", command_path("coco.json"), "--coco-annotations",
        command_path("all.json"), "--overlay", command_path("drawn"), command_path("images"));
    CU_ASSERT_EQUAL(result.status, 1);
    CU_ASSERT_EQUAL(command_lines(result.out), 2);
    CU_ASSERT_EQUAL(command_lines(result.err), 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "notes.txt"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "a.jpg"));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "1 of 3 images"));
    if (command_lines(result.out) == 2) {
        check_line(result.out, 120, 80);
        check_line(strchr(result.out, '\n') + 1, 33, 77);
    }
    command_release(&result);
    CU_ASSERT_EQUAL(access(command_path("drawn/b.jpg"), R_OK), 0);
    CU_ASSERT_EQUAL(access(command_path("drawn/b-2.jpg"), R_OK), 0);

    json_t *boxes = json_load_file(command_path("coco.json"), 0, NULL);
    json_t *about = json_load_file(command_path("coco_images.json"), 0, NULL);
    CU_ASSERT_TRUE(json_is_array(boxes));
    CU_ASSERT_EQUAL(json_array_size(json_object_get(about, "images")), 2);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(about, "categories")), 3);
    /* The same boxes, and files as someone names them who has the directory. */
    json_t *all = json_load_file(command_path("all.json"), 0, NULL);
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
    command_expect(RUN("localize", "-m", command_path("m.safetensors"), "--coco",
                       command_path("x.json"), "--coco-annotations", command_path("x_images.json"),
                       command_path("images/b.png")),
                   2, "two outputs in one file");

    char pattern[300];
    snprintf(pattern, sizeof pattern, "%s/images/*.png", test_tmp_dir());
    struct command_result table =
        RUN("localize", "-m", command_path("m.safetensors"), pattern, "--class", "2");
    CU_ASSERT_EQUAL(command_lines(table.out), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(table.out, "class 2"));
    command_expect(table, 0, "localize");
    command_expect(
        RUN("localize", "-m", command_path("m.safetensors"), command_path("nothing*.png")), 1,
        "no match");
    command_expect(RUN("localize", "-m", command_path("m.safetensors"), "--class", "9", pattern), 1,
                   "no class");
    command_expect(RUN("localize", "-m", command_path("m.safetensors")), 2, "no images");
    command_expect(
        RUN("localize", "-m", command_path("m.safetensors"), "--heatmap", "png", pattern), 2,
        "a heat map in a table");
}

/* Results must not overwrite input images. */
static void keeps_input_images(void)
{
    if (!program_exists() || !command_save_tiny(command_path("m.safetensors")))
        return;
    mkdir(command_path("album"), 0700);
    save_image(command_path("album/a.jpg"), 40, 30);
    char *before = command_text(command_path("album/a.jpg"));
    command_expect(RUN("localize", "-m", command_path("m.safetensors"), "--overlay",
                       command_path("album"), command_path("album")),
                   2, "an overlay over its photograph");
    command_expect(RUN("localize", "-m", command_path("m.safetensors"), "--coco",
                       command_path("album/a.jpg"), command_path("album/a.jpg")),
                   2, "COCO over a photograph");
    char *after = command_text(command_path("album/a.jpg"));
    CU_ASSERT(strcmp(before, after) == 0);
    adl_free(before);
    adl_free(after);
    command_expect(RUN("localize", "-m", command_path("m.safetensors"), "--coco",
                       command_path("nowhere/x.json"), command_path("album/a.jpg")),
                   1, "COCO nowhere");

    /* An operand that matches nothing does not affect the others. */
    struct command_result result = RUN("localize", "-m", command_path("m.safetensors"),
                                       command_path("no*.jpg"), command_path("album/a.jpg"));
    CU_ASSERT(result.status == 1 && command_lines(result.out) == 1 &&
              command_lines(result.err) == 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "1 of 2 images"));
    command_release(&result);
}

/* --- bench -------------------------------------------------------------------------- */

static void measures(void)
{
    if (!program_exists())
        return;
    struct command_result result = RUN("bench", "--arch", TINY, "--size", "64", "--seconds", "0.05",
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
    command_expect(result, 0, "bench --json");
    command_expect(RUN("bench"), 2, "bench of nothing");

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
    command_expect(result, 0, "bench --train --json");
    command_expect(RUN("bench", "--arch", TINY, "--train", "--layers"), 2,
                   "layers of a training step");
}

/* Every algorithm of a convolution has a time; the fastest one is the one that is used, or at least
 * 5 % faster; and the sums are those of the steps. The packed weights of VGG16 are limited, so that
 * some of its convolutions do not use what the cost model ranks first. */
static void measures_every_algorithm(void)
{
    if (!program_exists())
        return;
    struct command_result result = RUN("bench", "--arch", "vgg16", "--size", "64", "--runs", "1",
                                       "--seconds", "0.05", "--tune", "--json");
    json_t *json = json_loads(result.out, 0, NULL), *step;
    json_t *tune = json_object_get(json, "tune"), *steps = json_object_get(tune, "steps");
    double used_ms = 0, fastest_ms = 0;
    size_t i;

    CU_ASSERT_EQUAL(json_array_size(steps), 14);
    json_array_foreach(steps, i, step)
    {
        json_t *ms = json_object_get(step, "ms"), *value;
        const char *used = json_string_value(json_object_get(step, "used"));
        const char *fastest = json_string_value(json_object_get(step, "fastest")), *name;
        CU_ASSERT_FATAL(used && fastest);
        double own = json_real_value(json_object_get(ms, used));
        double best = json_real_value(json_object_get(ms, fastest));
        CU_ASSERT(json_object_size(ms) > 1 && own > 0 && best > 0);
        CU_ASSERT(!strcmp(used, fastest) || best < 0.951 * own);
        json_object_foreach(ms, name, value) CU_ASSERT(
            json_real_value(value) >= (strcmp(used, fastest) ? best * 0.999 : 0.949 * own));
        used_ms += own;
        fastest_ms += best;
    }
    CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(tune, "used_ms")), used_ms, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(tune, "fastest_ms")), fastest_ms, 1e-3);
    json_decref(json);
    command_expect(result, 0, "bench --tune --json");
    command_expect(RUN("bench", "--arch", TINY, "--train", "--tune"), 2,
                   "algorithms of a training step");
}

/* Runs `bench --train --json` with a method; the caller frees the JSON. */
static json_t *train_cost(const char *method)
{
    struct command_result result =
        RUN("bench", "--arch", TINY, "--size", "64", "--runs", "1", "--batch", "2", "--threads",
            "1", "--train", "--json", "--method", method);
    json_t *json = json_loads(result.out, 0, NULL);
    command_expect(result, 0, method);
    if (!json)
        TEST_FAIL("bench --train --method %s prints no JSON", method);
    return json;
}

static double median_of(const json_t *json)
{
    return json_real_value(json_object_get(json_object_get(json, "ms_per_image"), "median"));
}

/* Of every method; the ratio is that of the two medians, and only branches and rounds train more
 * parameters than the classifier. */
static void measures_methods_beside_cam(void)
{
    json_int_t plain = 0;

    if (!program_exists())
        return;
    for (size_t i = 0; adl_methods[i]; i++) {
        const struct adl_method *method = adl_methods[i];
        json_t *json = train_cost(method->name);
        const json_t *beside = json_object_get(json, "beside_cam");
        const json_t *cam = json_object_get(beside, "cam");
        json_int_t params = json_integer_value(json_object_get(json, "parameters"));
        json_int_t extra = json_integer_value(json_object_get(beside, "extra_parameters"));
        double ratio = json_real_value(json_object_get(beside, "time_ratio"));

        if (i == 0)
            plain = params;
        if ((i == 0) != !beside)
            TEST_FAIL("%s: beside_cam is %s", method->name, beside ? "there" : "missing");
        if (beside && (fabs(ratio * median_of(cam) / median_of(json) - 1) > 1e-4 ||
                       json_integer_value(json_object_get(cam, "parameters")) != plain ||
                       params - extra != plain))
            TEST_FAIL("%s: ratio %g, %lld parameters, %lld more than %lld", method->name, ratio,
                      (long long)params, (long long)extra, (long long)plain);
        if ((extra > 0) != (method->branches || method->rounds))
            TEST_FAIL("%s trains %lld parameters more", method->name, (long long)extra);
        json_decref(json);
    }
    struct command_result result = RUN("bench", "--arch", TINY, "--size", "32", "--runs", "1",
                                       "--threads", "1", "--train", "--method", "adl,cutmix");
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "adl,cutmix takes "));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "as long as cam and trains the same parameters\n"));
    command_expect(result, 0, "bench --train of combined methods");
}

TEST_SUITE(commands, {"explains itself", explains_itself}, {"completes shells", completes_shells},
           {"says why results are lost", says_why_results_are_lost},
           {"says which file is missing", says_which_file_is_missing},
           {"info counts as published", counts_as_published},
           {"forward agrees with the classifier", runs_tensors},
           {"localize files, directories, patterns", localizes},
           {"keeps input images", keeps_input_images}, {"bench measures", measures},
           {"bench --tune measures every algorithm", measures_every_algorithm},
           {"bench measures methods beside cam", measures_methods_beside_cam});
TEST_UNWATCHED(measures_every_algorithm);
