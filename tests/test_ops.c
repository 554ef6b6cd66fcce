/* ops/: the plain-C forward of each op, and a plan of it on the CPU path in
 * force, against PyTorch (tests/golden/methods/layers.json). Cases with batch
 * norm in training mode belong to training. */

#include "test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formula.h"
#include "golden.h"
#include "ops/ops.h"
#include "oracle.h"
#include "plan/session.h"

/* --- the layers, by the name of their golden case ---------------------------------- */

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
    return adl_conv(g, 0, "op", conv(5, 3, 3, 1, 1, 1, true));
}

static int conv3x3_valid(struct adl_graph *g)
{
    return adl_conv(g, 0, "op", conv(3, 3, 3, 1, 0, 0, true));
}

static int conv3x3_s2(struct adl_graph *g)
{
    return adl_conv(g, 0, "op", conv(6, 3, 3, 2, 1, 1, true));
}

static int conv7x7_s2(struct adl_graph *g)
{
    return adl_conv(g, 0, "op", conv(4, 7, 7, 2, 3, 3, false));
}

static int conv1x7(struct adl_graph *g)
{
    return adl_conv(g, 0, "op", conv(4, 1, 7, 1, 0, 3, false));
}

static int depthwise3x3(struct adl_graph *g)
{
    struct adl_conv_attr attr = conv(6, 3, 3, 1, 1, 1, false);
    attr.groups = 6;
    return adl_conv(g, 0, "op", attr);
}

static int maxpool2(struct adl_graph *g)
{
    return adl_maxpool(g, 0, "op", (struct adl_pool_attr){2, 2, 0, false});
}

static int maxpool3_s2_p1(struct adl_graph *g)
{
    return adl_maxpool(g, 0, "op", (struct adl_pool_attr){3, 2, 1, false});
}

static int maxpool3_s2_p1_ceil(struct adl_graph *g)
{
    return adl_maxpool(g, 0, "op", (struct adl_pool_attr){3, 2, 1, true});
}

static int avgpool3_s1_p1(struct adl_graph *g)
{
    return adl_avgpool(g, 0, "op", (struct adl_pool_attr){3, 1, 1, false});
}

static int batchnorm_eval(struct adl_graph *g)
{
    return adl_batchnorm(g, 0, "op", 1e-5);
}

static int relu6(struct adl_graph *g)
{
    return adl_relu6(g, 0, "op");
}

static int gap_linear(struct adl_graph *g)
{
    return adl_linear(g, adl_global_avgpool(g, 0, "gap"), "2", 5, true);
}

static int se(struct adl_graph *g)
{
    int gate = adl_relu(g, adl_linear(g, adl_global_avgpool(g, 0, "gap"), "fc1", 2, true), "relu");
    gate = adl_sigmoid(g, adl_linear(g, gate, "fc2", 32, true), "sigmoid");
    return adl_scale(g, 0, gate, "se");
}

static const struct layer {
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
    {"batchnorm_eval", batchnorm_eval},
    {"relu6", relu6},
    {"gap_linear", gap_linear},
    {"se", se},
};

/* --- reading a case -------------------------------------------------------------------- */

static json_t *find_case(json_t *file, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(golden_get(file, "cases"), i, item)
    {
        if (strcmp(golden_string(item, "case"), name) == 0)
            return item;
    }
    TEST_FAIL("no golden case %s", name);
    return NULL;
}

/* The parameter as the file names it: single layers have no "op." prefix. */
static float *make_param(const json_t *inputs, const struct adl_param *param)
{
    const char *key = strncmp(param->name, "op.", 3) == 0 ? param->name + 3 : param->name;
    const json_t *record = golden_get(inputs, key);
    float *values = adl_malloc(param->count, sizeof *values);
    formula_param(golden_string(record, "name"), golden_double(record, "a"),
                  (double)(float)golden_double(record, "b"), param->count, values);
    return values;
}

static void to_nhwc(const float *nchw, const int *shape, float *nhwc)
{
    int n = shape[0], c = shape[1], plane = shape[2] * shape[3];
    for (int i = 0; i < n * c * plane; i++)
        nhwc[(i / (c * plane) * plane + i % plane) * c + i / plane % c] = nchw[i];
}

