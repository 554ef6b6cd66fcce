/* ONNX files of models in 8 bits, read back by a reader of their own (support/onnx_file.h): which
 * maps are rounded, and that bytes times scales are the weights with the batch norm folded in.
 * tests/onnx/int8.cjs compares the outputs with those of ONNX Runtime. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/file.h"
#include "models/onnx/onnx.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/nets.h"
#include "support/onnx_file.h"
#include "support/onnx_memory.h"
#include "support/test.h"

enum { CLASSES = 5, SIDE = 64, BLOCKS = 13 };

static const char *tmp_path(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/int8.onnx", test_tmp_dir());
    return path;
}

/* Gives a parameter of a batch norm or a weight values that no rule of thumb would guess; some
 * factors of batch norms are negative. */
static void set_values(const struct adl_param *param, float *values)
{
    bool variance = param->role == ADL_PARAM_BN_VAR;
    formula_param(param->name, variance ? 1 : 0, variance ? 0.5F : 0.8F, param->count, values);
}

static struct adl_model *make_model(const char *name)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    struct adl_model *model = NULL;

    if (test_net_arch(&arch, name, CLASSES) == 0)
        model = adl_model_create(&arch, SIDE, SIDE, &err);
    struct adl_quantisation *q = model ? adl_quantisation_create(model->graph, &err) : NULL;
    if (!q) {
        adl_model_free(model);
        TEST_FAIL("%s", err.message);
        return NULL;
    }
    for (int v = 1; v < q->value_count; v++)
        q->ranges[v] = (struct adl_int8_range){0.01F + 0.001F * (float)(v % 9), v % 3};
    for (int id = 0; id < q->param_count; id++) {
        const struct adl_param *param = adl_graph_param(model->graph, id);
        float *values = adl_model_param(model, id);
        set_values(param, values);
        if (!adl_quantisation_takes(param))
            continue;
        float *scales = adl_quantisation_scales(q, model->graph, id, &err);
        size_t each = param->count / param->shape[0];
        CU_ASSERT_FATAL(scales != NULL);
        for (size_t i = 0; i < param->count; i++) {
            scales[i / each] = 0.0065F + 0.0001F * (float)(i / each % 7);
            values[i] = nearbyintf(values[i] / scales[i / each]) * scales[i / each];
        }
    }
    model->quantisation = q;
    model->precision = ADL_PRECISION_INT8;
    return model;
}

/* Writes the file and reads it; returns its bytes, which the caller frees. */
static char *write_and_read(const struct adl_model *model, struct onnx_file *file)
{
    struct adl_error err = {0};
    size_t length;

    TEST_OK(adl_onnx_write(model, tmp_path(), &err), &err);
    char *bytes = adl_file_read(tmp_path(), 64 << 20, &length, &err);
    CU_ASSERT_FATAL(bytes != NULL && onnx_file_read(file, bytes, length));
    unlink(tmp_path());
    return bytes;
}

static size_t count_of(const struct onnx_file *file, const char *op)
{
    size_t found = 0;
    for (size_t i = 0; i < file->node_count; i++)
        found += onnx_slice_is(file->nodes[i].op, op);
    return found;
}

/* Copies the raw data of a tensor, which may be unaligned. */
static bool tensor_of(const struct onnx_file *file, const char *name, int64_t type, void *values,
                      size_t bytes)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        const struct onnx_tensor *tensor = &file->tensors[i];
        if (!onnx_slice_is(tensor->name, name))
            continue;
        if (tensor->data_type != type || tensor->raw.length != bytes)
            break;
        memcpy(values, tensor->raw.data, bytes);
        return true;
    }
    TEST_FAIL("%s is missing or not of %zu bytes", name, bytes);
    return false;
}

static const float *param_of(const struct adl_model *model, const char *layer, const char *part)
{
    char name[200];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    int id = adl_graph_find_param(model->graph, name);
    CU_ASSERT_FATAL(id >= 0);
    return model->params[id];
}

enum { MOST = 512 * 256 };

/* A convolution called NAME with a batch norm called NORM, as the file has them, is the product of
 * both; `input` is the value that it reads. */
