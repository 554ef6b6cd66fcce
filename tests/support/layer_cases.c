#include "support/layer_cases.h"

#include <string.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/test.h"

/* --- the layers ------------------------------------------------------------------- */

static struct adl_conv_attr conv(int k, int r, int s, int stride, int pad_h, int pad_w, bool bias)
{
    return (struct adl_conv_attr){.k = k,
                                  .r = r,
                                  .s = s,
                                  .stride = stride,
                                  .pad_top = pad_h,
                                  .pad_left = pad_w,
                                  .pad_bottom = pad_h,
                                  .pad_right = pad_w,
                                  .bias = bias};
}

static int conv3x3(struct adl_graph *g)
{
    return adl_conv(g, LAYER_CASE_INPUT, "op", conv(5, 3, 3, 1, 1, 1, true));
}

static int conv3x3_valid(struct adl_graph *g)
{
    return adl_conv(g, LAYER_CASE_INPUT, "op", conv(3, 3, 3, 1, 0, 0, true));
}

static int conv3x3_s2(struct adl_graph *g)
{
    return adl_conv(g, LAYER_CASE_INPUT, "op", conv(6, 3, 3, 2, 1, 1, true));
}

static int conv7x7_s2(struct adl_graph *g)
{
    return adl_conv(g, LAYER_CASE_INPUT, "op", conv(4, 7, 7, 2, 3, 3, false));
}

static int conv1x7(struct adl_graph *g)
{
    return adl_conv(g, LAYER_CASE_INPUT, "op", conv(4, 1, 7, 1, 0, 3, false));
}

static int depthwise3x3(struct adl_graph *g)
{
    struct adl_conv_attr attr = conv(6, 3, 3, 1, 1, 1, false);
    attr.groups = 6;
    return adl_conv(g, LAYER_CASE_INPUT, "op", attr);
}

static int maxpool2(struct adl_graph *g)
{
    return adl_maxpool(g, LAYER_CASE_INPUT, "op", (struct adl_pool_attr){2, 2, 0, false});
}

static int maxpool3_s2_p1(struct adl_graph *g)
{
    return adl_maxpool(g, LAYER_CASE_INPUT, "op", (struct adl_pool_attr){3, 2, 1, false});
}

static int maxpool3_s2_p1_ceil(struct adl_graph *g)
{
    return adl_maxpool(g, LAYER_CASE_INPUT, "op", (struct adl_pool_attr){3, 2, 1, true});
}

static int avgpool3_s1_p1(struct adl_graph *g)
{
    return adl_avgpool(g, LAYER_CASE_INPUT, "op", (struct adl_pool_attr){3, 1, 1, false});
}

static int batchnorm_eval(struct adl_graph *g)
{
    return adl_batchnorm(g, LAYER_CASE_INPUT, "op", 1e-5);
}

static int relu6(struct adl_graph *g)
{
    return adl_relu6(g, LAYER_CASE_INPUT, "op");
}

static int gap_linear(struct adl_graph *g)
{
    return adl_linear(g, adl_global_avgpool(g, LAYER_CASE_INPUT, "gap"), "2", 5, true);
}

static int se(struct adl_graph *g)
{
    int gate = adl_relu(
        g, adl_linear(g, adl_global_avgpool(g, LAYER_CASE_INPUT, "gap"), "fc1", 2, true), "relu");
    gate = adl_sigmoid(g, adl_linear(g, gate, "fc2", 32, true), "sigmoid");
    return adl_scale(g, LAYER_CASE_INPUT, gate, "se");
}

static int batchnorm(struct adl_graph *g)
{
    return adl_batchnorm(g, LAYER_CASE_INPUT, "op", 1e-5);
}

static int bottleneck_down(struct adl_graph *g)
{
    int x = adl_conv(g, LAYER_CASE_INPUT, "conv1", conv(4, 1, 1, 1, 0, 0, false));
    x = adl_relu(g, adl_batchnorm(g, x, "bn1", 1e-5), "relu1");
    x = adl_conv(g, x, "conv2", conv(4, 3, 3, 2, 1, 1, false));
    x = adl_relu(g, adl_batchnorm(g, x, "bn2", 1e-5), "relu2");
    x = adl_batchnorm(g, adl_conv(g, x, "conv3", conv(16, 1, 1, 1, 0, 0, false)), "bn3", 1e-5);
    int y = adl_conv(g, LAYER_CASE_INPUT, "downsample.0", conv(16, 1, 1, 2, 0, 0, false));
    y = adl_batchnorm(g, y, "downsample.1", 1e-5);
    return adl_relu(g, adl_add(g, x, y, "sum"), "relu3");
}

