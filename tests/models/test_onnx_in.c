/* models/onnx_in: networks that PyTorch exported give PyTorch's scores and class maps, come back
 * the same from a model file, and every damaged file is refused in words. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/onnx/onnx.h"
#include "models/onnx_in/onnx_in.h"
#include "plan/session.h"
#include "support/golden.h"
#include "support/hostile.h"
#include "support/small_model.h"
#include "wsol/session_cam.h"

/* Made by tests/golden/onnx_in/make.py. */
static const char *const networks[] = {
    "resnet18", "resnet50",  "mobilenet_v2", "efficientnet", "densenet", "shufflenet", "squeezenet",
    "regnet",   "googlenet", "convnext",     "mobilenet_v3", "nhwc_tf",  "nhwc_keras", "cbam",
    "pyramid",  "trainable", "shapes",       "padded",       "idioms"};

static char *path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/onnx_in/%s.onnx", test_golden_dir(), name);
    return path;
}

static void *bytes_of(const char *name, size_t *length)
{
    struct adl_error err = {0};
    void *bytes = adl_file_read(path_of(name), 1 << 20, length, &err);
    model_must(bytes != NULL, &err);
    return bytes;
}

/* The formula of make.py, for pixels in NHWC order. */
static void fill(float *input, int side)
{
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < side * side; i++) {
            double n = (double)(c * side * side + i);
            input[i * 3 + c] = (float)(sin(0.37 * n + 0.5) * cos(0.011 * n));
        }
}

struct result {
    float scores[8], map[512];
    size_t classes, pixels;
};

static void run(const struct adl_model *model, int class_id, struct result *out)
{
    struct adl_error err = {0};
    struct adl_plan_options options = {.input_h = model->input_h, .input_w = model->input_w};
    const struct adl_map_rule rule = {0};
    adl_model_plan_options(model, &options);
    struct adl_plan *plan = adl_plan_create(model->graph, model->params, &options, &err);
    model_must(plan != NULL, &err);
    struct adl_session *session = adl_session_create(plan, NULL, 1, &err);
    model_must(session != NULL, &err);
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    out->classes = (size_t)adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS).c;
    out->pixels = (size_t)map.h * (size_t)map.w;
    CU_ASSERT_FATAL(out->classes <= ADL_COUNT(out->scores) && out->pixels <= ADL_COUNT(out->map));
    fill(adl_session_input(session, 0), model->input_h);
    adl_session_run(session, 1);
    memcpy(out->scores, adl_session_output(session, ADL_OUTPUT_LOGITS, 0),
           out->classes * sizeof *out->scores);
    adl_session_cam(session, 0, class_id, &rule, out->map);
    adl_session_free(session);
    adl_plan_unref(plan);
}

static void compare(const char *name, const char *what, const json_t *want, const float *got,
                    size_t count)
{
    size_t expected;
    double *values = golden_doubles(want, &expected), most = 0, worst = 0;
    if (expected != count)
        TEST_FAIL("%s: %zu %s, expected %zu", name, count, what, expected);
    for (size_t i = 0; i < expected && i < count; i++) {
        most = fmax(most, fabs(values[i]));
        worst = fmax(worst, fabs(values[i] - (double)got[i]));
    }
    /* The bound that was set is 1e-4; these networks are small. */
    if (!(worst <= 1e-5 * fmax(most, 1)))
        TEST_FAIL("%s: %s differ by %g of %g", name, what, worst, most);
    adl_free(values);
}

static void equals_pytorch(void)
{
    for (size_t i = 0; i < ADL_COUNT(networks); i++) {
        struct adl_error err = {0};
        struct result first, again;
        char golden[100], path[300];
        snprintf(golden, sizeof golden, "onnx_in/%s.json", networks[i]);
        json_t *want = golden_load(golden);
        struct adl_model *model = adl_onnx_in_load(path_of(networks[i]), NULL, &err);
        if (!model || !want) {
            TEST_FAIL("%s: %s", networks[i], err.message);
            continue;
        }
        CU_ASSERT_EQUAL(model->input_h, golden_int(want, "side"));
        run(model, golden_int(want, "class"), &first);
        compare(networks[i], "scores", golden_get(want, "scores"), first.scores, first.classes);
        compare(networks[i], "values of the map", golden_get(want, "map"), first.map, first.pixels);

        /* The model file describes the whole network. */
        snprintf(path, sizeof path, "%s", model_tmp_path("onnx_in.safetensors"));
        TEST_OK(adl_model_save(model, path, &err), &err);
        struct adl_model *back = adl_model_load(path, NULL, &err);
        model_must(back != NULL, &err);
        CU_ASSERT_EQUAL(back->arch.backbone, &adl_backbone_onnx);
        run(back, golden_int(want, "class"), &again);
        CU_ASSERT(model_same_floats(first.scores, again.scores, first.classes));
        CU_ASSERT(model_same_floats(first.map, again.map, first.pixels));
        CU_ASSERT_STRING_EQUAL(model->digest, back->digest);
        adl_model_free(back);
        adl_model_free(model);
        json_decref(want);
    }
}

