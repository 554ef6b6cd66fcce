/* `convert --precision int8`, and what the other commands do with the file, as a user runs them. */

#include "support/test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "kernels/dispatch.h"
#include "kernels/int8.h"
#include "models/file/load.h"
#include "models/model.h"
#include "support/command_run.h"
#include "support/formula.h"
#include "support/http_client.h"
#include "support/image_bytes.h"
#include "support/program.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

enum { IMAGES = 6, CLASSES = 3 };

static char int8_path[300];

/* Writes pictures, with lists and boxes, and one file that is no picture. */
static void write_pictures(const char *name)
{
    struct adl_error err = {0};
    scratch_open(name, (const char *const[]){"images", "metadata", "metadata/val", NULL});
    for (int i = 0; i < IMAGES; i++) {
        size_t length;
        int width = 90 + 7 * i;
        void *png = test_picture(TEST_PNG, width, 80, &length);
        struct adl_file_piece piece = {png, length};
        TEST_OK(adl_file_write(scratch_path("images/%d.png", i), &piece, 1, &err), &err);
        scratch_append("metadata/val/image_ids.txt", "%d.png\n", i);
        scratch_append("metadata/val/class_labels.txt", "%d.png,%d\n", i, i % CLASSES);
        scratch_append("metadata/val/image_sizes.txt", "%d.png,%d,80\n", i, width);
        scratch_append("metadata/val/localization.txt", "%d.png,5,10,60,70\n", i);
        adl_free(png);
    }
    scratch_append("images/broken.png", "no picture");
    snprintf(int8_path, sizeof int8_path, "%s", scratch_path("int8.safetensors"));
}

#define EXPECT(status, part, ...)                                                                  \
    command_says(status, part, (const char *const[]){program_path(), __VA_ARGS__, NULL})

/* Returns whether 8 bits are faster on this processor, so that plans use them. */
static bool int8_pays(void)
{
    enum adl_isa isa;
    struct adl_error err = {0};
    return adl_isa_choose(ADL_ISA_AUTO, &isa, &err) == 0 && adl_kernels_for(isa)->int8->speed > 1;
}

static void convert_small(const char *name)
{
    char images[300];
    write_pictures(name);
    snprintf(images, sizeof images, "%s", scratch_path("images"));
    EXPECT(0, "int8: ranges chosen on 6 photographs of 7, 1 could not be read", "convert",
           test_small_model(), int8_path, "--precision", "int8", "--calibrate", images);
}

static long size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static void the_file_is_small_and_everything_reads_it(void)
{
    struct adl_error err = {0};
    char image[300], again[300], calibrated[300];
    if (!program_exists())
        return;
    convert_small("int8-commands");
    CU_ASSERT(size_of(int8_path) < 0.45 * (double)size_of(test_small_model()));
    struct adl_model *model = adl_model_load(int8_path, NULL, &err);
    CU_ASSERT_FATAL(model != NULL);
    CU_ASSERT(model->quantisation && model->precision == ADL_PRECISION_INT8);
    adl_model_free(model);

    snprintf(image, sizeof image, "%s", scratch_path("images/0.png"));
    snprintf(again, sizeof again, "%s", scratch_path("again.safetensors"));
    snprintf(calibrated, sizeof calibrated, "%s", scratch_path("calibrated.safetensors"));
    EXPECT(0, "\"predictions\"", "localize", "--json", "--model", int8_path, image);
    EXPECT(0, "\"predictions\"", "localize", "--json", "--map-flip", "--map-scales=1,1.43",
           "--precision", "int8", "--model", int8_path, image);
    EXPECT(0, "\"gt_known_loc\"", "eval", "--json", "--model", int8_path, "--data", scratch_root(),
           "--split", "val");
    EXPECT(0, "\"int8\"", "bench", "--json", "--runs", "3", "--model", int8_path);
    EXPECT(0, "\"fp32\"", "bench", "--json", "--runs", "3", "--precision", "fp32", "--model",
           int8_path);
    EXPECT(0, "int8", "bench", "--layers", "--runs", "3", "--model", int8_path);
    EXPECT(0, int8_pays() ? "to bytes" : "relu", "info", "--plan", int8_path);
    EXPECT(0, "\"precision\"", "info", "--json", int8_path);
    EXPECT(0, "", "calibrate", "--model", int8_path, "--data", scratch_root(), calibrated);
    CU_ASSERT_EQUAL(size_of(calibrated) > 0, 1);
    CU_ASSERT(size_of(calibrated) < 0.5 * (double)size_of(test_small_model()));

    /* Back to float32, with the rounded weights. */
    EXPECT(0, "", "convert", int8_path, again, "--precision", "fp32");
    model = adl_model_load(again, NULL, &err);
    CU_ASSERT_FATAL(model != NULL);
    CU_ASSERT(!model->quantisation && model->precision == ADL_PRECISION_F32);
    adl_model_free(model);
}