static void check_conv(const struct onnx_file *file, const struct adl_model *model,
                       const char *conv, const char *norm, const char *input)
{
    static int8_t bytes[MOST];
    static float scales[1024], bias_scales[1024];
    static int32_t bias[1024];
    char weight[200], name[300];
    snprintf(weight, sizeof weight, "%s.weight", conv);
    const struct adl_param *param =
        adl_graph_param(model->graph, adl_graph_find_param(model->graph, weight));
    size_t channels = param->shape[0], each = param->count / channels;
    CU_ASSERT_FATAL(param->count <= MOST && channels <= 1024);

    bool fine = tensor_of(file, (snprintf(name, sizeof name, "%s.weight", norm), name), 3, bytes,
                          param->count);
    fine &= tensor_of(file, (snprintf(name, sizeof name, "%s.weight.scale", norm), name), 1, scales,
                      channels * sizeof *scales);
    fine &= tensor_of(file, (snprintf(name, sizeof name, "%s.bias", norm), name), 6, bias,
                      channels * sizeof *bias);
    fine &= tensor_of(file, (snprintf(name, sizeof name, "%s.bias.scale", norm), name), 1,
                      bias_scales, channels * sizeof *bias_scales);
    if (!fine)
        return;
    const float *w = param_of(model, conv, "weight"), *gamma = param_of(model, norm, "weight"),
                *beta = param_of(model, norm, "bias"),
                *mean = param_of(model, norm, "running_mean"),
                *variance = param_of(model, norm, "running_var");
    double eps = model->arch.bn_eps;
    size_t wrong = 0;
    double in =
        (double)model->quantisation->ranges[adl_graph_find_value(model->graph, input)].scale;
    for (size_t k = 0; k < channels; k++) {
        double factor = (double)gamma[k] / sqrt((double)variance[k] + eps);
        double shift = (double)beta[k] - (double)mean[k] * factor;
        CU_ASSERT_DOUBLE_EQUAL(bias_scales[k], in * (double)scales[k], 1e-6 * in * scales[k]);
        CU_ASSERT_DOUBLE_EQUAL(bias[k] * (double)bias_scales[k], shift,
                               0.5 * bias_scales[k] + 1e-6 * fabs(shift));
        for (size_t i = k * each; i < (k + 1) * each; i++) {
            double want = (double)w[i] * factor;
            wrong += fabs(bytes[i] * (double)scales[k] - want) > 1e-5 * fabs(want);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* All but the first of the 27 convolutions read bytes, each its own map; what pooling reads, and
 * the maps, are floats. */
static void convolutions_read_bytes(void)
{
    struct onnx_file file = {0};
    struct adl_model *model = make_model("mobilenet_v1_025_relu6");
    if (!model)
        return;
    char *bytes = write_and_read(model, &file);
    CU_ASSERT_EQUAL(file.opset, 13);
    CU_ASSERT_EQUAL(file.ir_version, 7);
    CU_ASSERT_EQUAL(count_of(&file, "QuantizeLinear"), 2 * BLOCKS);
    CU_ASSERT_EQUAL(count_of(&file, "DequantizeLinear"), 3 * 2 * BLOCKS);
    CU_ASSERT_EQUAL(count_of(&file, "Conv"), 1 + 2 * BLOCKS + 2);
    CU_ASSERT_EQUAL(count_of(&file, "BatchNormalization"), 1);
    CU_ASSERT_EQUAL(count_of(&file, "Clip"), 1 + 2 * BLOCKS);
    check_conv(&file, model, "blocks.0.dw", "blocks.0.dw_bn", "relu");
    check_conv(&file, model, "blocks.0.pw", "blocks.0.pw_bn", "blocks.0.dw_relu");
    check_conv(&file, model, "blocks.12.pw", "blocks.12.pw_bn", "blocks.12.dw_relu");
    onnx_file_release(&file);
    adl_free(bytes);

    /* In float32 it is the file of other models, with the rounded weights. */
    model->precision = ADL_PRECISION_F32;
    bytes = write_and_read(model, &file);
    CU_ASSERT_EQUAL(file.opset, 10);
    CU_ASSERT_EQUAL(count_of(&file, "QuantizeLinear"), 0);
    CU_ASSERT_EQUAL(count_of(&file, "BatchNormalization"), 1 + 2 * BLOCKS);
    onnx_file_release(&file);
    adl_free(bytes);
    adl_model_free(model);
}

/* Sums and joins read bytes as well: of the 52 convolutions behind the first of ResNet-50 and of
 * its 16 sums. What is rounded: what these 52 read (the pooled map, 2 in each of 16 blocks, and 15
 * of the 16 sums) and the 16 + 4 summands that are no such map. */
static void sums_read_bytes(void)
{
    struct onnx_file file = {0};
    struct adl_model *model = make_model("resnet50_adl");
    if (!model)
        return;
    char *bytes = write_and_read(model, &file);
    CU_ASSERT_EQUAL(count_of(&file, "QuantizeLinear"), 1 + 2 * 16 + 15 + 16 + 4);
    CU_ASSERT_EQUAL(count_of(&file, "DequantizeLinear"), 1 + 2 * 16 + 15 + 16 + 4 + 2 * 52);
    CU_ASSERT_EQUAL(count_of(&file, "Add"), 16);
    onnx_file_release(&file);
    adl_free(bytes);
    adl_model_free(model);
}

/* A channel whose weights are all zero has the smallest scale there is; its bias has to fit all the
 * same. So does one whose batch norm multiplies by zero. */
static void a_dead_channel_keeps_its_bias(void)
{
    struct onnx_file file = {0};
    struct adl_model *model = make_model("mobilenet_v1_025_relu6");
    if (!model)
        return;
    int weight = adl_graph_find_param(model->graph, "blocks.3.pw.weight");
    const struct adl_param *param = adl_graph_param(model->graph, weight);
    size_t each = param->count / param->shape[0];
    model->quantisation->scales[weight][1] = 0x1p-100F;
    memset(adl_model_param(model, weight) + each, 0, each * sizeof(float));
    adl_model_param(model, adl_graph_find_param(model->graph, "blocks.3.pw_bn.weight"))[2] = 0;
    adl_model_param(model, adl_graph_find_param(model->graph, "blocks.3.pw_bn.bias"))[2] = 7;
    char *bytes = write_and_read(model, &file);
    check_conv(&file, model, "blocks.3.pw", "blocks.3.pw_bn", "blocks.3.dw_relu");
    onnx_file_release(&file);
    adl_free(bytes);
    adl_model_free(model);
}

static void every_allocation_may_fail(void)
{
    struct adl_model *model = make_model("mobilenet_v1_025_relu6");
    if (model)
        test_onnx_without_memory(model, tmp_path());
    adl_model_free(model);
}

TEST_SUITE(onnx_int8, {"convolutions read bytes", convolutions_read_bytes},
           {"sums read bytes", sums_read_bytes},
           {"a dead channel keeps its bias", a_dead_channel_keeps_its_bias},
           {"every allocation may fail", every_allocation_may_fail});