/* Weights have the names that they have in the file. */
static void keeps_names(void)
{
    struct adl_error err = {0};
    struct adl_model *model = adl_onnx_in_load(path_of("squeezenet"), NULL, &err);
    model_must(model != NULL, &err);
    CU_ASSERT(adl_tensors_find(model->weights, "features.0.weight") != NULL);
    CU_ASSERT(adl_tensors_find(model->weights, "head.1.bias") != NULL);
    CU_ASSERT_STRING_EQUAL(adl_graph_param(model->graph, adl_graph_classifier(model->graph))->name,
                           "head.1.weight");
    adl_model_free(model);
}

/* Another input size than the file's, where no shape is written into the file. */
static void takes_another_size(void)
{
    struct adl_error err = {0};
    const struct adl_onnx_in_options options = {.input_h = 65, .input_w = 98};
    struct adl_model *model = adl_onnx_in_load(path_of("resnet18"), &options, &err);
    model_must(model != NULL, &err);
    CU_ASSERT_EQUAL(model->input_h, 65);
    CU_ASSERT_EQUAL(model->input_w, 98);
    adl_model_free(model);
}

/* --- in 8 bits ------------------------------------------------------------------------------ */

/* A file of a quantizer becomes a model in 8 bits with its weights, scales and ranges; scores are
 * those of rounding in double, but for the maps that a plan leaves in float32. */
static void reads_eight_bits(void)
{
    static const char *const names[] = {"QuantizeLinear_6", "QuantizeLinear_12", "Conv_18",
                                        "QuantizeLinear_23"};
    struct adl_error err = {0};
    struct result got;
    char path[300];
    json_t *want = golden_load("onnx_in/qdq.json"), *ranges = golden_get(want, "ranges");
    struct adl_model *model = adl_onnx_in_load(path_of("qdq"), NULL, &err);
    model_must(model != NULL && want != NULL, &err);
    CU_ASSERT_EQUAL(model->precision, ADL_PRECISION_INT8);
    CU_ASSERT_FATAL(model->quantisation != NULL);
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        int value = adl_graph_find_value(model->graph, names[i]);
        const json_t *range = json_array_get(ranges, i);
        if (value < 0) {
            TEST_FAIL("no value is called %s", names[i]);
            continue;
        }
        const struct adl_int8_range *r = &model->quantisation->ranges[value];
        CU_ASSERT_EQUAL(r->scale, (float)json_real_value(json_array_get(range, 0)));
        CU_ASSERT_EQUAL(r->zero, json_integer_value(json_array_get(range, 1)));
    }
    int weight = adl_graph_find_param(model->graph, "a.weight_quantized");
    CU_ASSERT_FATAL(weight >= 0 && model->quantisation->scales[weight] != NULL);
    int rounded = adl_graph_find_param(model->graph, "b.weight"); /* floats in the file */
    CU_ASSERT_FATAL(rounded >= 0 && model->quantisation->scales[rounded] != NULL);
    run(model, golden_int(want, "class"), &got);
    size_t count;
    double *scores = golden_doubles(golden_get(want, "scores"), &count);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_DOUBLE_EQUAL(got.scores[i], scores[i], 0.01);
    adl_free(scores);

    /* As 8-bit ONNX of ours, and back: the same integers and scales. */
    snprintf(path, sizeof path, "%s", model_tmp_path("qdq.onnx"));
    TEST_OK(adl_onnx_write(model, path, &err), &err);
    struct adl_model *back = adl_onnx_in_load(path, NULL, &err);
    model_must(back != NULL, &err);
    CU_ASSERT_EQUAL(back->precision, ADL_PRECISION_INT8);
    int again = -1; /* it is called after its layer: the one with 16 outputs */
    for (int id = 0; id < adl_graph_param_count(back->graph); id++)
        if (adl_graph_param(back->graph, id)->rank == 4 &&
            adl_graph_param(back->graph, id)->shape[0] == 16)
            again = id;
    CU_ASSERT_FATAL(again >= 0);
    CU_ASSERT(model_same_floats(model->params[weight], back->params[again],
                                adl_graph_param(model->graph, weight)->count));
    adl_model_free(back);
    adl_model_free(model);
    json_decref(want);
}

