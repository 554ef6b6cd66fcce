/* ops/elementwise, ops/channels, ops/pool_any, ops/pool_max and ops/resize: values and gradients
 * are PyTorch's, in a training step and in a plan. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/golden.h"
#include "support/train_step.h"

#define X TRAIN_STEP_INPUT

enum { H = 4, W = 5, C = 6, MOST = 4 * H * W * C };

static int add_elementwise(struct adl_graph *g, int x, const char *name)
{
    static const struct {
        const struct adl_op_def *def;
        struct adl_elementwise_attr attr;
    } rows[] = {{&adl_op_clip, {-1.5F, 2.5F}},
                {&adl_op_affine, {0.75F, -0.5F}},
                {&adl_op_leaky_relu, {0.125F, 0}},
                {&adl_op_hard_sigmoid, {0.25F, 0.5F}},
                {&adl_op_hard_swish, {0, 0}},
                {&adl_op_silu, {0, 0}},
                {&adl_op_gelu, {0, 0}},
                {&adl_op_gelu_tanh, {0, 0}},
                {&adl_op_erf, {0, 0}},
                {&adl_op_tanh, {0, 0}}};
    for (size_t i = 0; i < ADL_COUNT(rows); i++)
        if (strcmp(rows[i].def->name, name) == 0)
            return adl_elementwise(g, x, name, rows[i].def, rows[i].attr);
    return -1;
}

static int add_pool(struct adl_graph *g, int x, const char *name)
{
    static const struct {
        const char *name;
        struct adl_pool_any_attr attr;
    } rows[] = {
        {"pool_max_ceil",
         {.r = 2, .s = 3, .stride_h = 2, .stride_w = 2, .left = 1, .ceil_mode = true}},
        {"pool_avg_without",
         {3, 3, 2, 2, 1, 1, 1, 1, .average = true, .count_padding = false, .ceil_mode = false}},
        {"pool_avg_ceil",
         {3, 2, 2, 3, 1, 1, 1, 1, .average = true, .count_padding = true, .ceil_mode = true}}};
    for (size_t i = 0; i < ADL_COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return adl_pool_any(g, x, name, rows[i].attr);
    return -1;
}

static int add_resize(struct adl_graph *g, int x, const char *name)
{
    static const struct {
        const char *name;
        struct adl_resize_attr attr;
    } rows[] = {
        {"resize_nearest", {2, 2, 0, 0, false, ADL_RESIZE_ASYMMETRIC, ADL_RESIZE_FLOOR}},
        {"resize_exact", {0, 0, 6, 7, false, ADL_RESIZE_HALF_PIXEL, ADL_RESIZE_PREFER_CEIL}},
        {"resize_linear", {2, 2, 0, 0, true, ADL_RESIZE_PYTORCH, ADL_RESIZE_FLOOR}},
        {"resize_smaller", {0, 0, 3, 2, true, ADL_RESIZE_HALF_PIXEL, ADL_RESIZE_FLOOR}},
        {"resize_corners", {0, 0, 7, 9, true, ADL_RESIZE_CORNERS, ADL_RESIZE_FLOOR}}};
    for (size_t i = 0; i < ADL_COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return adl_resize(g, x, name, rows[i].attr);
    return -1;
}

static int add(struct adl_graph *g, int x, const char *name)
{
    if (strcmp(name, "channel_affine") == 0)
        return adl_channel_affine(g, x, name, "w", "b");
    if (strcmp(name, "channel_scale") == 0)
        return adl_channel_affine(g, x, name, "w", NULL);
    if (strcmp(name, "channel_bias") == 0)
        return adl_channel_affine(g, x, name, NULL, "b");
    if (strcmp(name, "global_maxpool") == 0)
        return adl_global_maxpool(g, x, name);
    if (strncmp(name, "resize", 6) == 0)
        return add_resize(g, x, name);
    if (strcmp(name, "layernorm") == 0)
        return adl_layernorm(g, x, name, 1e-3);
    if (strcmp(name, "shuffle") == 0)
        return adl_shuffle(g, x, name, 3);
    if (strcmp(name, "slice") == 0)
        return adl_slice(g, x, name, 2, 3);
    int value = add_elementwise(g, x, name);
    return value >= 0 ? value : add_pool(g, x, name);
}

/* The formulas of tests/golden/onnx_in/ops.py. */
static void fill_params(const struct adl_graph *graph, float *const *params)
{
    for (int id = 0; id < adl_graph_param_count(graph); id++)
        for (int c = 0; c < C; c++)
            params[id][c] = *adl_graph_param(graph, id)->name == 'w' ? 0.5F + 0.3F * (float)c
                                                                     : 0.2F * (float)c - 0.4F;
}