/* Reads the logits that `forward` wrote. */
static float *logits_of(const char *path, size_t *count)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_safetensors_read(path, &err);
    const struct adl_tensor *logits = set ? adl_tensors_find(set, "logits") : NULL;
    CU_ASSERT_FATAL(logits != NULL);
    *count = logits->count;
    float *copy = adl_malloc(*count, sizeof *copy);
    memcpy(copy, logits->data, *count * sizeof *copy);
    adl_tensors_free(set);
    return copy;
}

/* The same bits with 1 and 2 threads, and alone or with others; other bits than in float32. */
static void forward_has_the_same_bits(void)
{
    static const struct {
        const char *images, *threads, *precision;
    } runs[] = {{"3", "1", "int8"}, {"3", "2", "int8"}, {"1", "2", "auto"}, {"3", "1", "fp32"}};
    struct adl_error err = {0};
    float *logits[4];
    size_t counts[4];
    if (!program_exists())
        return;
    convert_small("int8-forward");
    for (size_t i = 0; i < 4; i++) {
        char input[300], output[300];
        size_t images = runs[i].images[0] == '3' ? 3 : 1;
        struct adl_tensors *set = adl_tensors_create(&err);
        struct adl_tensor *x =
            adl_tensors_add(set, "input", ADL_F32, 4, (size_t[]){images, 3, 64, 64}, &err);
        CU_ASSERT_FATAL(x != NULL);
        formula_param("int8.input", 0, 2, (size_t)3 * 64 * 64, x->data);
        for (size_t n = 1; n < images; n++)
            formula_param(n == 1 ? "int8.second" : "int8.third", 0, 2, (size_t)3 * 64 * 64,
                          (float *)x->data + n * 3 * 64 * 64);
        snprintf(input, sizeof input, "%s", scratch_path("input.safetensors"));
        snprintf(output, sizeof output, "%s", scratch_path("output.safetensors"));
        TEST_OK(adl_safetensors_write(input, set, &err), &err);
        adl_tensors_free(set);
        EXPECT(0, "", "forward", "--model", int8_path, "--input", input, "--output", output,
               "--threads", runs[i].threads, "--precision", runs[i].precision);
        logits[i] = logits_of(output, &counts[i]);
    }
    CU_ASSERT_EQUAL(memcmp(logits[0], logits[1], counts[0] * sizeof **logits), 0);
    CU_ASSERT_EQUAL(memcmp(logits[0], logits[2], counts[2] * sizeof **logits), 0);
    double error = 0, size = 0;
    for (size_t i = 0; i < counts[0]; i++) {
        error += pow((double)(logits[0][i] - logits[3][i]), 2);
        size += pow((double)logits[3][i], 2);
    }
    CU_ASSERT((error > 0) == int8_pays() && sqrt(error / size) < 0.2);
    for (size_t i = 0; i < 4; i++)
        adl_free(logits[i]);
}

/* --- what rounding costs --------------------------------------------------------------- */

/* Returns what the table of `convert` says of a figure: before and after. */
static void table_figures(const char *table, const char *name, double values[2])
{
    const char *line = strstr(table, name);
    if (!line || sscanf(line + strlen(name), "%lf %lf", &values[0], &values[1]) != 2)
        TEST_FAIL("\"%s\" has no figures of \"%s\"", table, name);
}