/* --- hostile files ------------------------------------------------------------------------- */

static int read_bytes(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_tensors *tensors = adl_onnx_in_parse(bytes, length, NULL, err);
    struct adl_model *model = tensors ? adl_model_from_tensors(tensors, NULL, err) : NULL;
    bool read = model != NULL;
    adl_model_free(model);
    adl_tensors_free(tensors);
    return read ? 0 : -1;
}

static void survives_damage(void)
{
    size_t length;
    unsigned char *bytes = bytes_of("nhwc_tf", &length);
    /* The weights are most of the file; their bits may be anything. */
    hostile_truncate(read_bytes, bytes, length);
    hostile_mutate(read_bytes, bytes, ADL_MIN(length, 1200));
    adl_free(bytes);
}

static void survives_lack_of_memory(void)
{
    size_t length;
    void *bytes = bytes_of("nhwc_keras", &length);
    hostile_starve(read_bytes, bytes, length);
    adl_free(bytes);
}

/* Returns a copy of a file in which the first `from` is replaced by `to`, of the same length. */
static char *with(const char *name, const char *from, const char *to, size_t *length)
{
    char *bytes = bytes_of(name, length);
    char *at = memmem(bytes, *length, from, strlen(from));
    CU_ASSERT_FATAL(at != NULL && strlen(from) == strlen(to));
    memcpy(at, to, strlen(to));
    return bytes;
}

static void refused(const char *name, const char *from, const char *to, enum adl_error_kind kind,
                    const char *part)
{
    size_t length;
    char *bytes = with(name, from, to, &length);
    hostile_refused(read_bytes, bytes, length, kind, part);
    adl_free(bytes);
}

static void refuses_in_words(void)
{
    /* Operators that are not known are listed with their nodes. */
    refused("squeezenet", "\"\007MaxPool", "\"\007MaxPuul", ADL_ERR_UNSUPPORTED,
            "1 node has an operator that is not read: \"MaxPuul\" (node \"/features/features.2/"
            "MaxPool\")");
    /* A missing initializer. */
    refused("nhwc_tf", "B\014conv1/kernel", "B\014conv1/kernxl", ADL_ERR_FORMAT,
            "reads \"conv1/kernel\", which no earlier node computes");
    /* A circle: the first convolution reads its own result. */
    refused("nhwc_tf", "\012\002t1\012", "\012\002t2\012", ADL_ERR_FORMAT,
            "reads \"t2\", which no earlier node computes");
    refused("nhwc_tf", "t1\x1a\013Transpose_1", "t2\x1a\013Transpose_1", ADL_ERR_FORMAT,
            "defines the value \"t2\" twice");
    /* The end is not one that has class maps. */
    refused("nhwc_tf", "\"\021GlobalAveragePool", "\"\021GlobalXveragePool", ADL_ERR_UNSUPPORTED,
            "GlobalXveragePool");
    hostile_refused(read_bytes, "", 0, ADL_ERR_FORMAT, "no graph");
    hostile_refused(read_bytes, "\x08", 1, ADL_ERR_FORMAT, "ends within field 1");
    hostile_refused(read_bytes, "not an ONNX file", 16, ADL_ERR_FORMAT, "");
}

static void refused_as_it_is(const char *name, const char *part)
{
    size_t length;
    void *bytes = bytes_of(name, &length);
    hostile_refused(read_bytes, bytes, length, ADL_ERR_UNSUPPORTED, part);
    adl_free(bytes);
}

/* An end without class maps: the message names the node that is in the way. */
static void names_the_node_in_the_way(void)
{
    refused_as_it_is("flat",
                     "node \"/2/Gemm\" (conv) breaks this rule; `convert --map-layer LAYER` takes");
}

/* Networks that would be read as others than they are. */
static void refuses_what_it_would_change(void)
{
    refused_as_it_is("whole", "\"Cast\" (node \"Cast_2\"): it makes whole numbers of a map");
}

/* A sigmoid in place of the softmax says that an image may have several classes. */
static void reads_a_sigmoid_as_several_classes(void)
{
    size_t length;
    char *bytes = with("nhwc_tf", "\"\007Softmax", "\"\007Sigmoid", &length);
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_onnx_in_parse(bytes, length, NULL, &err);
    model_must(tensors != NULL, &err);
    struct adl_model *model = adl_model_from_tensors(tensors, NULL, &err);
    model_must(model != NULL, &err);
    CU_ASSERT_TRUE(model->labels.several);
    adl_model_free(model);
    adl_tensors_free(tensors);
    adl_free(bytes);
}