static void fill_input(float *x)
{
    for (int i = 0; i < H * W * C; i++)
        x[i] = (float)(5 * sin(0.9 * i + 0.3));
}

static void compare(const char *name, const char *what, const json_t *want, const float *got)
{
    size_t count;
    double *values = golden_doubles(want, &count);
    for (size_t i = 0; i < count; i++)
        if (!(fabs(values[i] - (double)got[i]) <= 2e-6 * fmax(1, fabs(values[i])))) {
            TEST_FAIL("%s: %s %zu is %g, expected %g", name, what, i, (double)got[i], values[i]);
            break;
        }
    adl_free(values);
}

static void check_step(const char *name, const json_t *want)
{
    const struct adl_train_mode mode = {0};
    float x[H * W * C], g[MOST];
    struct train_step step;
    struct adl_graph *graph = train_step_begin(H, W, C);

    if (!graph || train_step_open(&step, graph, add(graph, X, name), 1, 2) < 0)
        return;
    fill_params(graph, step.params);
    fill_input(x);
    for (int i = 0; i < MOST; i++)
        g[i] = (float)cos(0.7 * i);
    train_step_run(&step, x, g, &mode);
    compare(name, "value", golden_get(want, "y"), train_step_result(&step));
    compare(name, "gradient", golden_get(want, "dx"), train_step_grad_input(&step));
    /* d/dw = sum of x g, d/db = sum of g, by channel. */
    for (int id = 0; id < adl_graph_param_count(graph); id++)
        for (int c = 0; c < C; c++) {
            double sum = 0;
            for (int i = c; i < H * W * C; i += C)
                sum +=
                    (double)g[i] * (*adl_graph_param(graph, id)->name == 'w' ? (double)x[i] : 1.0);
            CU_ASSERT_DOUBLE_EQUAL(step.grads[id][c], sum, 1e-4);
        }
    train_step_close(&step);
}

/* In a plan the op's result is joined with its input, so that it may have to write to a slice. */
static void check_plan(const char *name, const json_t *want)
{
    struct adl_error err = {0};
    float w[C], b[C], *params[2] = {w, b};
    struct adl_graph *g = adl_graph_create((struct adl_shape){H, W, C}, &err);
    CU_ASSERT_FATAL(g != NULL);
    int y = add(g, 0, name), copy = adl_relu6(g, y, "again");
    int joined = adl_concat(g, (int[]){y, copy}, 2, "joined");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, joined);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, adl_global_avgpool(g, joined, "pool"));
    TEST_OK(adl_graph_finish(g, &err), &err);
    fill_params(g, params);
    struct adl_plan *plan =
        adl_plan_create(g, (const float *const *)params,
                        &(struct adl_plan_options){.input_h = H, .input_w = W}, &err);
    CU_ASSERT_FATAL(plan != NULL);
    struct adl_session *session = adl_session_create(plan, NULL, 1, &err);
    CU_ASSERT_FATAL(session != NULL);
    struct adl_shape shape = adl_graph_value(g, y)->shape;
    float got[MOST];
    fill_input(adl_session_input(session, 0));
    adl_session_run(session, 1);
    const float *map = adl_session_output(session, ADL_OUTPUT_FEATURES, 0);
    for (int i = 0; i < shape.h * shape.w; i++)
        memcpy(got + i * shape.c, map + 2 * i * shape.c, (size_t)shape.c * sizeof *got);
    compare(name, "value in a plan", golden_get(want, "y"), got);
    adl_session_free(session);
    adl_plan_unref(plan);
    adl_graph_free(g);
}

static void equal_pytorch(void)
{
    json_t *golden = golden_load("onnx_in/ops.json"), *want;
    const char *name;
    json_object_foreach(golden, name, want)
    {
        check_step(name, want);
        check_plan(name, want);
    }
    json_decref(golden);
}

TEST_SUITE(elementwise, {"ops of networks from elsewhere equal PyTorch's", equal_pytorch});