static int separable_relu6(struct adl_graph *g)
{
    struct adl_conv_attr attr = conv(6, 3, 3, 2, 1, 1, false);
    attr.groups = 6;
    int x = adl_batchnorm(g, adl_conv(g, LAYER_CASE_INPUT, "dw", attr), "dw_bn", 1e-5);
    x = adl_conv(g, adl_relu6(g, x, "dw_relu"), "pw", conv(10, 1, 1, 1, 0, 0, false));
    return adl_relu6(g, adl_batchnorm(g, x, "pw_bn", 1e-5), "pw_relu");
}

/* Adds a convolution, batch norm and ReLU, the basic block of Inception. */
static int basic(struct adl_graph *g, int input, const char *name, int k, int size, int pad)
{
    int x = adl_conv(g, input, adl_graph_name(g, "%s.conv", name),
                     conv(k, size, size, 1, pad, pad, false));
    x = adl_batchnorm(g, x, adl_graph_name(g, "%s.bn", name), 1e-3);
    return adl_relu(g, x, name);
}

static int inception_a(struct adl_graph *g)
{
    struct adl_pool_attr pool = {3, 1, 1, false};
    int one = basic(g, LAYER_CASE_INPUT, "branch1x1", 64, 1, 0);
    int five =
        basic(g, basic(g, LAYER_CASE_INPUT, "branch5x5_1", 48, 1, 0), "branch5x5_2", 64, 5, 2);
    int three = basic(g, basic(g, LAYER_CASE_INPUT, "branch3x3dbl_1", 64, 1, 0), "branch3x3dbl_2",
                      96, 3, 1);
    three = basic(g, three, "branch3x3dbl_3", 96, 3, 1);
    int pooled = basic(g, adl_avgpool(g, LAYER_CASE_INPUT, "pool", pool), "branch_pool", 4, 1, 0);
    return adl_concat(g, (int[]){one, five, three, pooled}, 4, "joined");
}

static int inception_b(struct adl_graph *g)
{
    struct adl_pool_attr pool = {3, 1, 1, false};
    int three = basic(g, LAYER_CASE_INPUT, "branch3x3", 384, 3, 1);
    int twice = basic(g, basic(g, LAYER_CASE_INPUT, "branch3x3dbl_1", 64, 1, 0), "branch3x3dbl_2",
                      96, 3, 1);
    twice = basic(g, twice, "branch3x3dbl_3", 96, 3, 1);
    return adl_concat(g, (int[]){three, twice, adl_maxpool(g, LAYER_CASE_INPUT, "pool", pool)}, 3,
                      "joined");
}

static const struct {
    const char *name;
    int (*build)(struct adl_graph *graph);
} layers[] = {
    {"conv3x3", conv3x3},
    {"conv3x3_valid", conv3x3_valid},
    {"conv3x3_s2", conv3x3_s2},
    {"conv7x7_s2", conv7x7_s2},
    {"conv1x7", conv1x7},
    {"depthwise3x3", depthwise3x3},
    {"maxpool2", maxpool2},
    {"maxpool3_s2_p1", maxpool3_s2_p1},
    {"maxpool3_s2_p1_ceil", maxpool3_s2_p1_ceil},
    {"avgpool3_s1_p1", avgpool3_s1_p1},
    {"batchnorm", batchnorm},
    {"batchnorm_eval", batchnorm_eval},
    {"relu6", relu6},
    {"gap_linear", gap_linear},
    {"bottleneck_down", bottleneck_down},
    {"se", se},
    {"separable_relu6", separable_relu6},
    {"inception_a", inception_a},
    {"inception_b", inception_b},
};

/* --- reading a case ------------------------------------------------------------------ */

static void to_nhwc(const float *nchw, const int *shape, float *nhwc)
{
    int n = shape[0], c = shape[1], plane = shape[2] * shape[3];
    for (int i = 0; i < n * c * plane; i++)
        nhwc[(i / (c * plane) * plane + i % plane) * c + i / plane % c] = nchw[i];
}