static void check_output(const char *what, const json_t *record, const float *nhwc, int batch,
                         struct adl_shape shape)
{
    size_t count, indices = 0;
    double *want = golden_doubles(golden_get(record, "f64"), &count);
    int *idx = json_object_get(record, "idx")
                   ? golden_ints(json_object_get(record, "idx"), &indices)
                   : NULL;
    int plane = shape.h * shape.w, all = batch * plane * shape.c;
    CU_ASSERT(idx ? indices == count : count == (size_t)all);
    float *got = adl_calloc(count, sizeof *got);
    for (size_t i = 0; i < count; i++) {
        int at = idx ? idx[i] : (int)i; /* N, C, H, W */
        if (at < all)
            got[i] = nhwc[(at / (shape.c * plane) * plane + at % plane) * shape.c +
                          at / plane % shape.c];
    }
    test_close(what, got, want, count, golden_double(record, "tol"));
    adl_free(got);
    adl_free(idx);
    adl_free(want);
}

/* --- the two ways to run it --------------------------------------------------------------- */

static void run_plain(const struct adl_graph *g, float *const *params, const float *input,
                      int batch, float *out)
{
    float **values = oracle_run(g, params, input, batch);
    int last = adl_graph_output(g, ADL_OUTPUT_FEATURES);
    memcpy(out, values[last],
           (size_t)batch * adl_shape_count(adl_graph_value(g, last)->shape) * sizeof *out);
    oracle_free(g, values);
}

static void run_plan(const struct adl_graph *g, float *const *params, const float *input, int batch,
                     float *out)
{
    struct adl_error err = {0};
    struct adl_shape in = adl_graph_value(g, 0)->shape;
    struct adl_plan_options options = {.input_h = in.h, .input_w = in.w};
    struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, batch, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    size_t count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES));
    for (int n = 0; session && n < batch; n++)
        memcpy(adl_session_input(session, n), input + (size_t)n * adl_shape_count(in),
               adl_shape_count(in) * sizeof *input);
    if (session)
        adl_session_run(session, batch);
    for (int n = 0; session && n < batch; n++)
        memcpy(out + (size_t)n * count, adl_session_output(session, ADL_OUTPUT_FEATURES, n),
               count * sizeof *out);
    adl_session_free(session);
    adl_plan_unref(plan);
}

static void check_layer(json_t *file, const struct layer *layer)
{
    struct adl_error err = {0};
    json_t *item = find_case(file, layer->name);
    json_t *inputs = golden_get(item, "inputs"), *x = golden_get(inputs, "input");
    size_t rank;
    int *shape = golden_ints(golden_get(x, "shape"), &rank);
    size_t count = (size_t)(shape[0] * shape[1] * shape[2] * shape[3]);
    float *nchw = adl_malloc(count, sizeof *nchw), *input = adl_malloc(count, sizeof *input);
    formula_image(golden_string(x, "name"), shape[0], shape[1], shape[2], shape[3], nchw);
    for (size_t i = 0; i < count; i++) {
        nchw[i] *= (float)golden_double(x, "scale");
        if (json_object_get(x, "then") && nchw[i] < 0) /* "max(0, value)" */
            nchw[i] = 0;
    }
    to_nhwc(nchw, shape, input);

    struct adl_graph *g = adl_graph_create((struct adl_shape){shape[2], shape[3], shape[1]}, &err);
    int last = layer->build(g);
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, last);
    TEST_OK(adl_graph_finish(g, &err), &err);
    int param_count = adl_graph_param_count(g);
    float **params = adl_calloc((size_t)param_count + 1, sizeof *params);
    for (int i = 0; i < param_count; i++)
        params[i] = make_param(inputs, adl_graph_param(g, i));

    struct adl_shape out_shape = adl_graph_value(g, last)->shape;
    float *out = adl_malloc((size_t)shape[0] * adl_shape_count(out_shape), sizeof *out);
    const json_t *want = golden_get(golden_get(item, "results"), "output");
    char what[96];
    run_plain(g, params, input, shape[0], out);
    snprintf(what, sizeof what, "%s in plain C", layer->name);
    check_output(what, want, out, shape[0], out_shape);
    run_plan(g, params, input, shape[0], out);
    snprintf(what, sizeof what, "%s planned", layer->name);
    check_output(what, want, out, shape[0], out_shape);

    adl_free(out);
    for (int i = 0; i < param_count; i++)
        adl_free(params[i]);
    adl_free(params);
    adl_graph_free(g);
    adl_free(input);
    adl_free(nchw);
    adl_free(shape);
}

static void layers_equal_pytorch(void)
{
    json_t *file = golden_load("methods/layers.json");
    for (size_t i = 0; file && i < sizeof layers / sizeof *layers; i++)
        check_layer(file, &layers[i]);
    json_decref(file);
}

TEST_SUITE(ops, {"each op equals PyTorch, in plain C and planned (kernels)", layers_equal_pytorch});