static double eval_figure(const char *model, const char *key)
{
    struct command_result eval =
        RUN("eval", "--json", "--model", model, "--data", scratch_root(), "--split", "val");
    json_t *json = eval.status == 0 ? json_loads(eval.out, 0, NULL) : NULL;
    CU_ASSERT_FATAL(json != NULL);
    double value = json_number_value(json_object_get(json, key));
    json_decref(json);
    command_release(&eval);
    return value;
}

/* The figures are those that eval gives for both models. */
static void accuracy_is_that_of_eval(void)
{
    static const struct {
        const char *name, *key;
        double factor;
    } figures[] = {{"Top-1 Cls", "top1_cls", 1},
                   {"GT-known Loc", "gt_known_loc", 1},
                   {"Top-1 Loc", "top1_loc", 1},
                   {"MaxBoxAccV2", "max_box_acc_v2", 1},
                   {"class scores", "ece_cls", 100}};
    if (!program_exists())
        return;
    write_pictures("int8-accuracy");
    const char *model = test_small_model();
    struct command_result result =
        RUN("convert", model, int8_path, "--precision", "int8", "--calibrate", scratch_root());
    CU_ASSERT_EQUAL(result.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "measured on 6 images of the 6 of val"));
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        double values[2] = {0};
        table_figures(result.out, figures[i].name, values);
        CU_ASSERT_DOUBLE_EQUAL(values[0], figures[i].factor * eval_figure(model, figures[i].key),
                               0.006);
        CU_ASSERT_DOUBLE_EQUAL(values[1],
                               figures[i].factor * eval_figure(int8_path, figures[i].key), 0.006);
    }
    command_release(&result);
}

/* Where there are enough other photographs, ranges are not chosen on those that are measured. */
static void measured_images_are_left_out(void)
{
    char out[300];
    if (!program_exists())
        return;
    write_pictures("int8-left-out");
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    for (int i = 0; i < 32; i++) {
        struct adl_error err = {0};
        size_t length;
        void *png = test_picture(TEST_PNG, 40 + i, 50, &length);
        struct adl_file_piece piece = {png, length};
        TEST_OK(adl_file_write(scratch_path("images/more%d.png", i), &piece, 1, &err), &err);
        adl_free(png);
    }
    EXPECT(0, "on 32 photographs of 33, 1 could not be read; 6 with labels left out", "convert",
           test_small_model(), out, "--precision", "int8", "--calibrate", scratch_root());
    EXPECT(1, "there is no such split", "convert", test_small_model(), out, "--precision", "int8",
           "--calibrate", scratch_root(), "--split", "train");
}