/* Reads a tensor of the file as N x H x W x C; vectors are 1x1 maps. */
static float *make_map(const json_t *record, int shape[4])
{
    size_t rank;
    int *dims = golden_ints(golden_get(record, "shape"), &rank);
    for (size_t i = 0; i < 4; i++)
        shape[i] = i < rank ? dims[i] : 1;
    adl_free(dims);
    size_t count = (size_t)(shape[0] * shape[1] * shape[2] * shape[3]);
    float *nchw = adl_malloc(count, sizeof *nchw), *nhwc = adl_malloc(count, sizeof *nhwc);
    if (strcmp(golden_string(record, "formula"), "image") == 0)
        formula_image(golden_string(record, "name"), shape[0], shape[1], shape[2], shape[3], nchw);
    else
        formula_param(golden_string(record, "name"), golden_double(record, "a"),
                      golden_double(record, "b"), count, nchw);
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(record, "scale"))
            nchw[i] *= (float)golden_double(record, "scale");
        if (json_object_get(record, "then") && nchw[i] < 0) /* "max(0, value)" */
            nchw[i] = 0;
    }
    to_nhwc(nchw, shape, nhwc);
    adl_free(nchw);
    return nhwc;
}

const char *layer_case_key(const struct adl_param *param)
{
    return strncmp(param->name, "op.", 3) == 0 ? param->name + 3 : param->name;
}

int layer_case_open(struct layer_case *layer, const json_t *item)
{
    struct adl_error err = {0};
    int shape[4];
    const json_t *inputs = golden_get(item, "inputs");
    size_t i = 0;

    *layer = (struct layer_case){.name = golden_string(item, "case"),
                                 .results = golden_get(item, "results")};
    while (i < sizeof layers / sizeof *layers && strcmp(layers[i].name, layer->name) != 0)
        i++;
    if (i == sizeof layers / sizeof *layers) {
        TEST_FAIL("no layer is called %s", layer->name);
        return -1;
    }
    layer->cotangent = make_map(golden_get(inputs, "cotangent"), shape);
    layer->input = make_map(golden_get(inputs, "input"), shape);
    layer->batch = shape[0];
    layer->graph = adl_graph_create((struct adl_shape){shape[2], shape[3], shape[1]}, &err);
    adl_dropout(layer->graph, 0, "input copy", 0);
    layer->output = layers[i].build(layer->graph);
    adl_graph_set_output(layer->graph, ADL_OUTPUT_FEATURES, layer->output);
    adl_graph_set_output(layer->graph, ADL_OUTPUT_LOGITS, layer->output);
    if (adl_graph_finish(layer->graph, &err) < 0) {
        TEST_FAIL("%s: %s", layer->name, err.message);
        return -1;
    }
    int count = adl_graph_param_count(layer->graph);
    layer->params = adl_calloc((size_t)count + 1, sizeof *layer->params);
    layer->batch_statistics = strcmp(golden_string(item, "mode"), "train") == 0;
    for (int p = 0; p < count; p++) {
        const struct adl_param *param = adl_graph_param(layer->graph, p);
        const json_t *record = golden_get(inputs, layer_case_key(param));
        layer->has_batchnorm |= param->role == ADL_PARAM_BN_MEAN;
        layer->params[p] = adl_malloc(param->count, sizeof **layer->params);
        formula_param(golden_string(record, "name"), golden_double(record, "a"),
                      (double)(float)golden_double(record, "b"), param->count, layer->params[p]);
    }
    return 0;
}

void layer_case_close(struct layer_case *layer)
{
    if (layer->params)
        for (int i = 0; i < adl_graph_param_count(layer->graph); i++)
            adl_free(layer->params[i]);
    adl_free(layer->params);
    adl_free(layer->cotangent);
    adl_free(layer->input);
    adl_graph_free(layer->graph);
}

void layer_case_check(const char *what, const json_t *record, const float *nhwc, int batch,
                      struct adl_shape shape)
{
    size_t count, indices = 0;
    double *want = golden_doubles(golden_get(record, "f64"), &count);
    json_t *idx_json = json_object_get(record, "idx");
    int *idx = idx_json ? golden_ints(idx_json, &indices) : NULL;
    int plane = shape.h * shape.w, all = batch * plane * shape.c;
    CU_ASSERT(idx ? indices == count : count == (size_t)all);
    float *got = adl_calloc(count, sizeof *got);
    for (size_t i = 0; i < count; i++) {
        int index = idx ? idx[i] : (int)i; /* in N x C x H x W */
        if (index < all)
            got[i] = nhwc[(index / (shape.c * plane) * plane + index % plane) * shape.c +
                          index / plane % shape.c];
    }
    test_close(what, got, want, count, golden_double(record, "tol"));
    adl_free(got);
    adl_free(idx);
    adl_free(want);
}

void layer_case_for_each(void (*check)(struct layer_case *layer))
{
    json_t *file = golden_load("methods/layers.json"), *item;
    size_t i;
    if (!file)
        return;
    json_array_foreach(golden_get(file, "cases"), i, item)
    {
        struct layer_case layer;
        if (layer_case_open(&layer, item) == 0)
            check(&layer);
        layer_case_close(&layer);
    }
    json_decref(file);
}