/* What is written as ONNX and read back gives the same bits, or nearly so. */
static void comes_back_from_onnx(void)
{
    for (size_t i = 0; i < ADL_COUNT(networks); i++) {
        struct adl_error err = {0};
        struct result first, again;
        char path[300];
        snprintf(path, sizeof path, "%s", model_tmp_path("again.onnx"));
        struct adl_model *model = adl_onnx_in_load(path_of(networks[i]), NULL, &err);
        model_must(model != NULL, &err);
        TEST_OK(adl_onnx_write(model, path, &err), &err);
        struct adl_model *back = adl_onnx_in_load(path, NULL, &err);
        if (!back) {
            TEST_FAIL("%s: %s", networks[i], err.message);
        } else {
            run(model, 2, &first);
            run(back, 2, &again);
            /* A layer norm's weight and bias are joined or apart, and rows and columns are resized
             * one after the other. */
            bool close =
                strcmp(networks[i], "convnext") == 0 || strcmp(networks[i], "pyramid") == 0;
            bool same = model_same_floats(first.scores, again.scores, first.classes) &&
                        model_same_floats(first.map, again.map, first.pixels);
            for (size_t k = 0; close && k < first.classes; k++)
                CU_ASSERT_DOUBLE_EQUAL(first.scores[k], again.scores[k],
                                       1e-5 * fmax(1, fabs((double)first.scores[k])));
            if (!same && !close)
                TEST_FAIL("%s: other bits", networks[i]);
        }
        adl_model_free(back);
        adl_model_free(model);
    }
}

/* Each backbone that is written as ONNX is read as the same network. */
static void backbones_come_back(void)
{
    static const char *const names[] = {"vgg16", "resnet50_se",  "resnet50_cbam", "resnet50_bam",
                                        "ran56", "inception_v3", "mobilenet_v1"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        struct result first, again;
        char path[300];
        snprintf(path, sizeof path, "%s", model_tmp_path("backbone.onnx"));
        adl_arch_init(&arch, adl_backbone_find(names[i]));
        arch.num_classes = 4;
        struct adl_model *model = adl_model_create(&arch, 96, 96, &err);
        model_must(model != NULL, &err);
        for (int id = 0; id < adl_graph_param_count(model->graph); id++) {
            const struct adl_param *param = adl_graph_param(model->graph, id);
            float *values = adl_model_param(model, id);
            for (size_t k = 0; param->rank > 1 && k < param->count; k++)
                values[k] =
                    0.2F *
                    ((float)((k * 2654435761U + (size_t)id * 40503U) >> 8 & 0xffff) / 65536 - 0.5F);
        }
        TEST_OK(adl_onnx_write(model, path, &err), &err);
        struct adl_model *back = adl_onnx_in_load(path, NULL, &err);
        if (!back) {
            TEST_FAIL("%s: %s", names[i], err.message);
        } else {
            run(model, 1, &first);
            run(back, 1, &again);
            CU_ASSERT_EQUAL(adl_graph_param_count(model->graph),
                            adl_graph_param_count(back->graph));
            for (size_t k = 0; k < first.classes; k++)
                if (!(fabsf(first.scores[k] - again.scores[k]) <=
                      1e-5F * fmaxf(1, fabsf(first.scores[k]))))
                    TEST_FAIL("%s: score %g, read back %g", names[i], (double)first.scores[k],
                              (double)again.scores[k]);
        }
        adl_model_free(back);
        adl_model_free(model);
    }
}

TEST_SUITE(onnx_in, {"equals PyTorch, also from a model file", equals_pytorch},
           {"weights keep their names", keeps_names},
           {"takes another input size", takes_another_size},
           {"reads a model in 8 bits", reads_eight_bits},
           {"survives damaged files", survives_damage},
           {"survives a lack of memory", survives_lack_of_memory},
           {"refuses in words", refuses_in_words},
           {"names the node in the way of class maps", names_the_node_in_the_way},
           {"refuses what it would change", refuses_what_it_would_change},
           {"a sigmoid means several classes", reads_a_sigmoid_as_several_classes},
           {"what is written as ONNX comes back", comes_back_from_onnx},
           {"backbones come back", backbones_come_back});
TEST_SLOW(survives_damage);
TEST_SLOW(backbones_come_back);
TEST_UNWATCHED(backbones_come_back);