/* Labels of other classes are no reason to fail: they are said, and not measured. */
static void other_classes_are_not_measured(void)
{
    char out[300];
    if (!program_exists())
        return;
    write_pictures("int8-strangers");
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    scratch_append("classes.txt", "x\ny\nz\nu\nv\nw\n");
    struct command_result result = RUN("convert", test_small_model(), out, "--precision", "int8",
                                       "--calibrate", scratch_root());
    CU_ASSERT_EQUAL(result.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(result.err, "accuracy is not measured: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.out, "int8: ranges chosen on 6 photographs"));
    CU_ASSERT_PTR_NULL(strstr(result.out, "GT-known"));
    command_release(&result);
}

static void what_cannot_be_is_said(void)
{
    char images[300], out[300], onnx[300], empty[300], image[300];
    if (!program_exists())
        return;
    convert_small("int8-refused");
    snprintf(images, sizeof images, "%s", scratch_path("images"));
    snprintf(image, sizeof image, "%s", scratch_path("images/0.png"));
    snprintf(empty, sizeof empty, "%s", scratch_path("metadata"));
    snprintf(out, sizeof out, "%s", scratch_path("out.safetensors"));
    snprintf(onnx, sizeof onnx, "%s", scratch_path("out.onnx"));
    const char *model = test_small_model();
    EXPECT(2, "--precision int8 --calibrate", "localize", "--precision", "int8", "--model", model,
           image);
    EXPECT(2, "--precision int8 --calibrate", "bench", "--precision", "int8", "--model", model);
    EXPECT(2, "--precision int8 --calibrate", "eval", "--precision", "int8", "--model", model,
           "--data", scratch_root(), "--split", "val");
    EXPECT(2, "needs --calibrate DIR", "convert", model, out, "--precision", "int8");
    EXPECT(2, "is for --precision int8", "convert", model, out, "--calibrate", images);
    EXPECT(2, "in int8 already", "convert", int8_path, out, "--precision", "int8", "--calibrate",
           images);
    EXPECT(0, "onnx: mobilenet_v1", "convert", model, onnx, "--precision", "int8", "--calibrate",
           images);
    CU_ASSERT(size_of(onnx) > 0 && size_of(onnx) < 0.6 * (double)size_of(model));
    EXPECT(1, empty, "convert", model, out, "--precision", "int8", "--calibrate", empty);
    CU_ASSERT_EQUAL(size_of(out), -1);
}

static void a_file_has_a_size_that_was_asked_for(void)
{
    struct adl_error err = {0};
    char images[300], small[300], again[300], image[300], size[30], least[30], plain[300];
    if (!program_exists())
        return;
    convert_small("int8-size");
    snprintf(images, sizeof images, "%s", scratch_path("images"));
    snprintf(small, sizeof small, "%s", scratch_path("small.safetensors"));
    snprintf(again, sizeof again, "%s", scratch_path("again.safetensors"));
    snprintf(plain, sizeof plain, "%s", scratch_path("plain.safetensors"));
    snprintf(image, sizeof image, "%s", scratch_path("images/0.png"));
    snprintf(size, sizeof size, "%ld", size_of(int8_path) * 85 / 100);

    EXPECT(0, "MaxBoxAccV2", "convert", test_small_model(), small, "--precision", "int8",
           "--calibrate", scratch_root(), "--max-size", size);
    CU_ASSERT(size_of(small) > 0 && size_of(small) <= size_of(int8_path) * 85 / 100);
    EXPECT(0, "\"predictions\"", "localize", "--json", "--model", small, image);
    EXPECT(0, "\"int8\"", "bench", "--json", "--runs", "3", "--model", small);
    /* Packed weights come back: written anew they take as much space, and as float32 they are the
     * same numbers. */
    EXPECT(0, "again.safetensors", "convert", small, again);
    CU_ASSERT(labs(size_of(again) - size_of(small)) < 400);
    EXPECT(0, "plain.safetensors", "convert", small, plain, "--precision", "fp32");
    struct adl_model *packed = adl_model_load(small, NULL, &err);
    struct adl_model *floats = adl_model_load(plain, NULL, &err);
    CU_ASSERT_FATAL(packed && floats);
    CU_ASSERT(packed->quantisation && !floats->quantisation);
    for (int id = 0; id < adl_graph_param_count(packed->graph); id++)
        CU_ASSERT_EQUAL(memcmp(packed->params[id], floats->params[id],
                               adl_graph_param(packed->graph, id)->count * sizeof(float)),
                        0);
    adl_model_free(packed);
    adl_model_free(floats);

    snprintf(least, sizeof least, "%ld", size_of(int8_path) / 8);
    EXPECT(1, "does not fit into", "convert", test_small_model(), again, "--precision", "int8",
           "--calibrate", images, "--max-size", least);
    EXPECT(2, "--max-size is for", "convert", test_small_model(), again, "--max-size", size);
}

TEST_SUITE(cmd_convert_int8,
           {"the file is small, and everything reads it",
            the_file_is_small_and_everything_reads_it},
           {"forward has the same bits", forward_has_the_same_bits},
           {"accuracy is that of eval", accuracy_is_that_of_eval},
           {"a file has a size that was asked for", a_file_has_a_size_that_was_asked_for},
           {"measured images are left out", measured_images_are_left_out},
           {"other classes are not measured", other_classes_are_not_measured},
           {"what cannot be is said", what_cannot_be_is_said});
